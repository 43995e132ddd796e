//! Whether a file is another than it was, without reading it.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

/// What the system says of a file. When it is the same, so is the content, nearly always; when it differs,
/// the content's hash decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// What was found when a file was last looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Look {
    /// It was read, but its stamp was not taken before; it may have changed between.
    #[default]
    NotYet,
    /// Nothing was there.
    Nothing,
    /// A file.
    File(Stamp),
}

impl Look {
    /// Looks at what a path leads to.
    pub fn at(path: &Path) -> Look {
        Stamp::of(path).map_or(Look::Nothing, Look::File)
    }

    /// Whether somebody may be in the middle of writing it.
    pub fn is_being_written(&self) -> bool {
        matches!(self, Look::File(stamp) if stamp.age() < QUIET)
    }
}

/// A file that is taken again when it is another.
#[derive(Debug, Default)]
pub(super) struct Followed {
    /// How it looked when it was taken.
    taken: Look,
    /// How it looks now, if that is different, and since when.
    other: Option<(Look, Instant)>,
}

impl Followed {
    /// As it looks now. It is to be read after that.
    pub(super) fn taken(path: &Path) -> Followed {
        Followed {
            taken: Look::at(path),
            other: None,
        }
    }

    /// Looks again. `None` if it looks as it did; if it is quiet, it is to be read now, and will not be told of again.
    ///
    /// What is not there is not written. The time that the file has is not asked: it is the clock of who keeps the file,
    /// and that of a kernel may be behind by as long as its machine has been standing still.
    pub(super) fn look(&mut self, path: &Path, now: Instant) -> Option<Phase> {
        let look = Look::at(path);
        if look == self.taken {
            self.other = None;
            return None;
        }
        let since = match self.other {
            Some((other, since)) if other == look => since,
            _ => now,
        };
        let phase = match look {
            Look::File(_) => Phase::at(now - since),
            Look::NotYet | Look::Nothing => Phase::Quiet,
        };
        if phase == Phase::Quiet {
            self.taken = look;
            self.other = None;
        } else {
            self.other = Some((look, since));
        }
        Some(phase)
    }

    /// Whether it looked as it did when it was last looked at.
    pub(super) fn is_settled(&self) -> bool {
        self.other.is_none()
    }
}

/// Nobody can be asked whether he has written all of a file, so this goes by how long ago it changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Long ago: it is all there.
    Quiet,
    /// Some time ago: it is probably all there, and if so, it is quiet so much later.
    Pausing {
        /// Above zero.
        quiet_in: Duration,
    },
    /// Just now.
    Writing {
        /// Above zero.
        pausing_in: Duration,
    },
}

impl Phase {
    fn at(age: Duration) -> Phase {
        if age >= QUIET {
            Phase::Quiet
        } else if age >= PAUSING {
            Phase::Pausing {
                quiet_in: QUIET - age,
            }
        } else {
            Phase::Writing {
                pausing_in: PAUSING - age,
            }
        }
    }
}

/// A file that was written to less than this ago may be in the middle of being written.
const QUIET: Duration = Duration::from_millis(100);

/// Who writes a file as fast as he can does not rest for so long.
const PAUSING: Duration = Duration::from_millis(20);

impl Stamp {
    /// The stamp of what a path leads to; `None` if it leads nowhere.
    fn of(path: &Path) -> Option<Stamp> {
        let metadata = std::fs::metadata(path).ok()?;
        Some(Stamp {
            device: metadata.dev(),
            inode: metadata.ino(),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }

    /// For how long nobody has written to it, by the file's time. One in the future counts as long ago.
    fn age(&self) -> Duration {
        let (seconds, nanoseconds) = self.modified;
        let (Ok(seconds), Ok(nanoseconds)) = (u64::try_from(seconds), u32::try_from(nanoseconds)) else {
            return Duration::MAX;
        };
        let modified = SystemTime::UNIX_EPOCH + Duration::new(seconds, nanoseconds);
        SystemTime::now()
            .duration_since(modified)
            .unwrap_or(Duration::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_written_then_pauses_then_is_quiet() {
        let millis = Duration::from_millis;
        let expected = [
            (
                millis(0),
                Phase::Writing {
                    pausing_in: millis(20),
                },
            ),
            (
                millis(19),
                Phase::Writing {
                    pausing_in: millis(1),
                },
            ),
            (millis(20), Phase::Pausing { quiet_in: millis(80) }),
            (millis(99), Phase::Pausing { quiet_in: millis(1) }),
            (millis(100), Phase::Quiet),
            (Duration::MAX, Phase::Quiet),
        ];
        for (age, phase) in expected {
            assert_eq!(Phase::at(age), phase, "{age:?}");
        }
    }

    #[test]
    fn what_is_not_there_or_comes_from_the_future_is_not_being_written() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file can be made");
        let look = || Look::at(file.path());
        let tomorrow = SystemTime::now() + Duration::from_secs(86_400);
        file.as_file().set_modified(tomorrow).expect("it is ours");
        assert!(!look().is_being_written());
        let nothing = file.path().with_extension("not-there");
        assert!(!Look::at(&nothing).is_being_written());
        assert_eq!(
            Followed::default().look(&nothing, Instant::now()),
            Some(Phase::Quiet)
        );
    }

    /// Whatever time it has: that of a file which has just been emptied may seem to be long ago.
    #[test]
    fn a_file_is_quiet_when_it_has_looked_the_same_for_a_while() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file can be made");
        let write = |length| {
            file.as_file().set_len(length).expect("it is ours");
            file.as_file()
                .set_modified(SystemTime::UNIX_EPOCH)
                .expect("it is ours");
        };
        let start = Instant::now();
        let mut followed = Followed::taken(file.path());
        let mut look = |millis| followed.look(file.path(), start + Duration::from_millis(millis));
        assert_eq!(look(0), None);
        write(1);
        assert_eq!(look(0), Some(Phase::at(Duration::ZERO)));
        assert_eq!(look(99), Some(Phase::at(Duration::from_millis(99))));
        write(2);
        assert_eq!(look(100), Some(Phase::at(Duration::ZERO)), "it is another again");
        assert_eq!(look(200), Some(Phase::Quiet));
        assert_eq!(look(200), None);
        assert!(followed.is_settled());
    }
}
