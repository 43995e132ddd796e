//! Why a file is not a plugin that Pace can run.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::Duration;

use super::compiler::CompileError;
use crate::config::Sha256;
use crate::hook::Failure;

/// Why a plugin could not be loaded. Every text goes behind the plugin's name and file.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Not something that has the bytes of a plugin: a directory, a device.
    #[error("{} is not a regular file", .0.display())]
    NotAFile(PathBuf),
    /// Larger than any plugin.
    #[error("the file has {found} bytes, {allowed} are allowed")]
    TooLarge {
        /// Its size in bytes.
        found: u64,
        /// The cap in bytes.
        allowed: u64,
    },
    /// Not the content that the configuration asks for.
    #[error("the configuration asks for sha256 {expected}, the file has {found}")]
    WrongHash {
        /// `sha256` in the configuration.
        expected: Sha256,
        /// The file's.
        found: Sha256,
    },
    /// The compiler does not take it.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// The system does not give what is needed to run any plugin so.
    #[error("no instances can be made: {0}")]
    NoEngine(String),
    /// The compiler was not waited for any longer.
    #[error("compiling it takes longer than {0:?}")]
    CompileTimeout(Duration),
    /// The compiler gave up in a way that it should not.
    #[error("the compiler panicked; standard error has its message, which is worth a bug report")]
    CompilerPanicked,
    /// The process that compiles did not do what it should.
    #[error(
        "the process that compiles it broke ({0}); standard error has what it said, and it may take 8 GiB of memory"
    )]
    CompilerBroke(String),
    /// The process that compiles cannot be had.
    #[error("no process could be started to compile it: {0}")]
    NoProcess(std::io::Error),
    /// The system is out of threads, or of the memory for one.
    #[error("no thread could be started to compile it: {0}")]
    NoThread(std::io::Error),
    /// Made for another version of the contract.
    #[error(
        "made for {found}, this Pace speaks {expected}: build it against the contract in `wit/`, or with the SDK of this Pace"
    )]
    OtherContract {
        /// The package and version that it names.
        found: String,
        /// Ours.
        expected: &'static str,
    },
    /// Wants something that plugins do not get.
    #[error("imports `{import}`: {why}")]
    UnknownImport {
        /// The interface.
        import: String,
        /// What to do.
        why: &'static str,
    },
    /// Wants something with another type than it has.
    #[error("an import has another type than the contract's: {0}")]
    ImportType(String),
    /// Lacks what every plugin exports.
    #[error(
        "does not export `{0}`: every plugin must, with its function `configure`; in Rust, `pace_plugin::export!` \
         does it"
    )]
    MissingExport(&'static str),
    /// Exports an interface without its function.
    #[error("exports `{interface}` without the function `{function}`")]
    MissingFunction {
        /// The interface.
        interface: &'static str,
        /// The function that the contract has there.
        function: &'static str,
    },
    /// Exports a function with another type.
    #[error(
        "exports `{interface}` with a function `{function}` of the wrong type: expected {expected}, found {found}"
    )]
    WrongType {
        /// The interface.
        interface: &'static str,
        /// The function.
        function: &'static str,
        /// As in the contract.
        expected: &'static str,
        /// As in the file.
        found: String,
    },
    /// A plugin that would never be called.
    #[error(
        "exports no hook: one of request-filter, select-upstream and response-filter is needed; in Rust, name it in \
         `pace_plugin::export!`"
    )]
    NoHook,
    /// Was replaced because it failed too often, and still is the content of the file.
    #[error("it was generation {0}, too many of whose first calls failed: put another file in its place")]
    Unfit(u64),
    /// The instance that is made to try it failed.
    #[error("{}", .0.detail)]
    Configure(Failure),
}

impl LoadError {
    /// Whether the same file, untouched, may be taken when it is tried again: what failed was the system.
    pub fn may_pass(&self) -> bool {
        match self {
            LoadError::Unreadable { source, .. } => {
                !matches!(source.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied)
            }
            LoadError::NoThread(_) | LoadError::NoProcess(_) => true,
            _ => false,
        }
    }
}
