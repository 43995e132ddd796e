//! Loads and compiles a plugin's file, and configures it.

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

/// A compiled plugin.
pub struct Subject {
    /// The path of the file, or `builtin:NAME`.
    pub name: String,
    /// The digest of the file.
    pub sha256: Sha256,
    pub(super) runtime: Runtime,
    bytes: Vec<u8>,
    program: Arc<Program>,
    /// The program for instances that live for one call, compiled on first use.
    pooled: Mutex<Vec<(Allocation, Arc<Program>)>>,
}

/// Why a plugin cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum SubjectError {
    /// No plugin of the binary has this name.
    #[error("there is no plugin `builtin:{name}`; there are {builtins}", builtins = builtins())]
    NoBuiltin {
        /// The requested name.
        name: String,
    },
    /// The plugin exists, but the library was built without it.
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
    /// The file is not a plugin that this Pace can run.
    #[error("{name}: {reason}")]
    Unfit {
        /// The file.
        name: String,
        /// The fault.
        reason: LoadError,
    },
    /// No compiler could be started.
    #[error("WebAssembly cannot be run here: {0}")]
    NoRuntime(String),
}

/// The settings that a plugin runs with.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The name in the operator's configuration, by which others find its values in the context of a request.
    pub name: String,
    /// The configuration passed to `configure`.
    pub config: Map<String, Value>,
    /// The limits of a call.
    pub limits: Limits,
    /// The life of an instance.
    pub isolation: Isolation,
    /// The wall clock, in nanoseconds since 1970-01-01T00:00:00Z.
    pub wall: u64,
    /// Initial values of counters, as after a swap.
    pub counters: BTreeMap<String, u64>,
    /// Values in tables, by the name of the table and the key, as after a swap. They stay for 30 days.
    pub tables: BTreeMap<String, BTreeMap<String, Vec<u8>>>,
    /// The secrets that the plugin is granted, by name.
    pub secrets: BTreeMap<String, String>,
    /// The least important level of lines that are kept.
    pub log_level: Level,
}

impl Default for Setup {
    /// The name `test`, no configuration, Pace's default limits, the first second of 2026, and the default level of Pace's
    /// log.
    fn default() -> Setup {
        Setup {
            name: "test".to_owned(),
            config: Map::new(),
            limits: Limits::default(),
            isolation: Isolation::Worker,
            wall: 1_767_225_600_000_000_000,
            counters: BTreeMap::new(),
            tables: BTreeMap::new(),
            secrets: BTreeMap::new(),
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

    /// Compiles bytes that are in memory already; messages call them `name`.
    ///
    /// # Errors
    ///
    /// The bytes do not fit the contract.
    pub fn compile(name: &str, bytes: Vec<u8>) -> Result<Subject, SubjectError> {
        Subject::with(name, bytes, Runtime::for_author())
    }

    /// Compiles code that counts its instructions, and is slower for it.
    ///
    /// # Errors
    ///
    /// The bytes do not fit the contract.
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

    /// The hooks that the plugin exports.
    pub fn hooks(&self) -> Hooks {
        self.program.hooks()
    }

    /// `module` if the file is a component around one module and runs without the component, else
    /// `component`.
    pub fn runs(&self) -> &'static str {
        self.program.runs()
    }

    /// Configures the plugin in isolation.
    ///
    /// # Errors
    ///
    /// `configure` refused or failed.
    pub fn configure(&self, setup: &Setup) -> Result<Session, Failure> {
        Session::new(self, setup)
    }

    /// The program for instances of this isolation, with these limits.
    pub(super) fn program(&self, isolation: Isolation, limits: &Limits) -> Result<Arc<Program>, LoadError> {
        let allocation = Allocation::of(isolation, limits);
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
