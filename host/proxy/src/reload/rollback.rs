//! The thread that returns plugins to the generation before: when somebody asks for it, and by itself.
//!
//! What it returns to is compiled already, so a rollback never waits for another file that is being compiled.

use std::sync::{Arc, mpsc};

use log::{error, info, warn};
use tokio::sync::oneshot;

use super::difference::{WayBack, way_back};
use super::outcome::{Again, Outcome, Refused};
use super::serving::{Serving, Turn};
use super::status::{Managed, Refusal, file_name};
use pace_sandbox::Generation;

/// Why a plugin is to return to the generation before.
pub(crate) enum Return {
    /// Somebody asks for it.
    Asked(String, oneshot::Sender<Outcome>),
    /// Too many of the first calls of the generation with this number failed.
    Unfit(String, u64),
}

/// Serves them, one after the other.
pub(super) struct Rollbacks {
    serving: Arc<Serving>,
    returns: mpsc::Receiver<Return>,
}

impl Rollbacks {
    pub(super) fn new(serving: Arc<Serving>, returns: mpsc::Receiver<Return>) -> Rollbacks {
        Rollbacks { serving, returns }
    }

    /// As long as the process lives. The calling thread is its own.
    pub(super) fn run(self) {
        for wanted in &self.returns {
            match wanted {
                Return::Asked(name, reply) => {
                    let outcome = self.asked(&name);
                    match outcome.is_refused() {
                        false => info!(target: "crate::reload", "{outcome}"),
                        true => error!(target: "crate::reload", "{outcome}"),
                    }
                    // Who asked may have gone.
                    let _ = reply.send(outcome);
                }
                Return::Unfit(name, number) => self.unfit(&name, number),
            }
        }
    }

    fn asked(&self, name: &str) -> Outcome {
        self.try_asked(name).unwrap_or_else(Outcome::Refused)
    }

    fn try_asked(&self, name: &str) -> Result<Outcome, Refused> {
        let turn = self.serving.turn();
        let managed = self.serving.managed(name)?;
        let served = managed.current.number;
        let stays = |why| Refused::Plugin(format!("plugin `{name}`: generation {served} {why}"));
        let (returned, _) = go_back(&turn, &managed, "rolled-back").map_err(stays)?;
        self.serving.with(name, |managed| {
            managed.asked_back = managed.asked_back.wrapping_add(1)
        });
        Ok(Outcome::RolledBack {
            plugin: name.to_owned(),
            generation: returned.generation,
            anew: returned.anew,
            in_place_of: served,
        })
    }

    /// Too many of a generation's first calls have failed.
    fn unfit(&self, name: &str, number: u64) {
        let turn = self.serving.turn();
        let Ok(managed) = self.serving.managed(name) else {
            return;
        };
        let Managed { entry, current, .. } = &managed;
        // It may have been replaced already; and a plugin that went and came back begins again with 1.
        let Some(unfit) = current.fitness.unfit().filter(|_| current.number == number) else {
            return;
        };
        let sha256 = current.sha256;
        let of = format!("plugin `{name}` ({})", file_name(&entry.source));
        match go_back(&turn, &managed, "unfit") {
            Ok((returned, next)) => {
                let sentence = format!(
                    "{of}: {returned} (sha256 {}), in place of {number} (sha256 {sha256}), because {unfit}",
                    next.sha256
                );
                warn!(target: "crate::reload", "{sentence}");
                let refusal = Refusal::now(Some(sha256), sentence);
                self.serving.with(name, |managed| managed.refused = Some(refusal));
            }
            Err(why) => {
                error!(target: "crate::reload", "{of}: generation {number} (sha256 {sha256}) is unfit, because {unfit}; it {why}")
            }
        }
    }
}

/// Returns to the generation before, as far as the configuration of now lets it, and counts that as this
/// `result`. Who serves now; or why the one that serves does on.
fn go_back(turn: &Turn<'_>, managed: &Managed, result: &str) -> Result<(Again, Arc<Generation>), String> {
    let Some(previous) = &managed.previous else {
        return Err("has none before it to return to; it serves on".to_owned());
    };
    let number = previous.number;
    if let Some(unfit) = previous.fitness.unfit() {
        return Err(format!(
            "serves already, and generation {number} was unfit: {unfit}"
        ));
    }
    let next = match way_back(&managed.entry, previous.sha256, previous.settings()) {
        WayBack::AsItWas => Arc::clone(previous),
        WayBack::OtherSettings => {
            Arc::new(previous.with_settings_of(&managed.entry, managed.last_number + 1))
        }
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
    turn.replace(&next, result)
        .map_err(|failure| format!("serves on: generation {number} cannot serve again: {failure}"))?;
    let again = Again {
        generation: number,
        anew: (next.number != number).then_some(next.number),
    };
    Ok((again, next))
}
