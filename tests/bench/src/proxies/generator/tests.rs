mod encrypted;

use super::*;
use crate::proxies::http::response;
use std::io::{Read, Write};

/// A backend and its address.
pub(super) fn backend(response: Vec<u8>) -> (Backends, SocketAddr) {
    let mut backends = Backends::new().expect("this is Linux");
    let addresses = backends.add(1, response).expect("some port is free");
    (backends, addresses[0])
}

/// Connections to a backend.
pub(super) fn connected(
    connections: usize,
    (backends, address): &mut (Backends, SocketAddr),
) -> Generator<'_> {
    Generator::connect(*address, connections, &Shape::SMALL, Some(backends)).expect("the backend accepts")
}

#[test]
fn every_connection_is_answered() {
    let mut backend = backend(response(3, 100));
    let mut generator = connected(3, &mut backend);
    for until in [Until::Elapsed(Duration::ZERO), Until::Sent(0), Until::Sent(3)] {
        let load = generator.drive(until).and_then(Load::succeeded);
        assert_eq!(load.expect("the backend answers").latencies.len(), 3);
    }
    let load = generator.once_each().and_then(Load::succeeded);
    assert_eq!(load.expect("the backend answers").latencies.len(), 3);
    let load = generator.drive(Until::Sent(100)).expect("the backend answers");
    assert_eq!(load.statuses, BTreeMap::from([(200, 100)]));
}

/// Bodies larger than sockets' buffers, in both directions.
#[test]
fn large_bodies_are_sent_and_received_whole() {
    const LARGE: usize = 8 << 20;
    let mut backend = backend(response(3, LARGE));
    let (backends, address) = &mut backend;
    let shape = Shape {
        body: LARGE,
        ..Shape::SMALL
    };
    let mut generator = Generator::connect(*address, 2, &shape, Some(backends)).expect("the backend accepts");
    let load = generator.drive(Until::Sent(6)).and_then(Load::succeeded);
    assert_eq!(load.expect("the backend answers").latencies.len(), 6);
}

#[test]
fn request_that_ends_its_connection_gets_a_new_one() {
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("some port is free");
    let address = listener.local_addr().expect("it is bound");
    let server = std::thread::spawn(move || {
        for _ in 0..5 {
            let (mut connection, _) = listener.accept().expect("a connection is made");
            let mut received = [0; 1000];
            let length = connection.read(&mut received).expect("a request comes");
            let request = String::from_utf8_lossy(&received[..length]).into_owned();
            assert!(request.contains("connection: close\r\n"), "{request}");
            connection.write_all(answer).expect("the client is there");
        }
    });
    let shape = Shape {
        traffic: Traffic::LastRequests,
        ..Shape::SMALL
    };
    let mut generator = Generator::connect(address, 1, &shape, None).expect("it is listening");
    let load = generator.drive(Until::Sent(5)).and_then(Load::succeeded);
    assert_eq!(load.expect("the server answers").latencies.len(), 5);
    server.join().expect("it has seen five connections");
}

#[test]
fn answer_other_than_success_is_an_error() {
    let mut backend = backend(b"HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n".to_vec());
    let mut generator = connected(2, &mut backend);
    let load = generator.drive(Until::Sent(2)).expect("it answers");
    let error = load.succeeded().map(drop).unwrap_err();
    assert_eq!(error.to_string(), "answers that are no success: 2 × 503");
}

#[test]
fn closed_connection_is_an_error() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("some port is free");
    let address = listener.local_addr().expect("it is bound");
    let mut generator = Generator::connect(address, 1, &Shape::SMALL, None).expect("it is listening");
    drop(listener.accept().expect("a connection was made"));
    assert!(generator.drive(Until::Sent(1)).is_err());
}
