//! Reads files at paths that may lead to anything: never blocks, and never reads more than the cap.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;

/// Why a file was not read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The system refused: the file does not exist, or may not be read.
    #[error(transparent)]
    System(io::Error),
    /// A directory, a FIFO or a device: no content with an end.
    #[error("it is not a regular file")]
    NotRegular,
    /// The file is larger than the cap.
    #[error("the file has {found} bytes, {allowed} are allowed")]
    TooLarge {
        /// The size in bytes, as far as it was read.
        found: u64,
        /// The cap in bytes.
        allowed: u64,
    },
}

/// Reads a regular file of at most `max` bytes.
///
/// # Errors
///
/// See [`ReadError`]. A file that is longer than its metadata says is read no further than `max`.
pub fn read(path: &Path, max: u64) -> Result<Vec<u8>, ReadError> {
    // The type is that of the descriptor, not of the path, which may lead elsewhere a moment later. Opening a
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
    fn read_device_or_directory_is_refused() {
        for path in ["/dev/zero", "/dev/null", "/"] {
            let result = read(Path::new(path), 1);
            assert!(matches!(result, Err(ReadError::NotRegular)), "{path}: {result:?}");
        }
    }

    #[test]
    fn read_fifo_without_writer_does_not_block() {
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
    fn read_file_up_to_the_cap_succeeds() {
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

    /// Files of `/proc` are like this: their metadata says that they are empty.
    #[test]
    fn read_file_longer_than_its_metadata_stops_at_the_cap() {
        if cfg!(target_os = "linux") {
            let result = read(Path::new("/proc/self/status"), 10);
            assert!(
                matches!(result, Err(ReadError::TooLarge { found: 11, .. })),
                "{result:?}"
            );
        }
    }

    #[test]
    fn read_missing_file_keeps_the_system_error() {
        let error = io::Error::from(read(Path::new("nowhere/file"), 1).expect_err("there is none"));
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
