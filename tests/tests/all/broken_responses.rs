//! Responses that break off: what has passed by then arrives, and nothing is held up meanwhile.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use pace_tests::{Pace, Request, Scripted, wait_until};
use socket2::{Domain, SockRef, Socket, Type};

use crate::sections::ONE_WORKER;

/// What a backend sends before it breaks off: more than the client's socket takes, and less than Pace's.
const PASSED: usize = 400_000;

/// A backend that breaks off behind that.
fn breaking() -> Scripted {
    Scripted::new(|line| {
        let Some(head) = line.head()? else {
            return Ok(());
        };
        if head.starts_with("GET /whole ") {
            line.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")?;
            return line.end();
        }
        line.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        line.write(format!("{PASSED:x}\r\n{}\r\n", "x".repeat(PASSED)))
    })
}

fn before(backend: &Scripted, pool: &str) -> Pace {
    Pace::with_config(&format!(
        "{ONE_WORKER}[[pools]]\nname = 'web'\nbackends = ['{}']\n{pool}\n\n[[routes]]\npool = 'web'\n",
        backend.label()
    ))
}

/// A client whose socket takes little of what it does not read.
fn narrow(pace: &Pace, sent: &str) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("there are sockets");
    socket.set_recv_buffer_size(4096).expect("it may be small");
    socket.connect(&pace.address().into()).expect("Pace listens");
    let mut stream = TcpStream::from(socket);
    let limit = Some(Duration::from_secs(20));
    stream.set_read_timeout(limit).expect("it is a socket");
    stream.write_all(sent.as_bytes()).expect("Pace takes it");
    stream
}

/// The number of bytes of the body that come, which the connection's end breaks off.
fn body(stream: &mut TcpStream) -> usize {
    let mut bytes = Vec::new();
    // A reset is an error behind the bytes before it.
    let _ = stream.read_to_end(&mut bytes);
    bytes.iter().filter(|byte| **byte == b'x').count()
}

/// The end of the connection is that of the body, so the connection is reset.
const CLOSING: &str = "GET / HTTP/1.0\r\n\r\n";

#[test]
fn slow_client_gets_what_has_passed() {
    let backend = breaking();
    let pace = before(&backend, "");
    let mut stream = narrow(&pace, CLOSING);
    pace.wait_for_metric("pace_responses_cut_total", &[("by", "backend")], 1);
    assert_eq!(body(&mut stream), PASSED);

    // This one is still sending when the response breaks off.
    let uploading = "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1000000\r\n\r\nbegin";
    let mut stream = narrow(&pace, uploading);
    pace.wait_for_metric("pace_responses_cut_total", &[("by", "backend")], 2);
    stream.write_all(&[b'y'; 50_000]).expect("Pace takes it");
    assert_eq!(body(&mut stream), PASSED);
}

#[test]
fn client_that_does_not_read_leaves_the_backend_to_others() {
    let backend = breaking();
    let pace = before(&backend, "max_in_flight = 1\nmax_queued = 0");
    let stream = narrow(&pace, CLOSING);
    pace.wait_for_metric("pace_responses_cut_total", &[("by", "backend")], 1);
    assert_eq!(pace.client().send(&Request::get("/whole")).text(), "ok");
    drop(stream);
}

#[test]
fn client_that_has_gone_is_not_waited_for() {
    let backend = breaking();
    let pace = before(&backend, "");
    let stream = narrow(&pace, CLOSING);
    pace.wait_for_metric("pace_responses_cut_total", &[("by", "backend")], 1);
    let linger = Some(Duration::ZERO);
    SockRef::from(&stream).set_linger(linger).expect("it is a socket");
    drop(stream);
    wait_until("its connection to end", || {
        pace.metrics().sum("pace_connections_open", &[]) == 0
    });
}
