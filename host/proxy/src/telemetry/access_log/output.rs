//! The places where lines go: standard output, or a file that can be opened again.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use log::{error, info, warn};
use pace_base::logging::Limited;
use parking_lot::Mutex;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;

use super::OpenError;

/// A place where lines go.
pub(super) struct Output {
    file: Option<OpenFile>,
    /// Whether only the beginning of the last line was written.
    is_torn: Mutex<bool>,
    failures: Limited,
}

struct OpenFile {
    path: PathBuf,
    /// The open file, which another takes the place of when the path is opened again.
    file: Mutex<Arc<File>>,
}

/// The mode of a new file: its owner writes, its group may read. Lines tell who asked for what.
const MODE: u32 = 0o640;

/// Every output with a file that is in use.
static FILES: Mutex<Vec<Weak<Output>>> = Mutex::new(Vec::new());

/// Opens all files again, because somebody has renamed them. A file that cannot be opened is written on as it is.
pub fn reopen_files() {
    let files: Vec<Arc<Output>> = {
        let mut files = FILES.lock();
        files.retain(|output| output.strong_count() > 0);
        files.iter().filter_map(Weak::upgrade).collect()
    };
    if files.is_empty() {
        info!(target: "pace::server", "SIGUSR1: nothing to open again, no access log goes to a file");
    }
    for output in files {
        let Some(of) = &output.file else { continue };
        match open(&of.path) {
            Ok(file) => {
                *of.file.lock() = Arc::new(file);
                info!(target: "pace::server", "SIGUSR1: {} is opened again", of.path.display());
            }
            Err(error) => error!(
                target: "pace::server",
                "SIGUSR1: cannot open {} again, the old file is written on: {error}",
                of.path.display()
            ),
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    // Opening a FIFO must not wait for its reader, and a terminal must not become that of the process.
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    let file = File::options()
        .append(true)
        .create(true)
        .mode(MODE)
        .custom_flags(flags)
        .open(path)?;
    let kind = file.metadata()?.file_type();
    match kind.is_file() || kind.is_char_device() {
        true => Ok(file),
        false => Err(io::Error::other(
            "it is neither a file nor a device; leave `file` out to write to standard output",
        )),
    }
}

impl Output {
    /// Opens a file, or takes standard output.
    pub(super) fn open(path: Option<&Path>) -> Result<Arc<Output>, OpenError> {
        let file = match path {
            None => None,
            Some(path) => Some(OpenFile {
                path: path.to_owned(),
                file: Mutex::new(Arc::new(open(path).map_err(|error| OpenError::File {
                    path: path.to_owned(),
                    error,
                })?)),
            }),
        };
        let output = Arc::new(Output {
            file,
            is_torn: Mutex::new(false),
            failures: Limited::new("failures to write the access log"),
        });
        if path.is_some() {
            let mut files = FILES.lock();
            files.retain(|output| output.strong_count() > 0);
            files.push(Arc::downgrade(&output));
        }
        Ok(output)
    }

    /// The file; `None`: standard output.
    pub(super) fn path(&self) -> Option<&Path> {
        self.file.as_ref().map(|file| file.path.as_path())
    }

    /// Writes whole lines, and waits until they are taken. Returns how many could not be written.
    pub(super) fn write(&self, lines: &[u8]) -> u64 {
        let mut is_torn = self.is_torn.lock();
        let file = self.file.as_ref().map(|file| Arc::clone(&file.file.lock()));
        let stdout = io::stdout();
        let to = match &file {
            Some(file) => file.as_fd(),
            None => stdout.as_fd(),
        };
        let mut rest = lines;
        if *is_torn {
            // What follows is a line of its own.
            match write(to, b"\n") {
                Ok(_) => *is_torn = false,
                Err(error) => return self.failed(error, rest),
            }
        }
        while !rest.is_empty() {
            match write(to, rest) {
                Ok(written) => {
                    *is_torn = written > 0 && rest[written - 1] != b'\n';
                    rest = &rest[written..];
                }
                Err(error) => return self.failed(error, rest),
            }
        }
        0
    }

    fn failed(&self, error: Errno, rest: &[u8]) -> u64 {
        if self.failures.admits() {
            let error = io::Error::from(error);
            match self.path() {
                Some(path) => {
                    warn!(target: "pace::server", "cannot write the access log {}: {error}", path.display())
                }
                None => {
                    warn!(target: "pace::server", "cannot write the access log to standard output: {error}")
                }
            }
        }
        rest.iter().filter(|byte| **byte == b'\n').count() as u64
    }
}

/// Writes some of the bytes, and blocks until that is possible. The call bypasses `std`, whose lock of standard output would be
/// held meanwhile.
fn write(to: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize, Errno> {
    loop {
        match rustix::io::write(to, bytes) {
            Err(Errno::INTR) => {}
            // Another process that shares the pipe or the terminal has made it non-blocking.
            Err(Errno::AGAIN) => {
                let writable = PollFd::from_borrowed_fd(to, PollFlags::OUT);
                match poll(&mut [writable], None) {
                    Ok(_) | Err(Errno::INTR) => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(0) => return Err(Errno::IO),
            done => return done,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_that_was_renamed_is_made_again() {
        let directory = tempfile::tempdir().expect("there is room");
        let path = directory.path().join("access.log");
        let output = Output::open(Some(&path)).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(output.write(b"one\n"), 0);
        std::fs::rename(&path, directory.path().join("old")).expect("it is there");
        assert_eq!(output.write(b"two\n"), 0);
        reopen_files();
        assert_eq!(output.write(b"three\n"), 0);
        let read = |name| std::fs::read_to_string(directory.path().join(name)).expect("it is there");
        assert_eq!(
            (read("old"), read("access.log")),
            ("one\ntwo\n".to_owned(), "three\n".to_owned())
        );
    }

    #[test]
    fn lines_for_a_full_disk_are_counted() {
        let output = Output::open(Some(Path::new("/dev/full"))).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(output.write(b"one\ntwo\n"), 2);
    }

    #[test]
    fn directory_is_no_log() {
        assert!(Output::open(Some(Path::new("/tmp"))).is_err());
    }
}
