//! Sockets that systemd has opened and passes.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};

use pace_tests::{Client, HttpBackend, Pace, Request, Setup, Signal, wait_until};

use super::load::{Backends, Load};
use crate::sections::plain;

/// A socket that listens before there is a Pace, as that of a unit.
fn socket(at: &str) -> (TcpListener, SocketAddr) {
    let socket = TcpListener::bind(at).expect("some port is free");
    let address = socket.local_addr().expect("it is bound");
    (socket, address)
}

fn config(backend: &HttpBackend, public: &str, admin: &str) -> String {
    let text = plain(&[backend]).replacen("127.0.0.1:0", public, 1);
    text.replacen("127.0.0.1:0", admin, 1)
}

#[test]
fn passed_sockets_are_matched_to_the_addresses_of_the_configuration() {
    let backend = HttpBackend::named("one");
    let ((public, address), (admin, admin_address)) = (socket("127.0.0.1:0"), socket("127.0.0.1:0"));
    // The order of the units is not that of the configuration.
    let pace = Setup::new()
        .sockets(&[(&admin, "admin"), (&public, "web")])
        .config(&config(
            &backend,
            &address.to_string(),
            &admin_address.to_string(),
        ))
        .start();
    assert_eq!((pace.address(), pace.admin_address()), (address, admin_address));
    assert_eq!(Client::new(address).get("/").text(), "one");
    assert_eq!(Client::new(admin_address).get("/readyz").text(), "ready\n");
    let log = pace.log();
    assert!(!log.contains("WARN"), "{log}");
}

/// A connection that was made before there was a Pace waits for it.
#[test]
fn restart_with_a_passed_socket_refuses_no_connection_and_fails_no_request() {
    let backends = Backends::new();
    let (public, address) = socket("127.0.0.1:0");
    let start = || {
        Setup::new()
            .sockets(&[(&public, "web")])
            .config(&backends.config(&address.to_string(), "grace_period_seconds = 3600"))
            .start()
    };
    let first = start();
    let (waiting, second) = Load::on(address, |load| {
        load.wait_for_more();
        first.signal(Signal::TERM);
        first.wait_for_log(&["SIGTERM: no new connections"]);
        let waiting = TcpStream::connect(address).expect("the socket is open");
        // WebSockets are with the first process until they end, so both are there for a while.
        let second = start();
        load.wait_for_more();
        (waiting, second)
    });
    drop(waiting);
    assert_eq!(first.wait().code, Some(0));
    assert_eq!(second.stop().code, Some(0));
}

#[test]
fn socket_without_a_listener_is_told_and_used_by_a_configuration_that_has_it() {
    let backend = HttpBackend::named("one");
    let ((public, address), (other, other_address)) = (socket("127.0.0.1:0"), socket("127.0.0.1:0"));
    let before = config(&backend, &address.to_string(), "127.0.0.1:0");
    let pace = Setup::new()
        .sockets(&[(&public, "web"), (&other, "other")])
        .config(&before)
        .start();
    let told = |pace: &Pace, count| {
        let words = format!("systemd's socket unit (`other`) listens on {other_address}, which");
        wait_until("the warning", || pace.log().matches(&words).count() == count);
    };
    told(&pace, 1);

    let file = pace.directory().join("pace.toml");
    let line = format!("listen = \"{address}\"\n");
    let listeners =
        format!("[[listeners]]\nlisten = \"{address}\"\n[[listeners]]\nlisten = \"{other_address}\"\n");
    std::fs::write(&file, before.replace(&line, "") + &listeners).expect("it is writable");
    pace.wait_for_log(&[&format!("listening on {other_address}")]);
    assert_eq!(Client::new(other_address).get("/").text(), "one");

    std::fs::write(&file, &before).expect("it is writable");
    told(&pace, 2);
    // An upgrade passes on what systemd has passed, in use or not.
    let _successor = pace.upgrade();
    std::fs::write(&file, before.replace(&line, "") + &listeners).expect("it is writable");
    wait_until("the other socket to be used again", || {
        let request = Request::get("/");
        TcpStream::connect(other_address).is_ok()
            && pace
                .log()
                .matches(&format!("listening on {other_address}"))
                .count()
                == 2
            && Client::new(other_address).try_send(&request).is_ok()
    });
}

#[test]
fn passed_socket_of_a_path_is_that_of_the_admin_listener_and_stays() {
    let backend = HttpBackend::named("one");
    let place = tempfile::tempdir().expect("a temporary directory can be made");
    let path = place.path().join("admin.sock");
    let unix = UnixListener::bind(&path).expect("the directory is writable");
    let unix = TcpListener::from(std::os::fd::OwnedFd::from(unix));
    let text = plain(&[&backend]).replace(
        "[admin]\nlisten = \"127.0.0.1:0\"",
        &format!("[admin]\nlisten = \"unix:{}\"", path.display()),
    );
    let pace = Setup::new().sockets(&[(&unix, "admin")]).config(&text).start();
    let mut operator = UnixStream::connect(&path).expect("systemd listens on it");
    operator
        .write_all(b"GET /readyz HTTP/1.0\r\n\r\n")
        .expect("it is open");
    let mut answer = String::new();
    operator.read_to_string(&mut answer).expect("it is text");
    assert!(answer.ends_with("ready\n"), "{answer}");
    assert!(!pace.log().contains("WARN"), "{}", pace.log());
    assert_eq!(pace.stop().code, Some(0));
    assert!(path.exists(), "the unit keeps it");
}

#[test]
fn passed_socket_that_nobody_can_connect_to_is_told() {
    let backend = HttpBackend::named("one");
    let place = tempfile::tempdir().expect("a temporary directory can be made");
    let unix = UnixDatagram::bind(place.path().join("socket")).expect("the directory is writable");
    let unix = TcpListener::from(std::os::fd::OwnedFd::from(unix));
    let pace = Setup::new()
        .sockets(&[(&unix, "control")])
        .config(&plain(&[&backend]))
        .start();
    pace.wait_for_log(&[
        "WARN",
        "systemd has passed the socket `control`, which is not used",
    ]);
    assert_eq!(pace.get("/").text(), "one");
}

/// `ListenStream=80` makes a socket for both families.
#[test]
fn socket_for_all_addresses_of_both_families_serves_those_of_one() {
    let backend = HttpBackend::named("one");
    let Ok(both) = TcpListener::bind("[::]:0") else {
        println!("SKIPPED: there is no IPv6 here");
        return;
    };
    let port = both.local_addr().expect("it is bound").port();
    let pace = Setup::new()
        .sockets(&[(&both, "web")])
        .config(&config(&backend, &format!(":{port}"), "127.0.0.1:0"))
        .start();
    assert_eq!(Client::new(([127, 0, 0, 1], port).into()).get("/").text(), "one");
    assert!(!pace.log().contains("WARN"), "{}", pace.log());
}
