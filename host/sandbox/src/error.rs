//! Why a file is not a plugin that Pace can run.

use std::fmt;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::Duration;

use super::compiler::{CompileError, MAX_GIBIBYTES};
use pace_base::escape::Shown;
use pace_config::Sha256;
use pace_hook::{Failure, Hook};

/// Why a plugin could not be loaded. Every text goes behind the plugin's name and file, on the same line.
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
        "the process that compiles it broke ({0}); standard error has what it said, and if that is nothing, the system may have \
         ended it for want of memory"
    )]
    CompilerBroke(String),
    /// The process that compiles got no more memory.
    #[error(
        "compiling it takes more than the {MAX_GIBIBYTES} GiB of memory that it may take: a plugin of 18 MB takes a third of it, \
         so look where the file comes from; if it is sound, make its largest functions smaller"
    )]
    CompilerOutOfMemory,
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
        found: Shown,
        /// Ours.
        expected: &'static str,
    },
    /// Wants something that plugins do not get.
    #[error("imports `{import}`: {why}")]
    UnknownImport {
        /// The interface.
        import: Shown,
        /// What to do.
        why: &'static str,
    },
    /// Wants a function that is not there.
    #[error(
        "imports the function `{function}` of `{interface}`, which this Pace does not have: leave it out, or run a \
         later Pace"
    )]
    UnknownFunction {
        /// The interface, which is there.
        interface: String,
        /// The function.
        function: Shown,
    },
    /// Wants something with another type than it has, outside the contract.
    #[error("an import has another type than Pace gives it: {0}")]
    ImportType(Shown),
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
        interface: String,
        /// The function that the contract has there.
        function: &'static str,
    },
    /// Imports or exports a function of the contract with another type.
    #[error("{0}")]
    WrongType(Box<WrongType>),
    /// A plugin that would never be called.
    #[error(
        "exports no hook: one of {} is needed; in Rust, name it in `pace_plugin::export!`",
        Hook::listed()
    )]
    NoHook,
    /// Was replaced because it failed too often, and still is the content of the file.
    #[error("it was generation {0}, too many of whose first calls failed: put another file in its place")]
    Unfit(u64),
    /// Somebody had the plugin return to the generation before while this file was found and compiled.
    #[error(
        "a rollback was asked for while it was on its way: reload the plugin if this file is wanted nevertheless"
    )]
    RolledBack,
    /// The instance that is made to try it failed.
    #[error("{}", .0.detail)]
    Configure(Failure),
}

/// A function with another type than the contract gives it.
#[derive(Debug)]
pub struct WrongType {
    /// On which side of the plugin.
    pub side: Side,
    /// The interface.
    pub interface: String,
    /// The function.
    pub function: String,
    /// As in the contract.
    pub expected: String,
    /// As in the file.
    pub found: Shown,
    /// Types that are called alike and are not, where the difference lies in them.
    pub within: Vec<TypeDifference>,
}

/// The two ways in which functions pass between Pace and a plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Pace has them, the plugin calls them.
    Imports,
    /// The plugin has them, Pace calls them.
    Exports,
}

/// A type that the contract defines otherwise.
#[derive(Debug)]
pub struct TypeDifference {
    /// Its name in the contract.
    pub name: String,
    /// As in the contract.
    pub expected: String,
    /// As in the file.
    pub found: Shown,
}

impl fmt::Display for WrongType {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = match self.side {
            Side::Imports => "imports",
            Side::Exports => "exports",
        };
        write!(
            out,
            "{side} `{}` with a function `{}` of the wrong type: expected {}, found {}",
            self.interface, self.function, self.expected, self.found
        )?;
        for differs in &self.within {
            let TypeDifference {
                name,
                expected,
                found,
            } = differs;
            write!(out, "; `{name}` is expected to be {expected}, and is {found}")?;
        }
        Ok(())
    }
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
