//! Cases with attempts: what each brings, and what it sends.

use super::{failing, run, run_fixture};

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
