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
mod through;

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context as Task, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use pace_content::body::Access;
use pace_content::budget::Budget;
use pace_content::decode::Codings;
use pace_content::frames;
use pace_wire::fields::{Fields, TooLarge};
use pace_wire::framing::{Framing, remove_framing};
use pace_wire::known::Known;
use pace_wire::request::RequestHead;
use pace_wire::response::ResponseHead;

use self::decoded::Decoded;
use self::stage::Stage;
use self::through::{Beside, Through};
use super::Proxy;
use super::attempt::Upload;
use super::body::{Looked, access, announce, can_ask_for_whole, changed, forget_length_of_nothing};
use super::context::Context;
use super::refuse::Refused;
use crate::chain::{FailedClosed, Filtering, Remaining, Scene, break_off_all};
use crate::http1::{Flow, Passed, PumpError, Transform};
use crate::io::{Buffer, Transport};
use pace_hook::{Body, Ending, Failure, FailureReason, Hook};

impl Proxy {
    /// Asks the stream filters of a request. If one of them may change it, the head becomes that of a changed body of unknown
    /// length.
    pub(super) fn open_request_streams(
        &self,
        request: &mut RequestHead,
        context: &mut Context,
        upload: &mut Upload,
    ) -> Result<(), Refused> {
        let Some(route) = &context.route else {
            return Ok(());
        };
        if request.framing == Framing::None || !route.chain.has(Hook::RequestStreamFilter) {
            return Ok(());
        }
        let refused = |FailedClosed(reason)| Broken::Failed(reason).refused(Body::Request);
        let scene = context.scene(request);
        let filters = route
            .chain
            .open_streams(Body::Request, Remaining::ALL, scene)
            .map_err(refused)?;
        let Some(stages) = Stages::new(filters, &request.fields, &self.shared.bodies).map_err(refused)?
        else {
            return Ok(());
        };
        if stages.edits() {
            changed(&mut request.fields);
            remove_framing(&mut request.fields);
            request.framing = Framing::Chunked;
            upload.pump.frame(super::outbound::request_body(request));
        }
        upload.pump.pass_through(Body::Request);
        upload.stages = Some(stages);
        if let Some(attempting) = &mut context.attempting {
            attempting.body_passes();
        }
        Ok(())
    }

    /// Asks the stream filters of a response, whose head is settled. If one of them may change it, the head becomes that of a
    /// changed body of unknown length.
    pub(super) fn open_response_streams(
        &self,
        request: &RequestHead,
        context: &Context,
        upload: &Upload,
        head: &mut ResponseHead,
    ) -> Result<Option<Stages>, Looked> {
        let Some(route) = &context.route else {
            return Ok(None);
        };
        if !route.chain.has(Hook::ResponseStreamFilter) {
            return Ok(None);
        }
        forget_length_of_nothing(request, head);
        if head.framing == Framing::None || access(request, head.status()) == Access::Nothing {
            return Ok(None);
        }
        let refused = |FailedClosed(reason)| Looked::Refused(Broken::Failed(reason).refused(Body::Response));
        let scene = Scene {
            response: Some((&*head, context.backend())),
            ..context.scene(request)
        };
        let filters = route
            .chain
            .open_streams(Body::Response, Remaining::ALL, scene)
            .map_err(refused)?;
        if filters.is_empty() {
            return Ok(None);
        }
        let is_part = head.status() == StatusCode::PARTIAL_CONTENT;
        if is_part && can_ask_for_whole(request, context, upload) {
            break_off_all(filters, scene);
            return Err(Looked::WantsWhole);
        }
        let Some(opened) = Stages::new(filters, &head.fields, &self.shared.bodies).map_err(refused)? else {
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

impl Proxy {
    /// Shows the reply of a plugin to the stream filters that remain, as one chunk. What they make of it is held in memory, as the
    /// reply is.
    pub(super) async fn filter_reply_streams(
        &self,
        request: &RequestHead,
        context: &Context,
        remaining: Remaining,
        (head, body): (&mut ResponseHead, &mut Bytes),
    ) -> Result<(), Refused> {
        let Some(route) = &context.route else {
            return Ok(());
        };
        let is_wanted = route.chain.has(Hook::ResponseStreamFilter);
        if !is_wanted || access(request, head.status()) == Access::Nothing {
            return Ok(());
        }
        let scene = Scene {
            response: Some((&*head, None)),
            ..context.scene(request)
        };
        let refused = |FailedClosed(reason)| Broken::Failed(reason).refused(Body::Response);
        let filters = route
            .chain
            .open_streams(Body::Response, remaining, scene)
            .map_err(refused)?;
        let Some(stages) = Stages::new(filters, &head.fields, &self.shared.bodies).map_err(refused)? else {
            return Ok(());
        };
        let edits = stages.edits();
        let mut permit = self.shared.bodies.permit();
        let mut made = Vec::new();
        let mut running = stages.run(scene);
        let mut is_pushed = false;
        loop {
            let mut through = running.through();
            match poll_fn(|task| through.poll_next(task)).await {
                // Filters that only look leave the reply as it is.
                Flow::Bytes(_) if !edits => {}
                Flow::Bytes(bytes) if permit.cover(made.len() + bytes.len()) => {
                    made.extend_from_slice(&bytes)
                }
                Flow::Bytes(_) => {
                    running.end(Ending::Cut);
                    return Err(Refused::ResponseBody(FailureReason::BodyBudget));
                }
                Flow::More if is_pushed || body.is_empty() => through.finish(),
                Flow::More => {
                    through.push(body);
                    is_pushed = true;
                }
                Flow::End => break,
                Flow::Broken => {
                    let broken = running.end(Ending::Cut).unwrap_or(Broken::Cut);
                    return Err(broken.refused(Body::Response));
                }
            }
        }
        drop(running);
        if edits {
            changed(&mut head.fields);
            *body = made.into();
            announce(&mut head.fields, body).map_err(|TooLarge| Refused::PluginFailed)?;
        }
        Ok(())
    }
}

impl Upload {
    /// Moves as much of the request as possible to the backend, through its stream filters if it has any.
    pub(super) fn poll<'s>(
        &mut self,
        source: (&mut Transport, &mut Buffer),
        target: &mut Transport,
        scene: impl FnOnce() -> Scene<'s>,
        task: &mut Task<'_>,
    ) -> Poll<Result<Passed, PumpError>> {
        match &mut self.stages {
            Some(stages) => {
                let mut through = stages.through(scene());
                self.pump.poll_through(source, target, &mut through, task)
            }
            None => self.pump.poll(source, target, task).map_ok(|()| Passed::Whole),
        }
    }

    /// The reason why the stream filters have broken the request off.
    pub(super) fn refused(&self) -> Refused {
        let broken = self.stages.as_ref().and_then(Stages::broken);
        broken.unwrap_or(Broken::Cut).refused(Body::Request)
    }
}

/// The reason why the filters have broken a message off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    /// One of them has cut it.
    Cut,
    /// One of them has failed closed.
    Failed(FailureReason),
}

impl Broken {
    /// The reason for Pace's own answer, if nothing has been sent to the client.
    pub(super) fn refused(self, message: Body) -> Refused {
        match (self, message) {
            (Broken::Cut, message) => Refused::Cut(message),
            (Broken::Failed(reason), Body::Request) if reason.is_of_plugin() => Refused::PluginFailed,
            (Broken::Failed(reason), Body::Request) => Refused::RequestBody(reason),
            (Broken::Failed(reason), Body::Response) => Refused::ResponseBody(reason),
        }
    }
}

/// The stream filters of a message.
pub(super) struct Stages {
    stages: Vec<Stage>,
    decoded: Option<Decoded>,
    /// A body that only passes beside the stages, which see a copy.
    beside: Option<Beside>,
    is_finished: bool,
    /// The time that the plugins have taken since more was wanted, and the bytes that were decoded and cut.
    spent: Duration,
    passed: usize,
    broken: Option<Broken>,
}

/// The stream filters of a response that is under way. A request that is given up, because its client's connection is, has no
/// other end for them.
pub(super) struct Running<'a> {
    stages: Stages,
    scene: Scene<'a>,
}

impl Stages {
    /// Puts the messages one behind the other. `None` if there are none, or if the filters cannot be shown a body with these
    /// fields and have failed open.
    pub(super) fn new(
        filters: Vec<(Filtering, frames::Stage)>,
        fields: &Fields,
        budget: &Arc<Budget>,
    ) -> Result<Option<Stages>, FailedClosed> {
        let mut stages: Vec<Stage> = filters.into_iter().map(Stage::new).collect();
        let Ok(codings) = Codings::parse(fields.all(Known::ContentEncoding)) else {
            fail_all(&mut stages, &Failure::unknown_coding())?;
            return Ok(None);
        };
        let mut decoded = None;
        if !codings.is_empty() {
            match Decoded::new(&codings, budget.permit()) {
                Ok(made) => decoded = Some(made),
                Err(failure) => {
                    fail_all(&mut stages, &failure)?;
                    return Ok(None);
                }
            }
        }
        let only_looks = decoded.is_some() && !stages.iter().any(Stage::edits);
        Ok((!stages.is_empty()).then_some(Stages {
            stages,
            decoded,
            beside: only_looks.then(|| Beside::new(fields)),
            is_finished: false,
            spent: Duration::ZERO,
            passed: 0,
            broken: None,
        }))
    }

    /// Whether one of the filters may change the message.
    pub(super) fn edits(&self) -> bool {
        self.stages.iter().any(Stage::edits)
    }

    /// Records that the body is a part of a whole, which filters are not shown.
    fn fail_for_part(mut self) -> Result<(), FailedClosed> {
        fail_all(&mut self.stages, &Failure::body_partial())
    }

    /// The reason why the filters have broken the message off, if they have.
    pub(super) fn broken(&self) -> Option<Broken> {
        self.broken
    }

    /// Tells the filters that the message has ended before its end, unless they have been told.
    pub(super) fn end(&mut self, scene: Scene<'_>, how: Ending) {
        for stage in &mut self.stages {
            stage.break_off(scene, how);
        }
    }

    /// The filters with these heads.
    pub(super) fn through<'a>(&'a mut self, scene: Scene<'a>) -> Through<'a> {
        Through { stages: self, scene }
    }

    /// The filters of a response with its heads.
    pub(super) fn run(self, scene: Scene<'_>) -> Running<'_> {
        Running { stages: self, scene }
    }
}

impl Running<'_> {
    pub(super) fn through(&mut self) -> Through<'_> {
        self.stages.through(self.scene)
    }

    /// Ends the message. Returns the reason why the filters have broken it off, if they have.
    pub(super) fn end(&mut self, how: Ending) -> Option<Broken> {
        self.stages.end(self.scene, how);
        self.stages.broken()
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.end(Ending::ClientGone);
    }
}

/// Records that no filter can be shown the body. The first that fails closed decides.
fn fail_all(stages: &mut [Stage], failure: &Failure) -> Result<(), FailedClosed> {
    let failed: Vec<_> = stages.iter_mut().map(|stage| stage.fail(failure)).collect();
    failed.into_iter().collect()
}
