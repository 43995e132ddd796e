//! Finds and reads files of cases.

use std::io;
use std::path::{Path, PathBuf};

use super::resolve::resolve;
use super::suite::Suite;
use pace_base::file;
use pace_config::reading::Document;

/// The largest file, in bytes.
const MAX_SIZE: u64 = 4 << 20;

/// Why cases were not read.
#[derive(Debug, thiserror::Error)]
pub(in super::super) enum FileError {
    /// The file or directory cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file or directory.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The file is not UTF-8 text.
    #[error("{}: this is not UTF-8, which TOML must be", .0.display())]
    NotUtf8(PathBuf),
    /// The directory has no cases.
    #[error(
        "there are no cases in {}: they are looked for in its files tests/*.toml; name a file to use another",
        .0.display()
    )]
    NoFiles(PathBuf),
    /// The file was read, and the author must change something.
    #[error(transparent)]
    Invalid(#[from] pace_config::Error),
}

/// The files of cases at a path: the file itself, or `tests/*.toml` in a directory, in alphabetical order.
pub(in super::super) fn find(path: &Path) -> Result<Vec<PathBuf>, FileError> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let none = || FileError::NoFiles(path.to_owned());
    let directory = path.join("tests");
    let entries = std::fs::read_dir(&directory).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => none(),
        _ => FileError::Unreadable {
            path: directory.clone(),
            source,
        },
    })?;
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|source| FileError::Unreadable {
            path: directory.clone(),
            source,
        })?;
        let file = entry.path();
        if file.extension().is_some_and(|extension| extension == "toml") {
            files.push(file);
        }
    }
    files.sort();
    match files.is_empty() {
        true => Err(none()),
        false => Ok(files.into_iter().map(without_dot).collect()),
    }
}

/// `./tests/a.toml` is shown as `tests/a.toml`.
fn without_dot(path: PathBuf) -> PathBuf {
    path.strip_prefix(".").map(Path::to_owned).unwrap_or(path)
}

/// Reads a whole file of cases, or fails.
pub(in super::super) fn load(path: &Path) -> Result<Suite, FileError> {
    let bytes = file::read(path, MAX_SIZE).map_err(|error| FileError::Unreadable {
        path: path.to_owned(),
        source: error.into(),
    })?;
    let text = str::from_utf8(&bytes).map_err(|_| FileError::NotUtf8(path.to_owned()))?;
    let document = Document::parse(Some(path), text).map_err(pace_config::Error::invalid)?;
    let file = document.decode().map_err(pace_config::Error::invalid)?;
    Ok(resolve(path, &file, &document).map_err(pace_config::Error::invalid)?)
}
