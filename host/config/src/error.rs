//! Errors of a configuration, and how the operator reads them.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::problem::Problem;

/// Why there is no configuration. `Display` is the complete message, on several lines if need be;
/// [`Error::headline`] is one line.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read: it is missing, a directory, too large, or access is denied.
    #[error("cannot read {}: {source}{}", .path.display(), without_file(.source))]
    Read {
        /// The file.
        path: PathBuf,
        /// The reason, nearly always the system's.
        source: io::Error,
    },
    /// The file is not UTF-8 text.
    #[error("{}:{line}: this is not UTF-8, which a configuration must be", .path.display())]
    NotUtf8 {
        /// The file.
        path: PathBuf,
        /// The line of the first invalid byte, counted from 1.
        line: usize,
    },
    /// The file was read, and the operator must change something. At least one problem, in the order of the
    /// file.
    #[error("{}", Listed(.0))]
    Invalid(Vec<Problem>),
}

impl Error {
    pub(super) fn read(path: &Path, source: io::Error) -> Self {
        Error::Read {
            path: path.to_owned(),
            source,
        }
    }

    /// An error for the line after `valid`, the bytes before the first invalid one.
    pub(super) fn not_utf8(path: &Path, valid: &[u8]) -> Self {
        let line = 1 + valid.iter().filter(|byte| **byte == b'\n').count();
        Error::NotUtf8 {
            path: path.to_owned(),
            line,
        }
    }

    /// The error with all problems of a text, in the order of its lines.
    pub fn invalid(mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| problem.location.position());
        Error::Invalid(problems)
    }

    /// The message in one line, for a log.
    pub fn headline(&self) -> String {
        match self {
            Error::Read { .. } | Error::NotUtf8 { .. } => self.to_string(),
            Error::Invalid(problems) => match problems.as_slice() {
                [] => String::new(),
                [only] => only.headline(),
                [first, rest @ ..] => format!("{} (and {} more)", first.headline(), rest.len()),
            },
        }
    }
}

fn without_file(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::NotFound => {
            ". Name another file with --config FILE, or start without one: pace --backend http://127.0.0.1:8000"
        }
        _ => "",
    }
}

struct Listed<'a>(&'a [Problem]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}
