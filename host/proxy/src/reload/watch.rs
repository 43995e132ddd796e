//! Hints that a file may have changed.
//!
//! Directories are watched, not files: a rename over a file, another symbolic link, and the switch of
//! Kubernetes' `..data` are events of the directory. What a link leads to is watched too. Whatever the
//! system does not tell is found by the rescan.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use log::{debug, warn};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};

/// Watches the directories of a set of files.
pub struct Watch {
    watcher: Option<RecommendedWatcher>,
    watched: BTreeSet<PathBuf>,
}

impl Watch {
    /// `hint` is called when something may have changed, on a thread of the watcher's.
    pub fn new(hint: impl Fn() + Send + 'static) -> Watch {
        let event = move |event: notify::Result<notify::Event>| {
            // Reading a file is an event too, and who is told reads.
            if event.is_ok_and(|event| !event.kind.is_access()) {
                hint();
            }
        };
        let watcher = notify::recommended_watcher(event)
            .inspect_err(|error| warn!(target: "pace::reload", "files are not watched, only looked at every 2 s: {error}"))
            .ok();
        Watch {
            watcher,
            watched: BTreeSet::new(),
        }
    }

    /// Watches what matters to these files, and nothing else any more.
    pub fn follow<'a>(&mut self, files: impl Iterator<Item = &'a Path>) {
        let Some(watcher) = &mut self.watcher else { return };
        let wanted: BTreeSet<PathBuf> = files.flat_map(directories).collect();
        for gone in self.watched.difference(&wanted) {
            // It fails if the directory does not exist any more, and then there is nothing to undo.
            let _ = watcher.unwatch(gone);
        }
        for new in wanted.difference(&self.watched) {
            if let Err(error) = watcher.watch(new, RecursiveMode::NonRecursive) {
                debug!(
                    target: "pace::reload",
                    "{} is not watched, only looked at every 2 s: {error}",
                    new.display()
                );
            }
        }
        self.watched = wanted;
    }
}

/// The directory that a path is in, and those that links on the way lead to.
fn directories(file: &Path) -> Vec<PathBuf> {
    /// As many as Linux follows.
    const MAX_LINKS: usize = 40;
    let mut found = Vec::new();
    let mut file = file.to_owned();
    for _ in 0..MAX_LINKS {
        let Some(parent) = file.parent() else { break };
        let parent = if parent.as_os_str().is_empty() {
            Path::new(".")
        } else {
            parent
        };
        found.push(parent.to_owned());
        // `..data` is a link in the same directory, in the middle of the path behind the file's link.
        if let Ok(real) = parent.canonicalize() {
            found.push(real);
        }
        match std::fs::read_link(&file) {
            Ok(target) => file = parent.join(target),
            Err(_) => break,
        }
    }
    found
}
