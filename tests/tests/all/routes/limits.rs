//! Limits of a route: the size of bodies, and times.

use std::io;

use pace_tests::{Gate, Http2, Http2Backend, HttpBackend, Pace, Request, Scripted, wait_until};

use super::routed;
use crate::sections::{SERVER, pool};

const LIMITED: &str = "pool = 'web'\nmatch = { path_prefix = '/limited' }\nbody_limit_kb = 1";
const OPEN: &str = "pool = 'web'";

#[test]
fn declared_body_that_is_too_large_is_a_413_before_anybody_is_asked() {
    let backend = HttpBackend::named("one");
    let pace = routed(&[("web", &backend)], &[LIMITED, OPEN]);
    assert_eq!(
        pace.client()
            .send(&Request::post("/limited", [b'x'; 1024]))
            .status,
        200
    );
    assert_eq!(
        pace.client().send(&Request::post("/open", [b'x'; 4096])).status,
        200
    );

    // Nothing of the body has been sent, and it is not asked for.
    let mut client = pace.client();
    let response = client.exchange(
        "POST /limited HTTP/1.1\r\nHost: a\r\nContent-Length: 1025\r\nExpect: 100-continue\r\n\r\n",
    );
    assert_eq!((response.status, response.text()), (413, "content too large\n"));
    assert!(response.interim.is_empty() && response.last);
    let whole = pace
        .client()
        .send(&Request::post("/limited", vec![b'x'; 100_000]));
    assert_eq!(whole.status, 413);
    let mut client = Http2::connect(pace.address());
    assert_eq!(client.send(&Request::post("/limited", [b'x'; 1025])).status, 413);
    assert_eq!(client.send(&Request::post("/limited", [b'x'; 1024])).status, 200);

    assert_eq!(backend.requests().len(), 3);
    pace.wait_for_metric("pace_requests_refused_total", &[("reason", "body-too-large")], 3);
}

/// A backend that reads a request to the end of its connection, and remembers it.
fn listening() -> Scripted {
    Scripted::new(|line| line.end())
}

fn before(backend: &Scripted) -> Pace {
    let label = backend.label();
    Pace::with_config(&format!(
        "{SERVER}[[pools]]\nname = 'web'\nbackends = ['{label}']\n[[routes]]\n{LIMITED}\n"
    ))
}

#[test]
fn body_that_becomes_too_large_is_a_413_and_cut_for_the_backend() {
    let backend = listening();
    let pace = before(&backend);
    let mut client = pace.client();
    client.write("POST /limited HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3ff\r\n");
    client.write([b'x'; 1023]);
    client.write("\r\n");
    wait_until("the backend to have what is allowed", || {
        backend.text().matches('x').count() >= 1023
    });
    client.write("2\r\nyy\r\n0\r\n\r\n");
    let response = client.read("POST").expect("there is an answer");
    assert_eq!((response.status, response.text()), (413, "content too large\n"));
    assert!(response.last);
    assert!(
        !backend.text().contains('y') && !backend.text().contains("\r\n0\r\n"),
        "{}",
        backend.text()
    );
    pace.wait_for_metric("pace_requests_refused_total", &[("reason", "body-too-large")], 1);
    assert_eq!(
        pace.metrics().sum("pace_upstream_failures_total", &[]),
        0,
        "it is not to blame"
    );
}

#[test]
fn stream_that_becomes_too_large_is_a_413() {
    let backend = listening();
    let pace = before(&backend);
    let mut client = Http2::connect(pace.address());
    let mut exchange = client
        .open(&Request::new("POST", "/limited"), false)
        .expect("it is open");
    exchange.write(&[b'x'; 1024], false).expect("there is room");
    wait_until("the backend to have what is allowed", || {
        backend.text().matches('x').count() >= 1024
    });
    exchange.write(b"yy", false).expect("there is room");
    let response = exchange.response().expect("there is an answer");
    assert_eq!((response.status, response.text()), (413, "content too large\n"));
    assert!(!backend.text().contains('y'), "{}", backend.text());
}

#[test]
fn stream_to_a_backend_is_reset_when_its_body_becomes_too_large() {
    let backend = Http2Backend::new(|call| call.body().map(drop));
    let label = backend.label();
    let pace = Pace::with_config(&format!(
        "{SERVER}[[pools]]\nname = 'web'\nbackends = ['{label}']\nprotocol = 'h2'\n[[routes]]\n{LIMITED}\n"
    ));
    let mut client = pace.client();
    client.write("POST /limited HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n");
    wait_until("the backend to have the request", || {
        !backend.requests().is_empty()
    });
    client.write(format!("400\r\n{}\r\n0\r\n\r\n", "y".repeat(1024)));
    assert_eq!(client.read("POST").expect("there is an answer").status, 413);
    assert_eq!(
        pace.metrics().sum("pace_upstream_failures_total", &[]),
        0,
        "it is not to blame"
    );
}

/// A body that is read before a backend is chosen is not sent to any.
#[test]
fn body_that_is_read_ahead_is_measured_before_a_backend_is_asked() {
    let backend = HttpBackend::named("one");
    let label = backend.label();
    let pace = Pace::with_config(&format!(
        "{SERVER}[[pools]]\nname = 'web'\nbackends = ['{label}']\nbuffer_request_kb = 64\n[[routes]]\n{LIMITED}\n"
    ));
    let chunked = |size: usize| {
        let head = "POST /limited HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        format!("{head}{size:x}\r\n{}\r\n0\r\n\r\n", "x".repeat(size))
    };
    assert_eq!(pace.client().exchange(chunked(1025)).status, 413);
    assert_eq!(pace.metrics().sum("pace_upstream_attempts_total", &[]), 0);
    assert_eq!(pace.client().exchange(chunked(1024)).text(), "one");
    assert_eq!(backend.request().body.len(), 1024);
}

/// The client has the beginning of another response: that it breaks off is the only sign left.
#[test]
fn body_that_becomes_too_large_behind_the_response_breaks_it_off() {
    let backend = Scripted::new(|line| {
        line.head()?;
        line.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")?;
        line.end()
    });
    let pace = before(&backend);
    let mut client = pace.client();
    client.write("POST /limited HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    let head = client.read_head("POST").expect("it has begun");
    assert_eq!(head.status, 200);
    let body = format!("7d0\r\n{}\r\n", "y".repeat(2000));
    // The other side may have closed the connection by then.
    let _ = client.try_write(body);
    let read = client.read_body(&head, |_| {});
    assert_eq!(read.expect_err("it is cut").kind(), io::ErrorKind::UnexpectedEof);
    assert!(!backend.text().contains('y'));
}

#[test]
fn timeouts_of_a_route_take_the_place_of_the_pools() {
    let gate = Gate::new();
    let backend = HttpBackend::behind(&gate, "late");
    let keys = "first_byte_timeout_ms = 60000\ntotal_timeout_ms = 60000\n";
    let pace = Pace::with_config(&format!(
        "{SERVER}{}{keys}
         [[routes]]
         match = {{ path_prefix = '/first' }}
         pool = 'web'
         timeouts = {{ first_byte_ms = 50 }}
         [[routes]]
         match = {{ path_prefix = '/total' }}
         pool = 'web'
         timeouts = {{ total_ms = 50 }}",
        pool("web", &[&backend])
    ));
    assert_eq!(pace.get("/first").status, 504);
    assert_eq!(pace.get("/total").status, 504);
    gate.open();
    assert_eq!(pace.get("/first/again").status, 200);
}

#[test]
fn route_may_take_longer_than_its_pool_allows() {
    let gate = Gate::new();
    let backend = HttpBackend::behind(&gate, "late");
    let keys = "first_byte_timeout_ms = 50\ntotal_timeout_ms = 100\nretry = { attempts = 1 }\n";
    let pace = Pace::with_config(&format!(
        "{SERVER}{}{keys}
         [[routes]]
         pool = 'web'
         [[routes]]
         match = {{ path_prefix = '/slow' }}
         pool = 'web'
         timeouts = {{ first_byte_ms = 60000, total_ms = 0 }}",
        pool("web", &[&backend])
    ));
    let mut slow = pace.client();
    slow.transmit(&Request::get("/slow")).expect("it is open");
    wait_until("the request to come", || backend.requests().len() == 1);
    // The other one has come to its end meanwhile, by the limits of the pool.
    assert_eq!(pace.get("/").status, 504);
    gate.open();
    assert_eq!(slow.read("GET").expect("it is answered").text(), "late");
}
