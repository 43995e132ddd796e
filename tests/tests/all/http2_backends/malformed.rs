//! Responses that break the rules of HTTP/2, and those that are too large.

use pace_tests::{Frame, FrameBackend, Http2, Http2Backend, Pace, Request, flag, kind};

use super::before;

/// A backend that answers each request with these frames, whose stream is filled in.
fn answering(frames: Vec<Frame>) -> FrameBackend {
    FrameBackend::new(&[], move |line, _| {
        while let Some(stream) = line.next_request() {
            let frames: Vec<_> = frames
                .iter()
                .map(|frame| Frame {
                    stream,
                    ..frame.clone()
                })
                .collect();
            if line.try_send(&frames).is_err() {
                return;
            }
        }
    })
}

fn head(fields: &[(&str, &str)]) -> Frame {
    Frame::response(0, flag::END_STREAM, "200", fields)
}

fn refused(pace: &Pace, backend: &str) {
    for response in super::send(pace, &Request::post("/", "")) {
        assert_eq!(
            (response.status, response.text()),
            (502, "the backend gave no valid answer\n"),
            "{backend}"
        );
    }
}

#[test]
fn malformed_head_is_a_502_with_a_reason() {
    let large = "y".repeat(70_000);
    let many: Vec<_> = (0..257).map(|_| ("x", "y")).collect();
    let no_status = Frame::new(
        kind::HEADERS,
        flag::END_HEADERS | flag::END_STREAM,
        0,
        pace_tests::block(&[("x-a", "b")]),
    );
    for (frame, reason) in [
        (no_status, "HTTP/2: "),
        (head(&[("connection", "close")]), "HTTP/2: "),
        (head(&[("transfer-encoding", "chunked")]), "HTTP/2: "),
        (head(&[("X-Upper", "a")]), "HTTP/2: "),
        (head(&[("content-length", "x")]), "HTTP/2: "),
        (head(&[("content-length", "3")]), "HTTP/2: "),
        (head(&many), "the response's head is too large"),
        (
            Frame::response(0, flag::NONE, "101", &[("x-a", "b")]),
            "an upgrade that nobody asked for",
        ),
    ] {
        let backend = answering(vec![frame.clone()]);
        let pace = before(&backend.label(), "");
        refused(&pace, &format!("{frame:?}"));
        pace.wait_for_log(&["(protocol)", reason]);
        let failures = pace
            .metrics()
            .sum("pace_upstream_failures_total", &[("reason", "protocol")]);
        assert!(failures >= 2, "{reason}: {failures}");
    }
    let backend = Http2Backend::new(move |call| call.respond(200, &[("x-large", &large)], true));
    let pace = before(&backend.label(), "");
    refused(&pace, "a large field");
    pace.wait_for_log(&["(protocol)", "HTTP/2: "]);
}

#[test]
fn interim_responses_without_end_are_a_502() {
    for (count, status) in [(64, 200), (65, 502)] {
        let mut frames = vec![Frame::response(0, flag::NONE, "103", &[]); count];
        frames.push(head(&[]));
        let backend = answering(frames);
        let pace = before(&backend.label(), "");
        for response in super::send(&pace, &Request::post("/", "")) {
            assert_eq!(response.status, status, "{count}");
        }
    }
}

/// RFC 9113, section 8.1.1. The head has been sent by then, so the client sees the end.
#[test]
fn body_of_another_length_than_was_said_breaks_off() {
    for (data, flags) in [("abc", flag::END_STREAM), ("longer than said", flag::NONE)] {
        let said = Frame::response(0, flag::NONE, "200", &[("content-length", "10")]);
        let backend = answering(vec![said, Frame::data(0, flags, data)]);
        let pace = before(&backend.label(), "");
        let mut client = pace.client();
        client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        let answer = client.try_read_to_end().expect("the connection is closed");
        let answer = String::from_utf8(answer).expect("it is text");
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        assert!(body.len() < 10, "{answer}");

        let reset = Http2::connect(pace.address()).try_send(&Request::get("/"));
        // What came whole before the fault was noticed may have been refused as a whole.
        let (is_reset, is_refused) = match reset {
            Ok(answer) => (false, answer.status == 502),
            Err(error) => (error.is_reset(), false),
        };
        assert!(is_reset || is_refused, "{data}");
    }
}

/// A stream that breaks the rules is reset, and harms no other on its session.
#[test]
fn malformed_stream_leaves_others_alone() {
    let backend = FrameBackend::new(&[], |line, index| {
        let held = line.next_request().expect("there is a request");
        let broken = line.next_request().expect("there is another");
        assert_eq!(index, 0);
        line.send(&[Frame::response(
            broken,
            flag::END_STREAM,
            "200",
            &[("connection", "x")],
        )]);
        assert_eq!(
            line.wait_for(kind::RST_STREAM, broken).error(),
            Some(super::PROTOCOL_ERROR)
        );
        line.send(&[
            Frame::response(held, flag::NONE, "200", &[]),
            Frame::data(held, flag::END_STREAM, "held"),
        ]);
        line.rest();
    });
    let pace = before(&backend.label(), "");
    let held = super::in_background(&pace, Request::post("/", ""));
    pace.wait_for_metric("pace_requests_in_flight", &[], 1);
    pace_tests::wait_until("the session", || backend.connections() == 1);
    let broken = super::in_background(&pace, Request::post("/", ""));
    assert_eq!(broken.join().expect("no panic").status, 502);
    assert_eq!(held.join().expect("no panic").text(), "held");
    assert_eq!(backend.connections(), 1);
}

#[test]
fn backend_that_speaks_something_else_is_a_502_with_a_reason() {
    let backend = pace_tests::Scripted::saying("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
    let pace = before(&backend.label(), "");
    refused(&pace, "HTTP/1.1");
    pace.wait_for_log(&["(protocol)", "HTTP/2: "]);
}

/// Trailers that could change the meaning of a head are dropped, and those that frame a message are a fault.
#[test]
fn trailers_are_those_that_may_be() {
    let backend = answering(vec![
        Frame::response(0, flag::NONE, "200", &[]),
        Frame::data(0, flag::NONE, "ok"),
        Frame::new(
            kind::HEADERS,
            flag::END_HEADERS | flag::END_STREAM,
            0,
            pace_tests::block(&[("set-cookie", "a"), ("x-end", "b"), ("content-type", "c")]),
        ),
    ]);
    let pace = before(&backend.label(), "");
    let response = Http2::connect(pace.address()).get("/");
    assert_eq!(response.text(), "ok");
    assert_eq!(response.trailers.names(), ["x-end"]);
}
