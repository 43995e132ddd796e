//! One stream filter of a message, and what cuts the message for it.

use std::time::Duration;

use bytes::Bytes;
use pace_content::body::Content;
use pace_content::frames::{Cutter, Framing, Piece, Step, UnitTooLarge};

use super::Broken;
use crate::chain::{FailedClosed, Filtering, Scene};
use pace_hook::{Ending, Failure, FailureReason};

pub(super) struct Stage {
    filter: Filtering,
    phase: Phase,
    /// Whether the stage has got all of the message.
    is_finished: bool,
}

/// The progress of a filter in its message.
enum Phase {
    /// It is shown units.
    Cutting(Cutter),
    /// The rest passes without it: these bytes, and all that come. Lines may not have ended with them.
    Passing {
        bytes: Option<Bytes>,
        is_open_line: bool,
    },
    /// It has ended the message, with the plugin's last bytes to come, if there are any.
    Ending(Cutter),
    /// Nothing comes any more.
    Over,
}

/// The progress of a stage.
pub(super) enum Advance {
    /// These bytes go to the next stage; there is at least one.
    Bytes(Bytes),
    /// More has to come first.
    Wants,
    /// There is nothing yet, and it can be asked again.
    Again,
    /// Nothing comes any more.
    End,
}

impl Stage {
    pub(super) fn new((filter, cutter): (Filtering, Cutter)) -> Stage {
        Stage {
            filter,
            phase: Phase::Cutting(cutter),
            is_finished: false,
        }
    }

    pub(super) fn edits(&self) -> bool {
        self.filter.edits()
    }

    /// Whether the plugin is still interested in the message.
    pub(super) fn is_open(&self) -> bool {
        self.filter.is_open()
    }

    /// Takes the next bytes, after [`Advance::Wants`].
    pub(super) fn push(&mut self, more: Bytes) {
        match &mut self.phase {
            Phase::Cutting(cutter) => cutter.push(&more),
            Phase::Passing { bytes, .. } => *bytes = Some(more),
            Phase::Ending(_) | Phase::Over => {}
        }
    }

    /// Takes the next bytes, after [`Advance::Wants`].
    pub(super) fn push_slice(&mut self, more: &[u8]) {
        match &mut self.phase {
            Phase::Cutting(cutter) => cutter.push(more),
            Phase::Passing { bytes, .. } => *bytes = Some(Bytes::copy_from_slice(more)),
            Phase::Ending(_) | Phase::Over => {}
        }
    }

    /// Takes note that the message is complete.
    pub(super) fn finish(&mut self) {
        self.is_finished = true;
        if let Phase::Cutting(cutter) = &mut self.phase {
            cutter.finish();
        }
    }

    /// The next thing to do. The time that the plugin takes is added to `spent`.
    pub(super) fn advance(&mut self, scene: Scene<'_>, spent: &mut Duration) -> Result<Advance, Broken> {
        match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::Cutting(cutter) => self.cut(cutter, scene, spent),
            Phase::Passing {
                bytes: Some(bytes), ..
            } if !bytes.is_empty() => {
                self.phase = Phase::Passing {
                    bytes: None,
                    is_open_line: !bytes.ends_with(b"\n"),
                };
                Ok(Advance::Bytes(bytes))
            }
            Phase::Passing { is_open_line, .. } if self.is_finished => {
                let Some(mut last) = self.filter.complete(scene).map_err(closed)? else {
                    return Ok(Advance::End);
                };
                let is_line = self.filter.framing() == Framing::Line;
                if is_line && is_open_line && last.size() > 0 {
                    // What passed has ended without the end of a line.
                    let _fits = last.splice(0, 0, b"\n");
                }
                Ok(some(last_bytes(self.filter.framing(), last)))
            }
            passing @ Phase::Passing { .. } => {
                self.phase = passing;
                Ok(Advance::Wants)
            }
            Phase::Ending(cutter) => {
                let last = self.filter.complete(scene).map_err(closed)?;
                Ok(some(last.map_or_else(Bytes::new, |last| cutter.last(last))))
            }
            Phase::Over => Ok(Advance::End),
        }
    }

    fn cut(&mut self, mut cutter: Cutter, scene: Scene<'_>, spent: &mut Duration) -> Result<Advance, Broken> {
        match cutter.next_piece() {
            Ok(Some(Piece::Pass(bytes))) => {
                self.phase = Phase::Cutting(cutter);
                Ok(some(bytes))
            }
            Ok(None) if self.is_finished => {
                self.phase = Phase::Ending(cutter);
                Ok(Advance::Again)
            }
            Ok(None) => {
                self.phase = Phase::Cutting(cutter);
                Ok(Advance::Wants)
            }
            Ok(Some(Piece::Unit(mut unit))) => {
                let raw = unit.raw().clone();
                let (content, event) = unit.lend();
                let (decided, time) = self.filter.next(scene, content, event).map_err(closed)?;
                *spent += time;
                let bytes = match decided {
                    None => {
                        // It has failed open: the rest passes untouched, and this unit with it.
                        self.pass(cutter.into_rest());
                        raw
                    }
                    Some(Step::Pass) => {
                        let bytes = cutter.put_back(unit);
                        self.phase = Phase::Cutting(cutter);
                        bytes
                    }
                    Some(Step::Drop) => {
                        self.phase = Phase::Cutting(cutter);
                        Bytes::new()
                    }
                    Some(Step::Finish) => {
                        let bytes = cutter.put_back(unit);
                        self.pass(cutter.into_rest());
                        bytes
                    }
                    Some(Step::Stop) => {
                        let bytes = cutter.put_back(unit);
                        self.phase = Phase::Ending(cutter);
                        bytes
                    }
                    Some(Step::Cut) => {
                        self.filter.break_off(scene, Ending::Cut);
                        return Err(Broken::Cut);
                    }
                };
                Ok(some(bytes))
            }
            Err(UnitTooLarge) => {
                let failure = Failure {
                    reason: FailureReason::UnitTooLarge,
                    detail: format!(
                        "a {} is longer than `limits.unit_kb`",
                        match self.filter.framing() {
                            Framing::Event => "server-sent event",
                            Framing::Line | Framing::Chunk => "line",
                        }
                    ),
                };
                self.filter.fail(&failure).map_err(closed)?;
                self.pass(cutter.into_rest());
                Ok(Advance::Again)
            }
        }
    }

    fn pass(&mut self, rest: Bytes) {
        self.phase = Phase::Passing {
            bytes: Some(rest),
            is_open_line: false,
        };
    }

    /// Records that the filter has failed.
    pub(super) fn fail(&mut self, failure: &Failure) -> Result<(), FailedClosed> {
        self.filter.fail(failure)
    }

    /// Tells the plugin that the message has ended before its end.
    pub(super) fn break_off(&mut self, scene: Scene<'_>, how: Ending) {
        self.filter.break_off(scene, how);
    }
}

/// The bytes that a plugin adds behind a message of which the rest has passed.
fn last_bytes(framing: Framing, last: Content) -> Bytes {
    Cutter::new(
        framing,
        pace_content::body::Access::Edit,
        Default::default(),
        Content::MOST,
    )
    .last(last)
}

fn some(bytes: Bytes) -> Advance {
    match bytes.is_empty() {
        true => Advance::Again,
        false => Advance::Bytes(bytes),
    }
}

fn closed(FailedClosed(reason): FailedClosed) -> Broken {
    Broken::Failed(reason)
}
