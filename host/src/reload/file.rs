//! Whether a file is another than it was, without reading it.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// What the system says of a file. When it is the same, so is the content, nearly always; when it differs,
/// the content's hash decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// What was found when a file was last looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Look {
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
    pub(crate) fn at(path: &Path) -> Look {
        Stamp::of(path).map_or(Look::Nothing, Look::File)
    }

    /// Whether somebody may be in the middle of writing it.
    pub(crate) fn is_being_written(&self) -> bool {
        matches!(self, Look::File(stamp) if !stamp.is_quiet())
    }
}

/// A file that was written to less than this ago may be in the middle of being written.
const QUIET: Duration = Duration::from_millis(100);

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

    /// Whether nobody has written to it for a moment. A time in the future counts as long ago.
    fn is_quiet(&self) -> bool {
        let (seconds, nanoseconds) = self.modified;
        let (Ok(seconds), Ok(nanoseconds)) = (u64::try_from(seconds), u32::try_from(nanoseconds)) else {
            return true;
        };
        let modified = SystemTime::UNIX_EPOCH + Duration::new(seconds, nanoseconds);
        SystemTime::now()
            .duration_since(modified)
            .map_or(true, |age| age >= QUIET)
    }
}
