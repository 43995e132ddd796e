//! How a file looks from outside, and a hash of what is in it.

use std::hash::{DefaultHasher, Hasher};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use pace_base::file;

/// How a path looks from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// Nothing is there.
    Nothing,
    /// A file.
    File(Stamp),
}

/// Metadata of a file. When it differs the content may; when it is the same the content is too, unless both were
/// written within one tick of the clock that stamps.
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

/// Larger than any file that is taken: of what is larger, only stamps are compared.
const MAX_SIZE: u64 = 32 << 20;

impl Look {
    /// Looks at what a path leads to.
    pub(super) fn at(path: &Path) -> Look {
        let Ok(metadata) = std::fs::metadata(path) else {
            return Look::Nothing;
        };
        Look::File(Stamp {
            device: metadata.dev(),
            inode: metadata.ino(),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}

impl Digest {
    /// Hashes the file that a path leads to; `None` if that is no regular file, cannot be read or is too large.
    pub(super) fn of(path: &Path) -> Option<Digest> {
        let content = file::read(path, MAX_SIZE).ok()?;
        let mut hasher = DefaultHasher::new();
        hasher.write(&content);
        Some(Digest(hasher.finish()))
    }
}
