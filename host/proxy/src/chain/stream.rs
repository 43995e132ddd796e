//! The messages that stream filters of a route have open.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use pace_content::body::{Access, Content};
use pace_content::frames::{EventFields, Stage, Step as Decision};

use super::body::unit_limit;
use super::{CallContext, Chain, FailedClosed, Remaining, Step, StepResult};
use pace_hook::{Body, Ending, Failure, Heads, Hook, Message, RequestHead, ResponseHead};

/// The heads of the messages that a filter can look at, for a call of any plugin.
#[derive(Clone, Copy)]
pub struct Scene<'a> {
    /// The surroundings of the request.
    pub context: CallContext<'a>,
    /// The request.
    pub request: &'a (dyn RequestHead + Sync),
    /// The response and the backend that it is from, if there is one.
    pub response: Option<(&'a (dyn ResponseHead + Sync), Option<&'a str>)>,
}

/// A message that a plugin filters.
pub struct Filtering {
    step: Arc<Step>,
    hook: Hook,
    /// `None` once the filter has failed or been told the end.
    message: Option<Box<dyn Message>>,
    access: Access,
}

impl Chain {
    /// Asks the stream filters in order whether they filter a message. Those that do are returned with what cuts the message
    /// for each.
    pub fn open_streams(
        &self,
        body: Body,
        remaining: Remaining,
        scene: Scene<'_>,
    ) -> Result<Vec<(Filtering, Stage)>, FailedClosed> {
        let hook = match body {
            Body::Request => Hook::RequestStreamFilter,
            Body::Response => Hook::ResponseStreamFilter,
        };
        let mut opened: Vec<(Filtering, Stage)> = Vec::new();
        let mut clock = Instant::now();
        for step in self.steps[hook].iter().filter(|step| remaining.has(step)) {
            let notes = scene.context.notes;
            let opening = match step.run(hook, notes, &mut clock, |plugin| {
                scene.with_heads(step, |heads| match body {
                    Body::Request => plugin.open_request_stream(heads),
                    Body::Response => plugin.open_response_stream(heads),
                })
            }) {
                StepResult::Result(Some(opening)) => opening,
                StepResult::Result(None) | StepResult::GoOn => continue,
                StepResult::Failed(reason) => {
                    break_off_all(opened, scene);
                    return Err(FailedClosed(reason));
                }
            };
            let stage = Stage::new(
                opening.framing,
                opening.access,
                opening.interest,
                unit_limit(step),
            );
            let filtering = Filtering {
                step: Arc::clone(step),
                hook,
                message: Some(opening.message),
                access: opening.access,
            };
            opened.push((filtering, stage));
        }
        Ok(opened)
    }
}

/// Tells filters that a message which they have opened is not shown to them.
pub fn break_off_all(opened: Vec<(Filtering, Stage)>, scene: Scene<'_>) {
    for (mut filtering, _) in opened {
        filtering.break_off(scene, Ending::Cut);
    }
}

impl Scene<'_> {
    fn with_heads<T>(mut self, step: &Step, call: impl FnOnce(Heads<'_>) -> T) -> T {
        self.context.facts.step = step.index;
        call(Heads {
            request: self.request,
            facts: &self.context.facts,
            response: self
                .response
                .map(|(head, backend)| (head as &dyn ResponseHead, backend)),
        })
    }
}

impl Filtering {
    /// Whether the filter may change the message.
    pub fn edits(&self) -> bool {
        self.access == Access::Edit
    }

    /// Whether the filter has neither failed nor been told the end.
    pub fn is_open(&self) -> bool {
        self.message.is_some()
    }

    /// Shows a unit. Returns the decision, if there is one, and the time that the plugin took. Without one the filter has failed open.
    pub fn next(
        &mut self,
        scene: Scene<'_>,
        content: &mut Content,
        event: Option<&mut EventFields>,
    ) -> Result<(Option<Decision>, Duration), FailedClosed> {
        let Some(message) = &mut self.message else {
            return Ok((None, Duration::ZERO));
        };
        let begun = Instant::now();
        let decided = scene.with_heads(&self.step, |heads| message.next(heads, content, event));
        let time = begun.elapsed();
        self.step.metrics.called(self.hook, time);
        match decided {
            Ok(decision) => Ok((Some(decision), time)),
            Err(failure) => self.fail(&failure).map(|()| (None, time)),
        }
    }

    /// Tells the plugin that the message is complete. Returns the bytes that it adds.
    pub fn complete(&mut self, scene: Scene<'_>) -> Result<Option<Content>, FailedClosed> {
        self.end(scene, Ending::Complete, self.access)
    }

    /// Tells the plugin that the message has ended before its end.
    pub fn break_off(&mut self, scene: Scene<'_>, how: Ending) {
        // A failure now has no consequence: the message is over.
        let _recorded = self.end(scene, how, Access::Nothing);
    }

    fn end(
        &mut self,
        scene: Scene<'_>,
        how: Ending,
        access: Access,
    ) -> Result<Option<Content>, FailedClosed> {
        let Some(message) = self.message.take() else {
            return Ok(None);
        };
        let mut last = Content::unit(Bytes::new());
        last.allow(access, unit_limit(&self.step));
        let begun = Instant::now();
        let ended = scene.with_heads(&self.step, |heads| message.end(heads, how, &mut last));
        self.step.metrics.called(self.hook, begun.elapsed());
        match ended {
            Ok(()) => Ok((last.size() > 0).then_some(last)),
            Err(failure) => self.fail(&failure).map(|()| None),
        }
    }

    /// Records that the filter has failed, and drops its message.
    pub fn fail(&mut self, failure: &Failure) -> Result<(), FailedClosed> {
        self.message = None;
        self.step.failed(self.hook, failure)
    }
}
