//! The ready file: it exists for as long as Pace serves, and has the addresses.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use pace_tests::{Client, Gate, HttpBackend, Setup, Signal, wait_until};
use tempfile::TempDir;

use crate::sections::{SERVER, plain, plugin, pool, with_plugins};

/// A directory, and a path in it.
fn place() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let path = directory.path().join("pace.ready");
    (directory, path)
}

/// The address of a listener in a ready file.
fn address(text: &str, key: &str) -> Option<SocketAddr> {
    let table: toml::Table = text.parse().expect("it is TOML");
    let address = table.get(key)?.as_str().expect("it is a text");
    Some(address.parse().expect("it is an address"))
}

fn is_empty(directory: &Path) -> bool {
    fs::read_dir(directory).expect("it is there").next().is_none()
}

#[test]
fn ready_file_has_the_addresses_of_both_listeners() {
    let (directory, path) = place();
    let backend = HttpBackend::named("one");
    let pace = Setup::new().config(&plain(&[&backend])).ready_file(&path).start();

    let text = fs::read_to_string(&path).expect("Pace serves");
    let listen = address(&text, "listen").expect("it listens");
    let admin = address(&text, "admin").expect("the configuration has [admin]");
    assert_eq!(Client::new(listen).get("/").text(), "one");
    assert_eq!(Client::new(admin).get("/health").text(), "ok\n");
    assert_eq!(text.lines().count(), 2, "{text}");
    assert_eq!(fs::read_dir(directory.path()).map(Iterator::count).ok(), Some(1));

    assert_eq!(pace.stop().code, Some(0));
    assert!(is_empty(directory.path()));
}

#[test]
fn ready_file_without_admin_listener_has_one_address() {
    let (_directory, path) = place();
    let backend = HttpBackend::named("one");
    let _pace = Setup::new()
        .args(["run", "--listen", "127.0.0.1:0", "--backend", &backend.url()])
        .ready_file(&path)
        .start();
    let text = fs::read_to_string(&path).expect("Pace serves");
    assert!(address(&text, "listen").is_some());
    assert_eq!(address(&text, "admin"), None);
}

#[test]
fn ready_file_is_gone_while_requests_in_flight_are_completed() {
    let (directory, path) = place();
    let gate = Gate::new();
    let backend = HttpBackend::behind(&gate, "served");
    let pace = Setup::new().config(&plain(&[&backend])).ready_file(&path).start();
    let mut client = pace.client();
    client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_until("the request to arrive", || backend.requests().len() == 1);

    pace.signal(Signal::TERM);
    wait_until("the ready file to be removed", || is_empty(directory.path()));
    gate.open();
    assert_eq!(client.read("GET").expect("it is answered").text(), "served");
    assert_eq!(pace.wait().code, Some(0));
}

#[test]
fn start_that_fails_removes_the_file_of_an_earlier_process() {
    let (directory, path) = place();
    let backend = HttpBackend::down();
    fs::write(&path, "listen = \"127.0.0.1:1\"\n").expect("the directory is writable");
    let config = format!(
        "{SERVER}{}{}[[routes]]\npool = \"web\"\nplugins = [\"broken\"]\n",
        plugin("broken", &directory.path().join("nowhere.wasm")),
        pool("web", &[&backend])
    );
    let exit = Setup::new().config(&config).ready_file(&path).run();
    assert!(exit.refusal().contains("nowhere.wasm"), "{exit:?}");
    assert!(is_empty(directory.path()));
}

#[test]
fn process_without_port_leaves_the_file_of_the_one_that_has_it() {
    let (_directory, path) = place();
    let backend = HttpBackend::named("one");
    let pace = Setup::new().config(&plain(&[&backend])).ready_file(&path).start();
    let before = fs::read_to_string(&path).expect("Pace serves");

    let listen = pace.address().to_string();
    let exit = Setup::new()
        .args(["--listen", &listen, "--backend", &backend.url()])
        .ready_file(&path)
        .run();
    assert!(exit.refusal().contains("in use"), "{exit:?}");
    assert_eq!(fs::read_to_string(&path).ok(), Some(before));
}

#[test]
fn ready_file_that_cannot_be_written_is_an_error_at_the_start() {
    let (directory, path) = place();
    let backend = HttpBackend::down();
    let missing = directory.path().join("nowhere/pace.ready");
    // The plugin would be refused, too, but later.
    let config = with_plugins(SERVER, &[("broken", &path)], &[&backend]);
    for path in [missing.as_path(), directory.path()] {
        let exit = Setup::new().config(&config).ready_file(path).run();
        let message = exit.refusal();
        let expected = format!("cannot write the ready file {}: ", path.display());
        assert!(message.starts_with(&expected), "{message}");
    }
    assert!(is_empty(directory.path()));
}

#[test]
fn check_has_no_ready_file() {
    let (_directory, path) = place();
    let exit = Setup::new().args(["check"]).ready_file(&path).run();
    assert_eq!(exit.code, Some(2), "{exit:#?}");
    assert!(exit.stderr.contains("--ready-file"), "{exit:#?}");
}

#[test]
fn plugin_run_writes_a_ready_file_too() {
    let (directory, path) = place();
    let backend = HttpBackend::named("one");
    let pace = Setup::new()
        .args(["plugin", "run", "builtin:round-robin"])
        .args(["--listen", "127.0.0.1:0", "--backend", &backend.url()])
        .ready_file(&path)
        .start();
    let text = fs::read_to_string(&path).expect("Pace serves");
    let listen = address(&text, "listen").expect("it listens");
    assert_eq!(Client::new(listen).get("/").text(), "one");
    assert_eq!(pace.stop().code, Some(0));
    assert!(is_empty(directory.path()));
}
