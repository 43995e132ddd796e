//! `pace plugin inspect`: describes a file, and why it cannot be used.

use std::ffi::OsStr;
use std::fs;

use pace_tests::{Exit, Setup, built_for, component, core_module, fixture, recipe, root};

fn inspect(file: impl AsRef<OsStr>) -> Exit {
    Setup::new()
        .args(["plugin", "inspect"])
        .args([file.as_ref()])
        .run()
}

/// Checks that a file is refused: exit code 1, and a message with these parts.
fn refused(file: impl AsRef<OsStr>, parts: &[&str]) {
    let exit = inspect(file);
    assert_eq!(exit.code, Some(1), "{exit:#?}");
    for part in parts {
        assert!(exit.stderr.contains(part), "{part:?} in:\n{}", exit.stderr);
    }
}

#[test]
fn plugin_is_described() {
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

/// The lines about cost, without their label and the number of nanoseconds.
fn costs(exit: &Exit) -> Vec<String> {
    assert_eq!(exit.code, Some(0), "{exit:#?}");
    let (_, costs) = exit
        .stdout
        .split_once("cost:")
        .expect("it is the last thing said");
    let costs = costs.lines().map(|line| match line.split_once(": about ") {
        Some((hook, rest)) => {
            let (number, rest) = rest.split_once(" ns ").expect("a time has a unit");
            assert!(number.parse::<u64>().is_ok_and(|ns| ns > 0), "{line}");
            format!("{hook}: {rest}")
        }
        None => line.to_owned(),
    });
    costs.map(|line| line.trim().to_owned()).collect()
}

/// The estimate names its request and its configuration.
#[test]
fn cost_of_each_hook_is_estimated() {
    let exit = inspect(component("header-injection"));
    let estimate = "(an estimate, the median of 2000 calls: GET /, with an empty configuration)";
    assert_eq!(
        costs(&exit),
        [
            format!("request-filter: {estimate}"),
            format!("response-filter: {estimate}")
        ]
    );
}

/// Without a configuration the message says why the plugin is not measured, and what to do; a file of cases
/// provides one.
#[test]
fn plugin_with_required_keys_is_measured_with_its_cases() {
    let [line] = &costs(&inspect(recipe("api-key")))[..] else {
        panic!("it has one hook");
    };
    assert!(
        line.starts_with("request-filter: not measured: GET /, with an empty configuration: ")
            && line.contains("`keys`")
            && line.ends_with("; --cases FILE takes another from `[defaults]` of a file of cases"),
        "{line}"
    );
    let with = |key: &str| {
        let cases = format!(
            "[defaults]\nconfig.keys.ann = {key:?}\nrequest = {{ method = 'HEAD', path = '/a?b' }}\n[budget]\n"
        );
        Setup::new()
            .file("cases.toml", cases)
            .args(["plugin", "inspect", "--cases", "cases.toml"])
            .args([recipe("api-key")])
            .run()
    };
    assert_eq!(
        costs(&with(&"0f".repeat(32))),
        ["request-filter: (an estimate, the median of 2000 calls: HEAD /a?b, with [defaults] of cases.toml)"]
    );
    let [line] = &costs(&with("secret"))[..] else {
        panic!("it has one hook");
    };
    let refused = "request-filter: not measured: HEAD /a?b, with [defaults] of cases.toml: ";
    assert!(line.starts_with(refused) && !line.contains("--cases"), "{line}");

    let nothing = Setup::new()
        .args(["plugin", "inspect", "--cases", "nowhere.toml"])
        .args([recipe("api-key")])
        .run();
    assert_eq!(nothing.code, Some(1), "{nothing:#?}");
    assert!(
        nothing.stderr.contains("cannot read nowhere.toml"),
        "{nothing:#?}"
    );
}

/// The plugin of `pace plugin new` has a required key; its cases provide one, and are found.
#[test]
fn new_project_is_measured_without_arguments() {
    // No other test builds a project of this name: cargo tells them apart by nothing else.
    let place = root().join("target/projects/inspect");
    // The directory does not exist the first time.
    let _ = fs::remove_dir_all(&place);
    fs::create_dir_all(&place).expect("target/ is ours");
    let within = |directory: &str, args: &[&str]| {
        let exit = Setup::new()
            .within(&place.join(directory))
            .args(["plugin"])
            .args(args)
            .env("CARGO_TARGET_DIR", &root().join("target/wasm").to_string_lossy())
            .run_long();
        assert_eq!(exit.code, Some(0), "{args:?}: {exit:#?}");
        exit
    };
    within("", &["new", "measured"]);
    within("measured", &["build"]);
    let told = "request-filter: (an estimate, the median of 2000 calls: GET /, with [defaults] of";
    assert_eq!(
        costs(&within("measured", &["inspect", "plugin.wasm"])),
        [format!("{told} tests/measured.toml)")]
    );
    assert_eq!(
        costs(&within("", &["inspect", "measured/plugin.wasm"])),
        [format!("{told} measured/tests/measured.toml)")]
    );
}

#[test]
fn core_module_and_builtin_plugin_are_described() {
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
fn export_of_the_wrong_type_is_shown_beside_the_right_one() {
    refused(
        fixture("wrong-type"),
        &[
            "the function `filter` of `pace:plugin/request-filter@0.1.0` has the wrong type",
            "\n    expected  func() -> verdict",
            "\n    found     func() -> u32",
        ],
    );
}

/// The message about a plugin built for a contract with these differences.
fn said_of(differences: &[(&str, &str)]) -> String {
    let setup = Setup::new().file("other.wasm", built_for(differences));
    let exit = setup.args(["plugin", "inspect", "other.wasm"]).run();
    assert_eq!(exit.code, Some(i32::from(!differences.is_empty())), "{exit:#?}");
    exit.stderr
}

#[test]
fn plugin_built_for_the_same_contract_fits() {
    assert_eq!(said_of(&[]), "");
}

#[test]
fn mismatched_export_is_shown_with_both_types() {
    let said = said_of(&[(
        "select: func(attempt: u32)",
        "select: func(attempt: u64, pool: string)",
    )]);
    assert_eq!(
        said,
        "pace: other.wasm is no plugin that this Pace can run:\n  \
           the function `select` of `pace:plugin/select-upstream@0.1.0` has the wrong type\n    \
             expected  func(attempt: u32) -> selection\n    \
             found     func(attempt: u64, pool: string) -> selection\n    \
             `wit/select-upstream.wit` has it\n"
    );
}

#[test]
fn every_mismatched_import_is_shown_with_both_types() {
    let said = said_of(&[
        (
            "client-address: func() -> string",
            "client-address: func() -> option<string>",
        ),
        ("add: func(delta: u64) -> u64", "add: func(delta: u64) -> u32"),
        (
            "wall: func() -> u64;",
            "wall: func() -> u64;\n    sleep: func(nanoseconds: u64);",
        ),
    ]);
    for paragraph in [
        "\n  the imported function `client-address` of `pace:plugin/request@0.1.0` has the wrong type\n    \
             expected  func() -> string\n    \
             found     func() -> option<string>\n    \
             `wit/request.wit` has it\n",
        "\n  the imported function `counter.add` of `pace:plugin/counters@0.1.0` has the wrong type\n    \
             expected  func(delta: u64) -> u64\n    \
             found     func(delta: u64) -> u32\n    \
             `wit/counters.wit` has it\n",
        "\n  it imports the function `sleep` of `pace:plugin/clock@0.1.0`, which this Pace does not have\n    \
             leave it out, or run a later Pace; `wit/clock.wit` has what there is\n",
    ] {
        assert!(said.contains(paragraph), "{paragraph}\nin\n{said}");
    }
    assert_eq!(said.matches("\n  the imported function").count(), 2, "{said}");
}

/// Both types have the same name, so their definitions are shown, too.
#[test]
fn difference_within_a_type_is_shown_with_both_definitions() {
    let said = said_of(&[("status: u16,\n", "status: u32,\n        reason: string,\n")]);
    let paragraph = "\n  the function `filter` of `pace:plugin/request-filter@0.1.0` has the wrong type\n    \
           expected  func() -> verdict\n    \
           found     func() -> verdict\n    \
           expected  http-response = record { status: u16, headers: list<header-field>, body: list<u8> }\n    \
           found     http-response = record { status: u32, reason: string, headers: list<header-field>, body: list<u8> }\n";
    assert!(said.contains(paragraph), "{paragraph}\nin\n{said}");
    // The type is shown for every hook, because each answers with it.
    assert_eq!(
        said.matches("http-response = record { status: u16").count(),
        6,
        "{said}"
    );

    let said = said_of(&[(
        "        /// It cannot be changed in this hook, or not any more.\n        read-only,\n",
        "",
    )]);
    assert!(
        said.contains(
            "\n    found     edit-error = enum { invalid-name, invalid-value, forbidden, too-large, not-available, not-granted, conflict }\n"
        ),
        "{said}"
    );
}

#[test]
fn other_contract_version_is_reported_once() {
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

/// The description of the file comes even if it cannot be used.
#[test]
fn unavailable_wasi_import_is_named() {
    refused(
        fixture("wasi-import"),
        &["`wasi:keyvalue/store@0.2.0`", "of WASI, plugins get cli, clocks"],
    );
    let exit = inspect(fixture("wasi-import"));
    assert!(
        exit.stdout.contains("WASI:     wasi:keyvalue/store@0.2.0"),
        "{exit:#?}"
    );
    // The parts of WASI that exist are shown, too.
    let exit = inspect(fixture("wasi-user"));
    assert_eq!(exit.code, Some(0), "{exit:#?}");
    assert!(
        exit.stdout.contains("WASI:     wasi:cli/environment@0.2.3\n"),
        "{exit:#?}"
    );
}

/// Imports that no tool makes and Pace does not have are shown beside mistakes about the contract's.
#[test]
fn import_without_a_package_is_named() {
    let component = wat::parse_str(
        "(component
            (import \"thing\" (instance (export \"f\" (func (result u32)))))
            (import \"pace:plugin/clock@0.1.0\" (instance (export \"wall\" (func (result string))))))",
    );
    let setup = Setup::new().file("other.wasm", component.expect("it is a component"));
    let said = setup.args(["plugin", "inspect", "other.wasm"]).run().stderr;
    for line in [
        "\n  imports `thing`: plugins are lent the interfaces of pace:plugin and nothing else",
        "\n  the imported function `wall` of `pace:plugin/clock@0.1.0` has the wrong type",
        "\n    found     func() -> string\n",
        "\n  does not export `pace:plugin/lifecycle@0.1.0`",
        "\n  exports no hook",
    ] {
        assert!(said.contains(line), "{line}\nin\n{said}");
    }
}

#[test]
fn file_that_is_no_plugin_is_refused() {
    refused("nowhere.wasm", &["nowhere.wasm", "No such file"]);
    refused(
        pace_tests::root().join("README.md"),
        &["not WebAssembly", "# Pace"],
    );
}
