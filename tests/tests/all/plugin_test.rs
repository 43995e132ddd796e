//! `pace plugin test`: runs declarative cases against a plugin's file, without a network.

use std::fs;
use std::path::Path;

use pace_tests::{Exit, Setup, fixture, root};

/// Runs one file of cases, `cases.toml`.
fn run(cases: &str, args: &[&str]) -> Exit {
    Setup::new()
        .file("cases.toml", cases)
        .args(["plugin", "test", "cases.toml"])
        .args(args)
        .run()
}

/// Runs one file of cases for a fixture.
fn run_fixture(name: &str, cases: &str) -> Exit {
    run(&format!("wasm = {:?}\n{cases}", fixture(name)), &[])
}

/// Checks that one case fails: exit code 1. Returns the output.
fn failing(exit: &Exit) -> &str {
    assert_eq!(exit.code, Some(1), "{exit:#?}");
    assert!(exit.stderr.contains("cases failed"), "{exit:#?}");
    &exit.stdout
}

const LIMITER: &str = "wasm = 'builtin:rate-limiter'\n";

/// The files of cases beside the default plugins are also their documentation.
#[test]
fn default_plugins_pass_their_cases() {
    for name in builtins() {
        passes(&root().join("plugins").join(name));
    }
}

/// The names of the default plugins, as the program lists them.
pub(crate) fn builtins() -> Vec<String> {
    let config = "[[plugins]]\nname = 'x'\nwasm = 'builtin:x'\n";
    let exit = Setup::new().args(["check"]).config(config).run();
    let list = exit
        .refusal()
        .lines()
        .find(|line| line.contains("there is no builtin plugin"))
        .and_then(|line| line.split_once("Allowed: "))
        .map(|(_, list)| list.split('`').skip(1).step_by(2).map(str::to_owned).collect());
    let names: Vec<String> = list.unwrap_or_else(|| panic!("no list of names in: {exit:#?}"));
    assert!(names.len() >= 6, "{names:?}");
    names
}

/// The cases of the cookbook run against the files that `cargo xtask plugins` has made.
#[test]
fn cookbook_plugins_pass_their_cases() {
    for name in crate::cookbook::crates() {
        passes(&root().join("plugins/cookbook").join(name));
    }
}

fn passes(directory: &Path) {
    let exit = Setup::new().args(["plugin", "test"]).args([directory]).run();
    assert_eq!(exit.code, Some(0), "{}{}", exit.stdout, exit.stderr);
    assert!(exit.stdout.contains(" cases passed"), "{exit:#?}");
}

#[test]
fn difference_is_shown_with_file_line_and_case() {
    let exit = run(
        &format!(
            "{LIMITER}
[[case]]
name = \"the third of two\"
config = {{ max_requests = 2 }}
[[case.step]]
repeat = 3
advance_ms = 250
expect.verdict = \"next\"
[[case.step]]
expect.response.status = 429
"
        ),
        &[],
    );
    let expected = "\
cases.toml, for builtin:rate-limiter
  FAIL  the third of two
        cases.toml:4: step 1 (line 6), repetition 3 of 3, request 3, 750ms after the beginning

        cases.toml:9:18: verdict
          9 | expect.verdict = \"next\"
            |                  ^^^^^^
          expected  next
          found     respond (request-filter: 429)
";
    assert!(failing(&exit).starts_with(expected), "{}", exit.stdout);
    assert!(exit.stderr.ends_with("pace: 1 of 1 cases failed\n"), "{exit:#?}");
}

/// Each kind of expectation can fail.
#[test]
fn expectation_of_every_kind_can_fail() {
    let exit = run(
        &format!(
            "{LIMITER}
[[case]]
name = 'all'
config = {{ max_requests = 1 }}
[[case.step]]
expect.verdict = 'next'
[[case.step]]
[case.step.expect]
verdict = 'pass'
hook = 'select-upstream'
backend = '10.0.0.1:8000'
log = ['info: hello']
counters = {{ denied = 1 }}
failure = {{ reason = 'trap', message = {{ contains = 'x' }} }}
windows = [{{ name = 'requests', address = '192.0.2.1', events = {{ least = 2 }} }}]
request = {{ path = '/x', absent = ['host'], headers = {{ x-a = '1' }} }}
response = {{ status = 428, absent = ['retry-after'], body = {{ matches = '^x' }}, unchanged = true, headers = {{ vary = ['1', {{ contains = '2' }}] }} }}
"
        ),
        &[],
    );
    let printed = failing(&exit);
    for (key, expected, found) in [
        ("verdict", "pass", "respond (request-filter: 429)"),
        ("hook", "select-upstream", "request-filter"),
        (
            "backend",
            "\"10.0.0.1:8000\"",
            "none was picked: respond (request-filter: 429)",
        ),
        ("log", "\"info: hello\"", "none"),
        ("counters.denied", "1", "no such counter; there are: none"),
        (
            "failure",
            "a failure (trap) with a text that contains \"x\"",
            "no failure: respond (request-filter: 429)",
        ),
        ("events in window requests", "at least 2", "1"),
        ("request.path", "\"/x\"", "\"/\""),
        ("request header host", "not there", "\"example.com\""),
        ("request.headers.x-a", "\"1\"", "none"),
        ("response.status", "428", "429"),
        ("response header retry-after", "not there", "\"60\""),
        (
            "response.body",
            "a text that matches \"^x\"",
            "\"Too many requests.\\n\"",
        ),
        ("response", "as it was", "respond (request-filter: 429)"),
        (
            "response.headers.vary",
            "\"1\", a text that contains \"2\"",
            "none",
        ),
    ] {
        let (_, after) = printed
            .split_once(&format!(": {key}\n"))
            .unwrap_or_else(|| panic!("no {key} in:\n{printed}"));
        let shown: Vec<&str> = after.lines().skip(2).take(2).map(str::trim).collect();
        assert_eq!(
            shown,
            [format!("expected  {expected}"), format!("found     {found}")]
        );
    }
}

#[test]
fn different_count_is_shown_with_all_counts() {
    let case =
        "[[case]]\nname = 'x'\nconfig = { max_requests = 3 }\nrepeat = 5\ntally.status = { 200 = 4 }\n";
    let exit = run(&format!("{LIMITER}{case}"), &[]);
    let printed = failing(&exit);
    assert!(printed.contains("tally.status.200"), "{printed}");
    assert!(printed.contains("found     3 (200: 3, 429: 2)"), "{printed}");
}

/// The seed reproduces the order in which the cases failed.
#[test]
fn random_order_names_its_seed() {
    let case = |shuffle: &str| {
        format!(
            "{LIMITER}[[case]]\nname = 'x'\nconfig = {{ max_requests = 3 }}\nshuffle = {shuffle}\n\
             [[case.step]]\nrepeat = 3\nexpect.verdict = 'next'\n\
             [[case.step]]\nrequest.path = '/other'\ntally.verdict = {{ next = 1 }}\n"
        )
    };
    let first = run(&case("{ seed = 7 }"), &[]);
    let printed = failing(&first);
    let (_, again) = printed.split_once("in the order of `shuffle = ").expect(printed);
    let (again, _) = again.split_once('`').expect(printed);
    let second = run(&case(again), &[]);
    assert_eq!(failing(&second), printed);
}

#[test]
fn failing_plugin_is_shown_with_its_log() {
    let exit = run_fixture(
        "trap",
        "[[case]]\nname = 'x'\nrequest.path = '/misbehave'\nexpect.response.status = 200\n",
    );
    let printed = failing(&exit);
    for part in [
        "request-filter failed: trap",
        "it panicked at tests/fixtures/examples/trap.rs:",
        "no response: fail (request-filter: trap)",
        "the plugin logged",
        "error: panicked at tests/fixtures/examples/trap.rs:",
        "asked to panic",
    ] {
        assert!(printed.contains(part), "{part:?} in:\n{printed}");
    }
}

#[test]
fn failure_can_be_expected_and_the_next_request_is_served() {
    for (name, reason, message) in [
        ("trap", "trap", "asked to panic"),
        ("endless-loop", "deadline", "longer than its 10ms"),
        ("memory-bomb", "memory", "allowed"),
        ("illegal-reply-header", "illegal-output", "x-split"),
        (
            "reads-response-early",
            "trap",
            "responses can be looked at in response-filter",
        ),
    ] {
        let exit = run_fixture(
            name,
            &format!(
                "[[case]]\nname = 'x'\n[[case.step]]\nrequest.path = '/misbehave'\n\
                 expect.failure = {{ reason = '{reason}', message = {{ contains = '{message}' }} }}\n\
                 [[case.step]]\nexpect.verdict = 'next'\n"
            ),
        );
        assert_eq!(exit.code, Some(0), "{name}: {}{}", exit.stdout, exit.stderr);
    }
}

#[test]
fn all_mistakes_are_shown_with_their_lines() {
    let exit = run(
        &format!(
            "{LIMITER}
[[case]]
name = \"x\"
expect.verdikt = \"next\"
request.client = \"1.2.3\"
tally.verdict.nxt = 4
"
        ),
        &[],
    );
    let message = exit.refusal();
    for part in [
        "cases.toml:5:8: unknown key `verdikt` in `expect` in [[case]]: did you mean `verdict`?",
        "  5 | expect.verdikt = \"next\"",
        "cases.toml:6:18: `request.client` in [[case]]: \"1.2.3\" is not an IP address",
        "there is no `nxt` here: did you mean `next`?",
    ] {
        assert!(message.contains(part), "{part:?} in:\n{message}");
    }
}

#[test]
fn invalid_case_is_refused() {
    for (cases, part) in [
        ("", "there is no [[case]] in this file"),
        ("[[case]]\nname = 'x'", "expects nothing, so it cannot fail"),
        (
            "[[case]]\nname = 'x'\nrepeat = 2\n[[case.step]]\nexpect.verdict = 'next'",
            "this case has steps: write `repeat`",
        ),
        (
            "[[case]]\nname = 'x'\ntried = ['10.0.0.2:8000']\nexpect.verdict = 'next'",
            "there is no backend `10.0.0.2:8000`: did you mean `10.0.0.1:8000`?",
        ),
        (
            "[[case]]\nname = 'x'\npool.backends = []\nexpect.verdict = 'next'",
            "at least one backend",
        ),
        (
            "[[case]]\nname = 'x'\nwindows = [{ name = 'x', events = 1 }]\nexpect.verdict = 'next'",
            "One of `address`, `network` and `text`",
        ),
        (
            "[[case]]\nname = 'x'\nexpect = { refusal = 'x', verdict = 'next' }",
            "expect nothing else",
        ),
        (
            "[[case]]\nname = 'x'\nexpect.request.unchanged = false",
            "`true` is the only value",
        ),
        ("[[case]]\nname = 'x'\ntally.status.999 = 1", "is not a status"),
        (
            "[[case]]\nname = 'x'\nclock = 2026-01-01\nexpect.verdict = 'next'",
            "2026-01-31T12:00:00Z",
        ),
        (
            "[[case]]\nname = 'x'\nrequest = { body = 'ab', pieces = ['a', 'b'] }\nexpect.verdict = 'next'",
            "leave `body` out",
        ),
        (
            "[[case]]\nname = 'x'\nattempts = [{ failure = 'closed', response.status = 200 }]\nexpect.verdict = 'next'",
            "brings no response",
        ),
        (
            "[[case]]\nname = 'x'\nattempts = ['status']\nexpect.verdict = 'next'",
            "{ response = { status = 503 } }",
        ),
        (
            "[[case]]\nname = 'x'\nresponse.ends = 'refused'\nexpect.verdict = 'next'",
            "there is no `refused` here",
        ),
    ] {
        let exit = run(&format!("{LIMITER}{cases}"), &[]);
        assert!(exit.refusal().contains(part), "{part:?} in:\n{}", exit.stderr);
    }
}

#[test]
fn window_that_the_plugin_does_not_open_cannot_be_filled() {
    let case = "[[case]]\nname = 'x'\nexpect.verdict = 'next'\n\
                windows = [{ name = 'request', text = 'a', events = 1 }]\n";
    let exit = run(&format!("{LIMITER}{case}"), &[]);
    let printed = failing(&exit);
    assert!(
        printed.contains("`configure` opens the window \"request\""),
        "{printed}"
    );
    assert!(printed.contains("it opens [\"requests\"]"), "{printed}");
}

#[test]
fn refused_configuration_fails_unless_it_is_expected() {
    let case = |expect: &str| format!("{LIMITER}[[case]]\nname = 'x'\nconfig = {{ x = 1 }}\n{expect}\n");
    let exit = run(&case("expect.verdict = 'next'"), &[]);
    assert!(failing(&exit).contains("unknown field `x`"), "{}", exit.stdout);
    let exit = run(&case("expect.refusal = { contains = 'unknown field `y`' }"), &[]);
    assert!(failing(&exit).contains("unknown field `x`"), "{}", exit.stdout);
    let exit = run(&case("expect.refusal = { contains = 'unknown field `x`' }"), &[]);
    assert_eq!(exit.code, Some(0), "{exit:#?}");
}

const TWO: &str = "\
[[case]]
name = 'the one'
expect.verdict = 'next'
[[case]]
name = 'the other'
expect.verdict = 'next'
";

#[test]
fn cases_can_be_listed_and_chosen_by_name() {
    let two = format!("{LIMITER}{TWO}");
    let list = run(&two, &["--list"]);
    assert_eq!(
        (list.code, list.stdout.as_str()),
        (Some(0), "cases.toml:3: the one\ncases.toml:6: the other\n")
    );
    let one = run(&two, &["--filter", "other"]);
    assert_eq!(one.code, Some(0), "{one:#?}");
    assert!(
        one.stdout.contains("the other") && !one.stdout.contains("the one"),
        "{one:#?}"
    );
    let none = run(&two, &["--filter", "zzz"]);
    assert!(
        none.refusal().contains("no case has \"zzz\" in its name"),
        "{none:#?}"
    );
}

#[test]
fn plugin_is_that_of_the_file_or_of_the_command_line() {
    let exit = run(TWO, &[]);
    assert_eq!(exit.code, Some(1), "{exit:#?}");
    assert!(exit.stderr.contains("use --wasm FILE"), "{exit:#?}");
    let exit = run(TWO, &["--wasm", "builtin:rate-limiter"]);
    assert_eq!(exit.code, Some(0), "{exit:#?}");
    let exit = run(&format!("wasm = 'nowhere.wasm'\n{TWO}"), &[]);
    assert!(exit.stderr.contains("cannot read nowhere.wasm"), "{exit:#?}");
}

/// The cases are `tests/*.toml` of the directory, and the plugin's file is named relative to them.
#[test]
fn directory_has_its_cases_in_tests() {
    let setup = Setup::new().args(["plugin", "test"]);
    let exit = Setup::new().args(["plugin", "test"]).run();
    assert!(exit.refusal().contains("tests/*.toml"), "{exit:#?}");

    let directory = setup.directory().join("tests");
    fs::create_dir(&directory).expect("a temporary directory can be filled");
    fs::copy(
        pace_tests::component("rate-limiter"),
        setup.directory().join("plugin.wasm"),
    )
    .expect("a temporary directory can be filled");
    for name in ["a", "b"] {
        fs::write(
            directory.join(format!("{name}.toml")),
            format!("wasm = '../plugin.wasm'\n{TWO}"),
        )
        .expect("a temporary directory can be filled");
    }
    let exit = setup.run();
    assert_eq!(exit.code, Some(0), "{exit:#?}");
    assert!(exit.stdout.starts_with("tests/a.toml, for "), "{exit:#?}");
    assert!(exit.stdout.ends_with("4 cases passed\n"), "{exit:#?}");
}

/// The hook sees every case that the contract has for a failure, including the one with a number.
#[test]
fn hook_is_told_the_failure_of_the_previous_attempt() {
    let told = [
        ("", "None"),
        ("last_failure = 'connection-refused'", "Some(ConnectionRefused)"),
        ("last_failure = 'connection-timeout'", "Some(ConnectionTimeout)"),
        ("last_failure = 'connection-failed'", "Some(ConnectionFailed)"),
        ("last_failure = 'tls'", "Some(Tls)"),
        ("last_failure = 'closed'", "Some(Closed)"),
        ("last_failure = 'response-timeout'", "Some(ResponseTimeout)"),
        ("last_failure = 'protocol'", "Some(Protocol)"),
        ("last_failure = { status = 503 }", "Some(Status(503))"),
        ("last_failure = 'other'", "Some(Other)"),
    ];
    let cases: String = told
        .iter()
        .map(|(given, said)| {
            format!("[[case]]\nname = {said:?}\nattempt = 2\n{given}\nexpect.response.body = {said:?}\n")
        })
        .collect();
    let exit = run_fixture("tells-failure", &cases);
    assert!(exit.stdout.contains("10 cases passed"), "{exit:#?}");

    let wrong = |given: &str| {
        let exit = run_fixture(
            "tells-failure",
            &format!("[[case]]\nname = 'x'\nlast_failure = {given}\n"),
        );
        exit.refusal().to_owned()
    };
    assert!(wrong("{ status = 700 }").contains("expected an integer from 200 to 599"));
    let refusal = wrong("503");
    assert!(
        refusal.contains("a failure such as \"connection-refused\" or { status = 503 }"),
        "{refusal}"
    );
    let refusal = wrong("'status'");
    assert!(
        refusal.contains("this failure has a number: { status = 503 }"),
        "{refusal}"
    );
}

/// What an attempt changes is part of what the backend gets.
#[test]
fn expected_request_is_that_of_the_attempt() {
    let edited = "request = { path = '/chat', body = 'old', pools = ['web', 'spare'], headers = { x-collect = 'yes', \
                  x-plan = 'pool=spare path=/v1 key=k body=new without=x-collect' } }\n";
    let exit = run_fixture(
        "attempts",
        &format!(
            "[[case]]\nname = 'x'\n{edited}expect.pool = 'spare'\n\
             [case.expect.request]\npath = '/v1'\nbody = 'new'\nabsent = ['x-collect']\n\
             headers = {{ authorization = 'Bearer k', x-prepared = '1 web None' }}\n"
        ),
    );
    assert_eq!(exit.code, Some(0), "{}{}", exit.stdout, exit.stderr);

    let exit = run_fixture(
        "attempts",
        &format!("[[case]]\nname = 'x'\n{edited}expect = {{ pool = 'web', request.unchanged = true }}\n"),
    );
    let shown = failing(&exit);
    for part in [
        "found     \"spare\"",
        "path \"/v1\" instead of \"/chat\"",
        "the body \"new\"",
        "authorization \"Bearer k\" instead of none",
    ] {
        assert!(shown.contains(part), "{part:?} in:\n{shown}");
    }
}

#[test]
fn attempt_begins_at_the_pool_of_the_request_and_is_told_of_where_it_went() {
    let cases = r#"
[defaults]
request.pools = ["web", "spare"]
[[case]]
name = "the first"
expect = { pool = "web", request.headers.x-prepared = "1 web None", log = ['info: pool Some("web")'] }
[[case]]
name = "named for the request"
request.headers.x-pool = "spare"
expect = { pool = "spare", request.headers.x-prepared = "1 spare None", log = ['info: pool Some("spare")'] }
[[case]]
name = "named for the attempt"
request.headers.x-plan = "pool=spare"
expect = { pool = "spare", request.headers.x-prepared = "1 web None", log = ['info: pool Some("spare")'] }
"#;
    let exit = run_fixture("attempts", cases);
    assert_eq!(exit.code, Some(0), "{}{}", exit.stdout, exit.stderr);
}

/// The body of an attempt can be changed if the plugin has it collected, or if there is none.
#[test]
fn attempt_has_the_content_that_it_would_have_in_pace() {
    let cases = r#"
[defaults]
limits.read_body_kb = 1
request = { body = "old", headers.x-plan = "body=new" }
[[case]]
name = "there is none"
request.body = ""
expect.request.body = "new"
[[case]]
name = "it is collected"
request.headers.x-collect = "yes"
expect.request.body = "new"
[[case]]
name = "it is on its way"
expect.response = { status = 500, body = "body=new: NotAvailable" }
[[case]]
name = "it is as large as the plugin may be shown"
hook = "attempt-filter"
request.body = "KIB"
expect.request.body = "new"
[[case]]
name = "it is larger"
hook = "attempt-filter"
request.body = "KIBx"
expect.response = { status = 500, body = "body=new: NotAvailable" }
"#;
    let exit = run_fixture("attempts", &cases.replace("KIB", &"x".repeat(1024)));
    assert_eq!(exit.code, Some(0), "{}{}", exit.stdout, exit.stderr);
}

#[test]
fn attempts_follow_as_long_as_they_are_wanted_and_listed() {
    let cases = r#"
[defaults]
request = { pools = ["web", "spare"], headers.x-plan = "key=first|pool=spare key=second", headers.x-judge = "429=retry" }
pool.backends = ["a:80", "b:80"]

[[case]]
name = "the response of the second"
attempts = [{ response.status = 429 }, { response = { headers.server = "second", body = "hello" } }]
expect.response = { status = 200, headers.server = "second", body = "hello", unchanged = true }
expect.pool = "spare"
expect.request.headers.authorization = "Bearer second"
expect.attempts = [
    { pool = "web", backend = "a:80", judgement = "retry", request.headers = { authorization = "Bearer first", x-prepared = "1 web None" } },
    { pool = "spare", backend = "b:80", judgement = "accept", request.headers = { authorization = "Bearer second", x-prepared = "2 web Some(Status(429))" } },
]

[[case]]
name = "none follows the last, whatever the plugin wants"
attempts = [{ response.status = 429 }, { response.status = 429 }]
expect.response.status = 429
expect.verdict = "next"
expect.attempts = [{ judgement = "retry" }, { judgement = "retry" }]
expect.annotations.judged = "2 spare 429 None false"

[[case]]
name = "a failure that the plugin accepts is followed by what is listed"
attempts = ["connection-refused", { failure = "response-timeout", after_ms = 50 }]
expect.response.status = 504
expect.attempts = [{ judgement = "accept" }, { judgement = "accept", request.headers.x-prepared = "2 web Some(ConnectionRefused)" }]
expect.log = ['info: pool Some("spare")']

[[case]]
name = "the plugin answers instead"
request.headers.x-judge = "failed=respond"
attempts = ["closed", {}]
expect = { verdict = "respond", hook = "attempt-filter", attempts = [{ judgement = "respond" }] }

[[case]]
name = "an attempt that is answered is not made"
request.headers.x-plan = "reply"
attempts = [{}, {}]
expect = { response.status = 299, attempts = [{ }] }

[[case]]
name = "the end is that of the attempt which was made"
request.headers.x-plan = "|reply"
attempts = ["closed", {}]
expect = { response.status = 299, log = ['info: pool Some("web")'], attempts = [{ pool = "web" }, {}] }

[[case]]
name = "what follows is not part of the case"
response.status = 429
expect = { verdict = "retry", attempts = [{ judgement = "retry", pool = "web" }] }
"#;
    let exit = run_fixture("attempts", cases);
    assert_eq!(exit.code, Some(0), "{}{}", exit.stdout, exit.stderr);

    let exit = run_fixture(
        "attempts",
        "[[case]]\nname = 'x'\nattempts = ['closed', {}]\n\
         expect.attempts = [{ judgement = 'retry', pool = 'other' }]\n",
    );
    let shown = failing(&exit);
    for part in [
        "attempts[0].judgement",
        "found     accept",
        "attempts[0].pool",
        "expected  1",
        "found     2",
    ] {
        assert!(shown.contains(part), "{part:?} in:\n{shown}");
    }
}

#[test]
fn balancer_is_told_of_the_attempts_before() {
    let cases = r#"
[[case]]
name = "each goes elsewhere"
pool.backends = ["a:80", "b:80", "c:80"]
attempts = ["connection-refused", "closed", {}]
expect.verdict = "pick"
expect.backend = "c:80"
expect.response.status = 200
expect.attempts = [{ backend = "a:80" }, { backend = "b:80" }, { backend = "c:80" }]
"#;
    let exit = run(&format!("wasm = 'builtin:round-robin'\n{cases}"), &[]);
    assert_eq!(exit.code, Some(0), "{}{}", exit.stdout, exit.stderr);
}

#[test]
fn body_passes_stream_filters_in_the_pieces_in_which_it_arrives() {
    let cases = r#"
[defaults]
limits = { unit_kb = 1, time_ms = 1000 }

[[case]]
name = "a request"
config = { of = "request", framing = "line" }
request = { pieces = ["one\ntw", "o\ndrop\n", "three"], headers = { content-length = "17", digest = "x" } }
expect.request.pieces = ["one(1)\n", "two(2)\n", "", "three(4)\ncomplete after 4\n"]
expect.request.body = "one(1)\ntwo(2)\nthree(4)\ncomplete after 4\n"
expect.request.ends = "complete"
expect.request.absent = ["content-length", "digest"]
expect.log = ["info: complete after 4"]

[[case]]
name = "a response"
config = { of = "response", framing = "event" }
response.pieces = ["data: one\n", "\ndata: two\n\n"]
expect.response.pieces = ["", "data: one(1)\n\ndata: two(2)\n\n", "data: complete after 2\n\n"]

[[case]]
name = "one that the filter looks at"
config = { of = "response", framing = "line", look = true }
response.pieces = ["one\nt", "wo"]
expect.response = { unchanged = true, pieces = ["one\n", "", "two"] }

[[case]]
name = "one in which the filter looks for something"
config = { of = "response", framing = "chunk", interest = ["needle"] }
response.pieces = ["hay", "nee", "dle"]
expect.response.pieces = ["hay", "", "needle(1)", "complete after 1"]

[[case]]
name = "the rest passes"
config = { of = "response", framing = "line" }
response.pieces = ["finish\none\n", "two"]
expect.response.pieces = ["finish\none\n", "two", "\ncomplete after 1\n"]

[[case]]
name = "the filter ends it"
config = { of = "response", framing = "line" }
response.pieces = ["stop\none\n", "two"]
expect.response.pieces = ["stop\ncomplete after 1\n", "", ""]

[[case]]
name = "the filter cuts it"
config = { of = "response", framing = "line" }
response.pieces = ["one\ncut\n", "two"]
expect.response = { status = 200, pieces = ["one(1)\n", "", ""], ends = "cut" }
expect.log = ["info: cut after 2", "info: refused: NotAvailable"]

[[case]]
name = "the filter cuts it before anything is sent"
config = { of = "response", framing = "line" }
response.pieces = ["cut\n"]
expect.response = { status = 502, ends = "cut" }

[[case]]
name = "the filter cuts it after Pace has waited"
config = { of = "response", framing = "line" }
response.pieces = ["c", "ut\n"]
expect.response = { status = 200, ends = "cut", pieces = ["", "", ""] }

[[case]]
name = "the filter ends it before the backend does"
config = { of = "response", framing = "line" }
response = { pieces = ["stop\n", "rest"], ends = "backend-failed" }
expect.response = { pieces = ["stop\ncomplete after 1\n", "", ""], ends = "complete" }

[[case]]
name = "the filter cuts the request"
config = { of = "request", framing = "line" }
request.pieces = ["cut\n"]
expect = { response.status = 503, request.ends = "cut", attempts = [{}] }

[[case]]
name = "the backend breaks it off"
config = { of = "response", framing = "line" }
response = { pieces = ["one\ntwo"], ends = "backend-failed" }
expect.response = { pieces = ["one(1)\n", ""], ends = "backend-failed" }

[[case]]
name = "the client goes"
config = { of = "request", framing = "line" }
request = { pieces = ["one\n"], ends = "client-gone" }
expect = { verdict = "next", request.ends = "client-gone" }

[[case]]
name = "further attempts send what was made"
config = { of = "request", framing = "line" }
request.body = "one"
attempts = ["closed", {}]
expect.log = ["info: complete after 1"]
expect.attempts = [{ request.body = "one(1)\ncomplete after 1\n" }, { request.body = "one(1)\ncomplete after 1\n" }]

[[case]]
name = "there is none to pass"
config = { of = "request", framing = "line" }
expect = { log = [], request.pieces = [""] }

[[case]]
name = "the filter fails"
config = { of = "response", framing = "line" }
response.body = "panic\n"
expect.failure = "trap"

[[case]]
name = "a line is too long"
config = { of = "response", framing = "line" }
response.body = "LONG"
expect.failure = { reason = "unit-too-large", message = "a line is longer than `limits.unit_kb`" }

[[case]]
name = "a part is not shown"
config = { of = "response", framing = "line" }
response = { status = 206, body = "part" }
expect.failure = "body-partial"
"#;
    let exit = run_fixture("stream-words", &cases.replace("LONG", &"x".repeat(1025)));
    assert_eq!(exit.code, Some(0), "{}{}", exit.stdout, exit.stderr);

    let exit = run_fixture(
        "stream-words",
        "[[case]]\nname = 'x'\nconfig = { of = 'response', framing = 'chunk' }\nresponse.pieces = ['a', 'b']\n\
         expect.response = { pieces = ['a', 'b'], ends = 'cut' }\n",
    );
    let shown = failing(&exit);
    for part in [
        "response.pieces",
        "\"a(1)\", \"b(2)\", \"complete after 2\"",
        "found     complete",
    ] {
        assert!(shown.contains(part), "{part:?} in:\n{shown}");
    }
}

#[test]
fn tables_metrics_and_secrets_are_set_and_expected() {
    let passes = |fixture: &str, cases: &str| {
        let exit = run_fixture(fixture, cases);
        assert_eq!(exit.code, Some(0), "{}{}", exit.stdout, exit.stderr);
    };
    passes(
        "state-keeper",
        r#"
[[case]]
name = "a value is there for its time, and a claim for its request"
tables.values.k = "old"
[[case.step]]
request = { path = "/state", headers = { x-do = ["swap k old new 1000", "claim l"] } }
expect.response.body = "Ok(Done)\nOk(Yours)"
expect.tables.values = { k = "new", l = false }
[[case.step]]
advance_ms = 1000
request = { path = "/state", headers = { x-do = ["get k", "claim l"] } }
expect.response.body = { contains = "None\nOk(Yours)" }
"#,
    );
    passes(
        "metric-hoard",
        r#"
[defaults]
limits = { time_ms = 1000 }
[[case]]
name = "series have the names of the export"
request = { path = "/a" }
repeat = 2
expect.metrics = { 'requests_total{path="/a"}' = { least = 1, most = 2 }, last_length = 2.5 }
[[case]]
name = "a histogram is three, and what is not there is 0"
request = { path = "/a" }
[case.expect.metrics]
'path_length_bucket{le="1"}' = 0
'path_length_bucket{le="4"}' = 1
path_length_sum = 2
path_length_count = 1
'requests_total{path="/b"}' = 0
"#,
    );
    passes(
        "secret-user",
        r#"
[defaults]
secrets = { hook = "key" }
[[case]]
name = "granted to all"
request.headers.x-password = "key"
expect.response.body = { contains = "Ok(false) Ok(true) Err(NotGranted)" }
[[case]]
name = "of this case"
secrets = { hook = "other" }
request.headers.x-password = "other"
expect.response.body = { contains = "Ok(true)" }
"#,
    );
}

#[test]
fn table_and_metric_that_differ_are_shown() {
    let exit = run_fixture(
        "metric-hoard",
        "[[case]]\nname = 'a'\nlimits = { time_ms = 1000 }\nexpect.metrics = { requests_total = 1, last_length = { most = 1 } }\n",
    );
    let shown = failing(&exit);
    for part in [
        "no such series; there are: ",
        "requests_total{path=\"/\"}",
        "metrics.last_length",
        "at most 1",
        "1.5",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let exit = run_fixture(
        "state-keeper",
        "[[case]]\nname = 'a'\nexpect.tables = { values = { k = 'x' }, other = { k = false } }\n",
    );
    let shown = failing(&exit);
    assert!(shown.contains("no value"), "{shown}");
    assert!(shown.contains("no such table; there are: values"), "{shown}");
}

#[test]
fn random_numbers_are_the_same_in_every_run() {
    let cases = "[[case]]\nname = 'a'\nrequest = { path = '/state', headers = { x-do = ['random', 'random'] } }\n\
        expect.response.body = ''\n";
    let shown = || failing(&run_fixture("state-keeper", cases)).to_owned();
    let first = shown();
    assert_eq!(first, shown());
    let lines: Vec<&str> = first.lines().filter(|line| line.contains('[')).collect();
    assert!(lines.len() >= 2 && lines[0] != lines[1], "{first}");
}
