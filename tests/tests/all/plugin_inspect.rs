//! `pace plugin inspect`: what a file is, and why it cannot be used.

use std::ffi::OsStr;

use pace_tests::{Exit, Setup, component, core_module, fixture};

fn inspect(file: impl AsRef<OsStr>) -> Exit {
    Setup::new()
        .args(["plugin", "inspect"])
        .args([file.as_ref()])
        .run()
}

/// A file that is refused: exit code 1, and a message with these parts.
fn refused(file: impl AsRef<OsStr>, parts: &[&str]) {
    let exit = inspect(file);
    assert_eq!(exit.code, Some(1), "{exit:#?}");
    for part in parts {
        assert!(exit.stderr.contains(part), "{part:?} in:\n{}", exit.stderr);
    }
}

#[test]
fn a_plugin_is_described() {
    let exit = inspect(component("header-injection"));
    assert_eq!((exit.code, exit.stderr.as_str()), (Some(0), ""), "{exit:#?}");
    for line in [
        "format:   component",
        "contract: pace:plugin@0.1.0",
        "hooks:    request-filter",
        "          response-filter",
        "imports:  pace:plugin/http@0.1.0",
        "WASI:     none",
    ] {
        assert!(
            exit.stdout.lines().any(|printed| printed == line),
            "{line:?} in:\n{}",
            exit.stdout
        );
    }
    let bytes = std::fs::read(component("header-injection")).expect("it has been built");
    assert!(exit.stdout.contains(&format!("size:     {} bytes", bytes.len())));
}

/// A number of nanoseconds that is said to be an estimate, or why there is none.
#[test]
fn the_cost_of_each_hook_is_estimated() {
    let exit = inspect(component("header-injection"));
    for hook in [
        "cost:     request-filter: about ",
        "          response-filter: about ",
    ] {
        assert!(exit.stdout.contains(hook), "{exit:#?}");
    }
    assert_eq!(exit.stdout.matches("an estimate").count(), 2, "{exit:#?}");

    let exit = inspect(fixture("refuses-config"));
    assert_eq!(exit.code, Some(0), "{exit:#?}");
    let line = "request-filter: not measured with an empty configuration: colour: must be `green`";
    assert!(exit.stdout.contains(line), "{exit:#?}");
}

#[test]
fn a_core_module_and_a_plugin_of_the_binary_are_described_too() {
    let exit = inspect(core_module("rate-limiter"));
    assert_eq!(exit.code, Some(0), "{exit:#?}");
    assert!(
        exit.stdout.contains("format:   core module with the type"),
        "{exit:#?}"
    );

    let exit = inspect("builtin:round-robin");
    assert_eq!(exit.code, Some(0), "{exit:#?}");
    assert!(exit.stdout.contains("hooks:    select-upstream"), "{exit:#?}");
    refused("builtin:robin", &["`builtin:robin`", "builtin:round-robin"]);
}

#[test]
fn a_function_of_the_wrong_type_is_shown_beside_the_right_one() {
    refused(
        fixture("wrong-type"),
        &[
            "the function `filter` of `pace:plugin/request-filter@0.1.0` has the wrong type",
            "\n    expected  func() -> verdict",
            "\n    found     func() -> u32",
        ],
    );
}

#[test]
fn another_version_of_the_contract_is_said_once() {
    refused(
        fixture("wrong-version"),
        &[
            "another version of the contract",
            "\n    expected  pace:plugin@0.1.0",
            "\n    found     pace:plugin@9.9.9",
        ],
    );
    let exit = inspect(fixture("wrong-version"));
    assert_eq!(
        exit.stderr.matches("pace:plugin@9.9.9").count(),
        1,
        "{}",
        exit.stderr
    );
}

/// What the file is, is said even if it cannot be used.
#[test]
fn wasi_is_named() {
    refused(
        fixture("wasi-import"),
        &["`wasi:keyvalue/store@0.2.0`", "of WASI, plugins get cli, clocks"],
    );
    let exit = inspect(fixture("wasi-import"));
    assert!(
        exit.stdout.contains("WASI:     wasi:keyvalue/store@0.2.0"),
        "{exit:#?}"
    );
    // What there is of it is shown too.
    let exit = inspect(fixture("wasi-user"));
    assert_eq!(exit.code, Some(0), "{exit:#?}");
    assert!(
        exit.stdout.contains("WASI:     wasi:cli/environment@0.2.3\n"),
        "{exit:#?}"
    );
}

#[test]
fn a_file_that_is_none_is_refused() {
    refused("nowhere.wasm", &["nowhere.wasm", "No such file"]);
    refused(
        pace_tests::root().join("README.md"),
        &["not WebAssembly", "# Pace"],
    );
}
