//! Retries: when a backend fails, another is tried, if that can do no harm.

use pace_tests::{Answer, Gate, HttpBackend, Pace, Request};

use crate::sections::{EVERYTHING, ONE_WORKER, SERVER, plain, pool, short_form};

#[test]
fn unreachable_backend_is_hidden_from_clients() {
    let (down, up) = (HttpBackend::down(), HttpBackend::named("up"));
    let pace = Pace::with_config(&short_form(&[&down, &up]));
    let mut client = pace.client();

    for _ in 0..10 {
        let response = client.get("/");
        assert_eq!((response.status, response.text()), (200, "up"));
        assert_eq!(response.header("x-backend"), Some(up.label().as_str()));
    }
    let metrics = pace.metrics();
    let attempts =
        |backend: &HttpBackend| metrics.sum("pace_upstream_attempts_total", &[("backend", &backend.label())]);
    assert_eq!(attempts(&up), 10);
    assert!(attempts(&down) >= 1, "it had its turn");
    let refused = [
        ("backend", down.label()),
        ("reason", "connection-refused".to_owned()),
    ];
    let refused = refused.each_ref().map(|(label, value)| (*label, value.as_str()));
    assert_eq!(
        metrics.sum("pace_upstream_failures_total", &refused),
        attempts(&down)
    );
}

/// No backend has had these requests, so none has more to do because they are attempted again.
#[test]
fn backend_that_is_down_costs_no_request_however_many_are_its_share() {
    let (down, up) = (HttpBackend::down(), HttpBackend::named("up"));
    let pace = Pace::with_config(&plain(&[&down, &up]));
    let mut client = pace.client();
    for number in 0..100 {
        let response = client.send(&Request::post("/", "10"));
        assert_eq!((response.status, response.text()), (200, "up"), "{number}");
    }
    let attempts = |backend: &HttpBackend| {
        let labels = [("backend", &*backend.label())];
        pace.metrics().sum("pace_upstream_attempts_total", &labels)
    };
    assert_eq!(attempts(&down), 50, "nobody said that it is to be left alone");
    assert_eq!(attempts(&up), 100);
}

#[test]
fn requests_that_backends_have_had_are_repeated_within_the_budget() {
    let failing = [(); 2].map(|()| HttpBackend::new(|_| Answer::hang_up()));
    let pace = Pace::with_config(&plain(&failing.each_ref()));
    let mut client = pace.client();
    for _ in 0..100 {
        assert_eq!(client.get("/").status, 502);
    }
    // Ten to begin with, and a fifth of the first ones.
    assert_eq!(
        pace.metrics().sum("pace_upstream_attempts_total", &[]),
        100 + 10 + 20
    );
}

#[test]
fn backend_that_comes_back_is_used_again() {
    let (mut flaky, steady) = (HttpBackend::named("flaky"), HttpBackend::named("steady"));
    let pace = Pace::with_config(&plain(&[&flaky, &steady]));
    let mut client = pace.client();
    let mut both = || [client.get("/"), client.get("/")].map(|response| response.text().to_owned());

    assert_eq!(both(), ["flaky", "steady"]);
    flaky.stop();
    assert_eq!(both(), ["steady", "steady"]);
    flaky.start();
    let mut answers = both();
    answers.sort();
    assert_eq!(answers, ["flaky", "steady"]);
}

#[test]
fn request_is_retried_at_most_once_by_default() {
    let down = [HttpBackend::down(), HttpBackend::down(), HttpBackend::down()];
    let pace = Pace::with_config(&plain(&down.each_ref()));
    let mut client = pace.client();

    let response = client.get("/");
    assert_eq!(response.status, 503);
    let metrics = pace.metrics();
    assert_eq!(metrics.sum("pace_upstream_attempts_total", &[]), 2);
    assert_eq!(metrics.sum("pace_upstream_failures_total", &[]), 2);
}

#[test]
fn number_of_retries_is_that_of_the_pool() {
    let down: Vec<_> = (0..4).map(|_| HttpBackend::down()).collect();
    for (retries, attempts) in [(0, 1), (2, 3), (3, 4)] {
        let pool = pool("web", &down.iter().collect::<Vec<_>>());
        let pace = Pace::with_config(&format!(
            "{SERVER}\n{pool}max_retries = {retries}\n\n{EVERYTHING}"
        ));
        assert_eq!(pace.get("/").status, 503);
        let metrics = pace.metrics();
        assert_eq!(metrics.sum("pace_upstream_attempts_total", &[]), attempts);
        for backend in &down {
            let labels = [("backend", &*backend.label())];
            let attempts = metrics.sum("pace_upstream_attempts_total", &labels);
            assert!(attempts <= 1, "no backend is tried twice");
        }
    }
}

/// When all backends have been tried, no further attempt is made, however many retries are left.
#[test]
fn backend_is_tried_only_once() {
    let down = [HttpBackend::down(), HttpBackend::down()];
    let pool = pool("web", &down.each_ref());
    let pace = Pace::with_config(&format!("{SERVER}\n{pool}max_retries = 10\n\n{EVERYTHING}"));
    assert_eq!(pace.get("/").status, 503);
    assert_eq!(pace.metrics().sum("pace_upstream_attempts_total", &[]), 2);
}

/// The body is unread when a connection cannot be made.
#[test]
fn body_survives_a_refused_connection() {
    let (down, up) = (HttpBackend::down(), HttpBackend::named("up"));
    let pace = Pace::with_config(&plain(&[&down, &up]));
    let mut client = pace.client();
    let body = pattern(300_000);

    for _ in 0..2 {
        let response = client.send(&Request::post("/", body.clone()));
        assert_eq!((response.status, response.text()), (200, "up"));
    }
    let bodies: Vec<_> = up.requests().into_iter().map(|request| request.body).collect();
    assert!(bodies == [body.clone(), body], "each arrived once and whole");
}

#[test]
fn post_is_not_retried_after_it_was_sent() {
    let one = HttpBackend::new(|_| Answer::hang_up());
    let two = HttpBackend::new(|_| Answer::hang_up());
    let pace = Pace::with_config(&plain(&[&one, &two]));

    let response = pace.client().send(&Request::post("/pay", "10"));
    assert_eq!(response.status, 502);
    assert_eq!(one.requests().len() + two.requests().len(), 1);
}

#[test]
fn idempotent_request_is_retried() {
    let dying = HttpBackend::new(|_| Answer::hang_up());
    let steady = HttpBackend::named("steady");
    let pace = Pace::with_config(&plain(&[&dying, &steady]));
    let mut client = pace.client();

    for method in ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "GET"] {
        assert_eq!(client.send(&Request::new(method, "/")).status, 200, "{method}");
    }
    assert_eq!(steady.requests().len(), 6);
    assert!(!dying.requests().is_empty(), "it had its turn");
    pace.wait_for_metric(
        "pace_upstream_failures_total",
        &[("reason", "closed")],
        dying.requests().len() as u64,
    );
}

#[test]
fn idempotent_request_is_retried_with_its_body() {
    let dying = HttpBackend::new(|_| Answer::hang_up());
    let steady = HttpBackend::named("steady");
    let pace = Pace::with_config(&plain(&[&dying, &steady]));
    let request = Request {
        method: "PUT".to_owned(),
        ..Request::post("/", "the body")
    };
    assert_eq!(pace.client().send(&request).status, 200);
    assert_eq!(dying.request().body, b"the body");
    assert_eq!(steady.request().body, b"the body");
}

/// A backend that closes idle connections may do so just when Pace takes one of them. That says nothing about
/// the backend: the request is sent again on a new connection, even if there is no other backend and no retry
/// is left.
#[test]
fn stale_connection_is_hidden_from_clients() {
    let backend = HttpBackend::new(|_| Answer::new("fresh").then_hang_up());
    let pool = pool("web", &[&backend]);
    let pace = Pace::with_config(&format!("{ONE_WORKER}\n{pool}max_retries = 0\n\n{EVERYTHING}"));
    let mut client = pace.client();
    for _ in 0..5 {
        let response = client.get("/");
        assert_eq!((response.status, response.text()), (200, "fresh"));
    }
    // A POST may have been processed and is not sent again, though. Requests with a body have connections of
    // their own.
    assert_eq!(client.send(&Request::new("POST", "/pay")).status, 502);
    for status in [200, 502, 200] {
        assert_eq!(client.send(&Request::post("/pay", "10")).status, status);
    }
}

#[test]
fn malformed_response_of_a_backend_is_a_502() {
    for garbage in [
        "garbage\r\n\r\n",
        "HTTP/1.1 two hundred\r\n\r\n",
        "\0\0\0\0\0\0\0\0",
    ] {
        let backend = HttpBackend::new(move |request| match request.target.as_str() {
            "/garbage" => Answer::raw(garbage),
            _ => Answer::new("fine"),
        });
        let pace = Pace::with_config(&plain(&[&backend]));
        let mut client = pace.client();

        let response = client.send(&Request::post("/garbage", "once"));
        assert_eq!(response.status, 502, "{garbage:?}");
        assert_eq!(backend.requests().len(), 1, "{garbage:?}");
        assert_eq!(client.get("/").text(), "fine", "{garbage:?}");
    }
}

#[test]
fn silent_backend_is_a_504() {
    let gate = Gate::new();
    let slow = gate.clone();
    let backend = HttpBackend::new(move |request| {
        if request.target == "/slow" {
            slow.wait();
        }
        Answer::new("fine")
    });
    let pool = pool("web", &[&backend]);
    let pace = Pace::with_config(&format!(
        "{SERVER}\n{pool}response_timeout_ms = 100\n\n{EVERYTHING}"
    ));
    let mut client = pace.client();

    assert_eq!(client.send(&Request::post("/slow", "once")).status, 504);
    assert_eq!(client.get("/").text(), "fine");
    assert_eq!(
        pace.metrics()
            .sum("pace_upstream_failures_total", &[("reason", "response-timeout")]),
        1
    );
    gate.open();
}

/// Half of a response cannot be taken back: the client must be able to see that it is only half.
#[test]
fn truncated_response_is_truncated_for_the_client() {
    let backend =
        HttpBackend::new(|_| Answer::raw("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nonly this"));
    let pace = Pace::with_config(&plain(&[&backend]));
    let mut client = pace.client();

    client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let received = client.read_to_end();
    let received = String::from_utf8_lossy(&received);
    assert!(received.starts_with("HTTP/1.1 200 OK\r\n"), "{received}");
    assert!(received.ends_with("\r\n\r\nonly this"), "{received}");
    assert_eq!(backend.requests().len(), 1, "it is not asked again");
}

/// A body in which missing or doubled bytes are visible.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i % 251) as u8).collect()
}
