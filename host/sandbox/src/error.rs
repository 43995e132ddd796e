//! Errors of loading: the reasons why a file is not a plugin that Pace can run.

use std::fmt;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::Duration;

use super::compiler::{CompileError, MAX_GIBIBYTES};
use pace_base::escape::Shown;
use pace_config::Sha256;
use pace_hook::{Failure, Hook};

/// The reason why a plugin could not be loaded. Every text goes behind the plugin's name and file, on the same line.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// The path names no regular file, but a directory or a device.
    #[error("{} is not a regular file", .0.display())]
    NotAFile(PathBuf),
    /// The file is larger than any plugin.
    #[error("the file has {found} bytes, {allowed} are allowed")]
    TooLarge {
        /// The file's size in bytes.
        found: u64,
        /// The cap in bytes.
        allowed: u64,
    },
    /// The file does not have the content that the configuration asks for.
    #[error("the configuration asks for sha256 {expected}, the file has {found}")]
    WrongHash {
        /// `sha256` in the configuration.
        expected: Sha256,
        /// The hash of the file.
        found: Sha256,
    },
    /// The compiler does not take the file.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// The system does not have the resources to run any plugin of this isolation.
    #[error("no instances can be made: {0}")]
    NoEngine(String),
    /// Compiling took too long and was given up.
    #[error("compiling it takes longer than {0:?}")]
    CompileTimeout(Duration),
    /// The compiler panicked, which it should not.
    #[error("the compiler panicked; standard error has its message, which is worth a bug report")]
    CompilerPanicked,
    /// The process that compiles ended without a result.
    #[error(
        "the process that compiles it broke ({0}); standard error has what it said, and if that is nothing, the system may have \
         ended it for want of memory"
    )]
    CompilerBroke(String),
    /// The process that compiles ran out of the memory that it may take.
    #[error(
        "compiling it takes more than the {MAX_GIBIBYTES} GiB of memory that it may take: a plugin of 18 MB takes a third of it, \
         so look where the file comes from; if it is sound, make its largest functions smaller"
    )]
    CompilerOutOfMemory,
    /// The process that compiles could not be started.
    #[error("no process could be started to compile it: {0}")]
    NoProcess(std::io::Error),
    /// The system is out of threads, or of memory for one.
    #[error("no thread could be started to compile it: {0}")]
    NoThread(std::io::Error),
    /// The plugin is made for another version of the contract.
    #[error(
        "made for {found}, this Pace speaks {expected}: build it against the contract in `wit/`, or with the SDK of this Pace"
    )]
    OtherContract {
        /// The package and version that the plugin names.
        found: Shown,
        /// The package and version of this Pace.
        expected: &'static str,
    },
    /// The plugin imports an interface that plugins do not get.
    #[error("imports `{import}`: {why}")]
    UnknownImport {
        /// The interface.
        import: Shown,
        /// The reason, and what to do.
        why: &'static str,
    },
    /// The plugin imports a function that its interface does not have.
    #[error(
        "imports the function `{function}` of `{interface}`, which this Pace does not have: leave it out, or run a \
         later Pace"
    )]
    UnknownFunction {
        /// The interface, which Pace has.
        interface: String,
        /// The function.
        function: Shown,
    },
    /// The plugin imports something outside the contract with another type than Pace gives it.
    #[error("an import has another type than Pace gives it: {0}")]
    ImportType(Shown),
    /// The plugin lacks the interface that every plugin exports.
    #[error(
        "does not export `{0}`: every plugin must, with its function `configure`; in Rust, `pace_plugin::export!` \
         does it"
    )]
    MissingExport(&'static str),
    /// The plugin exports an interface without its function.
    #[error("exports `{interface}` without the function `{function}`")]
    MissingFunction {
        /// The interface.
        interface: String,
        /// The function that the contract has there.
        function: &'static str,
    },
    /// The plugin imports or exports a function of the contract with another type.
    #[error("{0}")]
    WrongType(Box<WrongType>),
    /// The plugin exports no hook and would never be called.
    #[error(
        "exports no hook: one of {} is needed; in Rust, name it in `pace_plugin::export!`",
        Hook::listed()
    )]
    NoHook,
    /// The file still has the content of a generation that was replaced because it failed too often.
    #[error("it was generation {0}, too many of whose first calls failed: put another file in its place")]
    Unfit(u64),
    /// An operator had the plugin return to the generation before while this file was found and compiled.
    #[error(
        "a rollback was asked for while it was on its way: reload the plugin if this file is wanted nevertheless"
    )]
    RolledBack,
    /// The instance that is made to try the plugin failed.
    #[error("{}", .0.detail)]
    Configure(Failure),
}

/// A function with another type than the contract gives it.
#[derive(Debug)]
pub struct WrongType {
    /// The side of the plugin that has the function.
    pub side: Side,
    /// The interface.
    pub interface: String,
    /// The function.
    pub function: String,
    /// The type in the contract.
    pub expected: String,
    /// The type in the file.
    pub found: Shown,
    /// Types with the same name and different definitions, if the difference lies in them.
    pub within: Vec<TypeDifference>,
}

/// The two directions of functions between Pace and a plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Functions of Pace that the plugin calls.
    Imports,
    /// Functions of the plugin that Pace calls.
    Exports,
}

/// A type that the contract defines in another way than the file does.
#[derive(Debug)]
pub struct TypeDifference {
    /// The type's name in the contract.
    pub name: String,
    /// The definition in the contract.
    pub expected: String,
    /// The definition in the file.
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
    /// Whether the system failed and not the file, so that the same file may be taken when it is tried again.
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
