//! What the manager knows of each plugin, for people.

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

/// Every plugin, by name. Locked for moments only, never while something is compiled.
#[derive(Default)]
pub struct Status {
    plugins: Mutex<BTreeMap<String, Managed>>,
}

/// One entry of the configuration, and its generations. The one that serves was made with the settings of
/// the entry, and its content is one that the entry allows.
#[derive(Clone)]
pub(super) struct Managed {
    pub(super) entry: pace_config::Plugin,
    pub(super) current: Arc<Generation>,
    /// The last that served with other code.
    pub(super) previous: Option<Arc<Generation>>,
    pub(super) last_number: u64,
    /// The content of the file when it was last looked at; whatever became of it, it need not be looked at
    /// again.
    pub(super) seen: Option<Sha256>,
    pub(super) refused: Option<Refusal>,
    /// How many times somebody has had it return to the generation before.
    pub(super) asked_back: u64,
}

/// A file that was not taken.
#[derive(Clone, Debug, Serialize)]
pub struct Refusal {
    /// What it hashes to, if it could be read.
    pub sha256: Option<String>,
    /// Why.
    pub reason: String,
    /// When, in seconds since 1970.
    pub at: u64,
}

/// A plugin, as `GET /plugins` shows it.
#[derive(Debug, Serialize)]
pub struct PluginStatus {
    /// Its name in the configuration.
    pub name: String,
    /// Its file, or `builtin:NAME`.
    pub file: String,
    /// The content of the file that serves.
    pub sha256: String,
    /// Which version of the plugin serves.
    pub generation: u64,
    /// Since when, in seconds since 1970.
    pub since: u64,
    /// The generation that a rollback would return to; none that was unfit.
    pub previous: Option<u64>,
    /// The contract it was built for.
    pub contract: &'static str,
    /// The hooks that it exports.
    pub hooks: Vec<&'static str>,
    /// The interfaces that it imports.
    pub imports: Vec<Shown>,
    /// `module` or `component`: what runs of its file.
    pub runs: &'static str,
    /// Calls of this generation's hooks.
    pub calls: u64,
    /// Those that failed.
    pub failures: u64,
    /// Whether it is called at all.
    pub breaker: BreakerStatus,
    /// The last file that was not taken, until one is.
    pub refused: Option<Refusal>,
}

/// The breaker, as `GET /plugins` shows it.
#[derive(Debug, Serialize)]
pub struct BreakerStatus {
    /// `closed`, `open` or `half-open`.
    pub state: &'static str,
    /// For how much longer it is open, in milliseconds.
    pub open_for_ms: Option<u64>,
}

impl Status {
    /// What is known of a plugin.
    pub(super) fn of(&self, name: &str) -> Option<Managed> {
        self.plugins.lock().get(name).cloned()
    }

    /// What is known of every plugin.
    pub(super) fn plugins(&self) -> BTreeMap<String, Managed> {
        self.plugins.lock().clone()
    }

    /// Changes what is known of a plugin, if there is one of this name.
    pub(super) fn with(&self, name: &str, change: impl FnOnce(&mut Managed)) {
        if let Some(managed) = self.plugins.lock().get_mut(name) {
            change(managed);
        }
    }

    /// Puts these plugins in the place of all.
    pub(super) fn set(&self, plugins: BTreeMap<String, Managed>) {
        *self.plugins.lock() = plugins;
    }

    /// Every plugin, in alphabetical order.
    pub fn list(&self) -> Vec<PluginStatus> {
        self.plugins
            .lock()
            .iter()
            .map(|(name, plugin)| plugin.status(name))
            .collect()
    }
}

impl Managed {
    /// A plugin's first generation, from what its file has now.
    pub(super) fn new(entry: pace_config::Plugin, first: Arc<Generation>) -> Managed {
        Managed {
            entry,
            seen: Some(first.sha256),
            last_number: first.number,
            current: first,
            previous: None,
            refused: None,
            asked_back: 0,
        }
    }

    /// Another generation serves. A rollback is for bad code, so that new settings leave its aim alone.
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

/// As messages name it.
pub(super) fn file_name(source: &Source) -> String {
    match source {
        Source::Builtin(builtin) => format!("builtin:{builtin}"),
        Source::File(path) => path.display().to_string(),
    }
}

/// Since 1970.
pub(super) fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
