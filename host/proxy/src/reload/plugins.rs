//! Reloads one plugin at a time, when its file has changed.

use std::path::PathBuf;
use std::sync::Arc;

use super::early::EarlyCodes;
use super::outcome::{Begun, Published, Refused, ReloadOutcome};
use super::programs::{Code, Content, Programs};
use super::serving::{Rejected, Serving};
use super::status::PluginRecord;
use pace_config::Source;
use pace_follow::Follower;
use pace_sandbox::{CpuTime, LoadError};

/// The plugins of the configuration that serves, and the files that they come from.
pub(super) struct Plugins {
    serving: Arc<Serving>,
    programs: Arc<Programs>,
    /// The code of files that may still be written.
    early: EarlyCodes,
}

/// The trigger of a reload of a plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trigger {
    /// The file looks as if it had changed.
    FileChange,
    /// The operator reloads everything. A file that was refused is tried again, since the reason may have been elsewhere; a
    /// file that served and was unfit is not, since the operator has not asked for it.
    ReloadAll,
    /// The operator reloads this plugin.
    ReloadThis,
}

impl Plugins {
    pub(super) fn new(serving: Arc<Serving>, programs: Arc<Programs>) -> Plugins {
        Plugins {
            serving,
            programs,
            early: EarlyCodes::default(),
        }
    }

    /// The names of all plugins, in alphabetical order.
    pub(super) fn names(&self) -> Vec<String> {
        self.serving.plugins().into_keys().collect()
    }

    /// The files to follow.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        let plugins = self.serving.plugins().into_values();
        let files = plugins.filter_map(|record| match record.entry.source {
            Source::File(path) => Some(path),
            Source::Builtin(_) => None,
        });
        files.collect()
    }

    /// The plugins that come from one of these files.
    pub(super) fn of(&self, files: &[PathBuf]) -> Vec<String> {
        if files.is_empty() {
            return Vec::new();
        }
        let is_of = |record: &PluginRecord| match &record.entry.source {
            Source::File(path) => files.contains(path),
            Source::Builtin(_) => false,
        };
        let plugins = self.serving.plugins().into_iter();
        plugins
            .filter_map(|(name, record)| is_of(&record).then_some(name))
            .collect()
    }

    /// Compiles the present content of a plugin's file, which may be incomplete. Returns whether something was compiled,
    /// which can take some seconds.
    pub(super) fn compile_early(&mut self, name: &str) -> bool {
        self.serving
            .plugin(name)
            .is_ok_and(|record| self.early.compile(&record, &self.programs))
    }

    /// Drops all early code. Must be called when no file is being written: the code then belongs to files that have their
    /// old content again, or to plugins that are gone.
    pub(super) fn forget_early(&mut self) {
        self.early.clear();
    }

    /// Takes a plugin's file if its content is new, or if the trigger wants it tried again.
    pub(super) fn reload(&mut self, name: &str, trigger: Trigger, files: &mut Follower) -> ReloadOutcome {
        self.try_reload(name, trigger, files)
            .unwrap_or_else(ReloadOutcome::Refused)
    }

    fn try_reload(
        &mut self,
        name: &str,
        trigger: Trigger,
        files: &mut Follower,
    ) -> Result<ReloadOutcome, Refused> {
        let early = self.early.remove(name);
        let record = self.serving.plugin(name)?;
        let is_unfit = |sha256| record.unfit(sha256).is_some();
        let entry = record.entry.clone();
        if let Source::File(path) = &entry.source {
            files.take(path);
        }
        let content = match Content::read(&entry.source) {
            Ok(content) => content,
            Err(reason) => {
                // The next content must be looked at, even if it is the one from before.
                self.serving.with(name, |record| record.seen = None);
                return Err(Refused::Plugin(self.serving.reject(&Rejected {
                    entry,
                    sha256: None,
                    reason,
                })));
            }
        };
        let sha256 = content.sha256;
        let try_again = match trigger {
            Trigger::FileChange => false,
            Trigger::ReloadAll => record.refused.is_some() && !is_unfit(sha256),
            Trigger::ReloadThis => true,
        };
        if record.seen == Some(sha256) && !try_again {
            return Ok(ReloadOutcome::Unchanged);
        }
        self.serving.with(name, |record| record.seen = Some(sha256));
        if sha256 == record.current.sha256 {
            return Ok(self.serves_already(&record));
        }
        let early = early.filter(|early| early.is_of(&entry, sha256));
        let requested_rollbacks = match &early {
            // The operator has not asked for this file, so a rollback during its compilation means that it is not wanted.
            Some(early) if trigger == Trigger::FileChange => early.requested_rollbacks,
            _ => record.requested_rollbacks,
        };
        let code = match early {
            Some(early) => early
                .code
                .unwrap_or_else(|| self.programs.code(&entry, content, CpuTime::Share)),
            None => self.programs.code(&entry, content, CpuTime::SpareFirst),
        };
        code.and_then(|code| self.take(&entry, &code, requested_rollbacks))
            .map_err(|reason| {
                Refused::Plugin(self.serving.reject(&Rejected {
                    entry,
                    sha256: Some(sha256),
                    reason,
                }))
            })
    }

    /// Makes compiled code the next generation, even if the generation that serves was replaced during the compilation. It
    /// does not if the operator has requested a rollback meanwhile, which is so if the plugin's count of them is no longer
    /// `requested_rollbacks`: the operator does not want code that has not served yet.
    fn take(
        &self,
        entry: &pace_config::Plugin,
        code: &Code,
        requested_rollbacks: u64,
    ) -> Result<ReloadOutcome, LoadError> {
        let guard = self.serving.lock();
        let record = self
            .serving
            .plugin(&entry.name)
            .expect("only this thread takes another configuration");
        let before = &record.current;
        if before.sha256 == code.sha256 {
            return Ok(self.serves_already(&record));
        }
        if record.requested_rollbacks != requested_rollbacks {
            return Err(LoadError::RolledBack);
        }
        let next = self.programs.generation(entry, record.last_number + 1, code);
        guard.replace(&next, "published").map_err(LoadError::Configure)?;
        self.serving.with(&entry.name, |record| record.refused = None);
        Ok(ReloadOutcome::Published(Published {
            configuration: None,
            generations: vec![Begun::new(&next, Some(before))],
        }))
    }

    fn serves_already(&self, record: &PluginRecord) -> ReloadOutcome {
        let PluginRecord { entry, current, .. } = record;
        self.serving.with(&entry.name, |record| record.refused = None);
        ReloadOutcome::ServesAlready {
            plugin: entry.name.clone(),
            generation: current.number,
        }
    }
}
