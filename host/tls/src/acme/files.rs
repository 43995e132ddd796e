//! Account and certificate in files that nobody else can read.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// The files of one authority. Each has a directory of its own, so that changing the authority, and changing it back,
/// mixes nothing.
#[derive(Clone, Debug)]
pub(super) struct Files {
    directory: PathBuf,
}

/// An error of the state directory.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// The path is not a directory.
    #[error("{0}: not a directory")]
    NotADirectory(String),
    /// Other users can enter: they could add keys of theirs, or read ours.
    #[error("{path}: open to others (mode {mode:04o}): chmod 700 {path}")]
    Open {
        /// The directory.
        path: String,
        /// Its mode.
        mode: u32,
    },
    /// The system refuses access.
    #[error("{path}: {why}")]
    Io {
        /// The file or directory.
        path: String,
        /// The system's reason.
        why: String,
    },
}

/// The two kinds of files.
#[derive(Clone, Copy, Debug)]
pub(super) enum StateFile {
    /// The key and number of the account, in JSON.
    Account,
    /// The chain and its key, in PEM: one file, so that they never differ.
    Certificate,
}

impl StateFile {
    fn name(self) -> &'static str {
        match self {
            StateFile::Account => "account.json",
            StateFile::Certificate => "certificate.pem",
        }
    }
}

impl Files {
    /// Opens the directory of the authority whose directory is `url`, within `state`. Missing directories are made.
    pub(super) fn open(state: &Path, url: &str) -> Result<Files, StateError> {
        private_directory(state)?;
        let directory = state.join(authority_name(url));
        private_directory(&directory)?;
        Ok(Files { directory })
    }

    pub(super) fn path(&self, kind: StateFile) -> PathBuf {
        self.directory.join(kind.name())
    }

    /// The content of a file, if it exists.
    pub(super) fn read(&self, kind: StateFile) -> Result<Option<Vec<u8>>, StateError> {
        let path = self.path(kind);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(refused(&path, &error)),
        }
    }

    /// Replaces a file by `bytes`. At any moment, even that of a power failure, the file is the old or the new one.
    pub(super) fn write(&self, kind: StateFile, bytes: &[u8]) -> Result<(), StateError> {
        let path = self.path(kind);
        self.replace(&path, kind, bytes)
            .map_err(|error| refused(&path, &error))
    }

    /// Removes a file.
    pub(super) fn remove(&self, kind: StateFile) -> Result<(), StateError> {
        let path = self.path(kind);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(refused(&path, &error)),
            _ => Ok(()),
        }
    }

    fn replace(&self, path: &Path, kind: StateFile, bytes: &[u8]) -> io::Result<()> {
        let new = self.directory.join(format!("{}.new", kind.name()));
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&new)?;
        // A leftover file has the mode that it was made with.
        file.set_permissions(Permissions::from_mode(0o600))?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&new, path)?;
        File::open(&self.directory)?.sync_all()
    }
}

/// Makes a directory for its owner alone, or checks that it is one.
fn private_directory(path: &Path) -> Result<(), StateError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    let shown = || path.display().to_string();
    let metadata = match (made, fs::metadata(path)) {
        (_, Ok(metadata)) => metadata,
        (Err(error), _) | (_, Err(error)) => return Err(refused(path, &error)),
    };
    if !metadata.is_dir() {
        return Err(StateError::NotADirectory(shown()));
    }
    let mode = metadata.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(StateError::Open { path: shown(), mode });
    }
    Ok(())
}

fn refused(path: &Path, error: &io::Error) -> StateError {
    StateError::Io {
        path: path.display().to_string(),
        why: error.to_string(),
    }
}

/// The name of an authority's directory: the host, to be recognised, and enough of a digest to tell several
/// directories of one host apart.
fn authority_name(url: &str) -> String {
    let host = url.strip_prefix("https://").unwrap_or(url);
    let host: String = host
        .chars()
        .take_while(|character| *character != '/')
        .map(|character| {
            if character.is_ascii_alphanumeric() {
                character
            } else {
                '-'
            }
        })
        .collect();
    let digest = Sha256::digest(url);
    format!(
        "{host}-{:02x}{:02x}{:02x}{:02x}",
        digest[0], digest[1], digest[2], digest[3]
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://acme.test:14000/dir";

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn written_file_is_read_back_and_private() {
        let scratch = tempfile::tempdir().unwrap();
        let state = scratch.path().join("deep/acme");
        let files = Files::open(&state, URL).unwrap();
        assert_eq!(files.read(StateFile::Account).unwrap(), None);
        files.write(StateFile::Account, b"one").unwrap();
        files.write(StateFile::Account, b"two").unwrap();
        assert_eq!(
            Files::open(&state, URL)
                .unwrap()
                .read(StateFile::Account)
                .unwrap()
                .unwrap(),
            b"two"
        );
        assert_eq!(mode(&state), 0o700);
        assert_eq!(mode(&files.directory), 0o700);
        assert_eq!(mode(&files.path(StateFile::Account)), 0o600);
        let names: Vec<_> = fs::read_dir(&files.directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(names, ["account.json"], "nothing is left over");
        files.remove(StateFile::Account).unwrap();
        files.remove(StateFile::Account).unwrap();
        assert_eq!(files.read(StateFile::Account).unwrap(), None);
    }

    #[test]
    fn leftover_of_a_crash_does_not_lend_its_mode() {
        let scratch = tempfile::tempdir().unwrap();
        let files = Files::open(&scratch.path().join("acme"), URL).unwrap();
        let left = files.directory.join("certificate.pem.new");
        fs::write(&left, "left over").unwrap();
        fs::set_permissions(&left, Permissions::from_mode(0o644)).unwrap();
        files.write(StateFile::Certificate, b"new").unwrap();
        assert_eq!(mode(&files.path(StateFile::Certificate)), 0o600);
        assert_eq!(files.read(StateFile::Certificate).unwrap().unwrap(), b"new");
    }

    #[test]
    fn authorities_do_not_share_files() {
        let scratch = tempfile::tempdir().unwrap();
        let state = scratch.path().join("acme");
        Files::open(&state, URL)
            .unwrap()
            .write(StateFile::Account, b"one")
            .unwrap();
        for other in ["https://acme.test:14000/staging", "https://acme.test/dir"] {
            assert_eq!(
                Files::open(&state, other)
                    .unwrap()
                    .read(StateFile::Account)
                    .unwrap(),
                None
            );
        }
        assert!(authority_name("https://a/../../b").starts_with("a-"));
        assert!(!authority_name("https://..%2f../x").contains(['.', '/', '%']));
    }

    #[test]
    fn directory_that_others_can_enter_is_refused_with_what_to_do() {
        let scratch = tempfile::tempdir().unwrap();
        for open in [0o750, 0o701, 0o777, 0o770] {
            let state = scratch.path().join(format!("{open:o}"));
            fs::create_dir(&state).unwrap();
            fs::set_permissions(&state, Permissions::from_mode(open)).unwrap();
            let refused = Files::open(&state, URL).unwrap_err().to_string();
            let path = state.display();
            assert_eq!(
                refused,
                format!("{path}: open to others (mode {open:04o}): chmod 700 {path}")
            );
        }
    }

    #[test]
    fn file_in_the_place_of_the_directory_is_refused() {
        let scratch = tempfile::tempdir().unwrap();
        let state = scratch.path().join("acme");
        fs::write(&state, "").unwrap();
        let refused = Files::open(&state, URL).unwrap_err().to_string();
        assert!(refused.ends_with("acme: not a directory"), "{refused}");
        let below = Files::open(&state.join("below"), URL).unwrap_err();
        assert!(matches!(below, StateError::Io { .. }), "{below}");
    }
}
