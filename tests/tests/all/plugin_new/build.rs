//! The result of a build: a plugin that has been checked, or the previous one.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use pace_tests::{fixture, program};
use tempfile::TempDir;

use super::{command, directory, lasting, plugin, script, succeeds};

/// A project with a plugin that serves, and a fake tool.
pub(super) struct Project {
    pub(super) place: TempDir,
    before: Vec<u8>,
}

impl Project {
    /// Makes a project whose tool runs these commands, with `$made` for the path to write to, and `$fixture`
    /// for a plugin.
    pub(super) fn with_tool(language: &str, commands: &str) -> Project {
        let place = directory();
        succeeds(place.path(), &["new", "mine", "--lang", language]);
        let before = fs::read(fixture("respond")).expect("it has been built");
        fs::write(place.path().join("mine/plugin.wasm"), &before).expect("the place is ours");
        let project = Project { place, before };
        let fixture = fixture("no-op");
        let commands = format!("fixture={}\n{commands}", fixture.display());
        match language {
            "python" => script(
                &project.path(".venv/bin/componentize-py"),
                &format!("for made; do :; done\n{commands}"),
            ),
            _ => {
                let installed = project.path("node_modules/@bytecodealliance/componentize-js");
                fs::create_dir_all(installed).expect("the place is ours");
                let version = "case \"$1\" in --version) echo v20.1.0; exit;; esac";
                script(
                    &project.path("bin/node"),
                    &format!("{version}\nmade=build/plugin.wasm\n{commands}"),
                );
            }
        }
        project
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.path().join("mine").join(name)
    }

    /// Builds, which must fail, and returns the message.
    pub(super) fn fails(&self) -> String {
        let path = format!("{}:/usr/bin:/bin", self.path("bin").display());
        let build = command(self.place.path(), &["build", "mine"]).env("PATH", &path);
        let exit = build.run();
        assert_eq!(exit.code, Some(1), "{exit:#?}");
        exit.stderr
    }

    pub(super) fn plugin(&self) -> Vec<u8> {
        self.read("plugin.wasm")
    }

    pub(super) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).expect("it has been written")
    }
}

/// The identity of a file: another one with the same content has another.
fn identity(path: &Path) -> (u64, i64, i64) {
    let file = fs::metadata(path).expect("it is always there");
    (file.ino(), file.mtime(), file.mtime_nsec())
}

#[test]
fn plugin_stays_until_its_successor_has_been_checked() {
    for language in ["python", "js"] {
        // The tool saves the file that a proxy would see while it writes.
        let writes_junk = "printf 'half of a compo' > \"$made\"\ncp plugin.wasm seen";
        let project = Project::with_tool(language, writes_junk);
        let before = identity(&project.path("plugin.wasm"));
        let said = project.fails();
        assert!(said.contains("pace: what was built is no plugin:"), "{said}");
        assert_eq!(
            fs::read(project.path("seen")).ok(),
            Some(project.before.clone()),
            "{language}"
        );
        assert!(project.plugin() == project.before, "{language}");
        // The file has not been replaced, not even for a moment.
        assert_eq!(identity(&project.path("plugin.wasm")), before, "{language}");
    }
}

#[test]
fn tool_without_output_leaves_the_plugin_alone() {
    for language in ["python", "js"] {
        let project = Project::with_tool(language, "exit 0");
        // The output of an earlier build must not be taken for this one's.
        fs::create_dir_all(project.path("build")).expect("the place is ours");
        fs::copy(fixture("no-op"), project.path("build/plugin.wasm")).expect("the place is ours");
        let said = project.fails();
        assert!(
            said.contains("made no component: it should have written mine/build/plugin.wasm"),
            "{said}"
        );
        assert!(project.plugin() == project.before, "{language}");
        let project = Project::with_tool(language, "exit 7");
        assert!(
            project.fails().contains("failed: what it said is above"),
            "{language}"
        );
        assert!(project.plugin() == project.before, "{language}");
    }
}

#[test]
fn checked_build_replaces_the_plugin() {
    let project = Project::with_tool("python", "cp \"$fixture\" \"$made\"");
    succeeds(project.place.path(), &["build", "mine"]);
    assert!(project.plugin() == fs::read(fixture("no-op")).expect("it has been built"));
}

/// Two builds write the same files, and one must not take what the other has half written.
#[test]
fn build_waits_for_another_build_of_the_project() {
    let project = Project::with_tool("python", "touch started\ncp \"$fixture\" \"$made\"");
    let other = File::open(project.path("")).expect("it is there");
    other.lock().expect("nobody else builds");
    let mut build = Command::new(program())
        .args(["plugin", "build"])
        .current_dir(project.path(""))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it can be started");
    let stderr = build.stderr.take().expect("it was asked for");
    let mut lines = BufReader::new(stderr).lines();
    let first = lines.next().expect("it says that it waits").expect("it is text");
    assert_eq!(
        first,
        "Another build of this project is going on: waiting for its end."
    );
    assert!(!project.path("started").exists());
    other.unlock().expect("it is locked");
    let rest: Vec<_> = lines.map_while(Result::ok).collect();
    let status = build.wait().expect("it ends");
    assert!(status.success(), "{rest:?}");
    assert!(project.path("started").exists());
}

#[test]
fn directory_without_a_project_is_refused() {
    let place = directory();
    let refused = plugin(place.path(), &["build"]);
    let message = refused.refusal();
    assert!(
        message.starts_with(". is no plugin's project") && message.contains("pace plugin new"),
        "{message}"
    );
}

/// The compiler's own message is on standard error, above Pace's one sentence.
#[test]
fn compile_error_is_shown() {
    let place = lasting("broken");
    succeeds(&place, &["new", "broken"]);
    let project = place.join("broken");
    fs::write(project.join("src/lib.rs"), "fn broken( {}").expect("it can be written");
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
