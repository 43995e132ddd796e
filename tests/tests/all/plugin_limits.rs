//! What a plugin may use and hand back: the operator's limits, and how the log tells of what went beyond them.

use std::path::Path;

use pace_tests::{Origin, Pace, Request, fixture, wait_until};

use crate::sections::{ONE_WORKER, plugin, pool};

/// A plugin with these limits on the route `web`.
fn limited(name: &str, limits: &str, origin: &Origin) -> Pace {
    Pace::with_config(&config(&fixture(name), name, limits, origin))
}

fn config(file: &Path, name: &str, limits: &str, origin: &Origin) -> String {
    format!(
        "{ONE_WORKER}{}limits = {{ {limits} }}\n\n{}\n[[routes]]\nname = \"web\"\npool = \"web\"\nplugins = [{name:?}]\n",
        plugin(name, file),
        pool("web", &[origin]),
    )
}

#[test]
fn headers_that_a_call_adds() {
    let origin = Origin::named("one");
    let hoarded = |limits: &str, client_sends: usize| {
        let pace = limited("header-hoard", limits, &origin);
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
    // 107 bytes each.
    assert_eq!(hoarded("header_kb = 1", 0), 1024 / 107);
    assert_eq!(hoarded("headers = 5, header_kb = 1", 0), 5);
    // A client cannot use up what the plugin has.
    assert_eq!(hoarded("headers = 20, header_kb = 4", 60), 20);
}

#[test]
fn a_response_that_the_plugin_makes() {
    let origin = Origin::named("one");
    for (limits, told) in [
        ("body_kb = 0", "16 bytes: 0 are allowed"),
        ("headers = 0", "1 headers: 0 are allowed"),
    ] {
        let pace = limited("respond", limits, &origin);
        assert_eq!(pace.get("/respond").status, 503, "{limits}");
        pace.wait_for_log(&["illegal-output", told]);
        assert_eq!(pace.get("/").status, 200, "{limits}");
    }
    let pace = limited(
        "large-reply",
        "body_kb = 8192, time_ms = 1000, memory_mb = 64",
        &origin,
    );
    assert_eq!(pace.get("/misbehave").body.len(), 8 << 20);
}

#[test]
fn handles_of_an_instance() {
    let origin = Origin::named("one");
    let pace = limited("counter-hoard", "handles = 7", &origin);
    assert_eq!(pace.get("/").header("x-counters"), Some("7"));
}

#[test]
fn time_and_memory_of_a_call() {
    let origin = Origin::named("one");
    let pace = limited("endless-loop", "time_ms = 3", &origin);
    assert_eq!(pace.get("/misbehave").status, 503);
    pace.wait_for_entry(&["deadline", "longer than its 3ms"]);
    let pace = limited("memory-bomb", "memory_mb = 3", &origin);
    assert_eq!(pace.get("/misbehave").status, 503);
    pace.wait_for_entry(&["memory", "3072 KiB allowed"]);
}

#[test]
fn lines_in_the_log() {
    let origin = Origin::named("one");
    let silent = limited("log-writer", "log_lines_per_second = 0", &origin);
    let pace = limited("log-writer", "log_lines_per_second = 1", &origin);
    let mut requests = 0;
    wait_until("a second in which there is room again", || {
        assert_eq!(silent.get("/").status, 200);
        assert_eq!(pace.get("/").status, 200);
        requests += 1;
        pace.log().contains("lines were dropped, they were too many")
    });
    // Every line was written or dropped; those since the last that passed are not told of yet.
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

/// Who reads the line at night need not look anything up.
#[test]
fn the_line_of_a_failure_says_everything() {
    let origin = Origin::named("one");
    let pace = limited("trap", "time_ms = 50", &origin);
    assert_eq!(pace.get("/misbehave").status, 503);
    let entry = pace.wait_for_entry(&["failed in request-filter"]);
    for part in [
        "ERROR",
        "plugin trap (generation 1)",
        "on route web",
        ": trap: ",
        "; closed: the request is answered with 503",
        // The backtrace, with the names of functions.
        "wasm backtrace",
        "panicking::panic_fmt",
        "pace:plugin/request-filter@0.1.0#filter",
    ] {
        assert!(entry.contains(part), "{part} in:\n{entry}");
    }
    // And the panic's message before it, in a line of the plugin.
    pace.wait_for_log(&["trap: ", "asked to panic", "trap.rs"]);
}
