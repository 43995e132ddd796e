//! Plugins that cannot be used: Pace does not start, and names the file, the reason, and what is missing.

use std::path::Path;

use pace_tests::{Exit, HttpBackend, Setup, built_for, component, core_module, fixture, root, text_fixture};

use crate::sections::{SERVER, with_plugins};

/// Starts Pace with this plugin, under the name `broken`.
fn load(wasm: &Path) -> Exit {
    Setup::new()
        .config(&with_plugins(
            SERVER,
            &[("broken", wasm)],
            &[&HttpBackend::down()],
        ))
        .run()
}

/// Starts Pace with a file beside the configuration.
fn load_bytes(name: &str, bytes: &[u8]) -> Exit {
    Setup::new()
        .file(name, bytes)
        .config(&with_plugins(
            SERVER,
            &[("broken", Path::new(name))],
            &[&HttpBackend::down()],
        ))
        .run()
}

/// Checks that Pace was refused with one message that names the plugin and its file and has these parts.
fn refused(exit: &Exit, file: &str, parts: &[&str]) {
    let message = exit.refusal();
    assert!(message.starts_with("plugin `broken` ("), "{message}");
    for part in [file].iter().chain(parts) {
        assert!(message.contains(part), "{part:?} in:\n{message}");
    }
    assert!(!message.contains("\n\n\n"), "{message}");
}

#[test]
fn missing_file_is_refused() {
    let exit = load(Path::new("nowhere/plugin.wasm"));
    refused(&exit, "nowhere/plugin.wasm", &["No such file"]);
    refused(&load(root()), "broken", &["not a regular file"]);
}

#[test]
fn file_that_is_not_webassembly_is_refused() {
    refused(
        &load_bytes("empty.wasm", b""),
        "empty.wasm",
        &["not WebAssembly", "empty"],
    );
    refused(
        &load_bytes("text.wasm", b"fn main() {}"),
        "text.wasm",
        &["not WebAssembly", "fn main"],
    );
}

#[test]
fn truncated_file_is_refused() {
    for whole in [component("rate-limiter"), core_module("rate-limiter")] {
        let bytes = std::fs::read(whole).expect("it has been built");
        // A cut after 8 bytes would leave an empty component or module, which is valid.
        for length in [6, 9, 100, bytes.len() / 2, bytes.len() - 1] {
            let exit = load_bytes("truncated.wasm", &bytes[..length]);
            refused(&exit, "truncated.wasm", &[]);
            let message = exit.refusal();
            assert!(
                ["WebAssembly", "core module"]
                    .iter()
                    .any(|word| message.contains(word)),
                "cut after {length} bytes: {message}"
            );
        }
    }
}

#[test]
fn core_module_without_component_type_is_refused() {
    let module = wasm_module_without_type();
    refused(
        &load_bytes("module.wasm", &module),
        "module.wasm",
        &["core WebAssembly module without the component type"],
    );
}

#[test]
fn missing_export_is_refused() {
    refused(
        &load(&fixture("missing-configure")),
        "missing-configure.wasm",
        &["does not export `pace:plugin/lifecycle@0.1.0`"],
    );
    refused(
        &load(&fixture("no-hook")),
        "no-hook.wasm",
        &[
            "no hook",
            "request-filter",
            "select-upstream",
            "response-filter",
            "finished",
        ],
    );
}

#[test]
fn export_of_the_wrong_type_is_refused() {
    refused(
        &load(&fixture("wrong-type")),
        "wrong-type.wasm",
        &[
            "`pace:plugin/request-filter@0.1.0`",
            "`filter`",
            "expected func() -> verdict",
            "found func() -> u32",
        ],
    );
}

#[test]
fn import_of_the_wrong_type_is_refused() {
    let other = built_for(&[("query: func() -> option<string>", "query: func() -> string")]);
    refused(
        &load_bytes("other.wasm", &other),
        "other.wasm",
        &[
            "imports `pace:plugin/request@0.1.0` with a function `query` of the wrong type: expected func() -> \
           option<string>, found func() -> string",
        ],
    );
    let later = built_for(&[(
        "wall: func() -> u64;",
        "wall: func() -> u64;\n    sleep: func(nanoseconds: u64);",
    )]);
    refused(
        &load_bytes("later.wasm", &later),
        "later.wasm",
        &[
            "imports the function `sleep` of `pace:plugin/clock@0.1.0`, which this Pace does not have",
            "a later Pace",
        ],
    );
}

#[test]
fn unknown_import_is_refused() {
    refused(
        &load(&fixture("unknown-import")),
        "unknown-import.wasm",
        &["imports `acme:extra/thing`"],
    );
    refused(
        &load(&fixture("wasi-import")),
        "wasi-import.wasm",
        &[
            "imports `wasi:keyvalue/store@0.2.0`",
            "of WASI, plugins get cli, clocks",
        ],
    );
}

#[test]
fn other_contract_version_is_refused() {
    refused(
        &load(&fixture("wrong-version")),
        "wrong-version.wasm",
        &["pace:plugin@9.9.9", "pace:plugin@0.1.0"],
    );
}

#[test]
fn refusal_of_configure_is_shown() {
    refused(
        &load(&fixture("refuses-config")),
        "refuses-config.wasm",
        &["colour: must be `green`"],
    );
}

#[test]
fn failure_of_configure_is_shown() {
    refused(
        &load(&fixture("reads-request-early")),
        "reads-request-early.wasm",
        &["configure", "request was called outside a hook"],
    );
    refused(
        &load(&fixture("endless-configure")),
        "endless-configure.wasm",
        &["configure", "deadline", "longer than its 10ms"],
    );
}

#[test]
fn failing_start_function_is_refused() {
    refused(
        &load_bytes("endless-start.wasm", &text_fixture("endless-start")),
        "endless-start.wasm",
        &["deadline", "longer than its 10ms"],
    );
    refused(
        &load_bytes("trap-start.wasm", &text_fixture("trap-start")),
        "trap-start.wasm",
        &["trap", "unreachable"],
    );
}

#[test]
fn memory_above_the_limit_is_refused() {
    refused(
        &load_bytes("huge-memory.wasm", &text_fixture("huge-memory")),
        "huge-memory.wasm",
        &["memory", "allowed"],
    );
    refused(
        &load_bytes("huge-table.wasm", &text_fixture("huge-table")),
        "huge-table.wasm",
        &["table", "allowed"],
    );
}

/// A module for another purpose.
fn wasm_module_without_type() -> Vec<u8> {
    let mut module = text_fixture("trap-start");
    let section = b"component-type";
    let at = module
        .windows(section.len())
        .position(|window| window == section)
        .expect("the type is in a section of this name");
    // Renaming the section leaves the rest of the module as it is.
    module[at..at + section.len()].copy_from_slice(b"something-else");
    module
}
