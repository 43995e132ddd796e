//! The end of a process: balancers look elsewhere first, then connections end.

use pace_tests::{Client, Http2, HttpBackend, Request, Setup, Signal, wait_until};

use super::load::{Backends, switch};
use crate::sections::plain;

fn config(backend: &HttpBackend, server: &str) -> String {
    plain(&[backend]).replace("workers = 2", &format!("workers = 2\n{server}"))
}

#[test]
fn readyz_fails_before_connections_are_refused() {
    let backend = HttpBackend::named("one");
    let pace = Setup::new()
        .config(&config(&backend, "shutdown_delay_ms = 3600000"))
        .start();
    let ready = || {
        let response = pace.admin().get("/readyz");
        (response.status, response.text().to_owned())
    };
    assert_eq!(ready(), (200, "ready\n".to_owned()));
    let mut kept = pace.client();
    kept.get("/");
    pace.signal(Signal::TERM);
    pace.wait_for_log(&["SIGTERM: /readyz fails, and connections are accepted for another 3600s"]);
    assert_eq!(ready(), (503, "leaving\n".to_owned()));
    assert_eq!(pace.admin().get("/health").text(), "ok\n");
    // Everything is as before.
    for response in [pace.get("/"), kept.get("/")] {
        assert_eq!((response.text(), response.header("connection")), ("one", None));
    }
    // The same signal again ends it at once.
    pace.signal(Signal::TERM);
    let exit = pace.wait();
    assert_eq!(exit.code, Some(0), "{exit:#?}");
}

#[test]
fn delay_that_is_over_is_followed_by_the_grace_period() {
    let backend = HttpBackend::named("one");
    let pace = Setup::new()
        .config(&config(
            &backend,
            "shutdown_delay_ms = 1\ngrace_period_seconds = 3600",
        ))
        .start();
    let exit = pace.stop();
    assert_eq!(exit.code, Some(0), "{exit:#?}");
    for words in [
        "/readyz fails",
        "no new connections, 3600s",
        "all connections are done",
    ] {
        assert!(exit.stderr.contains(words), "{words}: {exit:#?}");
    }
}

/// A client cannot know that its connection is being closed while it sends.
#[test]
fn last_request_on_a_connection_in_use_is_answered_with_close() {
    let backend = HttpBackend::named("one");
    let pace = Setup::new()
        .config(&config(&backend, "grace_period_seconds = 3600"))
        .start();
    let mut clients: Vec<Client> = (0..8).map(|_| pace.client()).collect();
    clients.iter_mut().for_each(|client| {
        client.get("/");
    });
    pace.signal(Signal::TERM);
    wait_until("new connections to be refused", || !pace.accepts());
    for client in &mut clients {
        let response = client.get("/");
        assert_eq!(
            (response.text(), response.header("connection")),
            ("one", Some("close"))
        );
    }
    assert_eq!(pace.wait().code, Some(0));
}

#[test]
fn stream_of_http_2_is_completed_and_its_connection_goes_away() {
    let backend = HttpBackend::named("one");
    let pace = Setup::new()
        .config(&config(&backend, "grace_period_seconds = 3600"))
        .start();
    let mut client = Http2::connect(pace.address());
    let mut upload = client
        .open(&Request::post("/", ""), false)
        .expect("the connection is open");
    upload.write(b"one half, ", false).expect("the stream is open");
    wait_until("the request to arrive", || backend.connections() == 1);
    pace.signal(Signal::TERM);
    wait_until("new connections to be refused", || !pace.accepts());
    upload.write(b"the other", true).expect("the stream is open");
    assert_eq!(upload.response().expect("it is completed").text(), "one");
    client.ended().expect("the end is orderly");
    assert_eq!(pace.wait().code, Some(0));
}

#[test]
fn connections_that_are_cut_are_told_by_their_kind() {
    let backends = Backends::new();
    let pace = Setup::new()
        .config(&backends.config("127.0.0.1:0", "grace_period_seconds = 1"))
        .start();
    let mut tunnel = pace.client();
    switch(&mut tunnel).expect("the protocol is switched");
    let mut upload = pace.client();
    upload.write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf");
    pace.wait_for_metric("pace_requests_in_flight", &[], 2);
    let exit = pace.stop();
    assert_eq!(exit.code, Some(0), "{exit:#?}");
    let expected = "the grace period is over: 2 connections are cut (1 upgraded)";
    assert!(exit.stderr.contains(expected), "{exit:#?}");
}
