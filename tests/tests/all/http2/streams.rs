//! Many requests at once.

use std::sync::Arc;

use pace_tests::{Answer, Frame, Gate, HttpBackend, Request, kind, wait_until};

use super::{Both, REFUSED_STREAM};

#[test]
fn hundred_streams_are_answered_in_any_order() {
    let gates: Arc<Vec<Gate>> = Arc::new((0..100).map(|_| Gate::new()).collect());
    let held = Arc::clone(&gates);
    let backend = HttpBackend::new(move |request| {
        let number: usize = request.target[1..].parse().expect("the target is a number");
        held[number].wait();
        Answer::new(request.target.clone())
    });
    let both = Both::before(&backend.label());
    let mut client = both.encrypted();
    let mut open = Vec::new();
    for number in 0..100 {
        let request = Request::get(&format!("/{number}"));
        open.push(client.open(&request, true).expect("there is room"));
    }
    wait_until("all requests at the backend", || backend.requests().len() == 100);
    for (number, exchange) in open.into_iter().enumerate().rev() {
        gates[number].open();
        let response = exchange.response().expect("it is answered");
        assert_eq!(response.text(), format!("/{number}"));
    }
    assert_eq!(both.pace.metrics().sum("pace_connections_total", &[]), 1);
}

#[test]
fn stream_beyond_the_hundredth_is_refused_and_can_be_repeated() {
    let gate = Gate::new();
    let backend = HttpBackend::behind(&gate, "one");
    let both = Both::before(&backend.label());
    let mut frames = both.frames();
    let requests: Vec<_> = (0..101).map(|at| Frame::get(2 * at + 1, "/")).collect();
    frames.send(&requests);
    let reset = frames.wait_for(kind::RST_STREAM, 201);
    assert_eq!(reset.error(), Some(REFUSED_STREAM));
    gate.open();
    for at in 0..100 {
        assert_eq!(frames.wait_for(kind::HEADERS, 2 * at + 1).status(), Some(200));
    }
    frames.send(&[Frame::get(203, "/")]);
    assert_eq!(frames.wait_for(kind::HEADERS, 203).status(), Some(200));
    assert_eq!(backend.requests().len(), 101);
}

/// One client speaks HTTP/1.1 and another HTTP/2 on the same plain listener.
#[test]
fn plain_listener_speaks_both_versions() {
    let backend = HttpBackend::named("one");
    let both = Both::before(&backend.label());
    assert_eq!(both.pace.client().get("/").text(), "one");
    assert_eq!(both.plain().get("/").text(), "one");
    // HTTP/2 begins with the first byte of a connection, never later.
    let mut late = both.pace.client();
    assert_eq!(late.get("/").text(), "one");
    let response = late.exchange("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    assert_ne!(response.status, 200);
}
