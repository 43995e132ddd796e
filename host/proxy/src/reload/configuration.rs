//! The configuration file: taken as a whole, or not at all.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use log::warn;

use super::difference::needs_restart;
use super::file::{Followed, Look};
use super::manager::{Manager, RESCAN};
use super::next::Codes;
use super::outcome::{Begun, Outcome, Published, Refused};
use super::serving::Rejected;
use super::status::Managed;
use crate::snapshot::{DEFAULT_BALANCER, plugin_of_scope};
use pace_config::{Config, Source};

/// A configuration that was not taken. Something that it needs may come later, or have been half written, so
/// it is tried again.
pub(super) struct RefusedConfig {
    /// Why, as it was said.
    reason: String,
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
pub(super) enum NotTaken {
    /// The file is wrong.
    File(pace_config::Error),
    /// These keys are different.
    NeedsRestart(Vec<&'static str>),
    /// A plugin's file is wrong.
    Plugin(Box<Rejected>),
    /// A plugin that is there already does not want its new configuration.
    Configure {
        plugin: String,
        file: String,
        detail: String,
    },
}

impl Manager {
    /// Reads the configuration again and brings it to life.
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
            Outcome::Unchanged
        }
    }

    /// Takes a configuration that is in no file.
    pub(super) fn configure(&mut self, config: Config) -> Outcome {
        self.take_config(config)
            .unwrap_or_else(|refused| Refused::Configuration(self.reason(&refused)).into())
    }

    fn try_config(&mut self, again: bool) -> Outcome {
        let Some(path) = &self.origin.path else {
            return Outcome::Unchanged;
        };
        if !again {
            self.files.insert(path.clone(), Followed::taken(path));
        }
        let before = self.refused.take();
        let loaded = Config::load(path, &self.origin.overrides);
        let tried = loaded.as_ref().ok().map(Tried::new);
        if again && tried.is_some() && before.as_ref().is_some_and(|before| before.tried == tried) {
            self.refused = before.map(|before| RefusedConfig {
                again_at: Instant::now() + RESCAN,
                ..before
            });
            return Outcome::Unchanged;
        }
        let refused = match loaded
            .map_err(NotTaken::File)
            .and_then(|config| self.take_config(config))
        {
            Ok(outcome) => {
                if outcome != Outcome::Unchanged {
                    self.environment.metrics.config_reloaded("published");
                }
                return outcome;
            }
            Err(refused) => refused,
        };
        let reason = self.reason(&refused);
        let is_known = again && before.is_some_and(|before| before.reason == reason);
        let may_pass = matches!(&refused, NotTaken::Plugin(rejected) if rejected.reason.may_pass());
        self.refused = Some(RefusedConfig {
            reason: reason.clone(),
            tried: tried.filter(|_| !may_pass),
            again_at: Instant::now() + RESCAN,
        });
        if is_known {
            return Outcome::Unchanged;
        }
        self.environment.metrics.config_reloaded("refused");
        if let NotTaken::Plugin(rejected) = refused {
            self.serving.reject(&rejected);
        }
        Refused::Configuration(reason).into()
    }

    fn take_config(&mut self, config: Config) -> Result<Outcome, NotTaken> {
        let fixed = {
            let turn = self.serving.turn();
            match config == *turn.config() {
                true => None,
                false => Some(needs_restart(turn.config(), &config)),
            }
        };
        let Some(fixed) = fixed else {
            self.serving.look_up_names();
            return Ok(Outcome::Unchanged);
        };
        if !fixed.is_empty() {
            return Err(NotTaken::NeedsRestart(fixed));
        }
        let mut codes = Codes::new();
        loop {
            self.compile_for(&config, &mut codes)?;
            // A rollback in the meantime may have made something else necessary.
            if let Some(published) = self.try_take(&config, &codes)? {
                self.serving.look_up_names();
                self.follow_files();
                return Ok(Outcome::Published(published));
            }
        }
    }

    /// `None` if something has to be compiled first.
    fn try_take(&self, config: &Config, codes: &Codes) -> Result<Option<Published>, NotTaken> {
        let mut turn = self.serving.turn();
        let before = self.serving.plugins();
        let Some(next) = self.next_plugins(config, &before, codes)? else {
            return Ok(None);
        };
        let snapshot = turn
            .build(config, &next.plugins)
            .map_err(|(plugin, failure)| next.blame(plugin, failure))?;
        for warning in config.warnings() {
            warn!(target: "pace::reload", "{warning}");
        }
        let used: HashSet<String> = snapshot.scopes().map(str::to_owned).collect();
        turn.take(snapshot, config.clone(), next.plugins.clone());
        self.forget_all_but(&used, config);
        for name in &next.read {
            self.environment.metrics.reloaded(name, "published");
        }
        Ok(Some(self.announce(&before, &next.plugins)))
    }

    /// What only plugins counted that are not in the configuration any more is forgotten, and what was counted
    /// of them.
    fn forget_all_but(&self, scopes: &HashSet<String>, config: &Config) {
        let plugins: HashSet<&str> = config.plugins.iter().map(|plugin| plugin.name.as_str()).collect();
        self.environment
            .store
            .retain(|scope| scopes.contains(scope) || plugins.contains(plugin_of_scope(scope)));
        self.environment
            .metrics
            .retain_plugins(|plugin| plugins.contains(plugin) || plugin == DEFAULT_BALANCER);
    }

    /// Tells generations whether they serve now.
    fn announce(&self, before: &BTreeMap<String, Managed>, after: &BTreeMap<String, Managed>) -> Published {
        let mut generations = Vec::new();
        for (name, old) in before {
            let current = after.get(name).map(|managed| &managed.current);
            if current.is_none_or(|current| !Arc::ptr_eq(current, &old.current)) {
                old.current.retire();
            }
        }
        for (name, Managed { current, .. }) in after {
            let old = before.get(name).map(|managed| &managed.current);
            if old.is_some_and(|old| Arc::ptr_eq(old, current)) {
                continue;
            }
            current.serve();
            self.environment.metrics.generation(name, current.number);
            generations.push(Begun::new(current, old.map(AsRef::as_ref)));
        }
        Published {
            configuration: true,
            generations,
        }
    }

    fn reason(&self, refused: &NotTaken) -> String {
        match refused {
            NotTaken::File(error) => error.to_string(),
            NotTaken::NeedsRestart(keys) => format!("{} can only change with a restart", keys.join(", ")),
            NotTaken::Plugin(rejected) => self.serving.sentence(rejected),
            NotTaken::Configure { plugin, file, detail } => format!("plugin `{plugin}` ({file}): {detail}"),
        }
    }
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
