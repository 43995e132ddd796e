//! Mistakes in writing a plugin: each has a message that names it and says what to do.

use std::fs;

use pace_tests::{Exit, HttpBackend, Setup, built_for, fixture};

/// Runs `pace plugin inspect` on a file that does not fit.
fn inspected(name: &str) -> Exit {
    Setup::new()
        .args(["plugin", "inspect"])
        .args([fixture(name)])
        .run()
}

/// Runs `pace plugin test` on a hook that misbehaves, without an expectation of that.
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

/// Checks that the message has the mistake and then the remedy.
fn says(exit: &Exit, wrong: &str, remedy: &str) {
    assert_eq!(exit.code, Some(1), "{exit:#?}");
    let said = format!("{}{}", exit.stdout, exit.stderr);
    let Some((_, after)) = said.split_once(wrong) else {
        panic!("{wrong:?} in:\n{said}");
    };
    assert!(after.contains(remedy), "{remedy:?} after {wrong:?} in:\n{said}");
}

#[test]
fn missing_configure_is_explained() {
    says(
        &inspected("missing-configure"),
        "does not export `pace:plugin/lifecycle@0.1.0`",
        "with its function `configure`; in Rust, `pace_plugin::export!` does it",
    );
}

#[test]
fn plugin_without_a_hook_is_explained() {
    says(
        &inspected("no-hook"),
        "exports no hook: one of request-filter, request-body-filter, ",
        "name it in `pace_plugin::export!`",
    );
}

#[test]
fn other_contract_version_is_explained() {
    says(
        &inspected("wrong-version"),
        "found     pace:plugin@9.9.9",
        "build it against the contract in `wit/`, or with the SDK of this Pace",
    );
}

#[test]
fn export_of_the_wrong_type_is_explained() {
    says(
        &inspected("wrong-type"),
        "the function `filter` of `pace:plugin/request-filter@0.1.0` has the wrong type\n    \
         expected  func() -> verdict\n    found     func() -> u32",
        "`wit/request-filter.wit` has it",
    );
}

#[test]
fn import_of_the_wrong_type_is_explained() {
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
fn unknown_import_is_explained() {
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
fn panic_is_explained() {
    says(
        &tested("trap"),
        "request-filter failed: trap\n          it panicked at tests/fixtures/examples/trap.rs:10:9: asked to panic",
        "answer instead, or let the request pass",
    );
}

#[test]
fn endless_loop_is_explained() {
    says(
        &tested("endless-loop"),
        "request-filter failed: deadline\n          it ran for longer than its 10ms",
        "look for a loop that does not end",
    );
}

#[test]
fn exceeded_memory_is_explained() {
    says(
        &tested("memory-bomb"),
        "request-filter failed: memory\n          it ran out of memory",
        "allow more with `limits.memory_mb`",
    );
}

#[test]
fn reading_the_response_too_early_is_explained() {
    says(
        &tested("reads-response-early"),
        "response was called where there is no response: responses can be looked at in response-filter",
        "`wit/response.wit`",
    );
}

#[test]
fn reading_the_request_in_configure_is_explained() {
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
fn loop_or_trap_in_configure_is_explained() {
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
fn forbidden_header_edit_is_explained() {
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
fn illegal_reply_is_explained() {
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

/// The message is the same wherever the file is read: at the start of a proxy, too.
#[test]
fn file_that_is_no_plugin_is_explained() {
    let setup = Setup::new();
    fs::write(setup.directory().join("text.wasm"), "fn main() {}").expect("a temporary file can be written");
    let exit = setup.args(["plugin", "inspect", "text.wasm"]).run();
    says(
        &exit,
        "text.wasm is no plugin",
        "not WebAssembly: it begins with \"fn main(\"",
    );
}

/// The remedy is logged for each request, too, when the plugin serves.
#[test]
fn mistake_of_a_hook_is_logged_with_its_remedy() {
    let backend = HttpBackend::named("backend");
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
                &backend.url(),
            ])
            .args([fixture(name)])
            .start();
        assert_eq!(pace.get("/misbehave").status, 503, "{name}");
        pace.wait_for_log(&[&format!("GET /misbehave | {name} {said}"), " | 503"]);
    }
}
