//! Reading what a path leads to, which somebody else decides and may be anything: never waiting for
//! anybody, and never more than was meant.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;

/// Why there is no content.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It is not there, or not for us.
    #[error(transparent)]
    System(io::Error),
    /// A directory, a FIFO, a device: nothing that has a content with an end.
    #[error("it is not a regular file")]
    NotRegular,
    /// Larger than anything that is meant.
    #[error("the file has {found} bytes, {allowed} are allowed")]
    TooLarge {
        /// Its size in bytes, as far as it was looked at.
        found: u64,
        /// The cap in bytes.
        allowed: u64,
    },
}

/// Reads a regular file of at most `max` bytes.
///
/// # Errors
///
/// See [`ReadError`]. A file that is longer than it says when it is opened is read no further than `max`.
pub fn read(path: &Path, max: u64) -> Result<Vec<u8>, ReadError> {
    // The descriptor is asked what it is, not the path, which may lead elsewhere a moment later. Opening a
    // FIFO must not wait for its writer, and a terminal must not become that of the process.
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    let file = File::options()
        .read(true)
        .custom_flags(flags)
        .open(path)
        .map_err(ReadError::System)?;
    let metadata = file.metadata().map_err(ReadError::System)?;
    if !metadata.is_file() {
        return Err(ReadError::NotRegular);
    }
    let too_large = |found| ReadError::TooLarge { found, allowed: max };
    if metadata.len() > max {
        return Err(too_large(metadata.len()));
    }
    let mut bytes = Vec::new();
    file.take(max.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(ReadError::System)?;
    match bytes.len() as u64 {
        found if found > max => Err(too_large(found)),
        _ => Ok(bytes),
    }
}

impl From<ReadError> for io::Error {
    fn from(error: ReadError) -> io::Error {
        let kind = match error {
            ReadError::System(source) => return source,
            ReadError::NotRegular => io::ErrorKind::InvalidInput,
            ReadError::TooLarge { .. } => io::ErrorKind::FileTooLarge,
        };
        io::Error::new(kind, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_regular_file_is_not_read() {
        for path in ["/dev/zero", "/dev/null", "/"] {
            let result = read(Path::new(path), 1);
            assert!(matches!(result, Err(ReadError::NotRegular)), "{path}: {result:?}");
        }
    }

    #[test]
    fn a_fifo_without_a_writer_is_not_waited_for() {
        let directory = std::env::temp_dir().join(format!("pace-fifo-{}", std::process::id()));
        std::fs::create_dir(&directory).expect("the name is not taken");
        let path = directory.join("fifo");
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        let result = read(&path, 1);
        std::fs::remove_dir_all(&directory).expect("it is ours");
        assert!(made.is_ok_and(|status| status.success()));
        assert!(matches!(result, Err(ReadError::NotRegular)), "{result:?}");
    }

    #[test]
    fn a_file_is_read_up_to_the_cap() {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
        let length = std::fs::metadata(&source).expect("it is there").len();
        let bytes = read(&source, length).expect("it is not too large");
        assert_eq!(bytes.len() as u64, length);
        let error = read(&source, length - 1).expect_err("it is one byte too large");
        assert!(
            matches!(error, ReadError::TooLarge { found, .. } if found == length),
            "{error}"
        );
    }

    /// As files of `/proc` are: they say that they are empty, and are not.
    #[test]
    fn a_file_that_says_it_is_shorter_is_read_up_to_the_cap_too() {
        if cfg!(target_os = "linux") {
            let result = read(Path::new("/proc/self/status"), 10);
            assert!(
                matches!(result, Err(ReadError::TooLarge { found: 11, .. })),
                "{result:?}"
            );
        }
    }

    #[test]
    fn a_missing_file_is_what_the_system_says() {
        let error = io::Error::from(read(Path::new("nowhere/file"), 1).expect_err("there is none"));
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
