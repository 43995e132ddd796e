//! What can go wrong when a plugin is written: each mistake has a message that names it and says what to do.

use std::fs;

use pace_tests::{Exit, Origin, Setup, built_for, fixture};

/// What `pace plugin inspect` says of a file that does not fit.
fn inspected(name: &str) -> Exit {
    Setup::new()
        .args(["plugin", "inspect"])
        .args([fixture(name)])
        .run()
}

/// What `pace plugin test` says of a hook that misbehaves, when nobody expects it to.
fn tested(name: &str) -> Exit {
    let wasm = fixture(name);
    let cases = format!(
        "wasm = {wasm:?}\n[[case]]\nname = 'x'\nrequest.path = '/misbehave'\nexpect.response.status = 200\n"
    );
    Setup::new()
        .file("cases.toml", cases)
        .args(["plugin", "test", "cases.toml"])
        .run()
}

/// The message has, in this order, what is wrong and what to do.
fn says(exit: &Exit, wrong: &str, remedy: &str) {
    assert_eq!(exit.code, Some(1), "{exit:#?}");
    let said = format!("{}{}", exit.stdout, exit.stderr);
    let Some((_, after)) = said.split_once(wrong) else {
        panic!("{wrong:?} in:\n{said}");
    };
    assert!(after.contains(remedy), "{remedy:?} after {wrong:?} in:\n{said}");
}

#[test]
fn configure_was_forgotten() {
    says(
        &inspected("missing-configure"),
        "does not export `pace:plugin/lifecycle@0.1.0`",
        "with its function `configure`; in Rust, `pace_plugin::export!` does it",
    );
}

#[test]
fn no_hook_was_named() {
    says(
        &inspected("no-hook"),
        "exports no hook: one of request-filter, select-upstream and response-filter",
        "name it in `pace_plugin::export!`",
    );
}

#[test]
fn it_is_made_for_another_version() {
    says(
        &inspected("wrong-version"),
        "found     pace:plugin@9.9.9",
        "build it against the contract in `wit/`, or with the SDK of this Pace",
    );
}

#[test]
fn a_function_has_the_wrong_type() {
    says(
        &inspected("wrong-type"),
        "the function `filter` of `pace:plugin/request-filter@0.1.0` has the wrong type\n    \
         expected  func() -> verdict\n    found     func() -> u32",
        "`wit/request-filter.wit` has it",
    );
}

#[test]
fn a_function_is_taken_for_another() {
    let wasm = built_for(&[
        (
            "    remove-header: func(name: string) -> result<bool, edit-error>;",
            "    remove-header: func(name: string);",
        ),
        (
            "wall: func() -> u64;",
            "wall: func() -> u64;\n    sleep: func(nanoseconds: u64);",
        ),
    ]);
    let exit = Setup::new()
        .file("other.wasm", wasm)
        .args(["plugin", "inspect", "other.wasm"])
        .run();
    says(
        &exit,
        "the imported function `remove-header` of `pace:plugin/request@0.1.0` has the wrong type\n    \
         expected  func(name: string) -> result<bool, edit-error>\n    found     func(name: string)\n",
        "`wit/request.wit` has it",
    );
    says(
        &exit,
        "it imports the function `sleep` of `pace:plugin/clock@0.1.0`, which this Pace does not have",
        "leave it out, or run a later Pace",
    );
}

#[test]
fn it_asks_for_what_nobody_lends() {
    says(
        &inspected("unknown-import"),
        "imports `acme:extra/thing`: plugins are lent the interfaces of pace:plugin and nothing else",
        "no configuration can grant more; leave out what needs it",
    );
    says(
        &inspected("wasi-import"),
        "imports `wasi:keyvalue/store@0.2.0`: of WASI, plugins get",
        "build without this, or for wasm32-unknown-unknown",
    );
}

#[test]
fn it_panics() {
    says(
        &tested("trap"),
        "request-filter failed: trap\n          it panicked at tests/fixtures/examples/trap.rs:10:9: asked to panic",
        "answer instead, or let the request pass",
    );
}

#[test]
fn it_loops() {
    says(
        &tested("endless-loop"),
        "request-filter failed: deadline\n          it ran for longer than its 10ms",
        "look for a loop that does not end",
    );
}

#[test]
fn it_takes_too_much_memory() {
    says(
        &tested("memory-bomb"),
        "request-filter failed: memory\n          it ran out of memory",
        "allow more with `limits.memory_mb`",
    );
}

#[test]
fn it_reads_the_response_before_there_is_one() {
    says(
        &tested("reads-response-early"),
        "response was called before there is a response: responses can be looked at in response-filter only",
        "`wit/response.wit`",
    );
}

#[test]
fn it_reads_the_request_while_it_is_configured() {
    let cases = format!(
        "wasm = {:?}\n[[case]]\nname = 'x'\nexpect.verdict = 'next'\n",
        fixture("reads-request-early")
    );
    let exit = Setup::new()
        .file("cases.toml", cases)
        .args(["plugin", "test", "cases.toml"])
        .run();
    says(
        &exit,
        "request was called outside a hook",
        "there is no request while an instance starts and while it is configured",
    );
}

#[test]
fn it_loops_or_traps_while_it_is_configured() {
    let started = |name: &str| {
        Setup::new()
            .args([
                "plugin",
                "run",
                "--listen",
                "127.0.0.1:0",
                "--backend",
                "http://127.0.0.1:1",
            ])
            .args([fixture(name)])
            .run()
    };
    says(
        &started("endless-configure"),
        "configure failed: deadline: it ran for longer than its 10ms",
        "look for a loop that does not end",
    );
    says(
        &started("reads-request-early"),
        "request was called outside a hook: there is no request while an instance starts and while it is configured",
        "each hook can ask for what there is at its time",
    );
}

#[test]
fn it_has_a_header_set_that_is_not_its_own() {
    let cases = "wasm = 'builtin:header-injection'\n[[case]]\nname = 'x'\n\
                 config.response.set = { connection = 'close' }\nexpect.verdict = 'next'\n";
    let exit = Setup::new()
        .file("cases.toml", cases)
        .args(["plugin", "test", "cases.toml"])
        .run();
    says(
        &exit,
        "`connection`: the header belongs to the connection and cannot be changed",
        "leave it to Pace",
    );
}

#[test]
fn it_answers_with_what_may_not_be() {
    says(
        &tested("illegal-reply-header"),
        "it responded with the header \"x-split\": the value has characters that the field cannot have",
        "`wit/http.wit`",
    );
    says(
        &tested("illegal-status"),
        "it responded with status 99: 200 to 599 are allowed",
        "`wit/http.wit`",
    );
    says(
        &tested("bad-pick"),
        "it picked backend 999 of a pool of 1, counted from 0",
        "`wit/select-upstream.wit`",
    );
}

/// The message is the same wherever the file is read: a proxy does not start with it either.
#[test]
fn the_file_is_not_a_plugin_at_all() {
    let setup = Setup::new();
    fs::write(setup.directory().join("text.wasm"), "fn main() {}").expect("a temporary file can be written");
    let exit = setup.args(["plugin", "inspect", "text.wasm"]).run();
    says(
        &exit,
        "text.wasm is no plugin",
        "not WebAssembly: it begins with \"fn main(\"",
    );
}

/// And what to do is said beside each request, too, when the plugin serves.
#[test]
fn what_a_hook_does_wrong_is_said_with_the_request() {
    let origin = Origin::named("backend");
    let mistakes = [
        (
            "trap",
            "request-filter: failed (trap: a panic ends the call and the instance: answer instead",
        ),
        (
            "endless-loop",
            "request-filter: failed (deadline: look for a loop that does not end",
        ),
        (
            "memory-bomb",
            "request-filter: failed (memory: look for what grows with each request",
        ),
        (
            "reads-response-early",
            "request-filter: failed (trap: each hook can ask for what there is at its time",
        ),
        (
            "illegal-reply-header",
            "request-filter: failed (illegal-output: Pace sends no such answer",
        ),
        (
            "bad-pick",
            "select-upstream: failed (illegal-output: Pace sends no such answer",
        ),
    ];
    for (name, said) in mistakes {
        let pace = Setup::new()
            .args([
                "plugin",
                "run",
                "--listen",
                "127.0.0.1:0",
                "--backend",
                &origin.url(),
            ])
            .args([fixture(name)])
            .start();
        assert_eq!(pace.get("/misbehave").status, 503, "{name}");
        pace.wait_for_log(&[&format!("GET /misbehave | {name} {said}"), " | 503"]);
    }
}
