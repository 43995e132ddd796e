//! Plugins that fail while they serve: the request at hand has the documented outcome, the next one is
//! served, and metrics and log report the failure.

use std::thread;

use pace_tests::{Client, HttpBackend, Pace, component, fixture};

use crate::sections::{ONE_WORKER, SERVER, plugin, pool, with_plugins};

/// A fixture that fails for paths with `/misbehave`, and its failure.
struct Case {
    name: &'static str,
    hook: &'static str,
    reason: &'static str,
    /// Further words in the log.
    detail: &'static str,
}

const REQUEST_FILTER: &str = "request-filter";
const SELECT_UPSTREAM: &str = "select-upstream";
const RESPONSE_FILTER: &str = "response-filter";

const CASES: [Case; 13] = [
    Case::new("trap", REQUEST_FILTER, "trap", "unreachable"),
    Case::new("deep-recursion", REQUEST_FILTER, "trap", "call stack exhausted"),
    Case::new(
        "reads-response-early",
        REQUEST_FILTER,
        "trap",
        "response was called",
    ),
    Case::new("endless-loop", REQUEST_FILTER, "deadline", "longer than its 10ms"),
    Case::new("memory-fill", REQUEST_FILTER, "deadline", "longer than its 10ms"),
    Case::new("memory-bomb", REQUEST_FILTER, "memory", "allowed"),
    Case::new("illegal-status", REQUEST_FILTER, "illegal-output", "status 99"),
    Case::new(
        "illegal-reply-header",
        REQUEST_FILTER,
        "illegal-output",
        "x-split",
    ),
    Case::new("large-reply", REQUEST_FILTER, "illegal-output", ""),
    Case::new("select-trap", SELECT_UPSTREAM, "trap", "unreachable"),
    Case::new("bad-pick", SELECT_UPSTREAM, "illegal-output", "999"),
    Case::new("bad-index", SELECT_UPSTREAM, "trap", "999"),
    Case::new("response-trap", RESPONSE_FILTER, "trap", "unreachable"),
];

impl Case {
    const fn new(name: &'static str, hook: &'static str, reason: &'static str, detail: &'static str) -> Case {
        Case {
            name,
            hook,
            reason,
            detail,
        }
    }

    /// The fixture's two routes: `/closed/NAME` and `/open/NAME`.
    fn config(&self) -> String {
        let name = self.name;
        format!(
            r#"{}
[[routes]]
match = {{ path_prefix = "/closed/{name}" }}
pool = "web"
plugins = ["{name}", "headers"]

[[routes]]
match = {{ path_prefix = "/open/{name}" }}
pool = "web"
plugins = [{{ use = "{name}", on_failure = "open" }}, "headers"]

"#,
            plugin(name, &fixture(name)),
        )
    }
}

/// Starts Pace with these fixtures on their routes, and one worker: a plugin that blocks its thread blocks
/// everything.
fn misbehaving(wanted: impl Fn(&Case) -> bool, backend: &HttpBackend) -> Pace {
    let routes: String = CASES
        .iter()
        .filter(|case| wanted(case))
        .map(Case::config)
        .collect();
    Pace::with_config(&format!(
        "{ONE_WORKER}{}{}{routes}[[routes]]\npool = \"web\"\n",
        plugin("headers", &component("header-injection")),
        pool("web", &[backend]),
    ))
}

#[test]
fn failure_affects_one_request() {
    let backend = HttpBackend::named("one");
    let pace = misbehaving(|_| true, &backend);
    let mut client = pace.client();
    for case in &CASES {
        fails_closed(case, &pace, &mut client, &backend);
        fails_open(case, &pace, &mut client, &backend);
    }
    assert_eq!(
        pace.metrics().sum("pace_plugin_failures_total", &[]),
        2 * CASES.len() as u64,
        "nothing failed besides"
    );
}

fn fails_closed(case: &Case, pace: &Pace, client: &mut Client, backend: &HttpBackend) {
    let name = case.name;
    let reached = backend.requests().len();
    let response = client.get(&format!("/closed/{name}/misbehave"));
    assert_eq!(response.status, 503, "{name}: {response:?}");
    assert_eq!(
        response.header("x-proxy"),
        None,
        "{name}: Pace's own answer passes no plugin"
    );
    // The backend is asked before only a response filter fails.
    let asked = usize::from(case.hook == RESPONSE_FILTER);
    assert_eq!(backend.requests().len(), reached + asked, "{name}");

    assert_eq!(
        client.get(&format!("/closed/{name}/fine")).text(),
        "one",
        "{name}"
    );
    told_of(case, pace, 1, "closed");
}

fn fails_open(case: &Case, pace: &Pace, client: &mut Client, backend: &HttpBackend) {
    let name = case.name;
    let reached = backend.requests().len();
    let response = client.get(&format!("/open/{name}/misbehave"));
    if case.hook == SELECT_UPSTREAM {
        // Without the plugin no backend is picked, so the request cannot go on.
        assert_eq!(response.status, 503, "{name}: {response:?}");
    } else {
        assert_eq!((response.status, response.text()), (200, "one"), "{name}");
        assert_eq!(
            response.header("x-proxy"),
            Some("pace"),
            "{name}: the other plugins run"
        );
        assert_eq!(backend.requests().len(), reached + 1, "{name}");
    }
    assert_eq!(client.get(&format!("/open/{name}/fine")).text(), "one", "{name}");
    told_of(case, pace, 2, "open");
}

fn told_of(case: &Case, pace: &Pace, failures: u64, policy: &str) {
    let labels = [
        ("plugin", case.name),
        ("hook", case.hook),
        ("reason", case.reason),
    ];
    pace.wait_for_metric("pace_plugin_failures_total", &labels, failures);
    let all = pace
        .metrics()
        .sum("pace_plugin_failures_total", &[("plugin", case.name)]);
    assert_eq!(all, failures, "{}: no other reason", case.name);

    let name = format!("plugin {} ", case.name);
    let reason = format!(": {}", case.reason);
    let outcome = format!("; {policy}: ");
    pace.wait_for_entry(&[&name, case.hook, &reason, case.detail, &outcome]);
}

/// While a plugin loops again and again, other requests are served on the same thread.
#[test]
fn other_routes_are_served_while_a_plugin_loops() {
    const LOOPS: usize = 30;
    let backend = HttpBackend::named("one");
    let pace = misbehaving(|case| ["endless-loop", "trap"].contains(&case.name), &backend);

    thread::scope(|scope| {
        let looping = scope.spawn(|| {
            let mut client = pace.client();
            (0..LOOPS).all(|_| client.get("/closed/endless-loop/misbehave").status == 503)
        });
        let mut client = pace.client();
        let mut served = 0;
        while !looping.is_finished() {
            let response = client.get("/closed/trap/fine");
            assert_eq!((response.status, response.text()), (200, "one"));
            served += 1;
        }
        assert!(looping.join().expect("it was answered"), "each of them failed");
        assert!(served > 0, "somebody was served meanwhile");
    });
    let labels = [("plugin", "endless-loop"), ("reason", "deadline")];
    assert!(pace.metrics().sum("pace_plugin_failures_total", &labels) >= 1);
}

#[test]
fn plugin_that_always_fails_does_not_affect_other_routes() {
    let backend = HttpBackend::named("one");
    let pace = misbehaving(|case| case.name == "trap", &backend);
    let mut client = pace.client();
    for _ in 0..50 {
        assert_eq!(client.get("/closed/trap/misbehave").status, 503);
        assert_eq!(client.get("/elsewhere").text(), "one");
    }
    assert_eq!(
        client.connections(),
        1,
        "a refused request leaves the connection usable"
    );
    assert_eq!(backend.connections(), 1);
}

#[test]
fn route_overrides_the_failure_policy() {
    let backend = HttpBackend::named("one");
    let pace = Pace::with_config(&format!(
        r#"{ONE_WORKER}{}on_failure = "open"

{}
[[routes]]
pool = "web"
plugins = ["trap"]

[[routes]]
match = {{ path_prefix = "/login" }}
pool = "web"
plugins = [{{ use = "trap", on_failure = "closed" }}]
"#,
        plugin("trap", &fixture("trap")),
        pool("web", &[&backend]),
    ));
    assert_eq!(pace.get("/misbehave").status, 200);
    assert_eq!(pace.get("/login/misbehave").status, 503);
}

/// The same plugin fails with less memory than it needs, and works with more.
#[test]
fn operator_sets_the_limits() {
    let backend = HttpBackend::named("one");
    for (memory_mb, reason) in [(4, "memory"), (32, "deadline")] {
        let pace = Pace::with_config(&format!(
            r#"{ONE_WORKER}{}limits = {{ memory_mb = {memory_mb}, time_ms = 5 }}

{}
[[routes]]
pool = "web"
plugins = ["fill"]
"#,
            plugin("fill", &fixture("memory-fill")),
            pool("web", &[&backend]),
        ));
        assert_eq!(pace.get("/misbehave").status, 503);
        assert_eq!(pace.get("/").status, 200);
        let labels = [("plugin", "fill"), ("reason", reason)];
        assert_eq!(
            pace.metrics().sum("pace_plugin_failures_total", &labels),
            1,
            "{reason}"
        );
    }
}

/// The author finds message, file and line in the log, without having done anything for it.
#[test]
fn panic_is_logged_with_its_text_file_and_line() {
    let source = std::fs::read_to_string(pace_tests::root().join("tests/fixtures/examples/trap.rs"));
    let source = source.expect("it is there");
    let line = 1 + source
        .lines()
        .take_while(|line| !line.contains("assert!"))
        .count();
    let backend = HttpBackend::named("one");
    let pace = Pace::with_config(&with_plugins(SERVER, &[("mine", &fixture("trap"))], &[&backend]));
    assert_eq!(pace.get("/misbehave").status, 503);
    pace.wait_for_log(&[
        "ERROR",
        "mine: panicked at ",
        &format!("trap.rs:{line}:"),
        "asked to panic",
    ]);
}
