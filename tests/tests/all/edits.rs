//! What plugins may change of a message, and what is refused.

use std::path::Path;

use pace_tests::{Answer, Origin, Pace, Request, fixture};

use crate::sections::{SERVER, with_plugins};

#[test]
fn edits_that_the_contract_forbids_are_refused_and_the_request_goes_on() {
    let origin = Origin::named("the body");
    let pace = Pace::with_config(&with_plugins(
        SERVER,
        &[("edit", &fixture("illegal-header"))],
        &[&origin],
    ));
    let mut client = pace.client();

    let response = client.send(&Request::post("/path", "a body of 17 bytes").header("Host", "example.com"));
    assert_eq!((response.status, response.text()), (200, "the body"));
    assert_eq!(
        response.header("x-edit-errors"),
        Some(
            "connection=Forbidden, content-length=Forbidden, transfer-encoding=Forbidden, upgrade=Forbidden, \
             proxy-authenticate=Forbidden, x-split=InvalidValue, x name=InvalidName, status-99=InvalidValue, \
             status-204=InvalidValue, status-600=InvalidValue"
        )
    );
    for name in ["x-smuggled", "x-split"] {
        assert_eq!(response.header(name), None, "{response:?}");
    }

    let seen = origin.request();
    assert_eq!(
        seen.headers.get("x-edit-errors"),
        Some(
            "connection=Forbidden, content-length=Forbidden, transfer-encoding=Forbidden, te=Forbidden, \
             trailer=Forbidden, upgrade=Forbidden, keep-alive=Forbidden, proxy-authorization=Forbidden, \
             x-split=InvalidValue, x-null=InvalidValue, x name=InvalidName, empty=InvalidName, host=InvalidValue, \
             path=InvalidValue, path-split=InvalidValue"
        )
    );
    assert_eq!(seen.target, "/path");
    assert_eq!(seen.headers.get("host"), Some("example.com"));
    assert_eq!(seen.body, b"a body of 17 bytes");
    for name in ["x-smuggled", "x-split", "x-null", "proxy-authorization"] {
        assert_eq!(seen.headers.get(name), None, "{seen:?}");
    }
    // A refusal is the plugin's to see, and no failure.
    assert_eq!(pace.metrics().sum("pace_plugin_failures_total", &[]), 0);
    assert_eq!(client.get("/next").status, 200);
    assert_eq!(client.connections(), 1);
}

/// What a plugin sets takes the place of what the client and the backend have, on both sides.
#[test]
fn a_header_that_is_set_is_there_once() {
    let origin = Origin::new(|_| Answer::new("").header("X-Stamp", "the backend's"));
    let pace = Pace::with_config(&with_plugins(SERVER, &[("stamp", &fixture("stamp"))], &[&origin]));
    let request = Request::get("/").header("X-Stamp", "a").header("x-stamp", "b");
    let response = pace.client().send(&request);
    assert_eq!(response.headers.all("x-stamp"), ["mark"]);
    assert_eq!(origin.request().headers.all("x-stamp"), ["mark"]);
}

#[test]
fn a_request_on_its_way_cannot_be_changed() {
    let origin = Origin::named("one");
    let pace = Pace::with_config(&with_plugins(
        SERVER,
        &[("edit", &fixture("late-edit"))],
        &[&origin],
    ));
    assert_eq!(pace.get("/").text(), "read-only");
}

#[test]
fn a_message_cannot_grow_without_end() {
    let origin = Origin::named("one");
    let pace = Pace::with_config(&with_plugins(
        SERVER,
        &[("hoard", &fixture("header-hoard"))],
        &[&origin],
    ));
    let response = pace.get("/misbehave");
    let hoarded = response
        .header("x-hoarded")
        .and_then(|number| number.parse().ok());
    assert!(hoarded.is_some_and(|number: u32| number > 0), "{response:?}");
}

#[test]
fn plugins_see_every_header() {
    let origin = Origin::new(|_| {
        Answer::new("")
            .header("X-A", "1")
            .header("X-A", "2")
            .header("X-B", "3")
    });
    let pace = Pace::with_config(&with_plugins(
        SERVER,
        &[("count", &fixture("header-reader"))],
        &[&origin],
    ));
    let request = Request::get("/").header("X-C", "1").header("X-C", "2");
    let response = pace.client().send(&request);
    // Host and twice X-C; what Pace itself adds for the origin is not the client's request.
    assert_eq!(response.header("x-request-headers"), Some("3"));
    // Content-Length, twice X-A, X-B, and perhaps a Date.
    let seen: u32 = response
        .header("x-response-headers")
        .and_then(|number| number.parse().ok())
        .expect("a number");
    assert!((4..=5).contains(&seen), "{response:?}");
}

#[test]
fn a_plugin_that_does_nothing_changes_nothing() {
    let no_op = fixture("no-op");
    let passes_unchanged = |plugins: &[(&str, &Path)]| {
        let origin = Origin::named("one");
        let pace = Pace::with_config(&with_plugins(SERVER, plugins, &[&origin]));
        let response = pace.client().send(&Request::get("/").header("X-A", "1"));
        let seen: Vec<String> = origin
            .request()
            .headers
            .names()
            .into_iter()
            .map(str::to_lowercase)
            .collect();
        (response.status, response.text().to_owned(), seen)
    };
    assert_eq!(
        passes_unchanged(&[]),
        passes_unchanged(&[("first", &no_op), ("second", &no_op), ("third", &no_op)])
    );
}

/// What a plugin sets for the origin arrives there, whatever the client does about it.
#[test]
fn a_client_cannot_undo_a_plugins_edits() {
    let origin = Origin::named("one");
    let pace = Pace::with_config(&format!(
        "{SERVER}\n[upstreams]\nbackends = [\"{}\"]\n[headers]\nrequest = {{ set = {{ x-user = \"anonymous\" }} }}\n",
        origin.url()
    ));
    let mut client = pace.client();

    // A header that `Connection` names belongs to the client's connection: it is gone before plugins are asked.
    let nominated = Request::get("/")
        .header("Connection", "keep-alive, x-user, x-proxy")
        .header("X-User", "admin");
    assert_eq!(client.send(&nominated).status, 200);

    // A request that is nearly as large as Pace takes leaves plugins no less room.
    let mut padded = Request::get("/").header("X-User", "admin");
    for number in 0..28 {
        padded = padded.header(&format!("x-padding-{number}"), "p".repeat(2000));
    }
    assert_eq!(client.send(&padded).status, 200);

    for request in origin.requests() {
        assert_eq!(
            request.headers.all("x-user"),
            ["anonymous"],
            "{}",
            request.headers.names().len()
        );
        assert_eq!(request.headers.get("x-proxy"), Some("pace"));
    }
    let ours = Request::get("/").header("Connection", "close, x-forwarded-for");
    assert_eq!(client.send(&ours).status, 200);
    let seen = origin.requests().pop().expect("there was a request");
    assert_eq!(seen.headers.all("x-forwarded-for"), ["127.0.0.1"]);
}
