//! The state of a path from outside, and a hash of a file's content.

use std::hash::{DefaultHasher, Hasher};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use pace_base::file;

/// The state of a path from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PathState {
    /// No file.
    Missing,
    /// A file.
    File(Stamp),
}

/// Metadata of a file. If it differs, the content may differ; if it is the same, so is the content, unless
/// both were written within one tick of the clock that stamps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// A hash of a file's content, for comparisons within this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Digest(u64);

/// The largest file that is hashed; of larger ones, only stamps are compared.
const MAX_SIZE: u64 = 32 << 20;

impl PathState {
    /// The state of a path, with links followed.
    pub(super) fn at(path: &Path) -> PathState {
        let Ok(metadata) = std::fs::metadata(path) else {
            return PathState::Missing;
        };
        PathState::File(Stamp {
            device: metadata.dev(),
            inode: metadata.ino(),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}

impl Digest {
    /// Hashes the file that a path leads to; `None` if it is no regular file, cannot be read or is too large.
    pub(super) fn of(path: &Path) -> Option<Digest> {
        let content = file::read(path, MAX_SIZE).ok()?;
        let mut hasher = DefaultHasher::new();
        hasher.write(&content);
        Some(Digest(hasher.finish()))
    }
}
