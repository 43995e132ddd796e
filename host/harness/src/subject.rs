//! A plugin's file, compiled, and what it is run with.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use log::Level;
use parking_lot::Mutex;
use serde_json::{Map, Value};

use super::session::Session;
use pace_config::{BUILTINS, Isolation, Limits, Sha256};
use pace_hook::{Failure, Hooks};
use pace_sandbox::builtin;
use pace_sandbox::{Allocation, LoadError, Program, Runtime};

/// A plugin that can be run.
pub struct Subject {
    /// The file, or `builtin:NAME`.
    pub name: String,
    /// The digest of the file.
    pub sha256: Sha256,
    runtime: Runtime,
    bytes: Vec<u8>,
    program: Arc<Program>,
    /// The same for instances that live for one call, once somebody wanted one.
    pooled: Mutex<Vec<(Allocation, Arc<Program>)>>,
}

/// Why there is no plugin to be run.
#[derive(Debug, thiserror::Error)]
pub enum SubjectError {
    /// No plugin of the binary has this name.
    #[error("there is no plugin `builtin:{name}`; there are {builtins}", builtins = builtins())]
    NoBuiltin {
        /// The name that was asked for.
        name: String,
    },
    /// There is one, but the library was built without it.
    #[error(
        "`builtin:{name}` is not in here: this was built without the default plugins, the feature `builtins` of the crate \
         `pace`; `cargo xtask plugins` in the repository of Pace compiles them to files, which can be named instead"
    )]
    LeftOut {
        /// The name that was asked for.
        name: String,
    },
    /// The file cannot be read.
    #[error(transparent)]
    Unreadable(LoadError),
    /// The file is no plugin that this Pace can run.
    #[error("{name}: {reason}")]
    Unfit {
        /// The file.
        name: String,
        /// What is wrong with it.
        reason: LoadError,
    },
    /// No compiler could be started.
    #[error("WebAssembly cannot be run here: {0}")]
    NoRuntime(String),
}

/// What a plugin is run with.
#[derive(Clone, Debug)]
pub struct Setup {
    /// What `configure` is given.
    pub config: Map<String, Value>,
    /// What a call may use.
    pub limits: Limits,
    /// How long an instance lives.
    pub isolation: Isolation,
    /// The wall clock, in nanoseconds since 1970-01-01T00:00:00Z.
    pub wall: u64,
    /// Counters that have a value already, as after a swap.
    pub counters: BTreeMap<String, u64>,
    /// Lines of the log that are less important are not kept.
    pub log_level: Level,
}

impl Default for Setup {
    /// No configuration, the limits that Pace has by default, the first second of 2026, and the log as Pace
    /// writes it by default.
    fn default() -> Setup {
        Setup {
            config: Map::new(),
            limits: Limits::default(),
            isolation: Isolation::Worker,
            wall: 1_767_225_600_000_000_000,
            counters: BTreeMap::new(),
            log_level: Level::Info,
        }
    }
}

impl Subject {
    /// Reads and compiles a component, a core module that carries its component type, or `builtin:NAME`.
    ///
    /// # Errors
    ///
    /// There is no such file, or it does not fit the contract.
    pub fn load(name: &str) -> Result<Subject, SubjectError> {
        Subject::compile(name, read(name)?)
    }

    /// The same for bytes that are there already; messages call them `name`.
    ///
    /// # Errors
    ///
    /// They do not fit the contract.
    pub fn compile(name: &str, bytes: Vec<u8>) -> Result<Subject, SubjectError> {
        Subject::with(name, bytes, Runtime::new(None, 1))
    }

    /// The same, with code that counts its instructions and is slower for it.
    ///
    /// # Errors
    ///
    /// They do not fit the contract.
    pub fn counting_instructions(name: &str, bytes: Vec<u8>) -> Result<Subject, SubjectError> {
        Subject::with(name, bytes, Runtime::counting_instructions())
    }

    fn with<E: std::fmt::Display>(
        name: &str,
        bytes: Vec<u8>,
        runtime: Result<Runtime, E>,
    ) -> Result<Subject, SubjectError> {
        let runtime = runtime.map_err(|error| SubjectError::NoRuntime(format!("{error:#}")))?;
        let unfit = |reason| SubjectError::Unfit {
            name: name.to_owned(),
            reason,
        };
        let program = Program::load(&runtime, Allocation::OnDemand, &bytes).map_err(unfit)?;
        Ok(Subject {
            name: name.to_owned(),
            sha256: Sha256::of(&bytes),
            runtime,
            bytes,
            program: Arc::new(program),
            pooled: Mutex::default(),
        })
    }

    /// The hooks that it exports.
    pub fn hooks(&self) -> Hooks {
        self.program.hooks()
    }

    /// `component`, or `module` if it is a component around one module and is run without that.
    pub fn runs(&self) -> &'static str {
        self.program.runs()
    }

    /// Configures the plugin, in a world of its own.
    ///
    /// # Errors
    ///
    /// `configure` refused or failed.
    pub fn configure(&self, setup: &Setup) -> Result<Session, Failure> {
        Session::new(self, setup)
    }

    /// The program for instances that live that long and have at most so much memory, in bytes.
    pub(super) fn program(&self, isolation: Isolation, memory: usize) -> Result<Arc<Program>, LoadError> {
        let allocation = Allocation::of(isolation, memory);
        if allocation == Allocation::OnDemand {
            return Ok(Arc::clone(&self.program));
        }
        let mut pooled = self.pooled.lock();
        if let Some((_, program)) = pooled.iter().find(|(known, _)| *known == allocation) {
            return Ok(Arc::clone(program));
        }
        let program = Program::load(&self.runtime, allocation, &self.bytes).map(Arc::new)?;
        pooled.push((allocation, Arc::clone(&program)));
        Ok(program)
    }
}

/// Reads `builtin:NAME` or a file.
pub fn read(name: &str) -> Result<Vec<u8>, SubjectError> {
    match name.strip_prefix("builtin:") {
        Some(builtin) => match builtin::component(builtin) {
            Some(component) => Ok(component.to_vec()),
            None if BUILTINS.contains(&builtin) => Err(SubjectError::LeftOut {
                name: builtin.to_owned(),
            }),
            None => Err(SubjectError::NoBuiltin {
                name: builtin.to_owned(),
            }),
        },
        None => pace_sandbox::read(Path::new(name)).map_err(|reason| match reason {
            reason @ LoadError::TooLarge { .. } => SubjectError::Unfit {
                name: name.to_owned(),
                reason,
            },
            reason => SubjectError::Unreadable(reason),
        }),
    }
}

fn builtins() -> String {
    BUILTINS.map(|name| format!("`builtin:{name}`")).join(", ")
}
