//! The admin listener on a Unix socket, and `pace ctl` before it.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use pace_tests::{Exit, HttpBackend, Pace, Setup, Signal, wait_until};

use crate::sections::{EVERYTHING, plain, pool};

/// A configuration with an admin listener at a path, and further keys of it.
fn config(backend: &HttpBackend, path: &Path, admin: &str) -> String {
    format!(
        "[server]\nlisten = '127.0.0.1:0'\nworkers = 1\n[admin]\nlisten = 'unix:{}'\n{admin}\n{}\n{EVERYTHING}",
        path.display(),
        pool("web", &[backend])
    )
}

/// A directory, and the path of a socket in it.
fn place() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let path = directory.path().join("admin.sock");
    (directory, path)
}

fn start(backend: &HttpBackend, path: &Path) -> Pace {
    Pace::with_config(&config(backend, path, ""))
}

/// What is answered to a request at the socket.
fn ask(path: &Path, method: &str, target: &str) -> String {
    let mut socket = UnixStream::connect(path).expect("Pace listens on it");
    write!(
        socket,
        "{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )
    .expect("it is open");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("it is text");
    answer
}

fn ctl(path: &Path, args: &[&str]) -> Exit {
    let address = format!("unix:{}", path.display());
    Setup::new().args(["ctl", "--admin", &address]).args(args).run()
}

fn mode(path: &Path) -> u32 {
    let file = fs::symlink_metadata(path).expect("it is there");
    file.permissions().mode() & 0o777
}

#[test]
fn socket_is_for_its_owner_is_asked_by_ctl_and_goes_with_the_process() {
    let backend = HttpBackend::named("one");
    let (_directory, path) = place();
    let pace = start(&backend, &path);
    pace.wait_for_log(&[&format!("admin on unix:{}", path.display())]);
    assert_eq!(mode(&path), 0o600);
    assert!(ask(&path, "GET", "/readyz").ends_with("ready\n"));
    assert!(ask(&path, "POST", "/reload").ends_with("nothing has changed\n"));
    let status = ctl(&path, &["status"]);
    assert!(
        status
            .stdout
            .contains(&format!("on unix:{}: ok\n", path.display())),
        "{status:#?}"
    );
    let by_config = Setup::new()
        .file("pace.toml", config(&backend, &path, ""))
        .args(["ctl", "--config", "pace.toml", "pools"])
        .run();
    assert!(by_config.stdout.contains(&backend.label()), "{by_config:#?}");
    assert_eq!(pace.stop().code, Some(0));
    assert!(!path.exists());
    let gone = ctl(&path, &["status"]);
    assert!(gone.refusal().contains("admin.sock"), "{gone:#?}");
}

#[test]
fn permissions_are_those_that_are_configured() {
    let backend = HttpBackend::named("one");
    let (_directory, path) = place();
    let pace = Pace::with_config(&config(&backend, &path, "mode = '0666'"));
    assert_eq!(mode(&path), 0o666);
    let other = config(&backend, &path, "mode = '0660'");
    fs::write(pace.directory().join("pace.toml"), other).expect("there is room");
    pace.signal(Signal::HUP);
    pace.wait_for_log(&["`[admin] mode` can only change with a restart"]);
}

#[test]
fn socket_that_was_left_behind_is_replaced_and_one_in_use_is_not() {
    let backend = HttpBackend::named("one");
    let (_directory, path) = place();
    drop(UnixListener::bind(&path).expect("the directory is writable"));
    assert!(path.exists());
    let pace = start(&backend, &path);
    assert!(ask(&path, "GET", "/health").ends_with("ok\n"));

    let second = Setup::new().config(&config(&backend, &path, "")).run();
    assert!(
        second
            .refusal()
            .contains("([admin] listen): another process listens on it"),
        "{second:#?}"
    );
    assert!(ask(&path, "GET", "/health").ends_with("ok\n"));
    drop(pace);
    // It was killed.
    assert!(path.exists());
    let again = start(&backend, &path);
    assert!(ask(&path, "GET", "/health").ends_with("ok\n"));
    drop(again);
    fs::remove_file(&path).expect("it is there");
    fs::write(&path, "a file").expect("the directory is writable");
    let third = Setup::new().config(&config(&backend, &path, "")).run();
    assert!(
        third.refusal().contains("a file that is not a socket"),
        "{third:#?}"
    );
    assert_eq!(fs::read_to_string(&path).expect("it stays"), "a file");
}

#[test]
fn upgrade_keeps_the_socket_and_the_last_process_removes_it() {
    let backend = HttpBackend::named("one");
    let (_directory, path) = place();
    let pace = start(&backend, &path);
    let second = pace.upgrade();
    assert!(ask(&path, "GET", "/readyz").ends_with("ready\n"));
    let third = second.upgrade(&pace);
    assert!(ask(&path, "GET", "/readyz").ends_with("ready\n"));
    second.wait();
    assert_eq!(pace.wait().code, Some(0));
    assert!(ask(&path, "GET", "/readyz").ends_with("ready\n"));
    third.signal(Signal::TERM);
    third.wait();
    assert!(!path.exists());
}

#[test]
fn upgrade_to_a_configuration_without_the_socket_removes_it() {
    let backend = HttpBackend::named("one");
    let (_directory, path) = place();
    let pace = start(&backend, &path);
    fs::write(pace.directory().join("pace.toml"), plain(&[&backend])).expect("there is room");
    let successor = pace.upgrade();
    wait_until("the file to go", || !path.exists());
    assert_eq!(pace.wait().code, Some(0));
    successor.signal(Signal::TERM);
    successor.wait();
}

#[test]
fn upgrade_that_fails_leaves_the_socket() {
    let backend = HttpBackend::named("one");
    let (_directory, path) = place();
    let pace = start(&backend, &path);
    let broken = config(&backend, &path, "").replace("workers = 1", "workers = 0");
    fs::write(pace.directory().join("pace.toml"), broken).expect("there is room");
    pace.signal(Signal::USR2);
    pace.wait_for_log(&["SIGUSR2: this process serves on"]);
    assert!(ask(&path, "GET", "/readyz").ends_with("ready\n"));
    assert_eq!(pace.stop().code, Some(0));
    assert!(!path.exists());
}
