//! One plugin at a time: a new file takes over.

use std::path::PathBuf;
use std::sync::Arc;

use super::early::EarlyCodes;
use super::outcome::{Begun, Outcome, Published, Refused};
use super::programs::{Code, Content, Programs};
use super::serving::{Rejected, Serving};
use super::status::Managed;
use pace_config::Source;
use pace_follow::Follower;
use pace_sandbox::{CpuTime, LoadError};

/// The plugins of the configuration that serves, and the files that they come from.
pub(super) struct Plugins {
    serving: Arc<Serving>,
    programs: Arc<Programs>,
    /// Of files that are not quiet yet.
    early: EarlyCodes,
}

/// Who wants a plugin's file to be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// Nobody: it looks as if it had changed.
    ByNobody,
    /// Somebody who wants everything looked at. What was refused is tried again, since the reason may have
    /// been somewhere else; what served and was unfit is not, since nobody has said that he wants it back.
    ForAll,
    /// Somebody who means this plugin.
    ForThis,
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
        let files = plugins.filter_map(|managed| match managed.entry.source {
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
        let is_of = |managed: &Managed| match &managed.entry.source {
            Source::File(path) => files.contains(path),
            Source::Builtin(_) => false,
        };
        let plugins = self.serving.plugins().into_iter();
        plugins
            .filter_map(|(name, managed)| is_of(&managed).then_some(name))
            .collect()
    }

    /// Compiles what a plugin's file has, which may not be all of it yet. Whether something was compiled, which can take
    /// some seconds.
    pub(super) fn compile_early(&mut self, name: &str) -> bool {
        self.serving
            .managed(name)
            .is_ok_and(|managed| self.early.compile(&managed, &self.programs))
    }

    /// Forgets what has been compiled early, which no file is any more that is being written: it belongs to files that are
    /// again what they were, or to plugins that are gone.
    pub(super) fn forget_early(&mut self) {
        self.early.clear();
    }

    /// Takes a plugin's file if it is new, or if it is to be tried again.
    pub(super) fn reload(&mut self, name: &str, asked: Asked, files: &mut Follower) -> Outcome {
        self.try_reload(name, asked, files)
            .unwrap_or_else(Outcome::Refused)
    }

    fn try_reload(&mut self, name: &str, asked: Asked, files: &mut Follower) -> Result<Outcome, Refused> {
        let early = self.early.remove(name);
        let managed = self.serving.managed(name)?;
        let is_unfit = |sha256| managed.unfit(sha256).is_some();
        let entry = managed.entry.clone();
        if let Source::File(path) = &entry.source {
            files.take(path);
        }
        let content = match Content::read(&entry.source) {
            Ok(content) => content,
            Err(reason) => {
                // Whatever is there next has not been looked at, also if it is what was there before.
                self.serving.with(name, |managed| managed.seen = None);
                return Err(Refused::Plugin(self.serving.reject(&Rejected {
                    entry,
                    sha256: None,
                    reason,
                })));
            }
        };
        let sha256 = content.sha256;
        let try_again = match asked {
            Asked::ByNobody => false,
            Asked::ForAll => managed.refused.is_some() && !is_unfit(sha256),
            Asked::ForThis => true,
        };
        if managed.seen == Some(sha256) && !try_again {
            return Ok(Outcome::Unchanged);
        }
        self.serving.with(name, |managed| managed.seen = Some(sha256));
        if sha256 == managed.current.sha256 {
            return Ok(self.serves_already(&managed));
        }
        let early = early.filter(|early| early.is_of(&entry, sha256));
        let asked_back = match &early {
            // Nobody wants the file to be looked at now, so a rollback while it was compiled means that it is not wanted.
            Some(early) if asked == Asked::ByNobody => early.asked_back,
            _ => managed.asked_back,
        };
        let code = match early {
            Some(early) => early
                .code
                .unwrap_or_else(|| self.programs.code(&entry, content, CpuTime::Share)),
            None => self.programs.code(&entry, content, CpuTime::SpareFirst),
        };
        code.and_then(|code| self.take(&entry, &code, asked_back))
            .map_err(|reason| {
                Refused::Plugin(self.serving.reject(&Rejected {
                    entry,
                    sha256: Some(sha256),
                    reason,
                }))
            })
    }

    /// Makes compiled code the next generation, whatever has become of the one before while it was compiled. But
    /// who has asked for a rollback since `asked_back` of them had been, does not want what he has not seen yet.
    fn take(&self, entry: &pace_config::Plugin, code: &Code, asked_back: u64) -> Result<Outcome, LoadError> {
        let turn = self.serving.turn();
        let managed = self
            .serving
            .managed(&entry.name)
            .expect("only this thread takes another configuration");
        let before = &managed.current;
        if before.sha256 == code.sha256 {
            return Ok(self.serves_already(&managed));
        }
        if managed.asked_back != asked_back {
            return Err(LoadError::RolledBack);
        }
        let next = self.programs.generation(entry, managed.last_number + 1, code);
        turn.replace(&next, "published").map_err(LoadError::Configure)?;
        self.serving.with(&entry.name, |managed| managed.refused = None);
        Ok(Outcome::Published(Published {
            configuration: false,
            generations: vec![Begun::new(&next, Some(before))],
        }))
    }

    fn serves_already(&self, managed: &Managed) -> Outcome {
        let Managed { entry, current, .. } = managed;
        self.serving.with(&entry.name, |managed| managed.refused = None);
        Outcome::ServesAlready {
            plugin: entry.name.clone(),
            generation: current.number,
        }
    }
}
