//! Which requests have a line.

use std::fs;

use pace_tests::{Answer, HttpBackend, Setup, wait_for};
use serde_json::json;

use super::{FILE, lines, objects, start};

/// A backend that answers with the status that the path names.
fn backend() -> HttpBackend {
    HttpBackend::new(|request| {
        let status = request.target.trim_start_matches('/').parse();
        Answer::status(status.expect("a test asks for a status"))
    })
}

#[test]
fn other_statuses_have_no_line() {
    let backend = backend();
    let pace = start(&backend, "statuses = ['400-499', '503']\nfields = ['status']");
    let mut client = pace.client();
    for status in [200, 404, 500, 503, 302, 499, 200] {
        assert_eq!(client.get(&format!("/{status}")).status, status);
    }
    let told: Vec<_> = objects(&pace, 3)
        .iter()
        .map(|line| line["status"].clone())
        .collect();
    assert_eq!(told, [json!(404), json!(503), json!(499)]);
}

#[test]
fn statuses_that_are_always_wanted_are_not_sampled() {
    let backend = backend();
    let keys = "sample_one_in = 1000000\nalways = ['500-599']\nfields = ['status']";
    let pace = start(&backend, keys);
    let mut client = pace.client();
    for status in [200, 200, 500, 200, 200, 502] {
        assert_eq!(client.get(&format!("/{status}")).status, status);
    }
    // One in a million of the others might have been drawn.
    assert_eq!(lines(&pace, 2), [r#"{"status":500}"#, r#"{"status":502}"#]);
}

#[test]
fn one_request_in_two_has_a_line() {
    let backend = backend();
    let pace = start(
        &backend,
        "sample_one_in = 2\nalways = ['201']\nfields = ['status']",
    );
    let mut client = pace.client();
    for _ in 0..400 {
        assert_eq!(client.get("/200").status, 200);
    }
    client.get("/201");
    let path = pace.directory().join(FILE);
    let told = wait_for("the last line", || {
        let text = fs::read_to_string(&path).unwrap_or_default();
        text.contains("201").then(|| text.lines().count() - 1)
    });
    // Ten times the standard deviation.
    assert!((100..=300).contains(&told), "{told} of 400");
}

#[test]
fn log_that_is_switched_off_is_not_opened() {
    let backend = backend();
    let pace = start(&backend, "enabled = false");
    assert_eq!(pace.get("/200").status, 200);
    assert!(!pace.directory().join(FILE).exists());
}

#[test]
fn wrong_keys_are_refused_with_their_reason() {
    for (keys, reason) in [
        ("format = 'xml'", "\"xml\" must be \"json\" or \"text\""),
        (
            "fields = ['stauts']",
            "there is no field \"stauts\": did you mean `status`?",
        ),
        ("fields = []", "a line needs at least one field"),
        ("fields = ['path', 'path']", "the field \"path\" is there twice"),
        ("statuses = ['5xx']", "\"5xx\" must be a status or a range"),
        (
            "statuses = ['499-400']",
            "\"499-400\" must be a status or a range",
        ),
        (
            "file = 'no/such/directory/file'",
            "[access_log] file: cannot open ",
        ),
        ("file = '/'", "[access_log] file: cannot open /: "),
    ] {
        let config = format!("[access_log]\n{keys}\n[upstreams]\nbackends = ['127.0.0.1:1']\n");
        let config = format!("[server]\nlisten = '127.0.0.1:0'\n{config}");
        let exit = Setup::new().config(&config).run();
        assert!(exit.refusal().contains(reason), "{keys}: {}", exit.refusal());
    }
}
