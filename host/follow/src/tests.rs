//! The ways of replacing a file, in simulated time; and, in real time, that each causes a hint.
//!
//! Files that are written in place change their length or their time too: the clock that stamps them may not
//! have ticked.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::sync::mpsc;

use super::*;

/// A directory with files that are followed.
struct Case {
    directory: tempfile::TempDir,
    follower: Follower,
    hints: mpsc::Receiver<()>,
    now: Instant,
}

const POLL: Duration = Duration::from_secs(2);

/// A deadline that only a failure reaches.
const LONG: Duration = Duration::from_secs(60);

impl Case {
    fn new() -> Case {
        let (sender, hints) = mpsc::channel();
        Case {
            directory: tempfile::tempdir().expect("a temporary directory can be made"),
            follower: Follower::new(POLL, move || {
                // The test may have ended.
                let _ = sender.send(());
            }),
            hints,
            now: Instant::now(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, content: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("it is in a directory")).expect("it can be made");
        fs::write(path, content).expect("a temporary file can be written");
    }

    /// Replaces a file at once, as installers do.
    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).expect("it can be renamed");
    }

    fn link(&self, target: &str, name: &str) {
        symlink(target, self.path(name)).expect("a link can be made");
    }

    /// Follows these files as they are, for so long that all is certain.
    fn take(&mut self, names: &[&str]) {
        let paths: Vec<_> = names.iter().map(|name| self.path(name)).collect();
        paths.iter().for_each(|path| self.follower.take(path));
        self.follower.follow(paths);
        self.now = self.now.max(Instant::now()) + POLL * 2;
        assert_eq!(self.look(), Found::default());
    }

    fn look(&mut self) -> Found {
        self.follower.look(self.now)
    }

    /// Looks whenever that is due, until no file is being written.
    fn look_until_settled(&mut self) -> Found {
        loop {
            let found = self.look();
            if self.follower.are_settled() {
                return found;
            }
            self.now = self.follower.due();
        }
    }

    fn changed(&self, name: &str) -> Found {
        Found {
            changed: vec![self.path(name)],
            ..Found::default()
        }
    }

    fn touched(&self, name: &str) -> Found {
        Found {
            touched: vec![self.path(name)],
            ..Found::default()
        }
    }

    /// Waits for a hint, and discards others that have come.
    fn wait_for_hint(&self, of: &str) {
        let hint = self.hints.recv_timeout(LONG);
        assert!(hint.is_ok(), "there was no hint of {of}");
        self.forget_hints();
    }

    fn forget_hints(&self) {
        while self.hints.try_recv().is_ok() {}
    }
}

#[test]
fn file_written_in_place_has_changed() {
    let mut case = Case::new();
    case.write("one", "1");
    case.write("two", "2");
    case.take(&["one", "two"]);
    case.write("two", "2 and more");
    assert_eq!(case.look_until_settled(), case.changed("two"));
    assert_eq!(case.look_until_settled(), Found::default());
}

#[test]
fn half_written_file_has_not_changed() {
    let mut case = Case::new();
    case.write("one", "1");
    case.take(&["one"]);
    let mut file = File::create(case.path("one")).expect("it can be written");
    for pause in [0, 10, 50, 90] {
        case.now += Duration::from_millis(pause);
        file.write_all(b"more").expect("it can be written");
        assert_eq!(case.look(), Found::default(), "it was written to just now");
        let due = case.follower.due() - case.now;
        assert!(due > Duration::ZERO && due < POLL, "{due:?}");
        assert!(!case.follower.is_settled(&case.path("one")));
    }
    case.now = case.follower.due();
    let pausing = Found {
        pausing: vec![case.path("one")],
        ..Found::default()
    };
    assert_eq!(case.look(), pausing);
    assert_eq!(case.look_until_settled(), case.changed("one"));
}

#[test]
fn file_replaced_by_rename_has_changed_if_its_content_did() {
    let mut case = Case::new();
    case.write("one", "1");
    case.take(&["one"]);
    case.write("new", "2");
    case.rename("new", "one");
    assert_eq!(case.look_until_settled(), case.changed("one"));
    case.now += POLL * 2;
    assert_eq!(case.look(), Found::default());
    case.write("new", "2");
    case.rename("new", "one");
    assert_eq!(case.look_until_settled(), case.touched("one"));
}

/// Kubernetes mounts a ConfigMap or a Secret like this: two files replaced at once are reported at once.
#[test]
fn files_behind_a_switched_link_change_together() {
    let mut case = Case::new();
    for version in ["v1", "v2"] {
        case.write(&format!("{version}/one"), version);
        case.write(&format!("{version}/two"), version);
        case.write(&format!("{version}/same"), "same");
    }
    case.link("v1", "..data");
    for name in ["one", "two", "same"] {
        case.link(&format!("..data/{name}"), name);
    }
    case.take(&["one", "two", "same"]);
    case.link("v2", "..new");
    case.rename("..new", "..data");
    let found = case.look_until_settled();
    assert_eq!(found.changed, [case.path("one"), case.path("two")]);
    assert_eq!(found.touched, [case.path("same")]);
}

#[test]
fn file_removed_and_restored_has_changed_twice() {
    let mut case = Case::new();
    case.write("one", "1");
    case.take(&["one"]);
    case.rename("one", "away");
    assert_eq!(case.look_until_settled(), case.changed("one"));
    case.rename("away", "one");
    assert_eq!(case.look_until_settled(), case.changed("one"));
}

#[test]
fn file_turned_into_directory_and_back_has_changed_twice() {
    let mut case = Case::new();
    case.write("one", "1");
    case.take(&["one"]);
    fs::remove_file(case.path("one")).expect("it is there");
    fs::create_dir(case.path("one")).expect("it can be made");
    assert_eq!(case.look_until_settled(), case.changed("one"));
    fs::remove_dir(case.path("one")).expect("it is there");
    case.write("one", "1");
    assert_eq!(case.look_until_settled(), case.changed("one"));
}

#[test]
fn follow_reports_only_named_files() {
    let mut case = Case::new();
    case.write("one", "1");
    case.write("two", "2");
    case.take(&["one"]);
    case.follower
        .follow(["one", "two"].map(|name| case.directory.path().join(name)));
    assert_eq!(
        case.look_until_settled(),
        case.changed("two"),
        "it may have, before"
    );
    case.follower.follow([case.path("two")]);
    case.write("one", "3");
    assert_eq!(case.look_until_settled(), Found::default());
}

#[test]
fn look_is_due_after_the_poll_or_soon_after_a_hint() {
    let mut case = Case::new();
    case.look();
    assert_eq!(case.follower.due(), case.now + POLL);
    case.follower.hinted();
    assert!(case.follower.due() <= Instant::now() + SETTLE);
    case.follower.look_at_once();
    assert!(case.follower.due() <= Instant::now());
}

#[test]
fn replacing_a_file_in_any_way_causes_a_hint() {
    let mut case = Case::new();
    case.write("one", "1");
    case.write("v1/two", "1");
    case.write("v2/two", "2");
    case.link("v1", "..data");
    case.link("..data/two", "two");
    case.take(&["one", "two"]);
    case.forget_hints();

    case.write("one", "2");
    case.wait_for_hint("a file that is written");
    case.write("elsewhere/new", "3");
    case.rename("elsewhere/new", "one");
    case.wait_for_hint("a rename");
    case.write("v1/two", "2");
    case.wait_for_hint("a file behind a link");
    case.link("v2", "elsewhere/link");
    case.rename("elsewhere/link", "..data");
    case.wait_for_hint("a link that is switched");
    case.look_until_settled();
    case.forget_hints();
    case.write("v2/two", "3");
    case.wait_for_hint("a file behind the link of now");
}

/// The poll finds the new directory, and from then on it is watched.
#[test]
fn recreated_directory_is_watched_again() {
    let mut case = Case::new();
    case.write("directory/one", "1");
    case.take(&["directory/one"]);
    fs::remove_dir_all(case.path("directory")).expect("it is ours");
    case.wait_for_hint("a directory that is removed");
    assert_eq!(case.look_until_settled(), case.changed("directory/one"));
    case.write("directory/one", "1");
    assert_eq!(case.look_until_settled(), case.changed("directory/one"));
    case.forget_hints();
    case.write("directory/one", "1 and more");
    case.wait_for_hint("a file in the new directory");
    assert_eq!(case.look_until_settled(), case.changed("directory/one"));
}
