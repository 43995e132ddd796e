//! One file: whether it is another than it was, and whether all of it is there.

use std::path::Path;
use std::time::{Duration, Instant};

use super::look::{Digest, Look};

/// A file that is told of when its content is another.
#[derive(Debug, Default)]
pub(super) struct Followed {
    /// As it was when it was last told of or taken; `None` if it never was.
    taken: Option<Taken>,
    /// How it looks now, if that is different, and since when.
    other: Option<(Look, Instant)>,
}

#[derive(Debug)]
struct Taken {
    /// From before the content was read, so that what is written meanwhile looks different.
    look: Look,
    digest: Option<Digest>,
    at: Instant,
    /// Whether the digest is that of the content which the caller has read: the file has not been written to for a while
    /// since.
    is_certain: bool,
}

/// How a file looks, compared with what is known of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// As it was.
    Same,
    /// It changed just now.
    Writing {
        /// Above zero.
        pausing_in: Duration,
    },
    /// It changed some time ago: it is probably all there, and if so, it is quiet so much later.
    Pausing {
        /// Above zero.
        quiet_in: Duration,
    },
    /// It changed long ago, so it is all there, and its content is what it was.
    Touched,
    /// It changed long ago, so it is all there, and its content is another, or may be.
    Changed,
}

/// A file that changed less than this ago may be in the middle of being written.
const QUIET: Duration = Duration::from_millis(100);

/// Who writes a file as fast as he can does not rest for so long.
const PAUSING: Duration = Duration::from_millis(20);

/// The coarsest clock that stamps files, which is that of FAT, has ticked in this time.
const TICK: Duration = Duration::from_secs(2);

impl Followed {
    /// Takes it as it is now. It is to be read after that.
    pub(super) fn take(&mut self, path: &Path, now: Instant) {
        self.other = None;
        let look = Look::at(path);
        if self.taken.as_ref().is_none_or(|taken| taken.look != look) {
            self.taken = Some(Taken::new(path, look, now));
        }
    }

    /// Doubts the digest: the file is to be read after that, when its content may be another for a moment.
    pub(super) fn peek(&mut self, path: &Path, now: Instant) {
        match &mut self.taken {
            Some(taken) => {
                taken.is_certain = false;
                taken.at = now;
            }
            None => self.take(path, now),
        }
    }

    /// Looks again. What is told as changed or touched is not told again.
    ///
    /// What is not there is not written. The time that the file has is not asked: it is the clock of who keeps the file,
    /// and that of a kernel may be behind by as long as its machine has been standing still.
    pub(super) fn look(&mut self, path: &Path, now: Instant) -> Seen {
        let look = Look::at(path);
        if let Some(taken) = self.taken.as_mut().filter(|taken| taken.look == look) {
            self.other = None;
            return taken.look_closer(path, now);
        }
        let since = match self.other {
            Some((other, since)) if other == look => since,
            _ => now,
        };
        let not_quiet = match look {
            Look::File(_) => Seen::not_quiet(now - since),
            Look::Nothing => None,
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

    /// Whether it looked as it did when it was last looked at.
    pub(super) fn is_settled(&self) -> bool {
        self.other.is_none()
    }
}

impl Taken {
    fn new(path: &Path, look: Look, now: Instant) -> Taken {
        Taken {
            look,
            digest: Digest::of(path),
            at: now,
            is_certain: false,
        }
    }

    /// What cannot be read is never known to be the same.
    fn has_content_of(&self, other: Option<&Taken>) -> bool {
        self.digest.is_some() && other.is_some_and(|other| other.digest == self.digest)
    }

    /// Reads once more, when the clock has ticked, what looks the same: two contents within one tick have one stamp.
    fn look_closer(&mut self, path: &Path, now: Instant) -> Seen {
        if self.is_certain || now.saturating_duration_since(self.at) < TICK {
            return Seen::Same;
        }
        let digest = Digest::of(path);
        if Look::at(path) != self.look {
            // Written meanwhile: the next look is at that.
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
    /// How a file looks that changed so long ago; `None` if it is quiet. Nobody can be asked whether he has written all of
    /// it.
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
