//! The thread that returns plugins to the generation before, on request and when a generation is unfit.
//!
//! The generation before is compiled already, so a rollback never waits for a file that is being compiled.

use std::sync::{Arc, mpsc};

use log::{error, info, warn};
use tokio::sync::oneshot;

use super::difference::{WayBack, way_back};
use super::outcome::{Refused, ReloadOutcome, Restored};
use super::serving::{Serving, ServingGuard};
use super::status::{PluginRecord, RefusedFile, file_name};
use pace_sandbox::Generation;

/// An order to return a plugin to the generation before, with its reason.
pub(crate) enum Rollback {
    /// The operator requests it, for the plugin of this name.
    Requested(String, oneshot::Sender<ReloadOutcome>),
    /// Too many of the first calls failed of the plugin's generation with this number.
    Unfit(String, u64),
}

/// Carries out rollbacks, one after the other.
pub(super) struct Rollbacks {
    serving: Arc<Serving>,
    returns: mpsc::Receiver<Rollback>,
}

impl Rollbacks {
    pub(super) fn new(serving: Arc<Serving>, returns: mpsc::Receiver<Rollback>) -> Rollbacks {
        Rollbacks { serving, returns }
    }

    /// Runs as long as the process lives. It needs a thread of its own.
    pub(super) fn run(self) {
        for rollback in &self.returns {
            match rollback {
                Rollback::Requested(name, reply) => {
                    let outcome = self.requested(&name);
                    match outcome.is_refused() {
                        false => info!(target: "pace::reload", "{outcome}"),
                        true => error!(target: "pace::reload", "{outcome}"),
                    }
                    // The requester may have gone.
                    let _ = reply.send(outcome);
                }
                Rollback::Unfit(name, number) => self.unfit(&name, number),
            }
        }
    }

    fn requested(&self, name: &str) -> ReloadOutcome {
        self.try_requested(name).unwrap_or_else(ReloadOutcome::Refused)
    }

    fn try_requested(&self, name: &str) -> Result<ReloadOutcome, Refused> {
        let guard = self.serving.lock();
        let record = self.serving.plugin(name)?;
        let served = record.current.number;
        let stays = |why| Refused::Plugin(format!("plugin `{name}`: generation {served} {why}"));
        let (returned, _) = go_back(&guard, &record, "rolled-back").map_err(stays)?;
        self.serving.with(name, |record| {
            record.requested_rollbacks = record.requested_rollbacks.wrapping_add(1)
        });
        Ok(ReloadOutcome::RolledBack {
            plugin: name.to_owned(),
            generation: returned.generation,
            anew: returned.anew,
            in_place_of: served,
        })
    }

    /// Returns a plugin whose generation of this number is unfit.
    fn unfit(&self, name: &str, number: u64) {
        let guard = self.serving.lock();
        let Ok(record) = self.serving.plugin(name) else {
            return;
        };
        let PluginRecord { entry, current, .. } = &record;
        // The generation may have been replaced already, and a plugin that was removed and added again counts from 1.
        let Some(unfit) = current.fitness.unfit().filter(|_| current.number == number) else {
            return;
        };
        let sha256 = current.sha256;
        let of = format!("plugin `{name}` ({})", file_name(&entry.source));
        match go_back(&guard, &record, "unfit") {
            Ok((returned, next)) => {
                let sentence = format!(
                    "{of}: {returned} (sha256 {}), in place of {number} (sha256 {sha256}), because {unfit}",
                    next.sha256
                );
                warn!(target: "pace::reload", "{sentence}");
                let refusal = RefusedFile::now(Some(sha256), sentence);
                self.serving.with(name, |record| record.refused = Some(refusal));
            }
            Err(why) => {
                error!(target: "pace::reload", "{of}: generation {number} (sha256 {sha256}) is unfit, because {unfit}; it {why}")
            }
        }
    }
}

/// Returns to the generation before, if the present configuration allows it, and counts that as `result`. Returns the
/// generation that serves now; the error says why the present one continues to serve.
fn go_back(
    guard: &ServingGuard<'_>,
    record: &PluginRecord,
    result: &str,
) -> Result<(Restored, Arc<Generation>), String> {
    let Some(previous) = &record.previous else {
        return Err("has none before it to return to; it serves on".to_owned());
    };
    let number = previous.number;
    if let Some(unfit) = previous.fitness.unfit() {
        return Err(format!(
            "serves already, and generation {number} was unfit: {unfit}"
        ));
    }
    let next = match way_back(&record.entry, previous.sha256, previous.settings()) {
        WayBack::AsItWas => Arc::clone(previous),
        WayBack::OtherSettings => Arc::new(previous.with_settings_of(&record.entry, record.last_number + 1)),
        WayBack::OtherAllocation => {
            return Err(format!(
                "cannot give way to {number}, which was made for another `isolation` or size of memory than the \
                 configuration has now: put its file back and reload that instead; it serves on"
            ));
        }
        WayBack::OtherContent(expected) => {
            return Err(format!(
                "cannot give way to {number}: the configuration asks for sha256 {expected}, that one has {}; it \
                 serves on",
                previous.sha256
            ));
        }
    };
    guard
        .replace(&next, result)
        .map_err(|failure| format!("serves on: generation {number} cannot serve again: {failure}"))?;
    let again = Restored {
        generation: number,
        anew: (next.number != number).then_some(next.number),
    };
    Ok((again, next))
}
