//! `pace plugin test`: values that one step keeps and later ones name.

use pace_tests::{Exit, Setup, fixture};

/// Runs steps for a plugin that changes no request. The response of a step is what its backend sends.
fn run(steps: &str) -> Exit {
    run_fixture("no-op", steps)
}

fn run_fixture(name: &str, steps: &str) -> Exit {
    let wasm = fixture(name);
    Setup::new()
        .file(
            "cases.toml",
            format!("wasm = {wasm:?}\n[[case]]\nname = 'x'\n{steps}"),
        )
        .args(["plugin", "test", "cases.toml"])
        .run()
}

#[test]
fn value_of_every_source_is_sent_and_expected_in_later_steps() {
    let exit = run(r#"
[[case.step]]
request = { path = "/a?b", headers.x-id = "7", body = "token=t.1" }
response = { headers.set-cookie = ["theme=dark", "sid=s+1; Path=/"], body = '{"csrf": "c{1}"}' }
keep.path = "request.path"
keep.id = "request.headers.x-id"
keep.token = { from = "request.body", matches = "token=(.+)" }
keep.session = { from = "response.headers.set-cookie", matches = "sid=([^;]+)" }
keep.csrf = { from = "response.body", matches = '"csrf": "([^"]*)"' }
keep.word = { from = "response.body", matches = "[a-z]+" }
expect.request.path = "{path}"
[[case.step]]
repeat = 2
request = { path = "{path}&id={id}", headers.cookie = "sid={session}; t={token}", pieces = ['{"csrf": ', '"{csrf}", "{word}": "{other}"}'] }
response = { headers.location = "/{id}", body = "{id}" }
expect.request = { path = "/a?b&id=7", headers.cookie = "sid=s+1; t=t.1", body = '{"csrf": "c{1}", "csrf": "{other}"}', pieces = ['{"csrf": ', '"c{1}", "csrf": "{other}"}', ""] }
expect.response = { headers.location = "/7", body = "7", unchanged = true }
[[case.step]]
request = { headers = { x-exact = "s+1", x-part = "is s+1.", x-other = "ss1" } }
expect.request.headers = { x-exact = "{session}", x-part = { contains = "s {session}" }, x-other = { matches = "^[^+]{3}$" } }
[[case.step]]
request.headers = { x-a = "s+1:7", x-b = "7 7" }
expect.request.headers = { x-a = { matches = "^{session}:[0-9]{1}$" }, x-b = { matches = "^({id} ?){2}$" } }
"#);
    assert_eq!(exit.code, Some(0), "{}{}", exit.stdout, exit.stderr);
}

/// An id that the plugin makes up, and the state that it keeps under it.
#[test]
fn value_names_keys_of_tables_windows_and_values_of_the_context() {
    let exit = run_fixture(
        "state-keeper",
        r#"
[[case.step]]
request = { path = "/state", headers.x-do = "random" }
keep.id = { from = "response.body", matches = "^[0-9a-f]{16}" }
expect.response.body = { contains = "{id}" }
[[case.step]]
request = { path = "/state", headers.x-do = ["set {id} v", "take {id} 3"] }
expect.tables.values = { "{id}" = "v", id = false }
expect.windows = [{ name = "budget", text = "{id}", events = 3 }, { name = "budget", text = "id", events = 0 }]
"#,
    );
    assert_eq!(exit.code, Some(0), "{}{}", exit.stdout, exit.stderr);
    let exit = run_fixture(
        "tells-request",
        r#"
[[case.step]]
hook = "request-filter"         # `finished` removes it
request.headers.x-tenant = "blue"
keep.tenant = "context.tenant"
expect.annotations.tenant = "{tenant}"
[[case.step]]
hook = "request-filter"
request.headers.x-tenant = "not {tenant}"
expect.context.tenant = "not blue"
"#,
    );
    assert_eq!(exit.code, Some(0), "{}{}", exit.stdout, exit.stderr);
}

/// A value is not a pattern, and the difference shows what was compared.
#[test]
fn value_in_a_regular_expression_stands_for_itself() {
    let exit = run(r#"
[[case.step]]
response.body = "a.c"
keep.part = "response.body"
expect.response.body = { matches = "^{part}$" }
[[case.step]]
response.body = "abc"
expect.response.body = { matches = "^{part}$" }
"#);
    assert_eq!(exit.code, Some(1), "{exit:#?}");
    assert!(
        exit.stdout.contains(r#"expected  a text that matches "^a\\.c$""#)
            && exit.stdout.contains(r#"found     "abc""#),
        "{exit:#?}"
    );
}

#[test]
fn later_value_replaces_an_earlier_one() {
    let exit = run(r#"
[[case.step]]
response.body = "1"
keep.token = "response.body"
[[case.step]]
request.path = "/{token}"
response.body = "2"
keep.token = "response.body"
expect.request.path = "/1"
expect.response.body = "{token}"
[[case.step]]
request.path = "/{token}"
expect.request.path = "/2"
"#);
    assert_eq!(exit.code, Some(0), "{}{}", exit.stdout, exit.stderr);
}

#[test]
fn value_that_is_not_there_fails_the_case_and_shows_what_is() {
    for (step, expected, found) in [
        (
            "response.headers.set-cookie = ['a=1', 'b=2']\nkeep.v = { from = 'response.headers.set-cookie', matches = 'sid=(.*)' }",
            r#"a text that matches "sid=(.*)""#,
            r#""a=1", "b=2""#,
        ),
        ("keep.v = 'request.headers.x-a'", "a text", "none"),
        (
            "response.body = 'no token'\nkeep.v = { from = 'response.body', matches = 'token=' }",
            r#"a text that matches "token=""#,
            r#""no token""#,
        ),
        ("keep.v = 'context.tenant'", "a text", "no such value"),
    ] {
        let exit = run(&format!(
            "[[case.step]]\n{step}\n[[case.step]]\nrequest.body = '{{v}}'\nexpect.verdict = 'next'\n"
        ));
        assert_eq!(exit.code, Some(1), "{exit:#?}");
        let (_, after) = exit
            .stdout
            .split_once(": keep.v\n")
            .unwrap_or_else(|| panic!("{exit:#?}"));
        let compared = format!("expected  {expected}\n          found     {found}\n");
        assert!(after.contains(&compared), "{compared} in:\n{after}");
        assert!(!exit.stdout.contains("step 2"), "{exit:#?}");
    }
}

#[test]
fn value_that_does_not_fit_where_it_is_sent_fails_the_case() {
    for (text, sent, message) in [
        (
            "a b",
            "request.path = '/{v}'",
            "path\n          expected  a path as in a request",
        ),
        (
            "a\\nb",
            "request.headers.x-a = '{v}'",
            "headers\n          expected  a value that a header can have",
        ),
    ] {
        let exit = run(&format!(
            "[[case.step]]\nresponse.body = \"{text}\"\nkeep.v = 'response.body'\n[[case.step]]\n{sent}\nexpect.verdict = 'next'\n"
        ));
        assert_eq!(exit.code, Some(1), "{exit:#?}");
        assert!(
            exit.stdout.contains(message) && exit.stdout.contains("step 2 (line 7)"),
            "{exit:#?}"
        );
    }
}

#[test]
fn mistaken_keep_is_refused_with_its_line() {
    for (steps, parts) in [
        (
            "[[case.step]]\nkeep.v = 'response.headres.x'\nexpect.response.body = '{v}'",
            &["cases.toml:5:10", "nothing is kept from `response.headres.x`"][..],
        ),
        (
            "[[case.step]]\nkeep.v = { from = 'response.body', matches = '(' }\nexpect.response.body = '{v}'",
            &["cases.toml:5:46", "is not a regular expression"],
        ),
        (
            "[[case.step]]\nkeep.2 = 'response.body'\nexpect.response.body = '{2}'",
            &["\"2\" must be a letter"],
        ),
        (
            "[[case.step]]\nkeep.v = 'response.body'\n[[case.step]]\nexpect.response.body = '{w}'",
            &["cases.toml:5:10", "has `{v}`"],
        ),
        (
            "[[case.step]]\nrequest.path = '/{v}'\nkeep.v = 'response.body'\nexpect.response.body = '{v}'",
            &["cases.toml:4:1", "`{v}` is kept by a later step only"],
        ),
        (
            "[[case.step]]\nexpect.response.body = '{v}'\n[[case.step]]\nkeep.v = 'response.body'\nexpect.response.body = '{v}'",
            &["cases.toml:5:24", "`{v}` is kept by a later step only"],
        ),
        (
            "[[case.step]]\nexpect.response.body = { matches = '^{w}$' }",
            &["cases.toml:5:24", "no step of this case keeps `w`", "\\{"],
        ),
        (
            "[[case.step]]\nrequest.path = '{v}'\nexpect.verdict = 'next'",
            &[
                "cases.toml:4:1",
                "no step of this case keeps `v`, with which the path begins",
            ],
        ),
        (
            "expect.verdict = 'next'\n[defaults]\nrequest.path = '{v}'",
            &[
                "cases.toml:6",
                "no step of this case keeps `v`, with which the path begins",
            ],
        ),
        (
            "expect.refusal = { matches = '^{w}$' }",
            &["cases.toml:4:18", "no step of this case keeps `w`"],
        ),
        (
            "shuffle = { seed = 1 }\n[[case.step]]\nkeep.v = 'response.body'\nexpect.response.body = '{v}'",
            &["cases.toml:4:11", "in random order no step comes before another"],
        ),
        (
            "keep.v = 'response.body'\nexpect.response.body = '{v}'",
            &["unknown key `keep`"],
        ),
    ] {
        let exit = run(steps);
        for part in parts {
            assert!(exit.refusal().contains(part), "{part:?} in:\n{}", exit.stderr);
        }
    }
}
