//! Watches for hints that a file may have changed.
//!
//! Directories are watched, not files: a rename over a file, another symbolic link, and the switch of
//! Kubernetes' `..data` are events of the directory. The targets of links are watched too. The poll finds
//! changes that the system does not report.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use log::{debug, warn};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};

/// Watches the directories of a set of files.
pub(super) struct Watch {
    watcher: Option<RecommendedWatcher>,
    watched: BTreeSet<PathBuf>,
    /// How often files are looked at without a hint, in seconds.
    poll: f64,
}

impl Watch {
    /// Watches nothing yet. `hint` is called when a file may have changed, on a thread of the watcher.
    pub(super) fn new(poll: Duration, hint: impl Fn() + Send + 'static) -> Watch {
        let poll = poll.as_secs_f64();
        let event = move |event: notify::Result<notify::Event>| {
            // Reading a file is an event too, and the receiver of a hint reads.
            if event.is_ok_and(|event| !event.kind.is_access()) {
                hint();
            }
        };
        let watcher = notify::recommended_watcher(event)
            .inspect_err(|error| warn!(target: "pace::reload", "files are not watched, only looked at every {poll} s: {error}"))
            .ok();
        Watch {
            watcher,
            watched: BTreeSet::new(),
            poll,
        }
    }

    /// Watches the directories of these files, and no others. A directory that is watched already is watched
    /// anew: it may have been deleted and made again, and the watch is on the directory, not on its name.
    pub(super) fn follow<'a>(&mut self, files: impl Iterator<Item = &'a Path>) {
        let Some(watcher) = &mut self.watcher else { return };
        let wanted = directories(files);
        for gone in self.watched.difference(&wanted) {
            // It fails if the directory no longer exists, and then there is nothing to undo.
            let _ = watcher.unwatch(gone);
        }
        for directory in &wanted {
            if let Err(error) = watcher.watch(directory, RecursiveMode::NonRecursive) {
                debug!(target: "pace::reload",
                    "{} is not watched, only looked at every {} s: {error}",
                    directory.display(),
                    self.poll
                );
            }
        }
        self.watched = wanted;
    }
}

/// The directories of paths, and those that links on the way lead to.
fn directories<'a>(files: impl Iterator<Item = &'a Path>) -> BTreeSet<PathBuf> {
    /// The limit of Linux.
    const MAX_LINKS: usize = 40;
    let mut found = BTreeSet::new();
    for file in files {
        let mut file = file.to_owned();
        for _ in 0..MAX_LINKS {
            let Some(parent) = file.parent() else { break };
            let parent = if parent.as_os_str().is_empty() {
                Path::new(".")
            } else {
                parent
            };
            // `..data` is a link in the same directory, in the middle of the path behind the file's link.
            if found.insert(parent.to_owned())
                && let Ok(real) = parent.canonicalize()
            {
                found.insert(real);
            }
            match std::fs::read_link(&file) {
                Ok(target) => file = parent.join(target),
                Err(_) => break,
            }
        }
    }
    found
}
