//! `pace-plugin-test` as a dependency of a project of its own: the code in docs/testing-plugins.md compiles
//! there, and runs against the project's `plugin.wasm`.
//!
//! The test compiles Pace once more, for some minutes, with a project whose settings differ from this
//! workspace's. So it runs only on request:
//!
//! ```sh
//! PACE_TEST_LIBRARY=1 cargo test -p pace-tests --test all plugin_library
//! ```

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

use pace_tests::{Setup, root};

use crate::readme::page::Page;

/// The target directory of the plugins' builds, so that nothing is downloaded.
const TARGET: &str = "target/wasm";

/// A test that names a plugin of the binary.
const BUILTIN: &str = r#"
#[test]
fn default_plugin_is_not_compiled_in() {
    let error = pace_plugin_test::Plugin::load("builtin:rate-limiter").err().expect("it is left out");
    assert!(error.to_string().contains("this was built without the default plugins"), "{error}");
}
"#;

#[test]
fn project_tests_its_own_plugin_as_documented() {
    if env::var_os("PACE_TEST_LIBRARY").is_none() {
        println!("skipped: PACE_TEST_LIBRARY is not set");
        return;
    }
    // The path is always the same, because cargo keeps its builds by the path of the project.
    let place = root().join("target/projects/library");
    // The directory does not exist the first time.
    let _ = fs::remove_dir_all(&place);
    fs::create_dir_all(&place).expect("target/ is ours");
    let project = place.join("mine");
    pace(&place, &["new", "mine"]);
    // The lock file makes cargo use the versions of this workspace.
    fs::copy(root().join("Cargo.lock"), project.join("Cargo.lock")).expect("the project is there");
    pace(&project, &["build"]);

    let page = Page::of("docs/testing-plugins.md");
    let shown = |comment: &str| {
        let mut blocks = page.blocks.iter();
        let block = blocks.find(|block| block.text.starts_with(comment));
        block.expect("the page shows it").text.clone()
    };
    // The crate in this directory is used, and not the repository's.
    let here = format!("path = {:?}", root().join("plugins/test"));
    let depends = shown("# Cargo.toml\n").replace("git = \"https://github.com/pace-proxy/pace\"", &here);
    assert!(depends.contains(&here), "{depends}");
    let manifest = project.join("Cargo.toml");
    let written = fs::read_to_string(&manifest).expect("the project has one");
    fs::write(&manifest, format!("{written}\n{depends}")).expect("it can be written");
    fs::write(project.join("tests/limit.rs"), shown("// tests/limit.rs\n")).expect("it can be written");

    // A default plugin that was not compiled for this project is not in it.
    fs::write(project.join("tests/builtin.rs"), BUILTIN).expect("it can be written");

    let passes = |expected: bool| {
        let output = Command::new("cargo")
            .args([
                "test",
                "--offline",
                "--no-fail-fast",
                "--test",
                "limit",
                "--test",
                "builtin",
            ])
            .current_dir(&project)
            .env("CARGO_TARGET_DIR", root().join(TARGET))
            .output()
            .expect("there is a cargo");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(
            output.status.success(),
            expected,
            "{said}\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
        said
    };
    assert_eq!(passes(true).matches("test result: ok. 1 passed").count(), 2);

    // The tests read the file: with another one they fail.
    let source = project.join("src/lib.rs");
    let text = fs::read_to_string(&source).expect("the project has one");
    let broken = text.replace("Reply::new(429)", "Reply::new(430)");
    assert_ne!(text, broken);
    fs::write(&source, broken).expect("it can be written");
    pace(&project, &["build"]);
    let said = passes(false);
    assert!(
        said.contains("right: Some(429)") && said.contains("left: Some(430)"),
        "{said}"
    );
}

/// Runs `pace plugin ...` in a directory.
fn pace(directory: &Path, args: &[&str]) {
    let exit = Setup::new()
        .within(directory)
        .args(["plugin"])
        .args(args)
        .env("CARGO_TARGET_DIR", &root().join(TARGET).to_string_lossy())
        .run_long();
    assert_eq!(exit.code, Some(0), "{args:?}: {exit:#?}");
}
