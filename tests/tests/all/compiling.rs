//! Events while a plugin is being compiled. Rollbacks, for one, do not wait for it.
//!
//! The compiler is a process of its own, so a test can stop it, and the one that Pace starts in its place,
//! for as long as it wants.

mod held;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread::{self, ScopedJoinHandle};

use pace_tests::{HttpBackend, Pace, Request, Response, Setup, edition, fixture, wait_for};
use tempfile::TempDir;

use self::held::Held;
use crate::sections::{SERVER, plugin, pool};
use crate::swapping::{directory, reconfigure};

/// The third failure of the first calls is one too many.
const KEYS: &str = "rollback = { calls = 50, failures_percent = 4 }\nbreaker = { failures = 0 }\n";

/// A plugin `slow`, whose next file is never compiled in time, and a plugin `other`.
struct Story {
    pace: Pace,
    _backend: HttpBackend,
    files: TempDir,
    last: AtomicU8,
}

impl Story {
    /// Starts Pace. Both plugins have served with a second file; that of `other` is this one.
    fn new(other: &Path) -> Story {
        let files = directory();
        let file = |name: &str| files.path().join(name);
        for name in ["slow", "other"] {
            fs::write(file(name), edition(&fixture("respond"), 1)).expect("it can be written");
        }
        let backend = HttpBackend::named("one");
        let [slow, other_plugin] = ["slow", "other"].map(|name| plugin(name, &file(name)) + KEYS);
        let config = format!(
            "{SERVER}\n{slow}\n{other_plugin}\n{}\n[[routes]]\npool = \"web\"\nplugins = [\"slow\", \"other\"]\n",
            pool("web", &[&backend])
        );
        let setup = Setup::new().without_cache().config(&config);
        let pace = setup.env("RUST_LOG", "info,pace::reload=debug").start();
        let story = Story {
            pace,
            _backend: backend,
            files,
            last: AtomicU8::new(1),
        };
        story.replace("slow", &story.edition());
        story.replace("other", &edition(other, 2));
        story.pace.wait_for_generation("slow", 2);
        story.pace.wait_for_generation("other", 2);
        story
    }

    /// Makes another content of `slow`.
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

    /// Replaces a plugin's file and stops the process that compiles it.
    fn hold(&self, name: &str) -> Held {
        wait_for("a process that compiles", || {
            self.replace(name, &self.edition());
            self.held_compiler()
        })
    }

    /// Replaces a plugin's file and stops the process that compiles it while the file is not quiet yet, so
    /// that it may be incomplete. Returns the file's SHA-256 from the log, too.
    fn hold_early(&self, name: &str) -> (Held, String) {
        wait_for("a process that compiles a file which is not quiet yet", || {
            let before = self.early();
            self.replace(name, &self.edition());
            let held = self.held_compiler();
            let found = self.early().filter(|found| before.as_ref() != Some(found));
            if let (Some(_), Some(_)) = (&held, &found) {
                return held.zip(found);
            }
            // On a busy machine the file may have been quiet when Pace looked. Its compiled code is taken
            // then.
            drop(held);
            self.post(&format!("/plugins/{name}/reload"));
            None
        })
    }

    /// The SHA-256 of the last file that was compiled before it was quiet.
    fn early(&self) -> Option<String> {
        let log = self.pace.log();
        let (before, _) = log.rsplit_once(" may not be all of it yet")?;
        let (_, sha256) = before.rsplit_once("sha256 ")?;
        Some(sha256.to_owned())
    }

    /// How many times this file has been compiled to the end. On a busy machine the first attempt may run out
    /// of time.
    fn compiled(&self, sha256: &str) -> usize {
        let log = self.pace.log();
        let count = |words: String| log.matches(&words).count();
        count(format!("compiling sha256 {sha256}")) - count(format!("sha256 {sha256} is not compiled yet"))
    }

    /// Stops the process that compiles, as soon as there is one. `None` if it ended first.
    fn held_compiler(&self) -> Option<Held> {
        Held::compiler(self.pace.proc("task"))
    }

    /// The table of a third plugin, which is not in the configuration yet and has not been compiled.
    fn third(&self) -> String {
        let file = self.file("third");
        fs::write(&file, edition(&fixture("trap"), 3)).expect("it can be written");
        plugin("third", &file)
    }

    /// Changes the configuration so that something is compiled, and has `other` return to its first
    /// generation meanwhile. The configuration is taken; returns the answer.
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

/// Checks that the file that was compiled early serves as the next generation, and was compiled once.
fn assert_serves_next(story: &Story, early: &str, next: u64) {
    story.pace.wait_for_generation("slow", next);
    assert_eq!(story.pace.plugin("slow")["sha256"], *early);
    assert_eq!(story.compiled(early), 1);
}

fn assert_says(response: &Response, status: u16, words: &str) {
    assert_eq!(response.status, status, "{response:?}");
    assert!(response.text().contains(words), "{words} in {}", response.text());
}

/// Checks that the reload is not answered yet, because it waits for the compiler.
fn assert_waits(reload: &ScopedJoinHandle<'_, Response>) {
    assert!(!reload.is_finished(), "the compiler is stopped");
}

#[test]
fn rollback_of_another_plugin_does_not_wait_for_the_compiler() {
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
fn automatic_rollback_does_not_wait_for_the_compiler() {
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

/// A rollback asks for the previous version, so the one that is being compiled is not taken.
#[test]
fn rollback_of_the_same_plugin_gives_up_its_next_version() {
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

/// A file that mends a plugin is taken even if its predecessor is given up meanwhile.
#[test]
fn automatic_rollback_keeps_the_next_version() {
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
fn file_that_changes_while_it_is_compiled_never_serves() {
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

/// The code that was compiled while the file became quiet serves.
#[test]
fn file_compiled_early_is_not_compiled_again() {
    let story = Story::new(&fixture("respond"));
    let (held, early) = story.hold_early("slow");
    let next = story.pace.generation("slow") + 1;
    drop(held);
    assert_serves_next(&story, &early, next);
}

/// A file that does not fit into the free time is compiled when it is certain to be taken.
#[test]
fn file_that_compiles_too_slowly_is_taken_when_it_is_quiet() {
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

/// A file that is written again and again with the same content does not keep the compiler busy.
#[test]
fn refused_file_that_comes_again_is_not_compiled_again() {
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
        // When this file is taken, the other one has been compiled if it is going to be, except perhaps in
        // the last round.
        story.replace("other", &edition(&fixture("respond"), number));
        story.pace.wait_for_generation("other", number.into());
    }
    assert_eq!(story.compiled(sha256), 1);
}

/// A configuration that needs another plugin is taken with the generations that serve when that plugin is
/// compiled.
#[test]
fn configuration_is_taken_with_a_rollback_made_meanwhile() {
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

/// If the generation that serves by then is not the one that the configuration asks for, that one is made,
/// too.
#[test]
fn configuration_that_pins_a_file_outweighs_a_rollback_made_meanwhile() {
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
