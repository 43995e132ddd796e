//! Requests that wait for a place on a session.

use pace_tests::{Frame, FrameBackend, HttpBackend, Request, Scripted, Setup, flag, setting, wait_until};

use super::{REFUSED_STREAM, before, config, in_background};

/// Each new session would say the same.
#[test]
fn backend_that_takes_no_requests_gets_one_session_and_its_clients_an_answer() {
    let none = [(setting::MAX_CONCURRENT_STREAMS, 0)];
    let backend = FrameBackend::new(&none, |line, _| {
        while let Some(stream) = line.next_request() {
            line.send(&[Frame::reset(stream, REFUSED_STREAM)]);
        }
    });
    let pace = before(&backend.label(), "connect_timeout_ms = 300");
    for _ in 0..3 {
        let response = pace.get("/");
        assert_eq!(
            (response.status, response.text()),
            (503, "no backend is available\n")
        );
    }
    assert_eq!(backend.connections(), 1);
    pace.wait_for_log(&[
        "(connection-timeout)",
        "no session had room for another request for 300",
    ]);
    super::until_calm(&pace);
}

/// A server without TLS often waits for more of what it takes for a request.
#[test]
fn backend_that_answers_no_handshake_is_said_to() {
    let backend = Scripted::new(|line| line.end());
    let tls = backend.label().replace("http://", "");
    for (protocol, words) in [
        ("http/1.1", "the handshake took too long"),
        (
            "auto",
            "neither a refusal nor the end of the handshakes of TCP, TLS and HTTP/2 for 300",
        ),
    ] {
        let pool = format!("connect_timeout_ms = 300\nprotocol = \"{protocol}\"\ntls = {{ verify = false }}");
        let pace = Setup::new()
            .config(&config(&[format!("https://{tls}")], &pool))
            .start();
        assert_eq!(pace.get("/").status, 503);
        pace.wait_for_log(&["(connection-timeout)", words]);
    }
}

/// Until the backend has said how many requests it takes, it gets one.
#[test]
fn requests_wait_until_the_backend_has_said_how_many_it_takes() {
    let backend = FrameBackend::silent(|line, index| {
        assert_eq!(index, 0);
        let first = line.next_request().expect("there is a request");
        // Nothing else has come, and the others wait.
        line.send(&[Frame::settings(&[(setting::MAX_CONCURRENT_STREAMS, 10)])]);
        let second = line.next_request().expect("there is another");
        for stream in [first, second] {
            line.send(&[Frame::response(stream, flag::END_STREAM, "204", &[])]);
        }
        while let Some(stream) = line.next_request() {
            line.send(&[Frame::response(stream, flag::END_STREAM, "204", &[])]);
        }
    });
    let pace = before(&backend.label(), "");
    let requests: Vec<_> = (0..5).map(|_| in_background(&pace, Request::get("/"))).collect();
    for request in requests {
        assert_eq!(request.join().expect("no panic").status, 204);
    }
    assert_eq!(backend.connections(), 1);
}

/// The session is opened for all who wait, and so is what fails.
#[test]
fn all_who_wait_for_a_session_get_its_failure() {
    let down = HttpBackend::down();
    let pace = before(&down.label(), "");
    let requests: Vec<_> = (0..10)
        .map(|_| in_background(&pace, Request::post("/", "body")))
        .collect();
    for request in requests {
        assert_eq!(request.join().expect("no panic").status, 503);
    }
    let refused = [("reason", "connection-refused")];
    assert_eq!(pace.metrics().sum("pace_upstream_failures_total", &refused), 10);
}

#[test]
fn client_that_leaves_while_it_waits_takes_no_place() {
    let backend = FrameBackend::new(&[(setting::MAX_CONCURRENT_STREAMS, 0)], |line, _| {
        line.rest();
    });
    let pace = before(
        &backend.label(),
        "connect_timeout_ms = 60000\nfirst_byte_timeout_ms = 60000",
    );
    let mut first = pace.client();
    first.write("GET /first HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_until("the session", || backend.connections() == 1);
    let mut second = pace_tests::Http2::connect(pace.address());
    let mut waiting = second.open(&Request::get("/second"), true).expect("it is sent");
    pace.wait_for_metric("pace_requests_in_flight", &[], 2);
    waiting.reset();
    wait_until("the end of the second", || {
        pace.metrics().sum("pace_requests_in_flight", &[]) == 1
    });
}

/// A backend that accepts connections and says nothing: each who waits has an answer in time.
#[test]
fn backend_that_says_nothing_costs_its_time_and_no_more() {
    let backend = Scripted::new(|line| line.end());
    let pace = before(
        &backend.label(),
        "connect_timeout_ms = 300\nfirst_byte_timeout_ms = 300",
    );
    let requests: Vec<_> = (0..5)
        .map(|_| in_background(&pace, Request::post("/", "body")))
        .collect();
    for request in requests {
        let status = request.join().expect("no panic").status;
        assert!(matches!(status, 503 | 504), "{status}");
    }
    super::until_calm(&pace);
}
