//! Requests that a backend has not processed, which are sent again whatever their method; and others, which are not.

use pace_tests::{
    Frame, FrameBackend, Frames, Gate, Http2, Http2Backend, Pace, Request, flag, kind, setting, wait_until,
};

use super::{CANCEL, NO_ERROR, REFUSED_STREAM, before, in_background};

/// Reads a request to its end. Returns its stream and its body.
fn request(line: &mut Frames) -> Option<(u32, Vec<u8>)> {
    let mut open = None;
    let mut body = Vec::new();
    loop {
        let frame = line.read()?;
        if frame.kind == kind::HEADERS {
            open = Some(frame.stream);
        }
        if Some(frame.stream) == open {
            if frame.kind == kind::DATA {
                body.extend_from_slice(&frame.payload);
            }
            if frame.ends_stream() {
                return Some((frame.stream, body));
            }
        }
    }
}

fn answer(line: &mut Frames, stream: u32, body: &[u8]) {
    let head = Frame::response(stream, flag::NONE, "200", &[]);
    // The other side may have gone.
    let _ = line.try_send(&[head, Frame::data(stream, flag::END_STREAM, body)]);
}

/// RFC 9113, section 8.7.
#[test]
fn refused_stream_is_sent_again_with_its_body() {
    let backend = FrameBackend::new(&[], |line, _| {
        while let Some((refused, first)) = request(line) {
            line.send(&[Frame::reset(refused, REFUSED_STREAM)]);
            let (stream, second) = request(line).expect("it comes again");
            assert_eq!(first, second);
            answer(line, stream, &second);
        }
    });
    let pace = before(&backend.label(), "");
    for body in [&b"some"[..], b""] {
        for response in super::send(&pace, &Request::post("/", body)) {
            assert_eq!((response.status, &response.body[..]), (200, body));
        }
    }
    assert_eq!(backend.connections(), 1);
    assert_eq!(pace.metrics().sum("pace_upstream_failures_total", &[]), 0);
}

/// A server may count a stream for longer than its client does. The request then goes to another session, as others are under
/// way on this one.
#[test]
fn refused_stream_of_a_busy_session_goes_to_another() {
    let gate = Gate::new();
    let held = gate.clone();
    let backend = FrameBackend::new(&[(setting::MAX_CONCURRENT_STREAMS, 10)], move |line, index| {
        let mut waiting = Vec::new();
        while let Some((stream, body)) = request(line) {
            match (index, &body[..]) {
                (0, b"held") => waiting.push(stream),
                (0, _) => {
                    line.send(&[Frame::reset(stream, REFUSED_STREAM)]);
                    held.wait();
                    waiting.drain(..).for_each(|stream| answer(line, stream, b"held"));
                }
                _ => answer(line, stream, &body),
            }
        }
    });
    let pace = before(&backend.label(), "");
    let first = in_background(&pace, Request::post("/", "held"));
    wait_until("the session", || backend.connections() == 1);
    assert_eq!(pace.client().send(&Request::post("/", "again")).text(), "again");
    assert_eq!(backend.connections(), 2);
    gate.open();
    assert_eq!(first.join().expect("no panic").text(), "held");
}

/// The first time costs nothing; then it is a failure like any other, which goes to another backend.
#[test]
fn backend_that_refuses_again_and_again_is_left() {
    let refusing = FrameBackend::new(&[], |line, _| {
        while let Some((stream, _)) = request(line) {
            line.send(&[Frame::reset(stream, REFUSED_STREAM)]);
        }
    });
    let other = Http2Backend::named("other");
    let backends = [refusing.label(), other.label()];
    let pace = Pace::with_config(&super::config(&backends, "protocol = \"h2\""));
    for _ in 0..2 {
        assert_eq!(pace.client().send(&Request::post("/", "body")).text(), "other");
    }
    let failures = pace
        .metrics()
        .sum("pace_upstream_failures_total", &[("reason", "closed")]);
    assert_eq!(failures, 1);
    let alone = before(&refusing.label(), "");
    assert_eq!(alone.client().send(&Request::post("/", "body")).status, 502);
    alone.wait_for_log(&["(closed)", "has not processed the request"]);
}

/// What is gone cannot be sent again.
#[test]
fn refused_stream_whose_body_was_not_kept_is_a_502() {
    let backend = FrameBackend::new(&[], |line, _| {
        while let Some((stream, _)) = request(line) {
            line.send(&[Frame::reset(stream, REFUSED_STREAM)]);
        }
    });
    let pace = before(&backend.label(), "retry_body_kb = 1");
    assert_eq!(
        pace.client().send(&Request::post("/", vec![b'x'; 2000])).status,
        502
    );
}

/// RFC 9113, section 6.8: what is above the last stream has not been looked at.
#[test]
fn stream_behind_goaway_is_sent_again_on_another_session() {
    let backend = FrameBackend::new(&[], |line, index| {
        while let Some((stream, body)) = request(line) {
            if index == 0 && stream > 1 {
                line.send(&[Frame::goaway(1, NO_ERROR)]);
                line.rest();
                return;
            }
            answer(line, stream, &body);
        }
    });
    let pace = before(&backend.label(), "");
    for body in ["first", "second", "third"] {
        assert_eq!(pace.client().send(&Request::post("/", body)).text(), body);
    }
    assert_eq!(backend.connections(), 2);
    assert_eq!(pace.metrics().sum("pace_upstream_failures_total", &[]), 0);
}

#[test]
fn streams_before_goaway_are_completed_and_no_others_begun() {
    let gate = Gate::new();
    let held = gate.clone();
    let backend = FrameBackend::new(&[], move |line, index| {
        while let Some((stream, body)) = request(line) {
            if index == 0 {
                assert_eq!(stream, 1);
                line.send(&[Frame::goaway(stream, NO_ERROR)]);
                held.wait();
            }
            answer(line, stream, &body);
        }
    });
    let pace = before(&backend.label(), "");
    let first = in_background(&pace, Request::post("/", "first"));
    wait_until("the first", || backend.connections() == 1);
    // Those that cross the news are sent again.
    for _ in 0..3 {
        assert_eq!(pace.client().send(&Request::post("/", "second")).text(), "second");
    }
    gate.open();
    assert_eq!(first.join().expect("no panic").text(), "first");
    assert_eq!(backend.connections(), 2);
}

/// Each session takes one request, and is sent all that wait as soon as its backend has named no limit.
#[test]
fn request_that_crosses_goaway_again_and_again_is_sent_until_it_arrives() {
    let backend = FrameBackend::new(&[], |line, _| {
        let Some((stream, body)) = request(line) else {
            return;
        };
        line.send(&[Frame::goaway(stream, NO_ERROR)]);
        answer(line, stream, &body);
        line.rest();
    });
    let pace = before(&backend.label(), "");
    let requests: Vec<_> = (0..6)
        .map(|at| in_background(&pace, Request::post("/", format!("{at}"))))
        .collect();
    for (at, request) in requests.into_iter().enumerate() {
        assert_eq!(request.join().expect("no panic").text(), at.to_string());
    }
    assert_eq!(backend.connections(), 6);
    assert_eq!(pace.metrics().sum("pace_upstream_failures_total", &[]), 0);
}

/// The sessions of the other backend are as good as before.
#[test]
fn backend_that_takes_nothing_on_any_session_is_left() {
    let leaving = FrameBackend::new(&[], |line, _| {
        if request(line).is_some() {
            line.send(&[Frame::goaway(0, NO_ERROR)]);
            line.rest();
        }
    });
    let other = Http2Backend::named("other");
    let backends = [leaving.label(), other.label()];
    let pace = Pace::with_config(&super::config(&backends, "protocol = \"h2\""));
    for _ in 0..6 {
        assert_eq!(pace.client().send(&Request::post("/", "body")).text(), "other");
    }
    assert_eq!(other.connections(), 1);
    assert_eq!(
        leaving.connections(),
        3 * 17,
        "each second request, and sixteen times more"
    );
    let failures = pace
        .metrics()
        .sum("pace_upstream_failures_total", &[("reason", "closed")]);
    assert_eq!(failures, 3);
}

#[test]
fn goodbyes_lose_no_request() {
    let backend = Http2Backend::new(|call| {
        let body = call.body()?;
        call.answer(body)
    });
    let pace = before(&backend.label(), "");
    let mut client = Http2::connect(pace.address());
    for at in 0..200 {
        if at % 10 == 0 {
            // The news crosses the next requests.
            backend.say_goodbye();
        }
        let body = at.to_string();
        assert_eq!(client.send(&Request::post("/", body.as_str())).text(), body);
    }
    assert!(
        backend.connections() > 10,
        "{} connections",
        backend.connections()
    );
    assert_eq!(pace.metrics().sum("pace_upstream_failures_total", &[]), 0);
}

/// Of these the backend may have begun something.
#[test]
fn request_that_may_have_been_processed_is_repeated_only_if_its_method_allows_it() {
    for (at, end) in [Some(Frame::reset(0, CANCEL)), Some(Frame::reset(0, 2)), None]
        .into_iter()
        .enumerate()
    {
        let backend = FrameBackend::new(&[], move |line, index| {
            while let Some((stream, _)) = request(line) {
                match (&end, index, stream) {
                    (Some(end), 0, 1) => line.send(&[Frame {
                        stream,
                        ..end.clone()
                    }]),
                    (None, 0, 1) => return,
                    _ => answer(line, stream, b"again"),
                }
            }
        });
        let pace = before(&backend.label(), "");
        let response = pace.client().send(&Request::post("/", "body"));
        assert_eq!(response.status, 502, "{at}");
        assert_eq!(pace.get("/").text(), "again", "{at}");
    }
}

/// The session had died while it was idle: that is no failure of the backend.
#[test]
fn request_on_a_session_that_died_gets_another() {
    let backend = FrameBackend::new(&[], |line, index| {
        while let Some((stream, body)) = request(line) {
            if index == 0 && stream > 1 {
                return;
            }
            answer(line, stream, &body);
        }
    });
    let pace = before(&backend.label(), "");
    assert_eq!(pace.get("/").status, 200);
    assert_eq!(pace.get("/").status, 200);
    assert_eq!(backend.connections(), 2);
    assert_eq!(pace.metrics().sum("pace_upstream_failures_total", &[]), 0);
}
