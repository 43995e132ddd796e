//! The operator's limits of what a plugin may use and return, and how the log reports a plugin that exceeds
//! them.

use std::path::Path;

use pace_tests::{HttpBackend, Pace, Request, fixture, wait_until};

use crate::sections::{ONE_WORKER, plugin, pool};

/// Starts Pace with these limits for a plugin on the route `web`.
fn limited(name: &str, limits: &str, backend: &HttpBackend) -> Pace {
    Pace::with_config(&config(&fixture(name), name, limits, backend))
}

fn config(file: &Path, name: &str, limits: &str, backend: &HttpBackend) -> String {
    format!(
        "{ONE_WORKER}{}limits = {{ {limits} }}\n\n{}\n[[routes]]\nname = \"web\"\npool = \"web\"\nplugins = [{name:?}]\n",
        plugin(name, file),
        pool("web", &[backend]),
    )
}

#[test]
fn limit_of_added_headers_holds() {
    let backend = HttpBackend::named("one");
    let hoarded = |limits: &str, client_sends: usize| {
        let pace = limited("header-hoard", limits, &backend);
        let request = (0..client_sends).fold(Request::get("/misbehave"), |request, number| {
            request.header(&format!("x-{number}"), [b'a'; 100])
        });
        let response = pace.client().send(&request);
        let hoarded = response
            .header("x-hoarded")
            .and_then(|number| number.parse().ok());
        hoarded.unwrap_or_else(|| -> usize { panic!("{limits}: {response:?}") })
    };
    assert_eq!(hoarded("headers = 20", 0), 20);
    // A header takes 107 bytes.
    assert_eq!(hoarded("header_kb = 1", 0), 1024 / 107);
    assert_eq!(hoarded("headers = 5, header_kb = 1", 0), 5);
    // A client's headers do not use up the plugin's share.
    assert_eq!(hoarded("headers = 20, header_kb = 4", 60), 20);
}

#[test]
fn limit_of_a_plugins_response_holds() {
    let backend = HttpBackend::named("one");
    for (limits, told) in [
        ("body_kb = 0", "16 bytes: 0 are allowed"),
        ("headers = 0", "1 headers: 0 are allowed"),
    ] {
        let pace = limited("respond", limits, &backend);
        assert_eq!(pace.get("/respond").status, 503, "{limits}");
        pace.wait_for_log(&["illegal-output", told]);
        assert_eq!(pace.get("/").status, 200, "{limits}");
    }
    let pace = limited(
        "large-reply",
        "body_kb = 8192, time_ms = 1000, memory_mb = 64",
        &backend,
    );
    assert_eq!(pace.get("/misbehave").body.len(), 8 << 20);
}

#[test]
fn limit_of_handles_holds() {
    let backend = HttpBackend::named("one");
    let pace = limited("counter-hoard", "handles = 7", &backend);
    assert_eq!(pace.get("/").header("x-counters"), Some("7"));
}

#[test]
fn limits_of_time_and_memory_hold() {
    let backend = HttpBackend::named("one");
    let pace = limited("endless-loop", "time_ms = 3", &backend);
    assert_eq!(pace.get("/misbehave").status, 503);
    pace.wait_for_entry(&["deadline", "longer than its 3ms"]);
    let pace = limited("memory-bomb", "memory_mb = 3", &backend);
    assert_eq!(pace.get("/misbehave").status, 503);
    pace.wait_for_entry(&["memory", "3072 KiB allowed"]);
}

#[test]
fn limit_of_log_lines_holds_and_dropped_lines_are_counted() {
    let backend = HttpBackend::named("one");
    let silent = limited("log-writer", "log_lines_per_second = 0", &backend);
    let pace = limited("log-writer", "log_lines_per_second = 1", &backend);
    let mut requests = 0;
    wait_until("a second in which there is room again", || {
        assert_eq!(silent.get("/").status, 200);
        assert_eq!(pace.get("/").status, 200);
        requests += 1;
        pace.log().contains("lines were dropped, they were too many")
    });
    // Every line was written or dropped; lines dropped since the last written one are not reported yet.
    let log = pace.log();
    let written = log.lines().filter(|line| line.contains("log-writer: ")).count();
    let dropped: usize = log
        .lines()
        .filter_map(|line| line.split_once(" lines were dropped")?.0.rsplit_once(": "))
        .filter_map(|(_, number)| number.parse::<usize>().ok())
        .sum();
    assert!(dropped > 0 && written < requests * 5, "{log}");
    assert!(
        written + dropped <= requests * 5 + 1,
        "{requests} requests: {log}"
    );
    assert!(!silent.log().contains("log-writer: "));
}

/// The entry is complete: a reader at night need not look anything up.
#[test]
fn log_entry_of_a_failure_is_complete() {
    let backend = HttpBackend::named("one");
    let pace = limited("trap", "time_ms = 50", &backend);
    assert_eq!(pace.get("/misbehave").status, 503);
    let entry = pace.wait_for_entry(&["failed in request-filter"]);
    for part in [
        "ERROR",
        "plugin trap (generation 1)",
        "on route web",
        ": trap: ",
        "; closed: the request is answered with 503",
        // The backtrace has the names of functions.
        "wasm backtrace",
        "panicking::panic_fmt",
        "pace:plugin/request-filter@0.1.0#filter",
    ] {
        assert!(entry.contains(part), "{part} in:\n{entry}");
    }
    // The panic's message comes before it, in a line of the plugin.
    pace.wait_for_log(&["trap: ", "asked to panic", "trap.rs"]);
}
