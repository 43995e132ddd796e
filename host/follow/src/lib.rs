//! Reports which of a set of files have changed their content.
//!
//! ```text
//! event of a directory ─┐                ┌─ as it was: nothing
//! poll, every so often ─┴▶ look: stamps ─┤
//!                                        └─ other, for 100 ms: content ─┬─ other: changed
//!                                                                       └─ the same: touched
//! ```
//!
//! Events and stamps (size, times, inode) are hints to look; the hash of the content decides. Only the clock
//! of this process tells how long ago a file was written: the times of a file come from the machine that
//! keeps it. The caller reads a changed file after the report, so that later writes are reported again.
//!
//! | file | what it does |
//! |---|---|
//! | `file` | one file: written, quiet, changed |
//! | `stamp` | the state of a path, and the hash of a file's content |
//! | `watch` | the directories of all files: events |

mod file;
mod stamp;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use self::file::{Followed, Seen};
use self::watch::Watch;

/// Follows a set of files. It has no thread: its owner calls [`Follower::look`] when that is
/// [due](Follower::due).
pub struct Follower {
    files: BTreeMap<PathBuf, Followed>,
    watch: Watch,
    /// Whether there are files that are not watched yet.
    is_watch_behind: bool,
    poll: Duration,
    due: Instant,
}

/// The files that differ from their last known state. A change is reported once.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Files whose content changed, or that became unreadable or readable.
    pub changed: Vec<PathBuf>,
    /// Files that were written, replaced or given another time, with the same content as before.
    pub touched: Vec<PathBuf>,
    /// Files that are probably complete. A little later they are reported as changed or touched; until then
    /// each look lists them here.
    pub pausing: Vec<PathBuf>,
}

/// The delay of a look after a hint: replacing a file causes several.
const SETTLE: Duration = Duration::from_millis(10);

impl Follower {
    /// A follower of no files yet. `hint` is called when a file may have changed, on a thread that only
    /// passes it on to [`Follower::hinted`]. Changes that the system does not report are found every `poll`.
    pub fn new(poll: Duration, hint: impl Fn() + Send + 'static) -> Follower {
        Follower {
            files: BTreeMap::new(),
            watch: Watch::new(poll, hint),
            is_watch_behind: false,
            poll,
            due: Instant::now() + poll,
        }
    }

    /// Follows these files and no others. A file that was not followed before is reported as changed at its
    /// first look, since it may have changed after the caller read it.
    pub fn follow(&mut self, files: impl IntoIterator<Item = PathBuf>) {
        let files: BTreeSet<PathBuf> = files.into_iter().collect();
        let before = self.files.len();
        self.files.retain(|path, _| files.contains(path));
        let is_same = self.files.len() == before && files.len() == before;
        for path in files {
            self.files.entry(path).or_default();
        }
        if mem::take(&mut self.is_watch_behind) || !is_same {
            self.watch.follow(self.files.keys().map(PathBuf::as_path));
        }
    }

    /// Takes a file as known. The caller reads it next and uses its content, so only later changes are
    /// reported. The file is watched from the next [`Follower::follow`] on.
    pub fn take(&mut self, path: &Path) {
        self.file(path).take(path, Instant::now());
    }

    /// Announces that the caller reads a file next and may or may not use its content. Pending changes are
    /// still reported.
    pub fn peek(&mut self, path: &Path) {
        self.file(path).peek(path, Instant::now());
    }

    /// Looks at every file, `now`.
    pub fn look(&mut self, now: Instant) -> Found {
        let mut found = Found::default();
        self.due = now + self.poll;
        for (path, file) in &mut self.files {
            match file.look(path, now) {
                Seen::Same => {}
                Seen::Writing { pausing_in } => self.due = self.due.min(now + pausing_in),
                Seen::Pausing { quiet_in } => {
                    found.pausing.push(path.clone());
                    self.due = self.due.min(now + quiet_in);
                }
                Seen::Touched => found.touched.push(path.clone()),
                Seen::Changed => found.changed.push(path.clone()),
            }
        }
        if !(found.changed.is_empty() && found.touched.is_empty()) {
            // A link may lead elsewhere now, or a directory be another of the same name.
            self.watch.follow(self.files.keys().map(PathBuf::as_path));
        }
        found
    }

    /// The time of the next look.
    pub fn due(&self) -> Instant {
        self.due
    }

    /// Notes a hint that a file may have changed.
    pub fn hinted(&mut self) {
        self.due = self.due.min(Instant::now() + SETTLE);
    }

    /// Makes the next look due at once: acting on the last one took long.
    pub fn look_at_once(&mut self) {
        self.due = Instant::now();
    }

    /// Whether a file was not being written at the last look.
    pub fn is_settled(&self, path: &Path) -> bool {
        self.files.get(path).is_none_or(Followed::is_settled)
    }

    /// Whether no file was being written at the last look.
    pub fn are_settled(&self) -> bool {
        self.files.values().all(Followed::is_settled)
    }

    fn file(&mut self, path: &Path) -> &mut Followed {
        if !self.files.contains_key(path) {
            self.is_watch_behind = true;
        }
        self.files.entry(path.to_owned()).or_default()
    }
}

#[cfg(test)]
mod tests;
