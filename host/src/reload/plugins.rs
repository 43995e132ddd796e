//! One plugin at a time: a new file takes over, or the generation before does.

use std::sync::Arc;
use std::time::SystemTime;

use log::{error, warn};

use super::Outcome;
use super::difference::{WayBack, way_back};
use super::file::Look;
use super::manager::Manager;
use super::programs::{Content, From};
use super::status::{Managed, Refusal, file_name, seconds};
use crate::config::{self, Sha256, Source};
use crate::hook::Failure;
use crate::plugin::{Generation, LoadError};

/// A plugin's file that is not taken.
pub(super) struct Rejected {
    pub(super) entry: config::Plugin,
    /// What it hashes to, if it could be read.
    pub(super) sha256: Option<Sha256>,
    pub(super) reason: LoadError,
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

impl Manager {
    /// Takes a plugin's file if it is new, or if it is to be tried again. `Ok("")`: it is what it was.
    pub(super) fn reload(&mut self, name: &str, asked: Asked) -> Outcome {
        let managed = self.managed(name)?;
        let is_unfit = |sha256| managed.unfit(sha256).is_some();
        let is_refused = managed.refused.is_some();
        let Managed {
            entry,
            current,
            seen,
            last_number,
            ..
        } = managed.clone();
        if let Source::File(path) = &entry.source {
            self.stamps.insert(path.clone(), Look::at(path));
        }
        let content = match Content::read(&entry.source) {
            Ok(content) => content,
            Err(reason) => {
                // Whatever is there next has not been looked at, also if it is what was there before.
                self.with(name, |managed| managed.seen = None);
                return Err(self.reject(&Rejected {
                    entry,
                    sha256: None,
                    reason,
                }));
            }
        };
        let sha256 = content.sha256;
        let try_again = match asked {
            Asked::ByNobody => false,
            Asked::ForAll => is_refused && !is_unfit(sha256),
            Asked::ForThis => true,
        };
        if seen == Some(sha256) && !try_again {
            return Ok(String::new());
        }
        self.with(name, |managed| managed.seen = Some(sha256));
        if sha256 == current.sha256 {
            self.with(name, |managed| managed.refused = None);
            return Ok(format!(
                "plugin `{name}`: the file is the one that serves, generation {}",
                current.number
            ));
        }
        let taken = self
            .programs
            .next_generation(&entry, last_number + 1, From::File(content))
            .and_then(|next| {
                self.replace(&current, &next, "published")
                    .map_err(LoadError::Configure)?;
                Ok(next)
            });
        match taken {
            Err(reason) => Err(self.reject(&Rejected {
                entry,
                sha256: Some(sha256),
                reason,
            })),
            Ok(next) => {
                self.with(name, |managed| managed.refused = None);
                Ok(serves(&next, Some(&current)))
            }
        }
    }

    /// Returns to the generation before, as far as the configuration of now lets it.
    pub(super) fn rollback(&mut self, name: &str, why: &str) -> Outcome {
        let managed = self.managed(name)?;
        let (entry, current) = (&managed.entry, &managed.current);
        let stays = |reason: &str| {
            Err(format!(
                "plugin `{name}`: generation {} {reason}; it serves on",
                current.number
            ))
        };
        let Some(previous) = &managed.previous else {
            return stays("has none before it to return to");
        };
        let number = previous.number;
        if previous.health.is_unfit() {
            return Err(format!(
                "plugin `{name}`: generation {} serves already, and generation {number} was unfit: too many of \
                 its first calls failed",
                current.number
            ));
        }
        let next = match way_back(entry, previous.sha256, previous.settings()) {
            WayBack::AsItWas => Arc::clone(previous),
            WayBack::OtherSettings => self
                .programs
                .next_generation(entry, managed.last_number + 1, From::Serving(previous))
                .map_err(|reason| {
                    format!("plugin `{name}`: generation {number} cannot serve again: {reason}")
                })?,
            WayBack::OtherAllocation => {
                return stays(&format!(
                    "cannot give way to {number}, which was made for another `isolation` or size of memory than the \
                     configuration has now: put its file back and reload that instead"
                ));
            }
            WayBack::OtherContent(expected) => {
                return stays(&format!(
                    "cannot give way to {number}: the configuration asks for sha256 {expected}, that one has {}",
                    previous.sha256
                ));
            }
        };
        self.replace(current, &next, "rolled-back").map_err(|failure| {
            format!("plugin `{name}`: generation {number} cannot serve again: {failure}")
        })?;
        let anew = if next.number == number {
            String::new()
        } else {
            format!(" as generation {}, with the settings of now", next.number)
        };
        Ok(format!(
            "plugin `{name}`: generation {number} serves again{anew}, in place of {} ({why})",
            current.number
        ))
    }

    /// Too many of a generation's first calls have failed.
    pub(super) fn unfit(&mut self, name: &str, number: u64) {
        let Ok(Managed { current, .. }) = self.managed(name) else {
            return;
        };
        // It may have been replaced already; and a plugin that went and came back begins again with 1.
        if current.number != number || !current.health.is_unfit() {
            return;
        }
        match self.rollback(name, "too many of its first calls failed") {
            Ok(sentence) => {
                warn!("{sentence}");
                let refusal = Refusal::now(Some(current.sha256), sentence);
                self.with(name, |managed| managed.refused = Some(refusal));
            }
            Err(sentence) => error!("too many of its first calls failed, but {sentence}"),
        }
    }

    fn managed(&self, name: &str) -> Result<Managed, String> {
        let plugins = self.status.plugins.lock();
        plugins
            .get(name)
            .cloned()
            .ok_or_else(|| format!("there is no plugin `{name}`"))
    }

    /// A generation takes the place of another, if every configuration of the plugin suits it. That is counted as
    /// this `result` before the first request is served with it, so that who has seen its work finds it counted.
    fn replace(&self, before: &Generation, after: &Arc<Generation>, result: &str) -> Result<(), Failure> {
        let name = &*after.plugin;
        let mut generations = self.generations();
        generations.insert(name.to_owned(), Arc::clone(after));
        let snapshot = self
            .build(&self.config, &generations)
            .map_err(|(_, failure)| failure)?;
        let snapshot = Arc::new(snapshot);
        self.environment.metrics.reloaded(name, result);
        self.snapshot.store(Arc::clone(&snapshot));
        snapshot.apply_limits();
        before.retire();
        after.serve();
        self.with(name, |managed| managed.advance(Arc::clone(after)));
        self.environment.metrics.generation(name, after.number);
        Ok(())
    }

    /// Notes and counts that a file was not taken, and says so in one sentence.
    pub(super) fn reject(&self, rejected: &Rejected) -> String {
        let sentence = self.sentence(rejected);
        let refusal = Refusal::now(rejected.sha256, rejected.reason.to_string());
        let name = &rejected.entry.name;
        self.with(name, |managed| managed.refused = Some(refusal));
        self.environment.metrics.reloaded(name, "refused");
        sentence
    }

    /// What a rejection is called in the log.
    pub(super) fn sentence(&self, rejected: &Rejected) -> String {
        let Rejected { entry, reason, .. } = rejected;
        let file = file_name(&entry.source);
        let serves_on = self.managed(&entry.name).map_or(String::new(), |managed| {
            let Generation { number, sha256, .. } = &*managed.current;
            format!("; generation {number} (sha256 {sha256}) serves on")
        });
        format!(
            "plugin `{}` ({file}) is not taken: {reason}{serves_on}",
            entry.name
        )
    }
}

impl Refusal {
    fn now(sha256: Option<Sha256>, reason: String) -> Refusal {
        Refusal {
            sha256: sha256.map(|digest| digest.to_string()),
            reason,
            at: seconds(SystemTime::now()),
        }
    }
}

/// What is said of a generation that begins to serve.
pub(super) fn serves(next: &Generation, before: Option<&Generation>) -> String {
    let in_place = before.map_or(String::new(), |before| format!(", in place of {}", before.number));
    format!(
        "plugin `{}`: generation {} serves (sha256 {}){in_place}",
        next.plugin, next.number, next.sha256
    )
}
