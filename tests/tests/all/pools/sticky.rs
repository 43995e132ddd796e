//! Clients that are kept at the backend that they had.

use pace_tests::{HttpBackend, Pace, Request, Response};

use super::{config, start, tell};
use crate::sections::{EVERYTHING, pool};

const STICKY: &str = "stickiness = { cookie = 'session', ttl_seconds = 60 }";

/// The value of the cookie that a response sets.
fn cookie(response: &Response) -> String {
    let set = response.header("set-cookie").expect("it sets a cookie");
    let (name, rest) = set.split_once('=').expect("it has a value");
    assert_eq!(name, "session");
    rest.split(';').next().unwrap_or_default().to_owned()
}

fn with(cookie: &str) -> Request {
    Request::get("/").header("Cookie", format!("a=b; session={cookie}"))
}

#[test]
fn client_with_a_cookie_is_kept_at_its_backend() {
    let backends = [
        HttpBackend::named("one"),
        HttpBackend::named("two"),
        HttpBackend::named("three"),
    ];
    let pace = start(&backends.each_ref(), STICKY);
    for _ in 0..3 {
        let first = pace.get("/");
        let set = first.header("set-cookie").expect("it sets a cookie").to_owned();
        assert!(
            set.ends_with("; Path=/; HttpOnly; SameSite=Lax; Max-Age=60"),
            "{set}"
        );
        let cookie = cookie(&first);
        assert!(!set.contains("127.0.0.1"), "{set}");
        for _ in 0..5 {
            let again = pace.client().send(&with(&cookie));
            assert_eq!(again.text(), first.text());
            assert_eq!(again.header("set-cookie"), None);
        }
    }
    let mut answers: Vec<_> = backends.iter().map(|backend| backend.requests().len()).collect();
    answers.sort_unstable();
    assert_eq!(answers, [6, 6, 6], "clients without a cookie take turns");
}

#[test]
fn cookie_of_a_backend_that_takes_no_requests_is_replaced() {
    let (one, two) = (HttpBackend::named("one"), HttpBackend::named("two"));
    let pace = start(&[&one, &two], STICKY);
    let first = pace.get("/");
    let (own, other) = match first.text() {
        "one" => (&one, &two),
        _ => (&two, &one),
    };
    let before = cookie(&first);
    tell(&pace, &own.label(), "drain");
    let moved = pace.client().send(&with(&before));
    assert_ne!(moved.text(), first.text());
    let after = cookie(&moved);
    assert_ne!(after, before);
    tell(&pace, &own.label(), "enable");
    for _ in 0..3 {
        assert_eq!(pace.client().send(&with(&after)).text(), moved.text());
    }
    assert_eq!(other.requests().len(), 4);
    for strange in ["", "0000000000000000", "\"", "../../etc", "127.0.0.1:80"] {
        let response = pace.client().send(&with(strange));
        assert_eq!(response.status, 200);
        cookie(&response);
    }
}

#[test]
fn client_whose_backend_dies_moves_with_the_same_request() {
    let mut backends = [HttpBackend::named("one"), HttpBackend::named("two")];
    let pace = start(&backends.each_ref(), STICKY);
    let first = pace.get("/");
    let before = cookie(&first);
    for backend in &mut backends {
        if !backend.requests().is_empty() {
            backend.stop();
        }
    }
    let moved = pace.client().send(&with(&before));
    assert_eq!(moved.status, 200);
    assert_ne!(moved.text(), first.text());
    assert_ne!(cookie(&moved), before);
}

/// A bound is no reason to lose what a client has at its backend.
#[test]
fn client_whose_backend_is_full_goes_elsewhere_and_keeps_its_cookie() {
    let ((one, gate), (two, _open)) = (super::gated("one"), super::gated("two"));
    let pace = start(&[&one, &two], &format!("{STICKY}\nmax_in_flight = 1"));
    let mut client = pace.client();
    let first = [client.get("/"), client.get("/")];
    let of_one = first.iter().find(|response| response.text() == "one");
    let of_one = cookie(of_one.expect("they take turns"));
    gate.close();
    let mut busy = pace.client();
    busy.transmit(&with(&of_one)).expect("Pace accepts it");
    pace_tests::wait_until("it to be full", || one.requests().len() == 2);
    let elsewhere = pace.client().send(&with(&of_one));
    assert_eq!((elsewhere.text(), elsewhere.header("set-cookie")), ("two", None));
    gate.open();
    assert_eq!(busy.read("GET").expect("it is answered").text(), "one");
    // The client has its answer a moment before the backend has room again.
    pace_tests::wait_until("it to have room", || {
        pace.client().send(&with(&of_one)).text() == "one"
    });
}

/// Every process with this pool reads the cookies of every other.
#[test]
fn cookie_outlives_the_process() {
    let (one, two) = (HttpBackend::named("one"), HttpBackend::named("two"));
    let text = config(&[&one, &two], STICKY);
    let first = Pace::with_config(&text).get("/");
    let cookie = cookie(&first);
    let pace = Pace::with_config(&text);
    for _ in 0..4 {
        assert_eq!(pace.client().send(&with(&cookie)).text(), first.text());
    }
}

#[test]
fn cookie_of_an_encrypted_connection_stays_on_such() {
    let one = HttpBackend::named("one");
    let pace = Pace::with_config(&format!(
        "[server]\nlisten = '127.0.0.1:0'\nworkers = 1\ntrusted_proxies = ['127.0.0.1']\n\n{}{}\n\n{EVERYTHING}",
        pool("web", &[&one]),
        "stickiness = { ttl_seconds = 0 }",
    ));
    let set = |scheme: &str| {
        let request = Request::get("/").header("X-Forwarded-Proto", scheme);
        let response = pace.client().send(&request);
        response
            .header("set-cookie")
            .expect("it sets a cookie")
            .to_owned()
    };
    assert!(set("https").ends_with("; Path=/; HttpOnly; SameSite=Lax; Secure"));
    assert!(set("http").ends_with("; Path=/; HttpOnly; SameSite=Lax"));
    assert!(set("http").starts_with("pace="));
}
