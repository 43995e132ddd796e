//! A new project builds as it is, and passes its own cases, in each language.
//!
//! Rust is always built. The other languages need tools that not every machine has: `cargo xtask test`
//! installs them if it can, and names the languages that have theirs. By hand:
//!
//! ```sh
//! PACE_TEST_LANGUAGES="c js python" cargo test -p pace-tests --test all plugin_new
//! ```

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use pace_tests::{Answer, HttpBackend, Pace, Request, Setup, root};

use super::{command, directory, lasting, plugin, succeeds};
use crate::sections::{self, ONE_WORKER, pool};

const HOOKS: [&str; 9] = [
    "request-filter",
    "request-body-filter",
    "request-stream-filter",
    "attempt-filter",
    "select-upstream",
    "response-filter",
    "response-body-filter",
    "response-stream-filter",
    "finished",
];

/// A debug build compiles an engine for a minute.
const LONG: Duration = Duration::from_secs(300);

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

/// Builds the same project in another directory and another environment.
fn gives_the_same_bytes_again(language: &str, project: &Path) {
    let place = directory();
    let again = begin(place.path(), language, &HOOKS);
    let built = command(&again, &["build"]).env("PYTHONHASHSEED", "0").run_long();
    assert_eq!(built.code, Some(0), "{built:#?}");
    let [first, second] = [project, &again].map(|project| fs::read(project.join("plugin.wasm")));
    assert!(first.expect("it has been built") == second.expect("it has been built"));
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
    hides_passwords(&project);
    marks_pages(&project);
}

/// A part for one hook needs nothing of the part for another.
#[test]
fn new_rust_project_with_one_hook_builds_and_passes() {
    for hook in HOOKS {
        let name = format!("only-{hook}");
        let place = lasting(&name);
        succeeds(&place, &["new", &name, "--hook", hook]);
        let project = place.join(&name);
        works(&project);
        has(&project, &[hook]);
    }
}

#[test]
fn new_c_project_builds_and_passes() {
    if !asked_for("c") {
        return;
    }
    let place = directory();
    let project = begin(place.path(), "c", &HOOKS);
    works(&project);
    keeps_promises_of("python", &project, &HOOKS);
    has(&project, &HOOKS);
    hold(&project, CONTROL);
    hides_passwords(&project);
    marks_pages(&project);
    for hook in HOOKS {
        let place = directory();
        let project = begin(place.path(), "c", &[hook]);
        works(&project);
        keeps_promises_of("python", &project, &[hook]);
        has(&project, &[hook]);
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
    let project = begin(place.path(), "js", &HOOKS);
    let source = project.join("plugin.js");
    insert(
        &source,
        "    setResponseHeader",
        "    if (header('x-throw')) throw new Error('no such luck');\n",
    );
    works(&project);
    keeps_promises_of("python", &project, &HOOKS);
    has(&project, &HOOKS);
    let place = format!("@plugin.js:{}:", line_of(&source, "no such luck"));
    let config = "config.keys.client = \"its key\"\n";
    explains(&project, config, "x-throw", &["no such luck", &place]);
    hides_passwords(&project);
    marks_pages(&project);
}

/// A project in JavaScript whose request filter answers with what the function `answer` returns.
fn javascript_that_answers(place: &Path, answer: &str) -> PathBuf {
    let project = begin(place, "js", &["request-filter"]);
    let source = format!(
        "export const lifecycle = {{ configure() {{}} }};\n\
         export const requestFilter = {{\n  filter() {{\n    \
         return {{ tag: 'respond', val: {{ status: 200, headers: [], body: new TextEncoder().encode(answer()) }} }};\n  }},\n}};\n\
         {answer}\n"
    );
    fs::write(project.join("plugin.js"), source).expect("it is ours");
    project
}

/// The engine's state is the same in every instance when it begins, and numbers must not be.
#[test]
fn javascript_has_the_time_and_random_numbers_of_pace() {
    if !asked_for("js") {
        return;
    }
    let place = directory();
    let project = javascript_that_answers(
        place.path(),
        "function answer() {\n  \
           const of = () => [Math.random(), crypto.randomUUID(), crypto.getRandomValues(new Uint8Array(8))].join(' ');\n  \
           return `${new Date().toISOString()} ${performance.now()} ${of()}`;\n}",
    );
    succeeds(&project, &["build"]);
    // In cases both are the case's.
    let cases = |random: &str| {
        let steps = format!(
            "clock = 2026-03-04T05:06:07Z\n\
             [[case.step]]\nexpect.response.body = {{ matches = '^2026-03-04T05:06:07\\.000Z 0 {random}$' }}\n\
             [[case.step]]\nadvance_ms = 1500\nexpect.response.body = {{ matches = '^2026-03-04T05:06:08\\.500Z 1500 ' }}\n"
        );
        let case = |name| {
            format!("[[case]]\nname = \"{name}\"\nlimits = {{ time_ms = 100, memory_mb = 64 }}\n{steps}")
        };
        format!("{}{}", case("one"), case("another"))
    };
    hold(&project, &cases("0\\.[0-9]+ [-0-9a-f]{36} [0-9,]+"));
    // Each request has an instance of its own.
    let pace = serving(
        &project,
        "limits = { time_ms = 100, memory_mb = 64 }\nisolation = \"request\"",
        &HttpBackend::down(),
    );
    let answers = [pace.get("/").text().to_owned(), pace.get("/").text().to_owned()];
    let random: BTreeSet<&str> = answers.iter().flat_map(|text| text.split(' ').skip(2)).collect();
    assert_eq!(random.len(), 6, "{answers:?}");
}

/// Checks the request-stream filter of a new project in a proxy: cases have no messages that pass in pieces.
fn hides_passwords(project: &Path) {
    let backend = HttpBackend::named("one");
    let pace = serving(project, &settings(project), &backend);
    let upload = Request::post("/", "user=ann\npassword=hunter2\nend").header("x-api-key", "the key of ann");
    assert_eq!(pace.client().send(&upload).status, 200);
    let taken = backend.request().body;
    assert_eq!(String::from_utf8_lossy(&taken), "user=ann\npassword=***\nend");
    pace.wait_for_log(&["INFO", "pace::plugin::log", "mine: 1 passwords: complete"]);
}

/// Checks the response-stream filter of a new project in a proxy.
fn marks_pages(project: &Path) {
    let backend = HttpBackend::new(|request| {
        let kind = if request.target == "/page" {
            "text/html"
        } else {
            "text/plain"
        };
        Answer::chunks([b"<body>Hello</bo".to_vec(), b"dy>".to_vec()]).header("Content-Type", kind)
    });
    let pace = serving(project, &settings(project), &backend);
    let name = project.file_name().expect("it has one").to_string_lossy();
    let mark = format!("<!-- {name} -->");
    let marks = |path| {
        let request = Request::get(path).header("x-api-key", "the key of ann");
        let page = pace.client().send(&request).text().to_owned();
        assert!(
            page.starts_with("<body>Hello") && page.ends_with("</body>"),
            "{page}"
        );
        page.matches(&mark).count()
    };
    // A response-body filter of the plugin marks both.
    assert_eq!(marks("/page"), marks("/text") + 1);
}

/// The settings of a new project's plugin in a configuration.
fn settings(project: &Path) -> String {
    let name = project.file_name().expect("it has one").to_string_lossy();
    let cases =
        fs::read_to_string(project.join(format!("tests/{name}.toml"))).expect("each project has them");
    let is_setting = |line: &&str| line.starts_with("config = ") || line.starts_with("limits = ");
    let settings: Vec<&str> = cases
        .lines()
        .take_while(|line| *line != "[[case]]")
        .filter(is_setting)
        .collect();
    settings.join("\n")
}

/// Pace with the plugin of a project, which takes long to compile.
fn serving(project: &Path, settings: &str, backend: &HttpBackend) -> Pace {
    let wasm = project.join("plugin.wasm");
    let config = format!(
        "{ONE_WORKER}{}{settings}\n\n{}\n[[routes]]\npool = \"web\"\nplugins = [\"mine\"]\n",
        sections::plugin("mine", &wasm),
        pool("web", &[backend]),
    );
    let started = Setup::new().config(&config).start_within(LONG);
    started.unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn javascript_that_cannot_work_says_so() {
    if !asked_for("js") {
        return;
    }
    let place = directory();
    let project = javascript_that_answers(
        place.path(),
        "function answer() {\n  \
           const said = (call) => { try { return call(); } catch (error) { return error.message; } };\n  \
           return [() => fetch('http://127.0.0.1/'), () => setTimeout(() => {}, 1), () => setInterval(() => {}, 1)].map(said).join('\\n');\n}",
    );
    succeeds(&project, &["build"]);
    hold(
        &project,
        "[[case]]\nname = \"each says why\"\nlimits = { time_ms = 100, memory_mb = 64 }\n\
         expect.response.body = \"\"\"fetch cannot be called: a plugin has no network\n\
         setTimeout cannot be called: a hook cannot wait\n\
         setInterval cannot be called: a hook cannot wait\"\"\"\n",
    );
    let source = project.join("plugin.js");
    let right = fs::read_to_string(&source).expect("it has been written");
    let refused = |wrong: &str, said: &str| {
        fs::write(&source, format!("{right}{wrong}\n")).expect("it is ours");
        let exit = plugin(&project, &["build"]);
        assert_eq!(exit.code, Some(1), "{exit:#?}");
        let place = format!("plugin.js:{}:", line_of(&source, wrong));
        assert!(
            exit.stderr.contains(&place) && exit.stderr.contains(said),
            "{exit:#?}"
        );
    };
    refused("const wrong = ;", "SyntaxError");
    refused(
        "const id = crypto.randomUUID();",
        "crypto.randomUUID cannot be called while the component is made",
    );
}

/// The compiler that the tools of JavaScript bring reads the project as an editor does.
#[test]
fn javascript_has_types() {
    if !asked_for("js") {
        return;
    }
    let place = directory();
    let hooks: Vec<&str> = HOOKS
        .into_iter()
        .filter(|hook| *hook != "request-stream-filter")
        .collect();
    let project = begin(place.path(), "js", &hooks);
    let compile = || {
        let mut compiler = Command::new("node_modules/.bin/tsc");
        let output = compiler
            .args(["-p", "jsconfig.json"])
            .current_dir(&project)
            .output();
        let output = output.expect("it is there");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert_eq!(compile(), "");
    let source = project.join("plugin.js");
    insert(
        &source,
        "    setResponseHeader(",
        "    setResponseHeader(1, bytes(''));\n",
    );
    let said = compile();
    let place = format!("plugin.js({},", line_of(&source, "setResponseHeader(1"));
    assert!(said.contains(&place) && said.contains("TS2345"), "{said}");
}

#[test]
fn new_python_project_builds_and_passes() {
    if !asked_for("python") {
        return;
    }
    let place = directory();
    let project = begin(place.path(), "python", &HOOKS);
    works(&project);
    gives_the_same_bytes_again("python", &project);
    has(&project, &HOOKS);
    hides_passwords(&project);
    marks_pages(&project);
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
        "        if request.header('x-throw'):\n            raise ValueError('no such luck')\n        \
           if request.header('x-late'):\n            import uuid\n",
    );
    works(&project);
    let place = format!(
        "plugin.py\", line {}, in filter",
        line_of(&source, "no such luck")
    );
    explains(&project, "", "x-throw", &["ValueError: no such luck", &place]);
    let late = "uuid cannot be imported now: a plugin has no files once it is made";
    let place = format!("plugin.py\", line {}, in filter", line_of(&source, "import uuid"));
    explains(&project, "", "x-late", &[late, &place]);
}

/// Checks what the log has when a request with this header makes the response filter throw. `config` is put into each case.
fn explains(project: &Path, config: &str, header: &str, logged: &[&str]) {
    let case = |text: &&str| {
        format!(
            "[[case]]\nname = {text:?}\nhook = \"response-filter\"\n{config}request.headers.{header} = \"1\"\n\
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
