//! The stream filters of a message, one behind the other.
//!
//! ```text
//!  body ──▶ decoder ──▶ stage ──▶ stage ──▶ client
//!           if encoded  cutter, plugin
//! ```
//!
//! Bytes are pulled: a stage is asked for its next bytes and asks the one before, and nothing is read that nobody wants yet.
//! If all filters of an encoded body only look, a decoded copy goes through the stages, and the body is sent as it came.

mod decoded;
mod stage;

use std::task::{Context as Task, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use pace_content::body::Access;
use pace_content::decode::Codings;
use pace_content::frames::Cutter;
use pace_wire::fields::Fields;
use pace_wire::framing::{Framing, remove_framing};
use pace_wire::request::RequestHead;
use pace_wire::response::ResponseHead;

use self::decoded::Decoded;
use self::stage::{Advance, Stage};
use super::Proxy;
use super::body::{Looked, access, changed, lose_digests};
use super::context::Context;
use super::refuse::Refused;
use crate::chain::{FailedClosed, Filtering, Remaining, Scene};
use crate::http1::{Flow, Transform};
use pace_hook::{Body, Ending, Failure, FailureReason, Hook};

impl Proxy {
    /// Asks the stream filters of a response, whose head is settled. If one of them may change it, the head becomes that of a
    /// changed body of unknown length.
    pub(super) fn open_response_streams(
        &self,
        request: &RequestHead,
        context: &Context,
        head: &mut ResponseHead,
    ) -> Result<Option<Opened>, Looked> {
        let Some(route) = &context.route else {
            return Ok(None);
        };
        let is_wanted = route.chain.has(Hook::ResponseStreamFilter);
        if !is_wanted || head.framing == Framing::None || access(request, head.status()) == Access::Nothing {
            return Ok(None);
        }
        let scene = Scene {
            context: context.call_context(),
            request,
            response: Some((&*head, context.backend())),
        };
        let filters = route
            .chain
            .open_streams(Body::Response, Remaining::ALL, scene)
            .map_err(refused)?;
        if filters.is_empty() {
            return Ok(None);
        }
        let is_part = head.status() == StatusCode::PARTIAL_CONTENT;
        if is_part && request.method == Method::GET && !context.has_asked_for_whole {
            return Err(Looked::WantsWhole);
        }
        let Some(opened) = Opened::new(filters, &head.fields).map_err(refused)? else {
            return Ok(None);
        };
        if is_part {
            opened.fail_for_part().map_err(refused)?;
            return Ok(None);
        }
        if opened.edits() {
            changed(&mut head.fields);
            remove_framing(&mut head.fields);
            head.framing = Framing::Chunked;
        }
        Ok(Some(opened))
    }
}

fn refused(FailedClosed(reason): FailedClosed) -> Looked {
    Looked::Refused(Refused::ResponseBody(reason))
}

/// The time that plugins take in a row, before other messages of the worker have their turn.
const SLICE: Duration = Duration::from_millis(1);

/// The messages that the stream filters of a route have opened.
pub(super) struct Opened {
    stages: Vec<Stage>,
    decoded: Option<Decoded>,
}

/// The reason why the filters have broken a message off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    /// One of them has cut it.
    Cut,
    /// One of them has failed closed.
    Failed(FailureReason),
}

/// The stream filters of a message that is under way.
pub(super) struct Stages<'a> {
    stages: Vec<Stage>,
    decoded: Option<Decoded>,
    /// A body that only passes beside the stages, which see a copy: the part of it that the stages have not all seen yet.
    beside: Option<Beside>,
    scene: Scene<'a>,
    is_finished: bool,
    spent: Duration,
    broken: Option<Broken>,
    edits: bool,
}

struct Beside {
    waiting: Bytes,
}

/// The result of pulling.
enum Pulled {
    Bytes(Bytes),
    More,
    End,
    /// Other messages have their turn.
    Pause,
}

impl Opened {
    /// Puts the messages one behind the other. `None` if there are none, or if the filters cannot be shown a body with these
    /// fields and have failed open.
    pub(super) fn new(
        filters: Vec<(Filtering, Cutter)>,
        fields: &Fields,
    ) -> Result<Option<Opened>, FailedClosed> {
        let mut stages: Vec<Stage> = filters.into_iter().map(Stage::new).collect();
        let Ok(codings) = Codings::parse(fields.get_all("content-encoding")) else {
            let why = "its content-encoding is not one of gzip, deflate, br and zstd";
            fail_all(&mut stages, FailureReason::BodyEncoding, why)?;
            return Ok(None);
        };
        let decoded = (!codings.is_empty()).then(|| Decoded::new(&codings));
        Ok((!stages.is_empty()).then_some(Opened { stages, decoded }))
    }

    /// Whether one of the filters may change the message.
    pub(super) fn edits(&self) -> bool {
        self.stages.iter().any(Stage::edits)
    }

    /// Records that the body is a part of a whole, which filters are not shown.
    fn fail_for_part(mut self) -> Result<(), FailedClosed> {
        let why = "the backend has sent a part of the whole";
        fail_all(&mut self.stages, FailureReason::BodyPartial, why)
    }

    /// Begins the message.
    pub(super) fn begin(self, scene: Scene<'_>) -> Stages<'_> {
        let edits = self.edits();
        let only_looks = self.decoded.is_some() && !edits;
        Stages {
            stages: self.stages,
            decoded: self.decoded,
            beside: only_looks.then(|| Beside {
                waiting: Bytes::new(),
            }),
            scene,
            is_finished: false,
            spent: Duration::ZERO,
            broken: None,
            edits,
        }
    }
}

/// Records that no filter can be shown the body. The first that fails closed decides.
fn fail_all(stages: &mut [Stage], reason: FailureReason, why: &str) -> Result<(), FailedClosed> {
    let failure = Failure {
        reason,
        detail: why.to_owned(),
    };
    let failed: Vec<_> = stages.iter_mut().map(|stage| stage.fail(&failure)).collect();
    failed.into_iter().collect()
}

impl Stages<'_> {
    /// The reason why the filters have broken the message off, if they have.
    pub(super) fn broken(&self) -> Option<Broken> {
        self.broken
    }

    /// Tells the filters that the message has ended before its end, unless they have been told.
    pub(super) fn end(&mut self, how: Ending) {
        for stage in &mut self.stages {
            stage.break_off(self.scene, how);
        }
    }

    /// Pulls the next bytes out of the first `count` stages.
    fn pull(&mut self, count: usize) -> Result<Pulled, Broken> {
        let Some(last) = count.checked_sub(1) else {
            return self.source();
        };
        loop {
            if self.spent >= SLICE {
                return Ok(Pulled::Pause);
            }
            match self.stages[last].advance(self.scene, &mut self.spent)? {
                Advance::Bytes(bytes) => return Ok(Pulled::Bytes(bytes)),
                Advance::End => return Ok(Pulled::End),
                Advance::Again => {}
                Advance::Wants => match self.pull(last)? {
                    Pulled::Bytes(bytes) => self.stages[last].push(bytes),
                    Pulled::End => self.stages[last].finish(),
                    other @ (Pulled::More | Pulled::Pause) => return Ok(other),
                },
            }
        }
    }

    /// The next decoded bytes; without a decoder, the first stage is given all bytes as they come.
    fn source(&mut self) -> Result<Pulled, Broken> {
        if let Some(decoded) = &mut self.decoded {
            match decoded.next(self.is_finished) {
                Ok(Some(bytes)) => return Ok(Pulled::Bytes(bytes)),
                Ok(None) => {}
                Err(error) => {
                    fail_all(&mut self.stages, FailureReason::BodyEncoding, &error.to_string())
                        .map_err(|FailedClosed(reason)| Broken::Failed(reason))?;
                    // A body that is sent as it came goes on. What was decoded cannot.
                    match self.beside {
                        Some(_) => self.decoded = None,
                        None => return Err(Broken::Failed(FailureReason::BodyEncoding)),
                    }
                    return Ok(Pulled::End);
                }
            }
        }
        Ok(match self.is_finished {
            true => Pulled::End,
            false => Pulled::More,
        })
    }

    fn next(&mut self) -> Result<Pulled, Broken> {
        let count = self.stages.len();
        let Some(beside) = &mut self.beside else {
            return self.pull(count);
        };
        let waiting = std::mem::take(&mut beside.waiting);
        loop {
            let pulled = match self.stages.iter().any(Stage::is_open) {
                true => self.pull(count)?,
                false if self.is_finished => Pulled::End,
                false => Pulled::More,
            };
            match pulled {
                Pulled::Bytes(_) => {}
                Pulled::Pause => {
                    if let Some(beside) = &mut self.beside {
                        beside.waiting = waiting;
                    }
                    return Ok(Pulled::Pause);
                }
                Pulled::More | Pulled::End if !waiting.is_empty() => return Ok(Pulled::Bytes(waiting)),
                Pulled::End if !self.is_finished => return Ok(Pulled::More),
                pulled @ (Pulled::More | Pulled::End) => return Ok(pulled),
            }
        }
    }
}

impl Transform for Stages<'_> {
    fn push(&mut self, bytes: &[u8]) {
        if let Some(beside) = &mut self.beside {
            beside.waiting = Bytes::copy_from_slice(bytes);
        }
        match (&mut self.decoded, self.stages.first_mut()) {
            (Some(decoded), _) => decoded.push(bytes),
            (None, Some(stage)) if self.beside.is_none() => stage.push_slice(bytes),
            (None, _) => {}
        }
    }

    fn finish(&mut self) {
        self.is_finished = true;
        if self.decoded.is_none()
            && let Some(stage) = self.stages.first_mut()
        {
            stage.finish();
        }
    }

    fn poll_next(&mut self, task: &mut Task<'_>) -> Poll<Flow> {
        Poll::Ready(match self.next() {
            Ok(Pulled::Bytes(bytes)) => Flow::Bytes(bytes),
            Ok(Pulled::More) => Flow::More,
            Ok(Pulled::End) => {
                // Those before a filter that has ended the message have not seen its end.
                self.end(Ending::Cut);
                Flow::End
            }
            Ok(Pulled::Pause) => {
                self.spent = Duration::ZERO;
                task.waker().wake_by_ref();
                return Poll::Pending;
            }
            Err(broken) => {
                self.broken = Some(broken);
                self.end(Ending::Cut);
                Flow::Broken
            }
        })
    }

    fn correct_trailers(&self, trailers: &mut Fields) {
        if self.edits {
            lose_digests(Some(trailers));
        }
    }
}

impl Drop for Stages<'_> {
    /// A request that is given up, because its client's connection is, has no other end.
    fn drop(&mut self) {
        self.end(Ending::ClientGone);
    }
}
