//! What may happen while a plugin is being compiled: rollbacks, for one, do not wait for it.
//!
//! The compiler is a process of its own, so a test can stop it, and the one that Pace starts in its place, for as long
//! as it wants.

mod held;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread::{self, ScopedJoinHandle};

use pace_tests::{Origin, Pace, Request, Response, Setup, edition, fixture, wait_for};
use tempfile::TempDir;

use self::held::Held;
use crate::sections::{SERVER, plugin, pool};
use crate::swapping::{directory, reconfigure};

/// The third of the first calls to fail is one too many.
const KEYS: &str = "rollback = { calls = 50, failures_percent = 4 }\nbreaker = { failures = 0 }\n";

/// A plugin `slow`, whose next file is never compiled in time, and a plugin `other`.
struct Story {
    pace: Pace,
    _origin: Origin,
    files: TempDir,
    last: AtomicU8,
}

impl Story {
    /// Both have served with a second file, `other` with this one.
    fn new(other: &Path) -> Story {
        let files = directory();
        let file = |name: &str| files.path().join(name);
        for name in ["slow", "other"] {
            fs::write(file(name), edition(&fixture("respond"), 1)).expect("it can be written");
        }
        let origin = Origin::named("one");
        let [slow, other_plugin] = ["slow", "other"].map(|name| plugin(name, &file(name)) + KEYS);
        let config = format!(
            "{SERVER}\n{slow}\n{other_plugin}\n{}\n[[routes]]\npool = \"web\"\nplugins = [\"slow\", \"other\"]\n",
            pool("web", &[&origin])
        );
        let setup = Setup::new().config(&config);
        let pace = setup.env("RUST_LOG", "info,pace::reload=debug").start();
        let story = Story {
            pace,
            _origin: origin,
            files,
            last: AtomicU8::new(1),
        };
        story.replace("slow", &story.edition());
        story.replace("other", &edition(other, 2));
        story.pace.wait_for_generation("slow", 2);
        story.pace.wait_for_generation("other", 2);
        story
    }

    /// Another content of `slow`.
    fn edition(&self) -> Vec<u8> {
        let number = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        edition(&fixture("respond"), number)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    fn replace(&self, name: &str, content: &[u8]) {
        let new = self.file("new");
        fs::write(&new, content).expect("a temporary file can be written");
        fs::rename(new, self.file(name)).expect("a temporary file can be renamed");
    }

    /// Puts a new file there and stops the process that compiles it.
    fn hold(&self, name: &str) -> Held {
        wait_for("a process that compiles", || {
            self.replace(name, &self.edition());
            self.held_compiler()
        })
    }

    /// The same, when it compiles what may not be all of the file. And what the log calls that.
    fn hold_early(&self, name: &str) -> (Held, String) {
        wait_for("a process that compiles a file which is not quiet yet", || {
            let before = self.early();
            self.replace(name, &self.edition());
            let held = self.held_compiler();
            let found = self.early().filter(|found| before.as_ref() != Some(found));
            if let (Some(_), Some(_)) = (&held, &found) {
                return held.zip(found);
            }
            // On a busy machine the file may have been quiet when Pace looked. What it compiles then is taken.
            drop(held);
            self.post(&format!("/plugins/{name}/reload"));
            None
        })
    }

    /// What was compiled last of what was not quiet yet.
    fn early(&self) -> Option<String> {
        let log = self.pace.log();
        let (before, _) = log.rsplit_once(" may not be all of it yet")?;
        let (_, sha256) = before.rsplit_once("sha256 ")?;
        Some(sha256.to_owned())
    }

    /// How many times this has been compiled to the end. On a busy machine there may not be enough time at first.
    fn compiled(&self, sha256: &str) -> usize {
        let log = self.pace.log();
        let count = |words: String| log.matches(&words).count();
        count(format!("compiling sha256 {sha256}")) - count(format!("sha256 {sha256} is not compiled yet"))
    }

    /// Stops the process that compiles, as soon as there is one. `None` if it was quicker.
    fn held_compiler(&self) -> Option<Held> {
        Held::compiler(self.pace.proc("task"))
    }

    /// Another plugin, which is not there yet and has not been compiled.
    fn third(&self) -> String {
        let file = self.file("third");
        fs::write(&file, edition(&fixture("trap"), 3)).expect("it can be written");
        plugin("third", &file)
    }

    /// Changes the configuration so that something is compiled, and has `other` return to its first generation
    /// meanwhile. What is said of the configuration, which is taken.
    fn rolled_back_while_made(&self, change: impl Fn(String) -> String + Sync) -> String {
        thread::scope(|scope| {
            let reload = scope.spawn(|| reconfigure(&self.pace, &change));
            let held = self
                .held_compiler()
                .expect("compiling takes longer than stopping it");
            let rollback = self.post("/plugins/other/rollback");
            assert_says(&rollback, 200, "generation 1 serves again");
            assert!(!reload.is_finished(), "the compiler is stopped");
            assert!(!self.pace.log().contains("the configuration has been taken"));
            drop(held);
            let (status, sentence) = reload.join().expect("it is answered");
            assert_eq!(status, 200, "{sentence}");
            sentence
        })
    }

    fn post(&self, target: &str) -> Response {
        self.pace.admin().send(&Request::post(target, ""))
    }

    fn generations(&self) -> [u64; 2] {
        ["slow", "other"].map(|name| self.pace.generation(name))
    }
}

/// What was compiled early serves as the next generation, and was compiled once.
fn assert_serves_next(story: &Story, early: &str, next: u64) {
    story.pace.wait_for_generation("slow", next);
    assert_eq!(story.pace.plugin("slow")["sha256"], *early);
    assert_eq!(story.compiled(early), 1);
}

fn assert_says(response: &Response, status: u16, words: &str) {
    assert_eq!(response.status, status, "{response:?}");
    assert!(response.text().contains(words), "{words} in {}", response.text());
}

/// Not answered: what it asks for has not ended.
fn assert_waits(reload: &ScopedJoinHandle<'_, Response>) {
    assert!(!reload.is_finished(), "the compiler is stopped");
}

#[test]
fn a_rollback_of_another_plugin() {
    let story = Story::new(&fixture("respond"));
    let (held, compiled) = story.hold_early("slow");
    let serving = story.pace.generation("slow");
    thread::scope(|scope| {
        let reload = scope.spawn(|| story.post("/plugins/slow/reload"));
        let rollback = story.post("/plugins/other/rollback");
        assert_waits(&reload);
        assert_says(
            &rollback,
            200,
            "generation 1 serves again, in place of 2 (asked to)",
        );
        assert_eq!(story.generations(), [serving, 1]);

        drop(held);
        let reload = reload.join().expect("it is answered");
        assert_eq!(reload.status, 200, "{reload:?}");
        assert_eq!(story.generations(), [serving + 1, 1]);
        assert_eq!(story.compiled(&compiled), 1, "whoever asks gets what is there");
    });
}

#[test]
fn a_plugin_that_fails_its_first_calls() {
    let story = Story::new(&fixture("trap"));
    let held = story.hold("slow");
    for _ in 0..3 {
        assert_eq!(story.pace.get("/misbehave").status, 503);
    }
    story.pace.wait_for_generation("other", 1);
    assert_eq!(story.pace.get("/misbehave").status, 200);
    assert_eq!(story.generations(), [2, 1], "the compiler is stopped");

    drop(held);
    story.pace.wait_for_generation("slow", 3);
}

/// Who asks for the version before does not want the one that comes next.
#[test]
fn a_rollback_of_the_same_plugin() {
    let story = Story::new(&fixture("respond"));
    let (held, _) = story.hold_early("slow");
    let newer = story.pace.generation("slow");
    let older = newer - 1;
    let rollback = story.post("/plugins/slow/rollback");
    let serves = format!("generation {older} serves again, in place of {newer} (asked to)");
    assert_says(&rollback, 200, &serves);
    drop(held);
    story.pace.wait_for_log(&[
        "ERROR",
        "plugin `slow`",
        "a rollback was asked for while it was on its way",
        &format!("generation {older} (sha256 "),
    ]);
    let status = story.pace.plugin("slow");
    assert_eq!(
        (&status["generation"], &status["previous"]),
        (&older.into(), &newer.into())
    );
    let reason = status["refused"]["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("a rollback was asked for"), "{reason}");

    let reload = story.post("/plugins/slow/reload");
    assert_says(&reload, 200, &format!("generation {} serves", newer + 1));
}

/// What is put there to mend a plugin is taken, also if that is given up meanwhile.
#[test]
fn a_plugin_that_fails_while_its_next_version_comes() {
    let story = Story::new(&fixture("trap"));
    let held = story.hold("other");
    for _ in 0..3 {
        assert_eq!(story.pace.get("/misbehave").status, 503);
    }
    story.pace.wait_for_generation("other", 1);
    drop(held);
    story.pace.wait_for_generation("other", 3);
    let status = story.pace.plugin("other");
    assert_eq!((&status["previous"], &status["refused"]), (&1.into(), &().into()));
}

/// A file is compiled as soon as it may be complete, and taken when it is.
#[test]
fn a_file_that_changes_while_it_is_compiled() {
    let story = Story::new(&fixture("respond"));
    let (held, early) = story.hold_early("slow");
    let next = story.pace.generation("slow") + 1;
    story.replace("slow", &story.edition());
    drop(held);
    story.pace.wait_for_generation("slow", next);
    let reload = story.post("/plugins/slow/reload");
    let serves = format!("the file is the one that serves, generation {next}");
    assert_says(&reload, 200, &serves);
    let log = story.pace.log();
    assert!(
        !log.contains(&format!("serves (sha256 {early})")),
        "what has been replaced never served:\n{log}"
    );
}

/// What has been compiled while the file became quiet is what serves then.
#[test]
fn a_file_that_does_not_change_while_it_is_compiled() {
    let story = Story::new(&fixture("respond"));
    let (held, early) = story.hold_early("slow");
    let next = story.pace.generation("slow") + 1;
    drop(held);
    assert_serves_next(&story, &early, next);
}

/// What there is not enough free time for is compiled when it is certain that it is wanted.
#[test]
fn a_file_that_takes_too_long_to_compile() {
    let story = Story::new(&fixture("respond"));
    let (held, early) = story.hold_early("slow");
    let next = story.pace.generation("slow") + 1;
    story
        .pace
        .wait_for_log(&["plugin `slow`", &format!("sha256 {early} is not compiled yet")]);
    assert_eq!(story.pace.generation("slow"), next - 1);
    drop(held);
    assert_serves_next(&story, &early, next);
}

/// Who writes the same again and again does not keep the compiler busy.
#[test]
fn a_file_that_was_refused_and_comes_again() {
    let story = Story::new(&fixture("respond"));
    let refused = fs::read(fixture("wrong-type")).expect("it has been built");
    story.replace("slow", &refused);
    let reason = [
        "ERROR",
        "plugin `slow`",
        "with a function `filter` of the wrong type",
    ];
    story.pace.wait_for_log(&reason);
    let sha256 = story.pace.plugin("slow")["refused"]["sha256"].clone();
    let sha256 = sha256.as_str().expect("it could be read");
    assert_eq!(story.compiled(sha256), 1);
    for number in 3..6 {
        story.replace("slow", &refused);
        // When this is taken, the other has been compiled if it is to be, but in the last round perhaps.
        story.replace("other", &edition(&fixture("respond"), number));
        story.pace.wait_for_generation("other", number.into());
    }
    assert_eq!(story.compiled(sha256), 1);
}

/// A configuration that needs another plugin is taken with what serves when that is compiled.
#[test]
fn a_rollback_while_a_configuration_is_made() {
    let story = Story::new(&fixture("respond"));
    let third = story.third();
    let add = |text: String| text.replace("[[pools]]", &format!("{third}\n[[pools]]"));
    let sentence = story.rolled_back_while_made(add);
    assert!(
        sentence.contains("plugin `third`: generation 1 serves"),
        "{sentence}"
    );
    assert_eq!(story.generations(), [2, 1]);
    let rollback = story.post("/plugins/other/rollback");
    assert_says(&rollback, 200, "generation 2 serves again, in place of 1");
    assert_eq!(story.pace.get("/respond").status, 418);
}

/// If what serves by then is not what the configuration asks for, that is made too.
#[test]
fn a_rollback_while_a_configuration_is_made_that_pins_what_served() {
    let story = Story::new(&fixture("respond"));
    let pinned = story.pace.plugin("other")["sha256"].clone();
    let third = story.third();
    let file = format!("wasm = {:?}\n", story.file("other"));
    let add = |text: String| {
        text.replace(&file, &format!("{file}sha256 = {pinned}\n"))
            .replace("[[pools]]", &format!("{third}\n[[pools]]"))
    };
    let sentence = story.rolled_back_while_made(add);
    assert!(
        sentence.contains("plugin `other`: generation 3 serves"),
        "{sentence}"
    );
    assert_eq!(story.pace.plugin("other")["sha256"], pinned);
}
