//! The way of a message through its stream filters, and beside those that only look at a decoded copy.

use std::task::{Context as Task, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use pace_content::frames::Advance;
use pace_wire::fields::Fields;
use pace_wire::known::Known;

use super::decoded::Decoded;
use super::stage::Stage;
use super::{Broken, Stages, fail_all};
use crate::chain::{FailedClosed, Scene};
use crate::http1::{Flow, Transform};
use crate::proxy::body::lose_digests;
use pace_hook::Ending;

/// The time that plugins take in a row, before other messages of the worker have their turn.
const SLICE: Duration = Duration::from_millis(1);

/// The bytes that are decoded and cut in a row, before other messages have their turn: about as much time.
const SLICE_BYTES: usize = 256 * 1024;

/// The stream filters of a message, with the heads that they can look at meanwhile.
pub(in crate::proxy) struct Through<'a> {
    pub(super) stages: &'a mut Stages,
    pub(super) scene: Scene<'a>,
}

/// The parts of a body that are sent as they came.
pub(super) struct Beside {
    /// What may be sent.
    seen: BytesMut,
    /// What the stages have not all seen yet.
    waiting: BytesMut,
    /// Whether a reader knows by the length that it has all of the message. Then it would not see that a filter breaks it off
    /// behind the last bytes, so these wait for the end, if the coding may be at its own.
    is_measured: bool,
}

/// The result of pulling.
enum Pulled {
    Bytes(Bytes),
    More,
    End,
    /// Other messages have their turn.
    Pause,
}

impl Beside {
    pub(super) fn new(fields: &Fields) -> Beside {
        Beside {
            seen: BytesMut::new(),
            waiting: BytesMut::new(),
            is_measured: fields.has(Known::ContentLength),
        }
    }
}

impl Through<'_> {
    /// Pulls the next bytes out of the first `count` stages.
    fn pull(&mut self, count: usize) -> Result<Pulled, Broken> {
        let Some(last) = count.checked_sub(1) else {
            return self.source();
        };
        loop {
            if self.stages.spent >= SLICE || self.stages.passed >= SLICE_BYTES {
                return Ok(Pulled::Pause);
            }
            match self.stages.stages[last].advance(self.scene, &mut self.stages.spent)? {
                Advance::Bytes(bytes) => return Ok(Pulled::Bytes(bytes)),
                Advance::End => return Ok(Pulled::End),
                Advance::Again => {}
                Advance::Wants => match self.pull(last)? {
                    Pulled::Bytes(bytes) => self.stages.stages[last].push(bytes),
                    Pulled::End => self.stages.stages[last].finish(),
                    other @ (Pulled::More | Pulled::Pause) => return Ok(other),
                },
            }
        }
    }

    /// The next decoded bytes; without a decoder, the first stage is given all bytes as they come.
    fn source(&mut self) -> Result<Pulled, Broken> {
        if let Some(decoded) = &mut self.stages.decoded {
            match decoded.next(self.stages.is_finished) {
                Ok(Some(bytes)) => {
                    self.stages.passed += bytes.len();
                    return Ok(Pulled::Bytes(bytes));
                }
                Ok(None) => {}
                Err(failure) => {
                    fail_all(&mut self.stages.stages, &failure)
                        .map_err(|FailedClosed(reason)| Broken::Failed(reason))?;
                    // A body that is sent as it came goes on. What was decoded cannot.
                    match self.stages.beside {
                        Some(_) => self.stages.decoded = None,
                        None => return Err(Broken::Failed(failure.reason)),
                    }
                    return Ok(Pulled::End);
                }
            }
        }
        Ok(match self.stages.is_finished {
            true => Pulled::End,
            false => Pulled::More,
        })
    }

    fn next(&mut self) -> Result<Pulled, Broken> {
        let count = self.stages.stages.len();
        if self.stages.beside.is_none() {
            return self.pull(count);
        }
        loop {
            if let Some(seen) = self.take_seen() {
                return Ok(Pulled::Bytes(seen));
            }
            let is_seen = self.stages.stages.iter().any(Stage::is_open);
            if !is_seen {
                // Nobody looks at it any more, so it need not be decoded.
                self.stages.decoded = None;
            }
            let pulled = match is_seen {
                true => self.pull(count)?,
                false if self.stages.is_finished => Pulled::End,
                false => Pulled::More,
            };
            match pulled {
                Pulled::Bytes(_) => {}
                Pulled::Pause => return Ok(Pulled::Pause),
                Pulled::More if self.may_be_complete() => return Ok(Pulled::More),
                Pulled::More | Pulled::End => {
                    if let Some(beside) = &mut self.stages.beside {
                        beside.seen = beside.waiting.split();
                        if !beside.seen.is_empty() {
                            continue;
                        }
                    }
                    return Ok(match self.stages.is_finished {
                        true => Pulled::End,
                        false => Pulled::More,
                    });
                }
            }
        }
    }

    /// Whether a reader of what has come could take it for all of the message.
    fn may_be_complete(&self) -> bool {
        let is_measured = self
            .stages
            .beside
            .as_ref()
            .is_some_and(|beside| beside.is_measured);
        is_measured && self.stages.decoded.as_ref().is_some_and(Decoded::may_be_complete)
    }

    /// The bytes that may be sent, if there are any.
    fn take_seen(&mut self) -> Option<Bytes> {
        let seen = &mut self.stages.beside.as_mut()?.seen;
        (!seen.is_empty()).then(|| seen.split().freeze())
    }
}

impl Transform for Through<'_> {
    fn pass(&mut self, bytes: &[u8]) -> bool {
        if self.stages.decoded.is_some() || self.stages.beside.is_some() {
            return false;
        }
        let stages = &mut self.stages.stages;
        let passes = stages.iter().all(|stage| stage.passes(bytes));
        if passes {
            stages.iter_mut().for_each(|stage| stage.note_passed(bytes));
        }
        passes
    }

    fn push(&mut self, bytes: &[u8]) {
        if let Some(beside) = &mut self.stages.beside {
            // More follows what has waited, so it is not the end.
            beside.seen.unsplit(beside.waiting.split());
            beside.waiting.extend_from_slice(bytes);
        }
        self.stages.passed += bytes.len();
        match (&mut self.stages.decoded, self.stages.stages.first_mut()) {
            (Some(decoded), _) => decoded.push(bytes),
            (None, Some(stage)) if self.stages.beside.is_none() => stage.push_slice(bytes),
            (None, _) => {}
        }
    }

    fn finish(&mut self) {
        self.stages.is_finished = true;
        if self.stages.decoded.is_none()
            && let Some(stage) = self.stages.stages.first_mut()
        {
            stage.finish();
        }
    }

    fn poll_next(&mut self, task: &mut Task<'_>) -> Poll<Flow> {
        Poll::Ready(match self.next() {
            Ok(Pulled::Bytes(bytes)) => Flow::Bytes(bytes),
            Ok(Pulled::More) => {
                (self.stages.spent, self.stages.passed) = (Duration::ZERO, 0);
                Flow::More
            }
            Ok(Pulled::End) => {
                // Those before a filter that has ended the message have not seen its end.
                self.stages.end(self.scene, Ending::Cut);
                Flow::End
            }
            Ok(Pulled::Pause) => {
                self.stages.spent = Duration::ZERO;
                self.stages.passed = 0;
                task.waker().wake_by_ref();
                return Poll::Pending;
            }
            Err(broken) => {
                self.stages.broken = Some(broken);
                self.stages.end(self.scene, Ending::Cut);
                Flow::Broken
            }
        })
    }

    fn edits(&self) -> bool {
        self.stages.edits()
    }

    fn correct_trailers(&self, trailers: &mut Fields) {
        if self.stages.edits() {
            lose_digests(Some(trailers));
        }
    }
}
