//! `pace plugin new` and `pace plugin build`: a project builds as it is, and keeps the promises of its own cases.
//!
//! Rust is built always. The other languages take tools that not everybody has, and minutes to install:
//!
//! ```sh
//! PACE_TEST_LANGUAGES="c js python" cargo test -p pace-tests --test all plugin_new
//! ```

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use pace_tests::{Exit, Setup, root};
use tempfile::TempDir;

const HOOKS: [&str; 3] = ["request-filter", "select-upstream", "response-filter"];

/// An empty directory whose path is always the same, for what cargo builds: it keeps what it has built by the
/// path of the project, and a new path each time would fill the disk.
fn lasting(test: &str) -> PathBuf {
    let directory = root().join("target/projects").join(test);
    // It is not there the first time.
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).expect("target/ is ours");
    directory
}

fn directory() -> TempDir {
    tempfile::tempdir().expect("a temporary directory can be made")
}

/// `pace plugin ...` in a directory.
fn plugin(directory: &Path, args: &[&str]) -> Exit {
    Setup::new()
        .within(directory)
        .args(["plugin"])
        .args(args)
        // The crates that the other plugins take are compiled there already.
        .env("CARGO_TARGET_DIR", &root().join("target/wasm").to_string_lossy())
        .run_long()
}

fn succeeds(directory: &Path, args: &[&str]) -> Exit {
    let exit = plugin(directory, args);
    assert_eq!(exit.code, Some(0), "{args:?}: {exit:#?}");
    exit
}

/// Begins a project with these hooks, builds it and runs its cases.
fn works(place: &Path, language: &str, hooks: &[&str]) {
    let name = format!("{language}-plugin");
    let chosen = hooks.iter().flat_map(|hook| ["--hook", hook]);
    let args: Vec<&str> = ["new", &name, "--lang", language]
        .into_iter()
        .chain(chosen)
        .collect();
    let said = succeeds(place, &args).stdout;
    assert!(
        said.contains(&format!("cd {name} && pace plugin build && pace plugin test")),
        "{said}"
    );
    if language == "rust" {
        // The versions that everything else here is built with, so that nothing is downloaded.
        let copied = fs::copy(root().join("Cargo.lock"), place.join(&name).join("Cargo.lock"));
        copied.expect("it can be written");
    }
    let built = succeeds(place, &["build", &name]);
    assert!(
        built.stdout.starts_with(&format!("{name}/plugin.wasm: ")),
        "{built:#?}"
    );
    // As the author does it.
    let project = place.join(&name);
    let tested = succeeds(&project, &["test"]);
    assert!(tested.stdout.ends_with(" passed\n"), "{tested:#?}");
    // What it promises does not depend on the language: the cases of another one hold for it.
    let elsewhere = directory();
    let of_python = args
        .iter()
        .map(|arg| if *arg == language { "python" } else { arg });
    succeeds(elsewhere.path(), &of_python.collect::<Vec<_>>());
    let cases = format!("{name}/tests/{name}.toml");
    let wasm = project.join("plugin.wasm");
    succeeds(
        elsewhere.path(),
        &["test", &cases, "--wasm", &wasm.to_string_lossy()],
    );
    let inspected = succeeds(&project, &["inspect", "plugin.wasm"]);
    for hook in HOOKS {
        let listed = inspected
            .stdout
            .lines()
            .any(|line| line.trim_start_matches("hooks:").trim() == hook);
        assert_eq!(listed, hooks.contains(&hook), "{hook}: {inspected:#?}");
    }
}

/// Whether the tools of a language are to be used.
fn asked_for(language: &str) -> bool {
    let languages = env::var("PACE_TEST_LANGUAGES").unwrap_or_default();
    let asked = languages.split([' ', ',']).any(|asked| asked == language);
    if !asked {
        println!("skipped: PACE_TEST_LANGUAGES does not name {language}");
    }
    asked
}

#[test]
fn a_project_in_rust_builds_at_once() {
    works(&lasting("rust"), "rust", &HOOKS);
}

#[test]
fn a_project_in_c_builds_at_once() {
    if asked_for("c") {
        works(directory().path(), "c", &HOOKS);
        works(directory().path(), "c", &["response-filter"]);
    }
}

#[test]
fn a_project_in_javascript_builds_at_once() {
    if asked_for("js") {
        works(directory().path(), "js", &HOOKS);
        works(directory().path(), "js", &["response-filter"]);
    }
}

#[test]
fn a_project_in_python_builds_at_once() {
    if asked_for("python") {
        works(directory().path(), "python", &HOOKS);
        works(directory().path(), "python", &["response-filter"]);
    }
}

#[test]
fn what_is_there_is_left_alone() {
    let place = directory();
    succeeds(place.path(), &["new", "mine"]);
    fs::write(place.path().join("mine/src/lib.rs"), "// work").expect("it can be written");
    assert_eq!(
        plugin(place.path(), &["new", "mine"]).refusal(),
        "mine is there already"
    );
    assert_eq!(
        fs::read_to_string(place.path().join("mine/src/lib.rs"))
            .ok()
            .as_deref(),
        Some("// work")
    );
}

#[test]
fn a_name_is_checked() {
    let place = directory();
    let refused = plugin(place.path(), &["new", "../elsewhere"]);
    assert!(
        refused
            .refusal()
            .starts_with("`../elsewhere` is no name for a plugin"),
        "{refused:#?}"
    );
}

#[test]
fn a_directory_without_a_project_is_none() {
    let place = directory();
    let refused = plugin(place.path(), &["build"]);
    let message = refused.refusal();
    assert!(
        message.starts_with(". is no plugin's project") && message.contains("pace plugin new"),
        "{message}"
    );
}

/// Nothing of a toolchain is on this path.
#[test]
fn a_missing_tool_is_named_and_how_to_get_it() {
    let remedies = [
        (
            "js",
            "node is needed to build a plugin in JavaScript",
            "Install Node 20",
        ),
        (
            "python",
            "python3 is needed to build a plugin in Python",
            "Install Python 3.10",
        ),
        (
            "c",
            "wasm-ld is needed to build a plugin in C",
            "apt-get install lld",
        ),
    ];
    for (language, missing, remedy) in remedies {
        let place = directory();
        succeeds(place.path(), &["new", "mine", "--lang", language]);
        let refused = Setup::new()
            .within(&place.path().join("mine"))
            .args(["plugin", "build"])
            .env("PATH", "/nonexistent")
            .run();
        let message = refused.refusal();
        assert!(
            message.starts_with(missing) && message.contains(remedy),
            "{message}"
        );
    }
}

/// The compiler's own message is on standard error, above the one sentence of Pace.
#[test]
fn a_project_that_does_not_compile_says_why() {
    let place = lasting("broken");
    succeeds(&place, &["new", "mine"]);
    let project = place.join("mine");
    fs::write(project.join("src/lib.rs"), "fn broken( {}").expect("it can be written");
    fs::copy(root().join("Cargo.lock"), project.join("Cargo.lock")).expect("it can be written");
    let exit = plugin(&project, &["build"]);
    assert_eq!(exit.code, Some(1), "{exit:#?}");
    assert!(exit.stderr.contains("src/lib.rs:1:"), "{exit:#?}");
    let last = exit.stderr.lines().last();
    assert_eq!(
        last,
        Some("pace: cargo build --release --target wasm32-unknown-unknown failed: what it said is above")
    );
    assert!(!project.join("plugin.wasm").exists());
}
