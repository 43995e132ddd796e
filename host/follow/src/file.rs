//! Follows one file: detects whether its content has changed, and whether it is complete.

use std::path::Path;
use std::time::{Duration, Instant};

use super::stamp::{Digest, PathState};

/// A followed file, which reports when its content has changed.
#[derive(Debug, Default)]
pub(super) struct Followed {
    /// The state when it was last reported or taken; `None` if it never was.
    taken: Option<Taken>,
    /// The present state, if that differs, and since when.
    other: Option<(PathState, Instant)>,
}

#[derive(Debug)]
struct Taken {
    /// The state before the content was read, so that a later write looks different.
    look: PathState,
    digest: Option<Digest>,
    at: Instant,
    /// Whether the digest is that of the content that the caller read: the file has not been written to for a
    /// while since.
    is_certain: bool,
}

/// The result of comparing a file with its last known state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// The file is unchanged.
    Same,
    /// The file changed just now.
    Writing {
        /// The time until it counts as pausing, above zero.
        pausing_in: Duration,
    },
    /// The file changed some time ago: it is probably complete.
    Pausing {
        /// The time until it counts as quiet, above zero.
        quiet_in: Duration,
    },
    /// The file changed long enough ago to be complete, and its content is the same.
    Touched,
    /// The file changed long enough ago to be complete, and its content differs, or may differ.
    Changed,
}

/// A file that changed more recently than this may be incomplete.
const QUIET: Duration = Duration::from_millis(100);

/// A program that writes a file as fast as it can never pauses for so long.
const PAUSING: Duration = Duration::from_millis(20);

/// The coarsest clock that stamps files, that of FAT, ticks within this time.
const TICK: Duration = Duration::from_secs(2);

impl Followed {
    /// Takes the file's present state as known. The caller reads the file afterwards.
    pub(super) fn take(&mut self, path: &Path, now: Instant) {
        self.other = None;
        let look = PathState::at(path);
        if self.taken.as_ref().is_none_or(|taken| taken.look != look) {
            self.taken = Some(Taken::new(path, look, now));
        }
    }

    /// Marks the digest as uncertain: the caller reads the file afterwards, when its content may differ for a
    /// moment.
    pub(super) fn peek(&mut self, path: &Path, now: Instant) {
        match &mut self.taken {
            Some(taken) => {
                taken.is_certain = false;
                taken.at = now;
            }
            None => self.take(path, now),
        }
    }

    /// Compares the file with its known state. A change is reported once.
    ///
    /// A missing file is not waited for. The file's own time is not used: it comes from the clock of the
    /// machine that keeps the file, and a kernel's clock may lag by as long as its machine has been
    /// suspended.
    pub(super) fn look(&mut self, path: &Path, now: Instant) -> Seen {
        let look = PathState::at(path);
        if let Some(taken) = self.taken.as_mut().filter(|taken| taken.look == look) {
            self.other = None;
            return taken.look_closer(path, now);
        }
        let since = match self.other {
            Some((other, since)) if other == look => since,
            _ => now,
        };
        let not_quiet = match look {
            PathState::File(_) => Seen::not_quiet(now - since),
            PathState::Missing => None,
        };
        if let Some(seen) = not_quiet {
            self.other = Some((look, since));
            return seen;
        }
        self.other = None;
        let next = Taken::new(path, look, now);
        match self.taken.replace(next) {
            Some(before) if before.is_certain && before.has_content_of(self.taken.as_ref()) => Seen::Touched,
            _ => Seen::Changed,
        }
    }

    /// Whether the file was unchanged, or its change reported, at the last look.
    pub(super) fn is_settled(&self) -> bool {
        self.other.is_none()
    }
}

impl Taken {
    fn new(path: &Path, look: PathState, now: Instant) -> Taken {
        Taken {
            look,
            digest: Digest::of(path),
            at: now,
            is_certain: false,
        }
    }

    /// Whether both contents are the same. An unreadable file never counts as the same.
    fn has_content_of(&self, other: Option<&Taken>) -> bool {
        self.digest.is_some() && other.is_some_and(|other| other.digest == self.digest)
    }

    /// Reads a file that looks unchanged once more after the clock has ticked: two contents within one tick
    /// have one stamp.
    fn look_closer(&mut self, path: &Path, now: Instant) -> Seen {
        if self.is_certain || now.saturating_duration_since(self.at) < TICK {
            return Seen::Same;
        }
        let digest = Digest::of(path);
        if PathState::at(path) != self.look {
            // The file was written meanwhile; the next look sees that.
            return Seen::Same;
        }
        self.is_certain = digest == self.digest;
        if self.is_certain {
            return Seen::Same;
        }
        self.digest = digest;
        self.at = now;
        Seen::Changed
    }
}

impl Seen {
    /// The state of a file that changed so long ago; `None` if it is quiet. No system call tells whether its
    /// writer has finished.
    fn not_quiet(age: Duration) -> Option<Seen> {
        if age >= QUIET {
            None
        } else if age >= PAUSING {
            Some(Seen::Pausing {
                quiet_in: QUIET - age,
            })
        } else {
            Some(Seen::Writing {
                pausing_in: PAUSING - age,
            })
        }
    }
}

#[cfg(test)]
mod tests;
