//! Messages of a build whose tools are missing: which tool, and how to get it.

use std::fs;
use std::path::Path;

use super::{command, directory, script, succeeds};

/// A program: its name, and the shell commands that it runs.
type Program = (&'static str, &'static str);

/// The refusal of a build with only these programs on the path.
fn refusal(language: &str, programs: &[Program]) -> String {
    let place = directory();
    succeeds(place.path(), &["new", "mine", "--lang", language]);
    let bin = place.path().join("bin");
    for (name, text) in programs {
        script(&bin.join(name), text);
    }
    let build = command(&place.path().join("mine"), &["build"]);
    let refused = build.env("PATH", &bin.to_string_lossy()).run();
    refused.refusal().to_owned()
}

const NODE: Program = ("node", "echo v20.1.0");
const CLANG: Program = ("clang", "echo clang");
const LINKER: Program = ("wasm-ld", "echo LLD");

#[test]
fn missing_tool_is_named_with_how_to_get_it() {
    let cases: [(&str, &[Program], &str, &str); 6] = [
        (
            "js",
            &[],
            "node is needed to build a plugin in JavaScript, and is not there (node: No such file",
            "Install Node 20",
        ),
        (
            "js",
            &[NODE],
            "npm is needed to build a plugin in JavaScript",
            "apt-get install npm",
        ),
        (
            "python",
            &[],
            "python3 is needed to build a plugin in Python",
            "Install Python 3.10",
        ),
        (
            "python",
            &[("python3", "exit 3")],
            "python3 is needed to build a plugin in Python, and is not there (python3 --version: exit status: 3)",
            "Install Python 3.10",
        ),
        (
            "c",
            &[],
            "clang is needed to build a plugin in C",
            "apt-get install clang lld wasi-libc",
        ),
        (
            "c",
            &[CLANG],
            "wasm-ld is needed to build a plugin in C",
            "apt-get install lld",
        ),
    ];
    for (language, programs, missing, remedy) in cases {
        let message = refusal(language, programs);
        assert!(
            message.starts_with(missing) && message.contains(remedy),
            "{message}"
        );
    }
}

/// Debian packages the module that makes environments apart from Python.
#[test]
fn python_without_venv_is_recognised() {
    let python = r#"case "$1" in --version) echo Python 3.11.2; exit;; esac
echo "ModuleNotFoundError: No module named 'ensurepip'" >&2
exit 1"#;
    assert_eq!(
        refusal("python", &[("python3", python)]),
        "Python's module venv is needed to build a plugin in Python, and is not there (python3 -c import ensurepip, \
         venv: ModuleNotFoundError: No module named 'ensurepip'). On Debian: `apt-get install python3-venv`."
    );
}

/// clang's message about a missing header.
#[test]
fn clang_without_the_c_library_is_recognised() {
    let clang = r#"case "$1" in --version) echo clang; exit;; esac
echo "<built-in>:1:10: fatal error: 'stdlib.h' file not found" >&2
echo "1 error generated." >&2
exit 1"#;
    let message = refusal("c", &[("clang", clang), LINKER]);
    assert!(
        message.starts_with("the C library for WASI is needed to build a plugin in C")
            && message.contains("'stdlib.h' file not found")
            && message.ends_with("`apt-get install wasi-libc`."),
        "{message}"
    );
}

#[test]
fn tool_that_is_too_old_is_recognised() {
    let node = refusal("js", &[("node", "echo v18.19.1")]);
    assert!(
        node.starts_with(
            "node 20.0 or later is needed to build a plugin in JavaScript, and this is v18.19.1. Install"
        ),
        "{node}"
    );
    let python = refusal("python", &[("python3", "echo Python 3.9.18")]);
    assert!(
        python.starts_with(
            "python3 3.10 or later is needed to build a plugin in Python, and this is Python 3.9.18. "
        ),
        "{python}"
    );
}

#[test]
fn rust_without_the_target_is_recognised() {
    if Path::new("/usr/bin/rustc").exists() {
        println!("skipped: a build finds Debian's Rust, whatever is on the path");
        return;
    }
    let message = refusal("rust", &[("rustc", "echo /nowhere")]);
    assert!(
        message.starts_with(
            "a Rust that compiles to wasm32-unknown-unknown is needed to build a plugin in Rust"
        ) && message.contains("/nowhere is not there")
            && message.contains("rustup target add wasm32-unknown-unknown")
            && message.contains("apt-get install cargo-web"),
        "{message}"
    );
}

/// A project that has been moved after its environment was made is like this.
#[test]
fn tool_that_cannot_be_started_is_named_with_the_reason() {
    let place = directory();
    succeeds(place.path(), &["new", "mine", "--lang", "python"]);
    let tool = place.path().join("mine/.venv/bin/componentize-py");
    script(&tool, "");
    fs::write(&tool, "#!/nowhere/python\n").expect("it is ours");
    let refused = command(place.path(), &["build", "mine"]).run();
    let message = refused.refusal();
    assert!(
        message.contains("mine/.venv/bin/componentize-py --wit-path")
            && message.contains("cannot be started: No such file"),
        "{message}"
    );
    assert!(message.contains("delete .venv/"), "{message}");
}
