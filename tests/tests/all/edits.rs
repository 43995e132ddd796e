//! Edits of messages by plugins: those allowed, and those refused.

use std::path::Path;

use pace_tests::{Answer, HttpBackend, Pace, Request, fixture};

use crate::sections::{SERVER, with_plugins};

#[test]
fn forbidden_edits_are_refused_and_the_request_goes_on() {
    let backend = HttpBackend::named("the body");
    let pace = Pace::with_config(&with_plugins(
        SERVER,
        &[("edit", &fixture("illegal-header"))],
        &[&backend],
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

    let seen = backend.request();
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
    // A refusal is reported to the plugin, and is no failure.
    assert_eq!(pace.metrics().sum("pace_plugin_failures_total", &[]), 0);
    assert_eq!(client.get("/next").status, 200);
    assert_eq!(client.connections(), 1);
}

/// A header that a plugin sets replaces the client's and the backend's, on both sides.
#[test]
fn header_that_a_plugin_sets_is_there_once() {
    let backend = HttpBackend::new(|_| Answer::new("").header("X-Stamp", "the backend's"));
    let pace = Pace::with_config(&with_plugins(
        SERVER,
        &[("stamp", &fixture("stamp"))],
        &[&backend],
    ));
    let request = Request::get("/").header("X-Stamp", "a").header("x-stamp", "b");
    let response = pace.client().send(&request);
    assert_eq!(response.headers.all("x-stamp"), ["mark"]);
    assert_eq!(backend.request().headers.all("x-stamp"), ["mark"]);
}

#[test]
fn request_is_read_only_in_select_upstream() {
    let backend = HttpBackend::named("one");
    let pace = Pace::with_config(&with_plugins(
        SERVER,
        &[("edit", &fixture("late-edit"))],
        &[&backend],
    ));
    assert_eq!(pace.get("/").text(), "read-only");
}

#[test]
fn added_headers_are_bounded() {
    let backend = HttpBackend::named("one");
    let pace = Pace::with_config(&with_plugins(
        SERVER,
        &[("hoard", &fixture("header-hoard"))],
        &[&backend],
    ));
    let response = pace.get("/misbehave");
    let hoarded = response
        .header("x-hoarded")
        .and_then(|number| number.parse().ok());
    assert!(hoarded.is_some_and(|number: u32| number > 0), "{response:?}");
}

#[test]
fn plugin_sees_every_header() {
    let backend = HttpBackend::new(|_| {
        Answer::new("")
            .header("X-A", "1")
            .header("X-A", "2")
            .header("X-B", "3")
    });
    let pace = Pace::with_config(&with_plugins(
        SERVER,
        &[("count", &fixture("header-reader"))],
        &[&backend],
    ));
    let request = Request::get("/").header("X-C", "1").header("X-C", "2");
    let response = pace.client().send(&request);
    // Host and twice X-C; headers that Pace adds for the backend are not part of the client's request.
    assert_eq!(response.header("x-request-headers"), Some("3"));
    // Content-Length, twice X-A, X-B, and perhaps a Date.
    let seen: u32 = response
        .header("x-response-headers")
        .and_then(|number| number.parse().ok())
        .expect("a number");
    assert!((4..=5).contains(&seen), "{response:?}");
}

#[test]
fn plugin_without_edits_changes_nothing() {
    let no_op = fixture("no-op");
    let passes_unchanged = |plugins: &[(&str, &Path)]| {
        let backend = HttpBackend::named("one");
        let pace = Pace::with_config(&with_plugins(SERVER, plugins, &[&backend]));
        let response = pace.client().send(&Request::get("/").header("X-A", "1"));
        let seen: Vec<String> = backend
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

/// A header that a plugin sets for the backend arrives there, whatever the client does about it.
#[test]
fn client_cannot_undo_edits_of_a_plugin() {
    let backend = HttpBackend::named("one");
    let pace = Pace::with_config(&format!(
        "{SERVER}\n[upstreams]\nbackends = [\"{}\"]\n[headers]\nrequest = {{ set = {{ x-user = \"anonymous\" }} }}\n",
        backend.url()
    ));
    let mut client = pace.client();

    // A header that `Connection` names belongs to the client's connection: it is removed before plugins are
    // called.
    let nominated = Request::get("/")
        .header("Connection", "keep-alive, x-user, x-proxy")
        .header("X-User", "admin");
    assert_eq!(client.send(&nominated).status, 200);

    // A request nearly as large as Pace accepts leaves plugins no less room.
    let mut padded = Request::get("/").header("X-User", "admin");
    for number in 0..28 {
        padded = padded.header(&format!("x-padding-{number}"), "p".repeat(2000));
    }
    assert_eq!(client.send(&padded).status, 200);

    for request in backend.requests() {
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
    let seen = backend.requests().pop().expect("there was a request");
    assert_eq!(seen.headers.all("x-forwarded-for"), ["127.0.0.1"]);
}
