//! The configuration file: taken as a whole, or not at all.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use log::warn;

use super::Outcome;
use super::difference::needs_restart;
use super::file::Look;
use super::manager::{Manager, RESCAN, generations};
use super::plugins::{Rejected, serves};
use super::status::Managed;
use crate::config::{self, Config, Source};
use crate::snapshot::{DEFAULT_BALANCER, Snapshot, plugin_of_scope};

/// A configuration that was not taken. Something that it needs may come later, or have been half written, so
/// it is tried again.
pub(super) struct RefusedConfig {
    /// What was said of it.
    sentence: String,
    /// What was tried, unless the file did not get so far or the system was at fault. It need not be tried
    /// again before something has changed; it could mean compiling a large plugin every two seconds.
    tried: Option<Tried>,
    again_at: Instant,
}

/// What a refusal depends on.
#[derive(PartialEq)]
struct Tried {
    config: Config,
    /// The files of its plugins before they were read.
    files: BTreeMap<PathBuf, Look>,
}

/// Why a configuration is not taken.
pub(super) enum Refused {
    /// The file is wrong.
    File(config::Error),
    /// These keys are different.
    NeedsRestart(Vec<&'static str>),
    /// A plugin's file is wrong.
    Plugin(Box<Rejected>),
    /// A plugin that is there already does not want its new configuration.
    Configure { plugin: String, detail: String },
}

impl Manager {
    /// Reads the configuration again and brings it to life. `Ok("")`: it is what it was.
    pub(super) fn reload_config(&mut self) -> Outcome {
        self.try_config(false)
    }

    /// The same for one that was refused, when it is time for that. What has been said is not said, or
    /// counted, again.
    pub(super) fn retry_config(&mut self) -> Outcome {
        let is_due = |refused: &RefusedConfig| Instant::now() >= refused.again_at;
        let is_written = |path: &PathBuf| Look::at(path).is_being_written();
        if self.refused.as_ref().is_some_and(is_due) && !self.origin.path.as_ref().is_some_and(is_written) {
            self.try_config(true)
        } else {
            Ok(String::new())
        }
    }

    /// Takes a configuration that is in no file. `Ok("")`: it is what it was.
    pub(super) fn configure(&mut self, config: Config) -> Outcome {
        self.take_config(config)
            .map_err(|refused| not_taken(&self.reason(&refused)))
    }

    fn try_config(&mut self, again: bool) -> Outcome {
        let Some(path) = &self.origin.path else {
            return Ok(String::new());
        };
        if !again {
            self.stamps.insert(path.clone(), Look::at(path));
        }
        let before = self.refused.take();
        let loaded = Config::load(path, &self.origin.overrides);
        let tried = loaded.as_ref().ok().map(Tried::new);
        if again && tried.is_some() && before.as_ref().is_some_and(|before| before.tried == tried) {
            self.refused = before.map(|before| RefusedConfig {
                again_at: Instant::now() + RESCAN,
                ..before
            });
            return Ok(String::new());
        }
        let refused = match loaded
            .map_err(Refused::File)
            .and_then(|config| self.take_config(config))
        {
            Ok(sentence) => {
                if !sentence.is_empty() {
                    self.environment.metrics.config_reloaded("published");
                }
                return Ok(sentence);
            }
            Err(refused) => refused,
        };
        let reason = self.reason(&refused);
        let sentence = not_taken(&reason);
        let is_known = again && before.is_some_and(|before| before.sentence == sentence);
        let may_pass = matches!(&refused, Refused::Plugin(rejected) if rejected.reason.may_pass());
        self.refused = Some(RefusedConfig {
            sentence: sentence.clone(),
            tried: tried.filter(|_| !may_pass),
            again_at: Instant::now() + RESCAN,
        });
        if is_known {
            return Ok(String::new());
        }
        self.environment.metrics.config_reloaded("refused");
        if let Refused::Plugin(rejected) = refused {
            self.reject(&rejected);
        }
        Err(sentence)
    }

    fn take_config(&mut self, config: Config) -> Result<String, Refused> {
        if config == self.config {
            return Ok(String::new());
        }
        let fixed = needs_restart(&self.config, &config);
        if !fixed.is_empty() {
            return Err(Refused::NeedsRestart(fixed));
        }
        let before = self.status.plugins.lock().clone();
        let next = self.next_plugins(&config, &before)?;
        let snapshot = self
            .build(&config, &generations(&next.plugins, &self.balancer))
            .map_err(|(plugin, failure)| next.blame(plugin, failure))?;
        for warning in config.warnings() {
            warn!("{warning}");
        }
        self.publish(snapshot, &config);
        let mut said = vec!["the configuration has been taken".to_owned()];
        for (name, old) in &before {
            let current = next.plugins.get(name).map(|managed| &managed.current);
            if current.is_none_or(|current| !Arc::ptr_eq(current, &old.current)) {
                old.current.retire();
            }
        }
        for (name, Managed { current, .. }) in &next.plugins {
            let old = before.get(name).map(|managed| &managed.current);
            if old.is_some_and(|old| Arc::ptr_eq(old, current)) {
                continue;
            }
            current.serve();
            self.environment.metrics.generation(name, current.number);
            said.push(serves(current, old.map(AsRef::as_ref)));
        }
        for name in &next.read {
            self.environment.metrics.reloaded(name, "published");
        }
        *self.status.plugins.lock() = next.plugins;
        self.config = config;
        self.follow_files();
        Ok(said.join("; "))
    }

    /// New requests are served with it. What only plugins counted that are not in the configuration any more
    /// is forgotten, and what was counted of them.
    fn publish(&self, snapshot: Snapshot, config: &Config) {
        let snapshot = Arc::new(snapshot);
        self.snapshot.store(Arc::clone(&snapshot));
        snapshot.apply_limits();
        let used: HashSet<&str> = snapshot.scopes().collect();
        let plugins: HashSet<&str> = config.plugins.iter().map(|plugin| plugin.name.as_str()).collect();
        self.environment
            .store
            .retain(|scope| used.contains(scope) || plugins.contains(plugin_of_scope(scope)));
        self.environment
            .metrics
            .retain_plugins(|plugin| plugins.contains(plugin) || plugin == DEFAULT_BALANCER);
    }

    fn reason(&self, refused: &Refused) -> String {
        match refused {
            Refused::File(error) => error.to_string(),
            Refused::NeedsRestart(keys) => format!("{} can only change with a restart", keys.join(", ")),
            Refused::Plugin(rejected) => self.sentence(rejected),
            Refused::Configure { plugin, detail } => format!("plugin `{plugin}`: {detail}"),
        }
    }
}

fn not_taken(reason: &str) -> String {
    format!("the configuration is not taken, the old one serves on: {reason}")
}

impl Tried {
    fn new(config: &Config) -> Tried {
        let files = config.plugins.iter().filter_map(|plugin| match &plugin.source {
            Source::File(path) => Some((path.clone(), Look::at(path))),
            Source::Builtin(_) => None,
        });
        Tried {
            files: files.collect(),
            config: config.clone(),
        }
    }
}
