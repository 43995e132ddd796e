//! Requests over TLS: nothing is cut, and nothing waits for ever.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;

use pace_tests::{
    Answer, Authority, DEADLINE, Gate, HttpBackend, Pace, Request, Scripted, Signal, Tls, Wire, wait_until,
};
use socket2::{Domain, Socket, Type};

use super::{client, one};

const LARGE: usize = 3 << 20;

/// Bytes of which no two neighbours are alike.
fn large() -> Vec<u8> {
    (0..LARGE).map(|at| (at % 251) as u8).collect()
}

/// A connection whose system buffers only a few KiB that the client does not read.
fn narrow(pace: &Pace, authority: &Authority) -> Wire {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("there are sockets");
    socket.set_recv_buffer_size(4096).expect("it may be small");
    socket.connect(&pace.address().into()).expect("Pace listens");
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(DEADLINE)).expect("it is a socket");
    let tls = Tls::new(authority, "a.test");
    tls.connect(stream).expect("the handshake succeeds")
}

#[test]
fn large_bodies_pass_both_ways() {
    let backend = HttpBackend::new(|request| Answer::new(request.body.clone()));
    let authority = Authority::new("servers");
    let pace = one(&authority, &backend.label(), "");
    let mut client = client(&pace, &authority);
    for _ in 0..2 {
        let response = client.send(&Request::post("/", large()));
        assert!(response.body == large(), "{} bytes", response.body.len());
    }
    assert_eq!(client.connections(), 1);
}

#[test]
fn large_response_reaches_a_slow_client_whose_connection_is_kept() {
    let authority = Authority::new("servers");
    let backend = HttpBackend::new(|_| Answer::new(large()));
    let pace = one(&authority, &backend.label(), "");
    let mut client = narrow(&pace, &authority);
    for _ in 0..2 {
        client
            .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            .expect("the connection is kept");
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            client.read_exact(&mut byte).expect("the head comes");
            head.push(byte[0]);
        }
        let mut body = vec![0; LARGE];
        for piece in body.chunks_mut(1000) {
            client.read_exact(piece).expect("all of it comes");
        }
        assert!(body == large());
    }
}

#[test]
fn half_closed_client_gets_its_answer() {
    let gate = Gate::new();
    let backend = HttpBackend::behind(&gate, "one");
    let authority = Authority::new("servers");
    let pace = one(&authority, &backend.label(), "");
    let mut client = client(&pace, &authority);
    client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    client.finish();
    wait_until("the request", || backend.requests().len() == 1);
    gate.open();
    let response = client.read("GET").expect("it is answered");
    assert_eq!((response.text(), response.last), ("one", true));
}

/// Clients of HTTP/1.0 have no other sign that the body is complete.
#[test]
fn body_that_ends_with_its_connection_ends_in_order() {
    let backend = HttpBackend::new(|_| Answer::chunks([b"all ".to_vec(), b"of it".to_vec()]));
    let authority = Authority::new("servers");
    let pace = one(&authority, &backend.label(), "");
    let mut client = client(&pace, &authority);
    client.write("GET / HTTP/1.0\r\nHost: a\r\n\r\n");
    let all = client.try_read_to_end().expect("the end is said");
    assert!(
        all.ends_with(b"\r\n\r\nall of it"),
        "{}",
        String::from_utf8_lossy(&all)
    );
}

#[test]
fn backend_gets_https_as_the_scheme() {
    let backend = HttpBackend::named("one");
    let authority = Authority::new("servers");
    let pace = one(&authority, &backend.label(), "");
    client(&pace, &authority).get("/");
    assert_eq!(backend.request().headers.all("x-forwarded-proto"), ["https"]);
}

#[test]
fn upgraded_connection_passes_bytes_both_ways() {
    let backend = Scripted::new(|line| {
        line.head()?;
        line.write(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nhello",
        )?;
        loop {
            let bytes = line.bytes(1 << 10)?;
            line.write(bytes)?;
        }
    });
    let authority = Authority::new("servers");
    let pace = one(&authority, &backend.label(), "");
    let mut wire = narrow(&pace, &authority);
    wire.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        .expect("Pace reads");
    let mut greeting = Vec::new();
    let mut byte = [0];
    while !greeting.ends_with(b"\r\n\r\nhello") {
        wire.read_exact(&mut byte).expect("the greeting comes");
        greeting.push(byte[0]);
    }
    for size in [1 << 10, 64 << 10, 1 << 10] {
        let sent = large()[..size].to_vec();
        let mut received = vec![0; size];
        // The connections have room for more than is sent before it is read.
        wire.write_all(&sent).expect("Pace reads");
        wire.read_exact(&mut received).expect("it comes back");
        assert!(received == sent, "{size} bytes");
    }
}

#[test]
fn drain_completes_requests_and_ends_idle_connections() {
    let gate = Gate::new();
    let held = gate.clone();
    let backend = HttpBackend::new(move |request| {
        if request.target == "/slow" {
            held.wait();
        }
        Answer::new("one")
    });
    let authority = Authority::new("servers");
    let pace = one(&authority, &backend.label(), "");
    let mut idle = client(&pace, &authority);
    assert_eq!(idle.get("/").text(), "one");
    let mut busy = client(&pace, &authority);
    busy.write("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_until("the request", || backend.requests().len() == 2);
    pace.signal(Signal::TERM);
    let ended = thread::spawn(move || idle.read_to_end());
    assert_eq!(ended.join().expect("it is closed"), b"");
    gate.open();
    let response = busy.read("GET").expect("it is answered");
    assert_eq!((response.text(), response.last), ("one", true));
    assert_eq!(pace.wait().code, Some(0));
}
