//! `pace plugin test`: the plugin under test with others before and behind it on its route.

use std::path::PathBuf;

use pace_tests::{Exit, Setup, fixture};

/// Runs cases for a plugin. `FIXTURES/NAME` stands for the path of a fixture.
fn run(wasm: &str, cases: &str) -> Exit {
    let fixtures = fixture("no-op")
        .parent()
        .map(PathBuf::from)
        .expect("it is in a directory");
    let text = format!("wasm = '{wasm}'\n{cases}").replace("FIXTURES", &fixtures.to_string_lossy());
    Setup::new()
        .file("cases.toml", text)
        .args(["plugin", "test", "cases.toml"])
        .run()
}

fn passes(wasm: &str, cases: &str) {
    let exit = run(wasm, cases);
    assert_eq!(exit.code, Some(0), "{}{}", exit.stdout, exit.stderr);
}

/// Each plugin adds a value to the same header of the response, so that their order is seen.
#[test]
fn requests_pass_in_the_order_of_the_list_and_responses_in_reverse() {
    passes(
        "FIXTURES/tells-request.wasm",
        r#"
[[case]]
name = "the values of one are read by another"
before = [
    { name = "other", wasm = "FIXTURES/tells-request.wasm" },
    { wasm = "builtin:header-injection", config = { identify = false, request.set.x-tenant = "green" } },
]
hook = "request-filter"
request.headers.x-tenant = "blue"
expect.context.tenant = "green"
expect.annotations.tenant = "green"
expect.request.headers.x-tenant = "green"

[[case]]
name = "the last to see the request is the first to see the response"
before = [
    { name = "other", wasm = "FIXTURES/tells-request.wasm" },
    { wasm = "builtin:header-injection", config = { identify = false, request.set.x-tenant = "green" } },
]
request.headers.x-tenant = "blue"
expect.response.headers.x-told = [{ contains = "green and blue" }, { contains = "blue and blue" }]

[[case]]
name = "the values of the plugin under test are under its own name"
after = [{ name = "reader", wasm = "FIXTURES/tells-request.wasm" }]
request.headers.x-tenant = "blue"
expect.response.headers.x-told = [{ contains = "blue and ," }, { contains = "blue and ," }]
"#,
    );
    passes(
        "FIXTURES/tells-request.wasm",
        r#"
name = "other"
[[case]]
name = "the name is the file's to say"
after = [{ name = "reader", wasm = "FIXTURES/tells-request.wasm" }]
request.headers.x-tenant = "blue"
expect.response.headers.x-told = [{ contains = "blue and blue" }, { contains = "blue and blue" }]
"#,
    );
}

#[test]
fn first_answer_wins_and_is_seen_by_every_response_filter() {
    passes(
        "builtin:header-injection",
        r#"
[defaults]
config = { identify = false, request.set.x-seen = "1", response.set.x-seen = "1" }
[[case]]
name = "that of a plugin before it"
before = [{ wasm = "FIXTURES/respond.wasm" }]
request.path = "/respond"
expect.verdict = "next"
expect.hook = "response-filter"
expect.request.absent = ["x-seen"]
expect.response = { status = 418, headers = { x-fixture = "respond", x-seen = "1" } }
[[case]]
name = "that of a plugin behind it"
after = [{ wasm = "FIXTURES/respond.wasm" }, { wasm = "FIXTURES/trap.wasm" }]
request.path = "/respond/misbehave"
expect = { verdict = "next", request.headers.x-seen = "1", response = { status = 418, headers.x-seen = "1" } }
[[case]]
name = "a replacement is seen by those before the plugin that made it"
after = [{ wasm = "FIXTURES/response-respond.wasm" }]
request.path = "/respond"
expect = { verdict = "next", response = { status = 502, headers.x-seen = "1", body = "instead of a 200\n" } }
[[case]]
name = "and by none behind it"
before = [{ wasm = "FIXTURES/response-respond.wasm" }]
request.path = "/respond"
expect.response = { status = 502, absent = ["x-seen"], body = "instead of a 200\n" }
[[case]]
name = "no one else's"
before = [{ wasm = "FIXTURES/respond.wasm" }]
request.path = "/"
expect.response = { status = 200, headers.x-seen = "1" }
"#,
    );
    passes(
        "FIXTURES/respond.wasm",
        r#"
[[case]]
name = "its own stays its last word"
before = [{ wasm = "builtin:header-injection", config.response.set.x-seen = "1" }]
after = [{ wasm = "FIXTURES/trap.wasm" }]
request.path = "/respond/misbehave"
expect = { verdict = "respond", hook = "request-filter", response = { status = 418, headers.x-seen = "1" } }
"#,
    );
}

#[test]
fn bodies_are_shown_as_the_plugins_before_have_left_them() {
    passes(
        "FIXTURES/bodies.wasm",
        r#"
[defaults]
before = [{ name = "first", wasm = "FIXTURES/bodies.wasm" }]
[[case]]
name = "a request's"
request = { method = "POST", headers.x-request-body = "append A", body = "x" }
expect.request = { body = "xAA", headers = { x-saw = "2 xA", content-length = "3" } }
[[case]]
name = "a response's, in reverse"
request.headers.x-response-body = "append A"
response.body = "x"
expect.response = { body = "xAA", headers.x-response-saw = "2 xA" }
[[case]]
name = "each skips for itself"
before = [
    { name = "first", wasm = "FIXTURES/bodies.wasm" },
    { wasm = "builtin:header-injection", config = { identify = false, request.set.x-request-body = "append A" } },
]
request = { method = "POST", headers.x-request-body = "skip", body = "x" }
expect.request = { body = "xA", headers.x-saw = "1 x" }
[[case]]
name = "an answer of the first is the last"
request = { method = "POST", headers.x-request-body = "model", body = '{"model": "m"}' }
expect = { verdict = "next", hook = "response-body-filter", response = { status = 200, body = "m" } }
"#,
    );
}

#[test]
fn stream_filters_stand_one_behind_the_other() {
    let words = "FIXTURES/stream-words.wasm";
    let first = "{ name = 'first', wasm = 'FIXTURES/stream-words.wasm'";
    passes(
        words,
        &format!(
            r#"
[[case]]
name = "a request's, in the order of the list"
config = {{ of = "request", framing = "line" }}
before = [{first}, config = {{ of = "request", framing = "line" }} }}]
request = {{ method = "POST", pieces = ["a\n", "b\nc"] }}
expect.request.pieces = ["a(1)(1)\n", "b(2)(2)\n", {{ matches = '^c\(3\)\(3\)\ncomplete after 3\(4\)\ncomplete after 4\n$' }}]
expect.log = ["info: complete after 4"]
[[case]]
name = "a response's, in reverse"
config = {{ of = "response", framing = "line" }}
after = [{first}, config = {{ of = "response", framing = "line", size = 2 }} }}]
response.pieces = ["grow\n"]
expect.response.pieces = ["xx(1)\n", {{ contains = "complete after 2" }}]
expect.log = ["info: complete after 2"]
[[case]]
name = "one that cuts is the end for those before it"
config = {{ of = "request", framing = "line", interest = ["word"] }}
after = [{first}, config = {{ of = "request", framing = "line" }} }}]
request = {{ method = "POST", pieces = ["a\n", "cut\n", "word\n"] }}
expect.request = {{ pieces = ["a(1)\n", "", "", ""], ends = "cut" }}
expect.response.status = 503
expect.log = ["info: cut after 0", "info: refused: NotAvailable"]
[[case]]
name = "one that stops is the end for those behind it"
config = {{ of = "request", framing = "line" }}
before = [{first}, config = {{ of = "request", framing = "line" }} }}]
request = {{ method = "POST", pieces = ["stop\n", "b\n"] }}
expect.request = {{ ends = "complete", body = {{ matches = '^stop(.|\n)*complete after 1' }} }}
[[case]]
name = "all are told that the client has gone"
config = {{ of = "request", framing = "line" }}
before = [{first}, config = {{ of = "request", framing = "line" }} }}]
request = {{ method = "POST", pieces = ["a\n"], ends = "client-gone" }}
expect.request = {{ pieces = ["a(1)(1)\n", ""], ends = "client-gone" }}
expect.log = ["info: client-gone after 1", "info: refused: NotAvailable"]
"#
        ),
    );
}

#[test]
fn attempts_are_prepared_in_order_and_judged_in_reverse() {
    passes(
        "FIXTURES/attempts.wasm",
        r#"
[defaults]
request = { pools = ["a", "b"], headers = { x-plan = "pool=b", x-judge = "429=retry 298=respond" } }
[[case]]
name = "the one behind it judges first"
after = [{ name = "last", wasm = "FIXTURES/attempts.wasm" }]
attempts = [{ response.status = 429 }, { response.status = 200 }]
expect.verdict = "next"
expect.response.status = 200
expect.attempts = [{ pool = "b", request.headers.x-prepared = ["1 a None", "1 b None"] }, { judgement = "accept" }]
[[case]]
name = "its own judgement comes before that of the one before it"
before = [{ name = "first", wasm = "FIXTURES/attempts.wasm" }]
attempts = [{ response.status = 429 }, { response.status = 200 }]
expect.attempts = [{ judgement = "retry" }, { judgement = "accept" }]
[[case]]
name = "a judgement that is not asked for is none"
after = [{ name = "last", wasm = "FIXTURES/attempts.wasm" }]
request.headers.x-judge = "200=respond"
expect = { verdict = "next", response.status = 298 }
"#,
    );
    let exit = run(
        "FIXTURES/attempts.wasm",
        r#"
[[case]]
name = "x"
after = [{ name = "last", wasm = "FIXTURES/attempts.wasm" }]
request.headers = { x-plan = "", x-judge = "200=respond" }
expect.attempts = [{ judgement = "respond" }]
"#,
    );
    assert!(
        exit.stdout.contains("found     the plugin was not asked"),
        "{exit:#?}"
    );
}

#[test]
fn backend_is_the_choice_of_the_first_that_picks() {
    passes(
        "FIXTURES/select-respond.wasm",
        r#"
[defaults]
pool.backends = ["a:80", "b:80"]
[[case]]
name = "one that passes leaves it to the next"
after = [{ wasm = "builtin:round-robin" }]
attempts = ["connection-refused", { response.status = 201 }]
expect = { verdict = "pass", hook = "select-upstream", response.status = 201, attempts = [{ backend = "a:80" }, { backend = "b:80" }] }
[[case]]
name = "one behind it that passes too leaves none"
after = [{ name = "other", wasm = "FIXTURES/select-respond.wasm" }]
expect = { verdict = "pass", attempts = [{}] }
"#,
    );
    passes(
        "builtin:round-robin",
        r#"
[defaults]
pool.backends = ["a:80", "b:80"]
[[case]]
name = "what was picked is asked of no other"
before = [{ wasm = "FIXTURES/in-order.wasm" }]
attempt = 2
counters = { "requests.test" = 0 }
expect = { verdict = "next", attempts = [{ backend = "b:80" }], counters = { "requests.test" = 0 } }
"#,
    );
}

/// A limiter counts in the time of the case, and the end of a request is told to all.
#[test]
fn neighbors_share_the_time_and_the_end_of_a_request() {
    passes(
        "FIXTURES/tells-outcome.wasm",
        r#"
[[case]]
name = "x"
before = [{ wasm = "builtin:rate-limiter", config = { max_requests = 1, window_seconds = 60 } }]
[[case.step]]
expect.log = [{ contains = "complete Some(200)" }]
[[case.step]]
expect.log = [{ contains = "complete Some(429)" }]
[[case.step]]
advance_ms = 61_000
expect.log = [{ contains = "complete Some(200)" }]
"#,
    );
}

#[test]
fn neighbor_that_fails_fails_the_case() {
    let exit = run(
        "FIXTURES/no-op.wasm",
        "[[case]]\nname = 'x'\nbefore = [{ wasm = 'FIXTURES/trap.wasm' }]\nrequest.path = '/misbehave'\nexpect.failure = 'trap'\n",
    );
    assert_eq!(exit.code, Some(1), "{exit:#?}");
    for part in [
        "request-filter of the plugin `trap` beside it failed: trap",
        "it panicked at tests/fixtures/examples/trap.rs:",
        "found     no failure:",
    ] {
        assert!(exit.stdout.contains(part), "{part:?} in:\n{}", exit.stdout);
    }
    let exit = run(
        "FIXTURES/no-op.wasm",
        "[[case]]\nname = 'x'\nafter = [{ wasm = 'builtin:rate-limiter', config = { x = 1 } }]\nexpect.verdict = 'next'\n",
    );
    assert_eq!(exit.code, Some(1), "{exit:#?}");
    assert!(
        exit.stdout.contains("cases.toml:4:10: configure") && exit.stdout.contains("unknown field `x`"),
        "{exit:#?}"
    );
}

#[test]
fn neighbors_of_a_case_replace_those_of_the_defaults() {
    passes(
        "FIXTURES/no-op.wasm",
        r#"
[defaults]
before = [{ wasm = "FIXTURES/respond.wasm" }]
request.path = "/respond"
[[case]]
name = "those of the defaults"
expect.response.status = 418
[[case]]
name = "none"
before = []
expect.response.status = 200
[[case]]
name = "those behind it are another list"
after = [{ wasm = "builtin:header-injection", config.response.set.x-a = "1" }]
expect.response = { status = 418, headers.x-a = "1" }
"#,
    );
}

#[test]
fn mistaken_neighbor_is_refused() {
    for (case, part) in [
        ("before = [{ config = {} }]", "the key `wasm` is missing"),
        (
            "before = [{ wasm = 'builtin:round-robin', confg = {} }]",
            "did you mean `config`?",
        ),
        (
            "before = [{ wasm = 'builtin:round-robin' }]\nafter = [{ wasm = 'builtin:round-robin' }]",
            "cases.toml:5:10: there is another plugin `round-robin` on this route",
        ),
        (
            "after = [{ name = 'test', wasm = 'builtin:round-robin' }]",
            "there is another plugin `test` on this route",
        ),
        ("after = [{ wasm = 'nowhere.wasm' }]", "cannot read nowhere.wasm"),
    ] {
        let exit = run(
            "FIXTURES/no-op.wasm",
            &format!("[[case]]\nname = 'x'\n{case}\nexpect.verdict = 'next'\n"),
        );
        assert_eq!(exit.code, Some(1), "{exit:#?}");
        assert!(exit.stderr.contains(part), "{part:?} in:\n{}", exit.stderr);
    }
}
