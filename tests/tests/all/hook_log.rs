//! The hook log: each hook's verdict on a request and how long it took, if it is switched on.

use pace_tests::{HttpBackend, Setup, fixture};

use crate::sections::{plain, plugin, pool, short_form};

#[test]
fn line_has_each_hook_with_its_verdict() {
    let backend = HttpBackend::named("one");
    let pace = Setup::new()
        .env("RUST_LOG", "info,pace::hooks=debug")
        .config(&short_form(&[&backend]))
        .start();
    assert_eq!(pace.get("/path?query=1").status, 200);
    let line = pace.wait_for_log(&["pace::hooks", "/path?query=1"]);
    let (_, line) = line.split_once("GET ").expect("the method is there");
    let parts: Vec<&str> = line.split(" | ").collect();
    let pick = format!("round-robin select-upstream: pick {}, ", backend.label());
    let wanted = [
        "/path?query=1",
        "rate-limiter request-filter: next, ",
        "header-injection request-filter: next, ",
        &pick,
        "header-injection response-filter: next, ",
        "200",
    ];
    assert_eq!(parts.len(), wanted.len(), "{line}");
    for (part, wanted) in parts.iter().zip(wanted) {
        assert!(part.starts_with(wanted), "{wanted:?} in {line}");
    }
    for call in &parts[1..5] {
        let time = call.rsplit(", ").next().and_then(|time| time.strip_suffix(" µs"));
        assert!(time.is_some_and(|time| time.parse::<f64>().is_ok()), "{call}");
    }
}

#[test]
fn line_has_answers_and_failures() {
    let backend = HttpBackend::named("one");
    let route = |path: &str, plugin: &str| {
        format!("[[routes]]\nmatch = {{ path_prefix = '{path}' }}\npool = 'web'\nplugins = ['{plugin}']\n")
    };
    let config = [
        "[server]\nlisten = '127.0.0.1:0'\n".to_owned(),
        plugin("respond", &fixture("respond")),
        plugin("trap", &fixture("trap")),
        pool("web", &[&backend]),
        route("/answered", "respond"),
        route("/failed", "trap"),
    ];
    let pace = Setup::new()
        .env("RUST_LOG", "info,pace::hooks=debug")
        .config(&config.concat())
        .start();
    assert_eq!(pace.get("/answered/respond").status, 418);
    pace.wait_for_log(&[
        "/answered/respond | respond request-filter: respond 418, ",
        " | 418",
    ]);
    assert_eq!(pace.get("/failed/misbehave").status, 503);
    pace.wait_for_log(&[
        "/failed/misbehave | trap request-filter: failed (trap: a panic ends the call",
        " | 503",
    ]);
}

#[test]
fn hook_log_is_off_by_default() {
    let backend = HttpBackend::named("one");
    let pace = Setup::new()
        .env("RUST_LOG", "info")
        .config(&plain(&[&backend]))
        .start();
    assert_eq!(pace.get("/path").status, 200);
    pace.wait_for_log(&["pace::access", "/path"]);
    let log = pace.stop().stderr;
    assert!(!log.contains("pace::hooks"), "{log}");
}
