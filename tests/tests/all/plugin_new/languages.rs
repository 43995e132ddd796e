//! A new project builds as it is, and passes its own cases, in each language.
//!
//! Rust is always built. The other languages need tools that not every machine has: `cargo xtask test`
//! installs them if it can, and names the languages that have theirs. By hand:
//!
//! ```sh
//! PACE_TEST_LANGUAGES="c js python" cargo test -p pace-tests --test all plugin_new
//! ```

use std::env;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use pace_tests::root;

use super::{directory, lasting, succeeds};

const HOOKS: [&str; 4] = ["request-filter", "select-upstream", "response-filter", "finished"];

/// Creates a project with these hooks.
fn begin(place: &Path, language: &str, hooks: &[&str]) -> PathBuf {
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
    let project = place.join(&name);
    // `cargo xtask test` has installed the packages there that the first build would install.
    for (language_of, installed) in [("js", "node_modules"), ("python", ".venv")] {
        let tools = root().join("target/languages").join(language).join(installed);
        if language == language_of && tools.exists() {
            symlink(tools, project.join(installed)).expect("the project has just been made");
        }
    }
    project
}

/// Builds a project, and runs its cases as the author does.
fn works(project: &Path) {
    let built = succeeds(project, &["build"]);
    assert!(built.stdout.starts_with("./plugin.wasm: "), "{built:#?}");
    let tested = succeeds(project, &["test"]);
    assert!(tested.stdout.ends_with(" passed\n"), "{tested:#?}");
}

/// Runs the cases of another language's project, which must pass: promises do not depend on the language.
fn keeps_promises_of(other: &str, project: &Path, hooks: &[&str]) {
    let place = directory();
    let theirs = begin(place.path(), other, hooks);
    let cases = format!("tests/{other}-plugin.toml");
    let text = fs::read_to_string(theirs.join(&cases)).expect("each project has them");
    let name = project.file_name().expect("it has one").to_string_lossy();
    let text = text.replace(&format!("{other}-plugin"), &name);
    fs::write(theirs.join(&cases), text).expect("they are ours");
    let wasm = project.join("plugin.wasm");
    succeeds(&theirs, &["test", &cases, "--wasm", &wasm.to_string_lossy()]);
}

/// Checks that the plugin has these hooks and no other.
fn has(project: &Path, hooks: &[&str]) {
    let inspected = succeeds(project, &["inspect", "plugin.wasm"]);
    for hook in HOOKS {
        let listed = inspected
            .stdout
            .lines()
            .any(|line| line.trim_start_matches("hooks:").trim() == hook);
        assert_eq!(listed, hooks.contains(&hook), "{hook}: {inspected:#?}");
    }
}

/// Changes the source of a project.
fn insert(source: &Path, before: &str, inserted: &str) {
    let text = fs::read_to_string(source).expect("it has been written");
    let changed = text.replacen(before, &format!("{inserted}{before}"), 1);
    assert_ne!(changed, text, "{before:?} is not in {}", source.display());
    fs::write(source, changed).expect("it is ours");
}

/// Runs more cases, which must pass.
fn hold(project: &Path, cases: &str) {
    fs::write(
        project.join("more.toml"),
        format!("wasm = \"plugin.wasm\"\n{cases}"),
    )
    .expect("it is ours");
    succeeds(project, &["test", "more.toml"]);
}

/// Whether the tests of a language are asked for.
pub(crate) fn asked_for(language: &str) -> bool {
    let languages = env::var("PACE_TEST_LANGUAGES").unwrap_or_default();
    let asked = languages.split([' ', ',']).any(|asked| asked == language);
    if !asked {
        println!("skipped: PACE_TEST_LANGUAGES does not name {language}");
    }
    asked
}

/// A configuration of the new project, with a name that cannot be a header's value.
const CONTROL: &str = r#"
[[case]]
name = "a name that cannot be a header's value is no client's"
config.keys."a\u007F" = "the key of nobody"
request.headers.x-api-key = "the key of nobody"
expect.response.status = 500
"#;

#[test]
fn new_rust_project_builds_and_passes() {
    let project = begin(&lasting("rust"), "rust", &HOOKS);
    let versions = || fs::read_to_string(project.join("Cargo.lock")).ok();
    let before = versions();
    works(&project);
    assert!(versions() == before, "the first build has changed Cargo.lock");
    keeps_promises_of("python", &project, &HOOKS);
    has(&project, &HOOKS);
    hold(&project, CONTROL);
}

#[test]
fn new_c_project_builds_and_passes() {
    if !asked_for("c") {
        return;
    }
    for hooks in [&HOOKS[..], &["response-filter"]] {
        let place = directory();
        let project = begin(place.path(), "c", hooks);
        works(&project);
        keeps_promises_of("python", &project, hooks);
        has(&project, hooks);
        if hooks == HOOKS {
            hold(&project, CONTROL);
        }
    }
}

/// The response filter throws an error if the request asks for it. The log has the error and where it was
/// thrown.
#[test]
fn new_javascript_project_builds_and_passes() {
    if !asked_for("js") {
        return;
    }
    let place = directory();
    works(&begin(place.path(), "js", &HOOKS));
    let place = directory();
    let project = begin(place.path(), "js", &["response-filter"]);
    let source = project.join("plugin.js");
    insert(
        &source,
        "import ",
        "import { header } from 'pace:plugin/request@0.1.0';\n",
    );
    insert(
        &source,
        "    setResponseHeader",
        "    if (header('x-throw')) throw new Error('no such luck');\n",
    );
    works(&project);
    let place = format!("@plugin.js:{}:", line_of(&source, "no such luck"));
    explains(&project, &["no such luck", &place]);
}

#[test]
fn new_python_project_builds_and_passes() {
    if !asked_for("python") {
        return;
    }
    let place = directory();
    works(&begin(place.path(), "python", &HOOKS));
    let place = directory();
    let project = begin(place.path(), "python", &["response-filter"]);
    let source = project.join("plugin.py");
    insert(
        &source,
        "from wit_world.imports import response",
        "from wit_world.imports import request\n",
    );
    insert(
        &source,
        "        response.set_header",
        "        if request.header('x-throw'):\n            raise ValueError('no such luck')\n",
    );
    works(&project);
    let place = format!(
        "plugin.py\", line {}, in filter",
        line_of(&source, "no such luck")
    );
    explains(&project, &["ValueError: no such luck", &place]);
}

/// Checks what the log has when a request makes the response filter throw.
fn explains(project: &Path, logged: &[&str]) {
    let case = |text: &&str| {
        format!(
            "[[case]]\nname = {text:?}\nhook = \"response-filter\"\nrequest.headers.x-throw = \"1\"\n\
             limits = {{ time_ms = 100, memory_mb = 64 }}\n\
             expect.failure = {{ reason = \"trap\", message = {{ contains = {text:?} }} }}\n"
        )
    };
    hold(project, &logged.iter().map(case).collect::<String>());
}

fn line_of(source: &Path, text: &str) -> usize {
    let source = fs::read_to_string(source).expect("it has been written");
    let before = source.lines().position(|line| line.contains(text));
    before.expect("it has been inserted") + 1
}
