//! The time that clients of gRPC give their calls.

use pace_tests::{Gate, Http2, Http2Backend, Pace, Reason, fixture};

use super::{before, call, config, make, message, outcome};
use crate::sections::plugin;

/// A backend that says nothing until the gate opens.
fn silent(gate: &Gate) -> Http2Backend {
    let gate = gate.clone();
    Http2Backend::new(move |_| {
        gate.wait();
        Ok(())
    })
}

#[test]
fn call_ends_at_the_deadline_of_its_client() {
    let gate = Gate::new();
    let backend = silent(&gate);
    let pace = before(&backend.label(), "");
    for timeout in ["200m", "200000u", "0n"] {
        let answer = make(
            &pace,
            &call("/a.Service/Echo", &message("hello")).header("grpc-timeout", timeout),
        );
        assert_eq!(
            outcome(&answer),
            ("4", "the backend gave no answer in time"),
            "{timeout}"
        );
    }
    pace.wait_for_metric("http_requests_duration_seconds_count", &[("status", "504")], 3);
    // Its client has given the call so little: the backend is not to blame.
    assert_eq!(pace.metrics().sum("pace_upstream_failures_total", &[]), 0);
    let seen = backend.requests();
    assert_eq!(
        seen[0].request.headers.all("grpc-timeout"),
        ["200m"],
        "it is passed on"
    );
    gate.open();
}

#[test]
fn shorter_limit_of_the_pool_ends_a_call_first() {
    let gate = Gate::new();
    let backend = silent(&gate);
    let pace = before(&backend.label(), "total_timeout_ms = 300");
    let answer = make(
        &pace,
        &call("/a.Service/Echo", &message("hello")).header("grpc-timeout", "1H"),
    );
    assert_eq!(outcome(&answer).0, "4");
    assert_eq!(pace.metrics().sum("pace_upstream_failures_total", &[]), 1);
    gate.open();
}

/// That is the backend's fault, and not the end of the call's time.
#[test]
fn other_timeouts_are_no_deadline() {
    let gate = Gate::new();
    let backend = silent(&gate);
    let pace = before(&backend.label(), "first_byte_timeout_ms = 300");
    for timeout in ["1H", "99999999H", "1s", "x"] {
        let answer = make(
            &pace,
            &call("/a.Service/Echo", &message("hello")).header("grpc-timeout", timeout),
        );
        assert_eq!(outcome(&answer).0, "14", "{timeout}");
    }
    gate.open();
}

#[test]
fn deadline_ends_a_stream_that_its_client_sends() {
    let gate = Gate::new();
    let backend = silent(&gate);
    let pace = before(&backend.label(), "");
    let mut client = Http2::connect(pace.address());
    let call = call("/a.Service/Upload", b"").header("grpc-timeout", "300m");
    let mut open = client.open(&call, false).expect("it is sent");
    open.write(&message("one"), false).expect("there is room");
    let answer = open.response().expect("it is answered");
    assert_eq!(outcome(&answer).0, "4");
    gate.open();
}

/// The time runs while a plugin waits for the whole body, too.
#[test]
fn deadline_ends_a_body_that_is_collected() {
    let gate = Gate::new();
    let backend = silent(&gate);
    let bodies = plugin("bodies", &fixture("bodies"));
    let text = config(&backend.label(), "")
        .replace("[[pools]]", &format!("{bodies}\n[[pools]]"))
        .replace("pool = \"web\"\n", "pool = \"web\"\nplugins = [\"bodies\"]\n");
    let pace = Pace::with_config(&text);
    let mut client = Http2::connect(pace.address());
    let call = call("/a.Service/Upload", b"").header("grpc-timeout", "300m");
    let mut open = client.open(&call, false).expect("it is sent");
    open.write(&message("one"), false).expect("there is room");
    let answer = open.response().expect("it is answered");
    assert_eq!(outcome(&answer).0, "4");
    assert!(
        backend.requests().is_empty(),
        "nobody waits for the backend's answer"
    );
    gate.open();
}

#[test]
fn deadline_ends_a_response_that_has_begun() {
    let backend = Http2Backend::new(|call| {
        call.respond(200, &[("content-type", "application/grpc")], false)?;
        call.write(&message("one"), false)?;
        assert_eq!(call.wait_for_reset()?, Reason::CANCEL);
        Ok(())
    });
    let pace = before(&backend.label(), "");
    let mut client = Http2::connect(pace.address());
    let call = call("/a.Service/Watch", b"").header("grpc-timeout", "500m");
    let mut open = client.open(&call, true).expect("it is sent");
    let mut answer = open.flowing().expect("it begins");
    assert_eq!(
        answer.read().expect("it comes").as_deref(),
        Some(&message("one")[..])
    );
    assert_eq!(answer.read().expect("it ends in order"), None);
    let trailers = answer.trailers().expect("they come");
    assert_eq!(trailers.get("grpc-status"), Some("4"), "{trailers:?}");
}
