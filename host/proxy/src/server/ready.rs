//! The ready file tells other programs that this process serves, and at which addresses.

use std::fs::{self, File};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A file that exists for as long as the process serves. It has the addresses in TOML.
///
/// The file appears whole, because it is written under another name and renamed. A process that is killed leaves it behind;
/// the next process with the same path removes it before it begins.
pub(super) struct ReadyFile {
    path: PathBuf,
    /// The path of the file until it is renamed.
    beside: PathBuf,
    file: File,
    published: bool,
}

/// An error of a ready file that cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the ready file {}: {reason}", path.display())]
pub struct ReadyFileError {
    /// The path as given.
    pub path: PathBuf,
    reason: io::Error,
}

impl ReadyFile {
    /// Makes sure that the file can be written, and removes the file of an earlier process.
    pub(super) fn prepare(path: &Path) -> Result<ReadyFile, ReadyFileError> {
        remove_file(path).map_err(|reason| ReadyFileError {
            path: path.to_owned(),
            reason,
        })?;
        ReadyFile::beside_another(path)
    }

    /// Makes sure that the file can be written, and leaves that of a process which still serves.
    pub(super) fn beside_another(path: &Path) -> Result<ReadyFile, ReadyFileError> {
        let failed = |reason| ReadyFileError {
            path: path.to_owned(),
            reason,
        };
        let beside = beside(path).map_err(failed)?;
        remove_file(&beside).map_err(failed)?;
        Ok(ReadyFile {
            path: path.to_owned(),
            // Only a new file is accepted, so that a link that was put there is not followed.
            file: File::create_new(&beside).map_err(failed)?,
            beside,
            published: false,
        })
    }

    /// Writes the addresses, and makes the file appear.
    pub(super) fn publish(
        &mut self,
        listeners: &[SocketAddr],
        admin: Option<&str>,
    ) -> Result<(), ReadyFileError> {
        let mut text = String::new();
        if let [first, others @ ..] = listeners {
            text = format!("listen = \"{first}\"\n");
            if !others.is_empty() {
                let all = listeners.iter().map(|address| format!("\"{address}\""));
                text += &format!("listeners = [{}]\n", all.collect::<Vec<_>>().join(", "));
            }
        }
        if let Some(admin) = admin {
            text += &format!("admin = \"{admin}\"\n");
        }
        self.file
            .write_all(text.as_bytes())
            .and_then(|()| fs::rename(&self.beside, &self.path))
            .map_err(|reason| ReadyFileError {
                path: self.path.clone(),
                reason,
            })?;
        self.published = true;
        Ok(())
    }

    /// Leaves the file to the process that takes this one's place, and writes its own over it.
    pub(super) fn leave(self) {
        std::mem::forget(self);
    }

    /// Whether this process has written the file at the path.
    fn is_ours(&self) -> io::Result<bool> {
        let (found, ours) = (fs::symlink_metadata(&self.path)?, self.file.metadata()?);
        Ok((found.dev(), found.ino()) == (ours.dev(), ours.ino()))
    }
}

impl Drop for ReadyFile {
    fn drop(&mut self) {
        // A failure only leaves a file behind, and a drop cannot return it.
        let _ = match self.published {
            false => fs::remove_file(&self.beside),
            // Another process may have replaced the file with its own.
            true if self.is_ours().unwrap_or(false) => fs::remove_file(&self.path),
            true => Ok(()),
        };
    }
}

/// A path in the same directory that no other process uses at the same time.
fn beside(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or(io::ErrorKind::IsADirectory)?;
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{}", std::process::id()));
    Ok(path.with_file_name(hidden))
}

/// Removes a regular file, if there is one. Anything else in its place is an error: a device, for example, must not be
/// replaced.
fn remove_file(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_file() => fs::remove_file(path),
        Ok(_) => Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "there is something that is not a regular file",
        )),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8080);

    fn directory() -> tempfile::TempDir {
        tempfile::tempdir().expect("a temporary directory can be made")
    }

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).expect("it is there");
        let name = |entry: io::Result<fs::DirEntry>| entry.map(|entry| entry.file_name());
        let names = entries.map(|entry| name(entry).expect("it can be listed"));
        names.map(|name| name.to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn ready_file_appears_whole_and_is_removed_at_the_end() {
        let directory = directory();
        let path = directory.path().join("ready");
        let mut ready = ReadyFile::prepare(&path).expect("the directory is writable");
        assert!(!path.exists());
        ready.publish(&[LISTEN], None).expect("the directory is writable");
        assert_eq!(
            fs::read_to_string(&path).ok().as_deref(),
            Some("listen = \"127.0.0.1:8080\"\n")
        );
        assert_eq!(names(directory.path()), ["ready"]);
        drop(ready);
        assert_eq!(names(directory.path()), [""; 0]);
    }

    #[test]
    fn process_that_never_serves_leaves_no_file() {
        let directory = directory();
        let path = directory.path().join("ready");
        fs::write(&path, "of an earlier process").expect("the directory is writable");
        drop(ReadyFile::prepare(&path).expect("the directory is writable"));
        assert_eq!(names(directory.path()), [""; 0]);
    }

    #[test]
    fn ready_file_of_another_process_is_not_removed() {
        let directory = directory();
        let path = directory.path().join("ready");
        let mut ready = ReadyFile::prepare(&path).expect("the directory is writable");
        ready.publish(&[LISTEN], None).expect("the directory is writable");
        let other = directory.path().join("other");
        fs::write(&other, "of the next process").expect("the directory is writable");
        fs::rename(&other, &path).expect("both are in one directory");
        drop(ready);
        assert_eq!(names(directory.path()), ["ready"]);
    }

    #[test]
    fn path_that_is_no_regular_file_is_refused() {
        let directory = directory();
        let link = directory.path().join("link");
        std::os::unix::fs::symlink("/dev/null", &link).expect("the directory is writable");
        for path in [directory.path(), &link, Path::new("/dev/null"), Path::new("..")] {
            assert!(ReadyFile::prepare(path).is_err(), "{}", path.display());
        }
    }
}
