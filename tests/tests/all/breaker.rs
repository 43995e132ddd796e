//! The breaker: a plugin that keeps failing is not called for a while.

use std::fs;

use pace_tests::{HttpBackend, Pace, edition, fixture, wait_until};

use crate::sections::{ONE_WORKER, plugin, pool};
use crate::swapping::directory;

/// The fixture `trap` on `/closed` and on `/open`, with a breaker.
fn trapping(breaker: &str, backend: &HttpBackend) -> Pace {
    Pace::with_config(&format!(
        r#"{ONE_WORKER}{}breaker = {{ {breaker} }}

{}
[[routes]]
match = {{ path_prefix = "/closed" }}
pool = "web"
plugins = ["trap"]

[[routes]]
match = {{ path_prefix = "/open" }}
pool = "web"
plugins = [{{ use = "trap", on_failure = "open" }}]
"#,
        plugin("trap", &fixture("trap")),
        pool("web", &[backend]),
    ))
}

/// The number of calls that failed for a reason.
fn failures(pace: &Pace, reason: &str) -> u64 {
    let labels = [("plugin", "trap"), ("reason", reason)];
    pace.metrics().sum("pace_plugin_failures_total", &labels)
}

fn is_open(pace: &Pace) -> bool {
    let labels = [("plugin", "trap")];
    pace.metrics().sum("pace_plugin_breaker_open", &labels) == 1
}

#[test]
fn failures_in_a_row_open_the_breaker() {
    let backend = HttpBackend::named("one");
    let pace = trapping("failures = 3, cooldown_ms = 3600000", &backend);
    // A success in between begins the count anew.
    for path in ["misbehave", "misbehave", "fine", "misbehave", "misbehave"] {
        pace.get(&format!("/closed/{path}"));
    }
    assert_eq!(pace.plugin("trap")["breaker"]["state"], "closed");
    assert!(!is_open(&pace));
    pace.get("/closed/misbehave");

    let status = pace.plugin("trap");
    assert_eq!(status["breaker"]["state"], "open");
    let left = status["breaker"]["open_for_ms"].as_u64().expect("it is a number");
    assert!((1..=3_600_000).contains(&left), "{left}");
    assert!(is_open(&pace));
    pace.wait_for_log(&["WARN", "plugin trap (generation 1)", "left alone for 3600.0 s"]);
    pace.wait_for_log(&[
        "ERROR",
        "plugin `trap` (/",
        "generation 1 (sha256 ",
        "5 of 6 and the breaker opened, the last in request-filter: trap: wasm trap: ",
        "it has none before it to return to",
    ]);

    // With an open breaker a good request fails on `/closed`, and a bad one goes on on `/open`: the plugin is
    // not called.
    let log = pace.log();
    assert_eq!(pace.get("/closed/fine").status, 503);
    assert_eq!(pace.get("/open/misbehave").text(), "one");
    assert_eq!((failures(&pace, "trap"), failures(&pace, "breaker-open")), (5, 2));
    assert_eq!(pace.log(), log, "it has been said");
    let after = pace.plugin("trap");
    assert_eq!((&after["calls"], &after["failures"]), (&6.into(), &5.into()));
}

#[test]
fn successful_probe_closes_the_breaker() {
    let backend = HttpBackend::named("one");
    let pace = trapping("failures = 2, cooldown_ms = 100", &backend);
    for _ in 0..2 {
        assert_eq!(pace.get("/closed/misbehave").status, 503);
    }
    wait_until("the plugin to be asked again", || {
        pace.get("/closed/fine").status == 200
    });
    let status = pace.plugin("trap");
    assert_eq!(status["breaker"]["state"], "closed");
    assert_eq!(status["breaker"]["open_for_ms"], serde_json::Value::Null);
    assert!(!is_open(&pace));
    pace.wait_for_log(&["plugin trap (generation 1) works again"]);
}

#[test]
fn failed_probe_doubles_the_cooldown_up_to_its_bound() {
    let backend = HttpBackend::named("one");
    let pace = trapping("failures = 2, cooldown_ms = 100, max_cooldown_ms = 300", &backend);
    let lengths = ["0.1 s", "0.2 s", "0.3 s", "0.3 s"];
    wait_until("three probes to fail", || {
        pace.get("/closed/misbehave");
        pace.log().matches("left alone for").count() == lengths.len()
    });
    let log = pace.log();
    let told: Vec<&str> = log
        .lines()
        .filter_map(|line| line.split_once("left alone for "))
        .map(|(_, length)| length)
        .collect();
    assert_eq!(told, lengths);
    assert_eq!(
        failures(&pace, "trap"),
        5,
        "two, and a probe after each of three cooldowns"
    );
}

#[test]
fn breaker_can_be_turned_off() {
    let backend = HttpBackend::named("one");
    let pace = trapping("failures = 0", &backend);
    for _ in 0..20 {
        assert_eq!(pace.get("/closed/misbehave").status, 503);
    }
    assert_eq!(
        (failures(&pace, "trap"), failures(&pace, "breaker-open")),
        (20, 0)
    );
    assert_eq!(pace.get("/closed/fine").status, 200);
}

/// A new file may be a repaired one.
#[test]
fn new_generation_begins_with_a_closed_breaker() {
    let files = directory();
    let file = files.path().join("plugin.wasm");
    let trap = fixture("trap");
    fs::copy(&trap, &file).expect("it can be copied");
    let backend = HttpBackend::named("one");
    let pace = Pace::with_config(&format!(
        "{ONE_WORKER}{}breaker = {{ failures = 2, cooldown_ms = 3600000 }}\n\n{}\n[[routes]]\npool = \"web\"\n\
         plugins = [\"trap\"]\n",
        plugin("trap", &file),
        pool("web", &[&backend]),
    ));
    for _ in 0..2 {
        pace.get("/misbehave");
    }
    assert!(is_open(&pace));
    // A refused file changes nothing.
    fs::copy(fixture("refuses-config"), &file).expect("it can be copied");
    wait_until("it to be refused", || pace.plugin("trap")["refused"].is_object());
    assert_eq!(pace.plugin("trap")["breaker"]["state"], "open");
    assert!(is_open(&pace), "the generation that serves is left alone still");

    fs::write(&file, edition(&trap, 2)).expect("it can be written");
    pace.wait_for_generation("trap", 2);
    assert_eq!(pace.get("/fine").status, 200);
    assert!(!is_open(&pace));
}
