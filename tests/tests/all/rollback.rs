//! Rollbacks to the previous generation: on request, and automatic.

use std::fs;

use pace_tests::{Request, fixture, wait_until};
use serde_json::Value;

use crate::swapping::{SWAPPED, Swapping, respond};

/// A plugin that fails for `/misbehave`, unlike `respond`.
fn trap() -> Vec<u8> {
    fs::read(fixture("trap")).expect("it has been built")
}

/// Starts with `respond`, which `trap` has replaced.
fn on_trial(keys: &str) -> Swapping {
    let swapping = Swapping::with(&respond(1), keys);
    swapping.replace(&trap());
    swapping.wait_for_generation(2);
    swapping
}

fn misbehave(swapping: &Swapping) -> u16 {
    swapping.pace.get("/misbehave").status
}

/// Waits until all requested work is done, including rollbacks, and checks that no new file is found.
fn no_generation_is_new(swapping: &Swapping) {
    // Rollbacks are handled in order, and this one is of a plugin that does not exist.
    let nobody = Request::post("/plugins/nobody/rollback", "");
    let answer = swapping.pace.admin().send(&nobody);
    assert_eq!(
        (answer.status, answer.text().trim()),
        (404, "there is no plugin `nobody`")
    );
    let answer = swapping.pace.admin().send(&Request::post("/reload", ""));
    assert_eq!(
        (answer.status, answer.text().trim()),
        (200, "nothing has changed")
    );
}

#[test]
fn rollback_on_request_restores_the_previous_generation() {
    let swapping = Swapping::new();
    let (status, sentence) = swapping.post("rollback");
    assert_eq!(status, 409, "{sentence}");
    assert!(sentence.contains("generation 1 has none before it"), "{sentence}");

    swapping.replace(&respond(2));
    swapping.wait_for_generation(2);
    let (status, sentence) = swapping.post("rollback");
    assert_eq!(status, 200, "{sentence}");
    assert!(sentence.contains("generation 1 serves again"), "{sentence}");
    assert_eq!(swapping.serving(), 1);
    let status = swapping.status();
    assert_eq!(
        (&status["generation"], &status["previous"]),
        (&1.into(), &2.into())
    );
    assert_eq!(
        (swapping.reloads("rolled-back"), swapping.reloads("unfit")),
        (1, 0)
    );
    let of_plugin = [("plugin", SWAPPED)];
    let metrics = swapping.pace.metrics();
    assert_eq!(metrics.sum("pace_plugin_generation", &of_plugin), 1);
    swapping.pace.wait_for_log(&["generation 1 serves again"]);

    // The file has not changed, so it is not taken again automatically.
    no_generation_is_new(&swapping);
    assert_eq!(swapping.serving(), 1);
    swapping.replace(&respond(3));
    swapping.wait_for_generation(3);
}

#[test]
fn second_rollback_undoes_the_first() {
    let swapping = Swapping::new();
    swapping.replace(&respond(2));
    swapping.wait_for_generation(2);
    for expected in [1, 2, 1] {
        assert_eq!(swapping.post("rollback").0, 200);
        assert_eq!(swapping.serving(), expected);
    }
}

#[test]
fn too_many_failed_first_calls_cause_a_rollback() {
    let swapping = on_trial("rollback = { calls = 50, failures_percent = 4 }\nbreaker = { failures = 0 }");
    let bad = swapping.status()["sha256"].clone();
    // Two of fifty are four percent.
    assert_eq!([misbehave(&swapping), misbehave(&swapping)], [503, 503]);
    no_generation_is_new(&swapping);
    assert_eq!(swapping.serving(), 2);
    assert_eq!(misbehave(&swapping), 503);
    // `serving` sends a request as well, and so does waiting for a generation.
    returned(&swapping, &bad, "3 of 5, ");

    // The file has not changed, and stays refused.
    no_generation_is_new(&swapping);
    assert_eq!(swapping.serving(), 1);
    assert_eq!(misbehave(&swapping), 200);
    swapping.replace(&respond(2));
    swapping.wait_for_generation(3);
    wait_until("nothing to be refused", || {
        swapping.status()["refused"] == Value::Null
    });
}

#[test]
fn breaker_that_opens_in_the_first_calls_causes_a_rollback() {
    let swapping = on_trial(
        "rollback = { calls = 100, failures_percent = 100 }\n\
         breaker = { failures = 3, cooldown_ms = 3600000 }",
    );
    let bad = swapping.status()["sha256"].clone();
    for _ in 0..3 {
        assert_eq!(misbehave(&swapping), 503);
    }
    returned(&swapping, &bad, "3 of 4 and the breaker opened, ");
    // The open breaker belonged to the discarded generation.
    assert_eq!(misbehave(&swapping), 200);
    assert_eq!(swapping.status()["breaker"]["state"], "closed");
    let open = [("plugin", SWAPPED)];
    let metrics = swapping.pace.metrics();
    assert_eq!(metrics.sum("pace_plugin_breaker_open", &open), 0);
}

/// Checks that generation 1 serves again, that the log and the metrics have the failed calls, and that
/// `/plugins` names the file with its failures.
fn returned(swapping: &Swapping, bad: &Value, counts: &str) {
    swapping.wait_for_generation(1);
    wait_until("the refusal to be shown", || {
        swapping.status()["refused"]["sha256"] == *bad
    });
    let reason = &swapping.status()["refused"]["reason"];
    let reason = reason.as_str().expect("it is a text");
    let file = swapping.path("plugin.wasm").display().to_string();
    let good = &swapping.status()["sha256"];
    let words = [
        file.as_str(),
        "generation 1 serves again (sha256 ",
        good.as_str().expect("it is a text"),
        "in place of 2 (sha256 ",
        bad.as_str().expect("it is a text"),
        "too many of its first calls failed: ",
        counts,
        "the last in request-filter: trap: wasm trap: ",
    ];
    for word in words {
        assert!(reason.contains(word), "{word} in {reason}");
    }
    swapping
        .pace
        .wait_for_log(&[&["WARN", SWAPPED], &words[..]].concat());
    // This rollback was automatic.
    assert_eq!(
        (swapping.reloads("unfit"), swapping.reloads("rolled-back")),
        (1, 0)
    );
}

#[test]
fn failures_after_the_first_calls_cause_no_rollback() {
    let swapping = on_trial("rollback = { calls = 5, failures_percent = 20 }\nbreaker = { failures = 0 }");
    // At least one request has been served to find out that this is generation 2.
    for _ in 0..5 {
        assert_eq!(swapping.serving(), 2);
    }
    for _ in 0..10 {
        assert_eq!(misbehave(&swapping), 503);
    }
    no_generation_is_new(&swapping);
    assert_eq!(swapping.serving(), 2);
}

#[test]
fn automatic_rollback_can_be_turned_off() {
    let swapping = on_trial("rollback = { calls = 0 }\nbreaker = { failures = 0 }");
    for _ in 0..20 {
        assert_eq!(misbehave(&swapping), 503);
    }
    no_generation_is_new(&swapping);
    assert_eq!((swapping.serving(), swapping.reloads("unfit")), (2, 0));
}

#[test]
fn first_generation_cannot_be_rolled_back() {
    let swapping = Swapping::with(&trap(), "rollback = { calls = 10, failures_percent = 1 }");
    assert_eq!(misbehave(&swapping), 503);
    swapping
        .pace
        .wait_for_log(&["ERROR", SWAPPED, "1 of 1", "none before it"]);
    assert_eq!(swapping.serving(), 1);
}
