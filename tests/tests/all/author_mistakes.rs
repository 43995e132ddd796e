//! What can go wrong when a plugin is written: each mistake has a message that names it and says what to do.

use std::fs;

use pace_tests::{Exit, Setup, fixture};

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
fn it_asks_for_what_nobody_lends() {
    says(
        &inspected("unknown-import"),
        "imports `acme:extra/thing`: plugins get the interfaces of pace:plugin and nothing else",
        "leave out what needs it",
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
