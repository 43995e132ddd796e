//! Flow control: a client that takes nothing stalls its own streams, and no others.

use std::io::Write;
use std::net::TcpStream;

use pace_tests::{Answer, Frame, Frames, HttpBackend, Wire, kind, setting};
use socket2::{Domain, Socket, Type};

use super::Both;

fn backend() -> HttpBackend {
    HttpBackend::new(|request| match request.target.as_str() {
        "/large" => Answer::new(vec![b'x'; 1 << 20]),
        _ => Answer::new("small"),
    })
}

#[test]
fn stream_without_a_window_ends_in_time_and_others_go_on() {
    let backend = backend();
    let both = Both::with(&backend.label(), "send_timeout_ms = 500", "");
    let mut frames = both.frames_with(&[(setting::INITIAL_WINDOW_SIZE, 0)]);
    frames.send(&[Frame::get(1, "/large"), Frame::get(3, "/small")]);
    frames.send(&[Frame::window(3, 100)]);
    assert_eq!(frames.wait_for(kind::HEADERS, 3).status(), Some(200));
    assert_eq!(frames.wait_for(kind::DATA, 3).payload, b"small");
    assert_eq!(frames.wait_for(kind::HEADERS, 1).status(), Some(200));
    assert_ne!(frames.wait_for(kind::RST_STREAM, 1).error(), Some(0));
    frames.send(&[Frame::get(5, "/small"), Frame::window(5, 100)]);
    assert_eq!(frames.wait_for(kind::DATA, 5).payload, b"small");
    both.pace.wait_for_metric("pace_requests_in_flight", &[], 0);
}

#[test]
fn window_that_opens_byte_by_byte_is_filled() {
    let backend = backend();
    let both = Both::before(&backend.label());
    let mut frames = both.frames_with(&[(setting::INITIAL_WINDOW_SIZE, 0)]);
    frames.send(&[Frame::get(1, "/small")]);
    assert_eq!(frames.wait_for(kind::HEADERS, 1).status(), Some(200));
    let mut received = Vec::new();
    while received.len() < "small".len() {
        frames.send(&[Frame::window(1, 1)]);
        let data = frames.wait_for(kind::DATA, 1);
        assert_eq!(data.payload.len(), 1);
        received.extend(data.payload);
    }
    assert_eq!(received, b"small");
}

/// Settings change the windows of streams under way, even below zero (RFC 9113, section 6.9.2).
#[test]
fn window_that_shrinks_below_zero_is_respected() {
    let backend = backend();
    let both = Both::before(&backend.label());
    let mut frames = both.frames_with(&[(setting::INITIAL_WINDOW_SIZE, 1000)]);
    frames.send(&[Frame::get(1, "/large")]);
    assert_eq!(frames.wait_for(kind::DATA, 1).payload.len(), 1000);
    frames.send(&[Frame::settings(&[(setting::INITIAL_WINDOW_SIZE, 0)])]);
    frames.send(&[Frame::window(1, 1000), Frame::new(kind::PING, 0, 0, [7; 8])]);
    frames.wait_for(kind::PING, 0);
    frames.send(&[Frame::window(1, 10)]);
    assert_eq!(frames.wait_for(kind::DATA, 1).payload.len(), 10);
}

/// The window of the connection is full: the streams end, and the connection is usable again.
#[test]
fn window_of_the_connection_stalls_its_streams_for_their_time_only() {
    let backend = backend();
    let both = Both::with(&backend.label(), "send_timeout_ms = 500", "");
    let mut frames = both.frames_with(&[(setting::INITIAL_WINDOW_SIZE, 1 << 20)]);
    frames.send(&[Frame::get(1, "/large"), Frame::get(3, "/large")]);
    for stream in [1, 3] {
        assert_ne!(frames.wait_for(kind::RST_STREAM, stream).error(), Some(0));
    }
    frames.send(&[Frame::window(0, 1 << 20), Frame::get(5, "/small")]);
    assert_eq!(frames.wait_for(kind::DATA, 5).payload, b"small");
}

/// A client that reads nothing at all keeps neither streams nor their connection.
#[test]
fn connection_of_a_client_that_reads_nothing_is_closed() {
    let backend = backend();
    let both = Both::with(&backend.label(), "send_timeout_ms = 500", "");
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("there are sockets");
    socket.set_recv_buffer_size(4096).expect("it may be small");
    socket
        .connect(&both.pace.listeners()[0].into())
        .expect("Pace listens");
    let wire = Wire::Plain(TcpStream::from(socket));
    let windows = [(setting::INITIAL_WINDOW_SIZE, 0x7fff_ffff)];
    let mut frames = Frames::begin(wire, &windows);
    let mut all = vec![Frame::window(0, 0x7fff_0000)];
    all.extend((0..50).map(|at| Frame::get(2 * at + 1, "/large")));
    frames.send(&all);
    both.wait_until_closed();
    frames.wire().flush().expect("the socket is still there");
}
