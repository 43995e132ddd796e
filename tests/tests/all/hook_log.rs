//! The hook log: each hook's verdict on a request and how long it took, if it is switched on.

use std::path::Path;

use pace_tests::{Answer, HttpBackend, Request, Setup, fixture};

use crate::sections::{ONE_WORKER, plain, plugin, pool, short_form};

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
fn line_names_the_backend_that_each_choice_came_to() {
    let web = [(); 3].map(|()| HttpBackend::new(|_| Answer::status(503)));
    let spare = HttpBackend::named("spare");
    let config = [
        ONE_WORKER.to_owned(),
        plugin("attempts", &fixture("attempts")),
        plugin("in-turn", Path::new("builtin:round-robin")),
        pool("web", &web.each_ref()),
        pool("spare", &[&spare]),
        "[[routes]]\nplugins = ['attempts', 'in-turn']\n".to_owned(),
        "pools = [{ pool = 'web', weight = 1 }, { pool = 'spare', weight = 0 }]\n".to_owned(),
    ];
    let pace = Setup::new()
        .env("RUST_LOG", "info,pace::hooks=debug")
        .config(&config.concat())
        .start();
    for number in 0..web.len() {
        let request = Request::get(&format!("/{number}"))
            .header("X-Plan", "|pool=spare")
            .header("X-Judge", "503=retry");
        assert_eq!(pace.client().send(&request).text(), "spare");
        let first = web
            .iter()
            .find(|backend| {
                backend
                    .requests()
                    .iter()
                    .any(|seen| seen.target == request.target)
            })
            .expect("one was asked first");
        let line = pace.wait_for_log(&["pace::hooks", &format!("GET /{number} ")]);
        let picks: Vec<_> = line
            .split(" | ")
            .filter_map(|call| call.strip_prefix("in-turn select-upstream: pick "))
            .filter_map(|pick| Some(pick.split_once(',')?.0))
            .collect();
        assert_eq!(picks, [first.label(), spare.label()], "{line}");
    }
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
