//! The records of plugins, and their status for the admin API.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use serde::Serialize;

use pace_base::escape::Shown;
use pace_config::{Sha256, Source};
use pace_hook::CONTRACT;
use pace_hook::Hook;
use pace_sandbox::{BreakerState, Generation};

/// The records of all plugins. They are locked for moments only, never during a compilation.
#[derive(Default)]
pub struct Status {
    plugins: Mutex<BTreeMap<String, PluginRecord>>,
}

/// The record of a plugin: its entry in the configuration, and its generations. The generation that serves was made with the
/// settings of the entry, and its content is one that the entry allows.
#[derive(Clone)]
pub(super) struct PluginRecord {
    pub(super) entry: pace_config::Plugin,
    pub(super) current: Arc<Generation>,
    /// The last generation that served with other code.
    pub(super) previous: Option<Arc<Generation>>,
    pub(super) last_number: u64,
    /// The content of the file when it was last looked at. It need not be looked at again, whether it was taken or not.
    pub(super) seen: Option<Sha256>,
    pub(super) refused: Option<RefusedFile>,
    /// The number of rollbacks that were requested.
    pub(super) requested_rollbacks: u64,
}

/// A file that was not taken.
#[derive(Clone, Debug, Serialize)]
pub struct RefusedFile {
    /// The hash of the file, if it could be read.
    pub sha256: Option<String>,
    /// The reason.
    pub reason: String,
    /// The time, in seconds since 1970.
    pub at: u64,
}

/// The status of a plugin, as `GET /plugins` shows it.
#[derive(Debug, Serialize)]
pub struct PluginStatus {
    /// The name in the configuration.
    pub name: String,
    /// The file, or `builtin:NAME`.
    pub file: String,
    /// The hash of the file that serves.
    pub sha256: String,
    /// The number of the generation that serves.
    pub generation: u64,
    /// The start of its service, in seconds since 1970.
    pub since: u64,
    /// The generation that a rollback would return to, unless it was unfit.
    pub previous: Option<u64>,
    /// The contract that the plugin was built for.
    pub contract: &'static str,
    /// The hooks that the plugin exports.
    pub hooks: Vec<&'static str>,
    /// The interfaces that the plugin imports.
    pub imports: Vec<Shown>,
    /// The part of the file that runs: `module` or `component`.
    pub runs: &'static str,
    /// The number of calls of this generation's hooks.
    pub calls: u64,
    /// The number of calls that failed.
    pub failures: u64,
    /// The breaker, which decides whether the plugin is called.
    pub breaker: BreakerStatus,
    /// The last file that was not taken, until a file is taken.
    pub refused: Option<RefusedFile>,
}

/// The status of a breaker, as `GET /plugins` shows it.
#[derive(Debug, Serialize)]
pub struct BreakerStatus {
    /// `closed`, `open` or `half-open`.
    pub state: &'static str,
    /// The time for which the breaker stays open, in milliseconds.
    pub open_for_ms: Option<u64>,
}

impl Status {
    /// The record of a plugin.
    pub(super) fn of(&self, name: &str) -> Option<PluginRecord> {
        self.plugins.lock().get(name).cloned()
    }

    /// The records of all plugins, by name.
    pub(super) fn plugins(&self) -> BTreeMap<String, PluginRecord> {
        self.plugins.lock().clone()
    }

    /// Changes the record of a plugin, if there is one of this name.
    pub(super) fn with(&self, name: &str, change: impl FnOnce(&mut PluginRecord)) {
        if let Some(record) = self.plugins.lock().get_mut(name) {
            change(record);
        }
    }

    /// Replaces all records.
    pub(super) fn set(&self, plugins: BTreeMap<String, PluginRecord>) {
        *self.plugins.lock() = plugins;
    }

    /// The status of all plugins, in alphabetical order.
    pub fn list(&self) -> Vec<PluginStatus> {
        self.plugins
            .lock()
            .iter()
            .map(|(name, plugin)| plugin.status(name))
            .collect()
    }
}

impl PluginRecord {
    /// The record of a plugin with its first generation.
    pub(super) fn new(entry: pace_config::Plugin, first: Arc<Generation>) -> PluginRecord {
        PluginRecord {
            entry,
            seen: Some(first.sha256),
            last_number: first.number,
            current: first,
            previous: None,
            refused: None,
            requested_rollbacks: 0,
        }
    }

    /// Records that another generation serves. A rollback is for bad code, so `previous` stays if only settings are new.
    pub(super) fn advance(&mut self, next: Arc<Generation>) {
        self.last_number = self.last_number.max(next.number);
        let before = std::mem::replace(&mut self.current, next);
        if before.sha256 != self.current.sha256 {
            self.previous = Some(before);
        }
    }

    /// The generation before, if it has this content and was unfit.
    pub(super) fn unfit(&self, content: Sha256) -> Option<&Generation> {
        let previous = self.previous.as_deref()?;
        (previous.sha256 == content && previous.fitness.is_unfit()).then_some(previous)
    }

    fn way_back(&self) -> Option<u64> {
        let fit = self
            .previous
            .as_ref()
            .filter(|previous| !previous.fitness.is_unfit());
        fit.map(|previous| previous.number)
    }

    fn status(&self, name: &str) -> PluginStatus {
        let current = &self.current;
        let (state, open_for_ms) = match current.fitness.breaker() {
            BreakerState::Closed => ("closed", None),
            BreakerState::Open(left) => ("open", Some(left)),
            BreakerState::HalfOpen => ("half-open", None),
        };
        PluginStatus {
            name: name.to_owned(),
            file: file_name(&self.entry.source),
            sha256: current.sha256.to_string(),
            generation: current.number,
            since: current.since(),
            previous: self.way_back(),
            contract: CONTRACT,
            hooks: current.program.hooks().iter().map(Hook::name).collect(),
            imports: current.program.imports(),
            runs: current.program.runs(),
            calls: current.calls(),
            failures: current.failures(),
            breaker: BreakerStatus { state, open_for_ms },
            refused: self.refused.clone(),
        }
    }
}

/// The name of a source in messages.
pub(super) fn file_name(source: &Source) -> String {
    source.to_string()
}

/// The seconds from 1970 to a time.
pub(super) fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
