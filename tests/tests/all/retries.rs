//! When a backend fails: another is tried, if that can do no harm.

use pace_tests::{Answer, Gate, Origin, Pace, Request};

use crate::sections::{EVERYTHING, ONE_WORKER, SERVER, plain, pool, short_form};

#[test]
fn a_backend_that_cannot_be_reached_is_not_noticed_by_clients() {
    let (down, up) = (Origin::down(), Origin::named("up"));
    let pace = Pace::with_config(&short_form(&[&down, &up]));
    let mut client = pace.client();

    for _ in 0..10 {
        let response = client.get("/");
        assert_eq!((response.status, response.text()), (200, "up"));
        assert_eq!(response.header("x-backend"), Some(up.label().as_str()));
    }
    let metrics = pace.metrics();
    let attempts =
        |origin: &Origin| metrics.sum("pace_upstream_attempts_total", &[("backend", &origin.label())]);
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

#[test]
fn a_backend_that_comes_back_is_used_again() {
    let (mut flaky, steady) = (Origin::named("flaky"), Origin::named("steady"));
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
fn there_is_at_most_one_retry_by_default() {
    let down = [Origin::down(), Origin::down(), Origin::down()];
    let pace = Pace::with_config(&plain(&down.each_ref()));
    let mut client = pace.client();

    let response = client.get("/");
    assert_eq!(response.status, 503);
    let metrics = pace.metrics();
    assert_eq!(metrics.sum("pace_upstream_attempts_total", &[]), 2);
    assert_eq!(metrics.sum("pace_upstream_failures_total", &[]), 2);
}

#[test]
fn the_number_of_retries_is_the_pools() {
    let down: Vec<_> = (0..4).map(|_| Origin::down()).collect();
    for (retries, attempts) in [(0, 1), (2, 3), (3, 4)] {
        let pool = pool("web", &down.iter().collect::<Vec<_>>());
        let pace = Pace::with_config(&format!(
            "{SERVER}\n{pool}max_retries = {retries}\n\n{EVERYTHING}"
        ));
        assert_eq!(pace.get("/").status, 503);
        let metrics = pace.metrics();
        assert_eq!(metrics.sum("pace_upstream_attempts_total", &[]), attempts);
        for origin in &down {
            let backend = [("backend", &*origin.label())];
            let attempts = metrics.sum("pace_upstream_attempts_total", &backend);
            assert!(attempts <= 1, "no backend is tried twice");
        }
    }
}

/// When all have been tried there is nowhere to go, however many retries are left.
#[test]
fn no_backend_is_tried_again() {
    let down = [Origin::down(), Origin::down()];
    let pool = pool("web", &down.each_ref());
    let pace = Pace::with_config(&format!("{SERVER}\n{pool}max_retries = 10\n\n{EVERYTHING}"));
    assert_eq!(pace.get("/").status, 503);
    assert_eq!(pace.metrics().sum("pace_upstream_attempts_total", &[]), 2);
}

/// The body has not been touched when a connection cannot be made.
#[test]
fn a_body_survives_a_refused_connection() {
    let (down, up) = (Origin::down(), Origin::named("up"));
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
fn what_a_backend_may_have_done_is_not_done_again() {
    let one = Origin::new(|_| Answer::hang_up());
    let two = Origin::new(|_| Answer::hang_up());
    let pace = Pace::with_config(&plain(&[&one, &two]));

    let response = pace.client().send(&Request::post("/pay", "10"));
    assert_eq!(response.status, 502);
    assert_eq!(one.requests().len() + two.requests().len(), 1);
}

#[test]
fn what_changes_nothing_is_asked_again() {
    let dying = Origin::new(|_| Answer::hang_up());
    let steady = Origin::named("steady");
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
fn the_body_of_an_idempotent_request_is_sent_again() {
    let dying = Origin::new(|_| Answer::hang_up());
    let steady = Origin::named("steady");
    let pace = Pace::with_config(&plain(&[&dying, &steady]));
    let request = Request {
        method: "PUT".to_owned(),
        ..Request::post("/", "the body")
    };
    assert_eq!(pace.client().send(&request).status, 200);
    assert_eq!(dying.request().body, b"the body");
    assert_eq!(steady.request().body, b"the body");
}

/// A backend that closes idle connections may do so just when Pace takes one of them. That says nothing of the
/// backend: it is asked again on a new connection, even if there is no other and no retry is left.
#[test]
fn a_stale_connection_is_not_noticed_by_clients() {
    let origin = Origin::new(|_| Answer::new("fresh").then_hang_up());
    let pool = pool("web", &[&origin]);
    let pace = Pace::with_config(&format!("{ONE_WORKER}\n{pool}max_retries = 0\n\n{EVERYTHING}"));
    let mut client = pace.client();
    for _ in 0..5 {
        let response = client.get("/");
        assert_eq!((response.status, response.text()), (200, "fresh"));
    }
    // What may have been done is not done again, though. Requests with a body have connections of their own.
    assert_eq!(client.send(&Request::new("POST", "/pay")).status, 502);
    for status in [200, 502, 200] {
        assert_eq!(client.send(&Request::post("/pay", "10")).status, status);
    }
}

#[test]
fn garbage_from_a_backend_is_a_502() {
    for garbage in [
        "garbage\r\n\r\n",
        "HTTP/1.1 two hundred\r\n\r\n",
        "\0\0\0\0\0\0\0\0",
    ] {
        let origin = Origin::new(move |request| match request.target.as_str() {
            "/garbage" => Answer::raw(garbage),
            _ => Answer::new("fine"),
        });
        let pace = Pace::with_config(&plain(&[&origin]));
        let mut client = pace.client();

        let response = client.send(&Request::post("/garbage", "once"));
        assert_eq!(response.status, 502, "{garbage:?}");
        assert_eq!(origin.requests().len(), 1, "{garbage:?}");
        assert_eq!(client.get("/").text(), "fine", "{garbage:?}");
    }
}

#[test]
fn silence_of_a_backend_is_a_504() {
    let gate = Gate::new();
    let slow = gate.clone();
    let origin = Origin::new(move |request| {
        if request.target == "/slow" {
            slow.wait();
        }
        Answer::new("fine")
    });
    let pool = pool("web", &[&origin]);
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
fn a_response_that_breaks_off_breaks_off_for_the_client() {
    let origin = Origin::new(|_| Answer::raw("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nonly this"));
    let pace = Pace::with_config(&plain(&[&origin]));
    let mut client = pace.client();

    client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let received = client.read_to_end();
    let received = String::from_utf8_lossy(&received);
    assert!(received.starts_with("HTTP/1.1 200 OK\r\n"), "{received}");
    assert!(received.ends_with("\r\n\r\nonly this"), "{received}");
    assert_eq!(origin.requests().len(), 1, "it is not asked again");
}

/// Bytes that show where one is missing or doubled.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i % 251) as u8).collect()
}
