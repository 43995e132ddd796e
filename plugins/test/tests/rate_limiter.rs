//! Tests of the rate limiter that need a loop or a computation.

use std::collections::VecDeque;
use std::time::Duration;

use pace_plugin_test::{Plugin, Request, Session, WindowKey, Word, json};

fn limiter(max_requests: usize, window_seconds: u64) -> Session {
    Plugin::load("builtin:rate-limiter")
        .expect("it is in the binary")
        .configure(json!({ "max_requests": max_requests, "window_seconds": window_seconds }))
        .expect("the configuration is legal")
}

/// The limiter is compared with a list of the times of all requests let in, for an uneven stream of them.
#[test]
fn no_interval_of_the_window_exceeds_the_limit() {
    const LIMIT: usize = 20;
    const WINDOW_MS: u64 = 10_000;
    let limiter = limiter(LIMIT, WINDOW_MS / 1000);
    let (mut now, mut let_in, mut denied) = (0, VecDeque::new(), 0);
    for index in 0..5_000_u64 {
        let pause = (index * index * 7919) % 977;
        limiter.advance(Duration::from_millis(pause));
        now += pause;
        while let_in.front().is_some_and(|&at| at + WINDOW_MS < now) {
            let_in.pop_front();
        }
        match limiter.send(Request::get("/")).word {
            Word::Next => let_in.push_back(now),
            Word::Respond => denied += 1,
            other => panic!("{other:?} at {now} ms"),
        }
        assert!(let_in.len() <= LIMIT, "{} in a window, at {now} ms", let_in.len());
    }
    assert!(
        denied > 100,
        "the stream is faster than the limit, {denied} were denied"
    );
}

#[test]
fn client_that_waits_for_retry_after_is_let_in() {
    for asked_after in [0, 1, 999, 1000, 1001, 59_000, 59_999, 60_000] {
        let limiter = limiter(1, 60);
        assert_eq!(limiter.send(Request::get("/")).word, Word::Next);
        limiter.advance(Duration::from_millis(asked_after));
        let denied = limiter.send(Request::get("/"));
        assert_eq!(denied.status(), Some(429), "after {asked_after} ms");
        let told = denied.response_header("retry-after").expect("they are told");
        let told = str::from_utf8(told).ok().and_then(|text| text.parse().ok());
        limiter.advance(Duration::from_secs(told.expect("a number of seconds")));
        // The window counts in steps, and may keep a request one step longer.
        limiter.advance(Duration::from_millis(60));
        assert_eq!(
            limiter.send(Request::get("/")).word,
            Word::Next,
            "asked after {asked_after} ms"
        );
    }
}

#[test]
fn clients_are_limited_by_their_address() {
    let limiter = limiter(3, 60);
    for client in 1..=200_u8 {
        let address = format!("198.51.100.{client}");
        for _ in 0..client % 5 {
            limiter.send(Request::get("/").from_client(&address));
        }
        let key = WindowKey::Address(address.parse().expect("it is an address"));
        assert_eq!(
            limiter.events("requests", &key),
            Some(u32::from(client % 5).min(3)),
            "{address}"
        );
    }
}
