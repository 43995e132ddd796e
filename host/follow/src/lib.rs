//! Says which of a set of files have another content than they had.
//!
//! ```text
//! event of a directory ─┐                ┌─ as it was: nothing
//! poll, every so often ─┴▶ look: stamps ─┤
//!                                        └─ other, for 100 ms: content ─┬─ other: changed
//!                                                                       └─ the same: touched
//! ```
//!
//! Events and stamps (size, times, inode) are hints to look; the hash of the content decides. No clock but that of this process is
//! asked how long ago something was written: the times of a file are those of who keeps it. Whoever is told that a file has
//! changed reads it after that, so what is written later is told again.
//!
//! | file | what it does |
//! |---|---|
//! | `file` | one file: written, quiet, changed |
//! | `look` | its stamp, and the hash of its content |
//! | `watch` | the directories of all of them: events |

mod file;
mod look;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use self::file::{Followed, Seen};
use self::watch::Watch;

/// Follows a set of files. It has no thread: who owns it calls [`Follower::look`] when that is [due](Follower::due).
pub struct Follower {
    files: BTreeMap<PathBuf, Followed>,
    watch: Watch,
    /// Whether there are files that are not watched yet.
    is_watch_behind: bool,
    poll: Duration,
    due: Instant,
}

/// Files that do not look as they did. A change is told of once.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Files whose content is another, or which cannot be read any more, or can again.
    pub changed: Vec<PathBuf>,
    /// Files that were written, replaced or given another time, and have the content that they had.
    pub touched: Vec<PathBuf>,
    /// Files that are probably written to their end. A little later they are told of as changed or touched; until then each
    /// look has them here.
    pub pausing: Vec<PathBuf>,
}

/// How soon to look at files after a hint: who replaces one causes several.
const SETTLE: Duration = Duration::from_millis(10);

impl Follower {
    /// Follows no file yet. `hint` is called when something may have changed, on a thread that has nothing else to do than to
    /// pass it on to [`Follower::hinted`]. Changes that the system does not tell of are found every `poll`.
    pub fn new(poll: Duration, hint: impl Fn() + Send + 'static) -> Follower {
        Follower {
            files: BTreeMap::new(),
            watch: Watch::new(poll, hint),
            is_watch_behind: false,
            poll,
            due: Instant::now() + poll,
        }
    }

    /// Follows these files and no others. One that was not followed is told of as changed when it is first looked at, since it
    /// may have changed after the caller has read it.
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

    /// The caller reads this file next and takes what is in it, so that only what changes from now on is told. It is watched
    /// from the next [`Follower::follow`] on.
    pub fn take(&mut self, path: &Path) {
        self.file(path).take(path, Instant::now());
    }

    /// The caller reads this file next, and may or may not take what is in it. What there was to be told still is.
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
            // A link may lead somewhere else now, and a directory of that name be another.
            self.watch.follow(self.files.keys().map(PathBuf::as_path));
        }
        found
    }

    /// When to look next.
    pub fn due(&self) -> Instant {
        self.due
    }

    /// Something may have changed.
    pub fn hinted(&mut self) {
        self.due = self.due.min(Instant::now() + SETTLE);
    }

    /// The next look is due at once: what came of the last took long.
    pub fn look_at_once(&mut self) {
        self.due = Instant::now();
    }

    /// Whether nobody was in the middle of writing a file when it was last looked at.
    pub fn is_settled(&self, path: &Path) -> bool {
        self.files.get(path).is_none_or(Followed::is_settled)
    }

    /// Whether that holds for all files.
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
