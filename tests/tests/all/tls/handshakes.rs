//! Handshakes that fail.

use std::io::{Read, Write};
use std::net::TcpStream;

use pace_tests::{Authority, DEADLINE, HttpBackend, Tls, wait_until};

use super::{client, one};

fn connect(pace: &pace_tests::Pace) -> TcpStream {
    let stream = TcpStream::connect(pace.address()).expect("Pace listens");
    stream.set_read_timeout(Some(DEADLINE)).expect("it is a socket");
    stream
}

fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A reset ends the connection as well.
    let _ = stream.read_to_end(&mut bytes);
    bytes
}

#[test]
fn plain_http_gets_400_and_is_counted() {
    let backend = HttpBackend::named("one");
    let authority = Authority::new("servers");
    let pace = one(&authority, &backend.label(), "");
    let mut plain = pace.client();
    let response = plain.get("/");
    assert_eq!((response.status, response.last), (400, true));
    assert!(response.text().ends_with("https://\n"), "{response:?}");
    let mut preface = connect(&pace);
    preface
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        .expect("Pace reads");
    rest(&mut preface);
    let reason = [("reason", "not_tls")];
    pace.wait_for_metric("pace_tls_handshake_failures_total", &reason, 2);
    assert!(backend.requests().is_empty());
}

#[test]
fn handshakes_that_break_off_are_counted_and_hold_nothing() {
    let backend = HttpBackend::named("one");
    let authority = Authority::new("servers");
    let pace = one(&authority, &backend.label(), "");
    // A record that begins a ClientHello and has only its first bytes.
    let hello = [0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc];
    let mut gone = connect(&pace);
    gone.write_all(&hello).expect("Pace reads");
    drop(gone);
    let mut ill = connect(&pace);
    ill.write_all(&[0x16, 3, 1, 0, 4, 9, 0, 0, 0])
        .expect("Pace reads");
    rest(&mut ill);
    let mut distrust = pace.client().tls(&Tls::new(&Authority::new("another"), "a.test"));
    distrust
        .connect()
        .expect_err("the client does not know the authority");
    drop(distrust);
    for reason in ["closed", "bad_record", "alert"] {
        let labels = [("reason", reason)];
        pace.wait_for_metric("pace_tls_handshake_failures_total", &labels, 1);
    }
    assert_eq!(client(&pace, &authority).get("/").text(), "one");
    wait_until("all connections to be closed", || {
        pace.metrics().sum("pace_connections_open", &[]) == 0
    });
}

/// As many as a worker has at once.
const MOST: usize = 2048;

#[test]
fn handshake_beyond_the_cap_is_refused_until_others_end() {
    let backend = HttpBackend::named("one");
    let authority = Authority::new("servers");
    let pace = one(&authority, &backend.label(), "");
    let mut old = client(&pace, &authority);
    assert_eq!(old.get("/").text(), "one");
    let mut silent: Vec<_> = (0..MOST).map(|_| connect(&pace)).collect();
    wait_until("all connections", || {
        pace.metrics().sum("pace_connections_open", &[]) == MOST as u64 + 1
    });
    assert_eq!(rest(&mut connect(&pace)), b"", "it is closed without a word");
    pace.wait_for_metric("pace_tls_handshakes_refused_total", &[], 1);
    assert_eq!(old.get("/").text(), "one", "connections go on");
    assert_eq!(old.connections(), 1);

    drop(silent.pop());
    wait_until("the end of a handshake", || {
        pace.metrics().sum("pace_connections_open", &[]) == MOST as u64
    });
    assert_eq!(client(&pace, &authority).get("/").text(), "one");
}

/// Other connections are served meanwhile, on the same worker too.
#[test]
fn handshake_that_stalls_is_ended_and_counted() {
    let backend = HttpBackend::named("one");
    let authority = Authority::new("servers");
    let pace = one(&authority, &backend.label(), "");
    let mut silent = connect(&pace);
    let mut half = connect(&pace);
    half.write_all(&[0x16, 3, 1, 2, 0, 1]).expect("Pace reads");
    assert_eq!(client(&pace, &authority).get("/").text(), "one");
    rest(&mut silent);
    rest(&mut half);
    let reason = [("reason", "timeout")];
    pace.wait_for_metric("pace_tls_handshake_failures_total", &reason, 2);
}
