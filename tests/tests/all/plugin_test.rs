//! `pace plugin test`: runs declarative cases against a plugin's file, without a network.

mod attempts;
mod streams;

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
