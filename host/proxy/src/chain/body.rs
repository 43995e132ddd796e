//! The whole bodies that the plugins of a route want to see.

use std::time::{Duration, Instant};

use pace_content::body::{Access, Content};

use super::undo::Undoable;
use super::{CallContext, Chain, FailedClosed, Remaining, RequestFlow, ResponseFlow, Step, StepResult};
use pace_config::BodyLimits;
use pace_hook::{
    Body, Failure, FailureReason, Hook, RequestAccess, RequestHead, RequestState, ResponseHead, Verdict,
};

/// The wish of plugins for a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demand {
    /// The bytes of the largest body that any of them is shown.
    pub limit: u32,
    /// The time after which the first of them wants it no more.
    pub time: Duration,
}

impl Chain {
    /// The wish for a body of the plugins that have not skipped it; `None` if there are none, and the body can stream.
    pub fn demand(&self, body: Body, state: &RequestState, remaining: Remaining) -> Option<Demand> {
        let wanting = self.wanting(body, state, remaining);
        let demand = wanting.map(|step| Demand {
            limit: limit(step),
            time: step.body.time,
        });
        demand.reduce(|one, other| Demand {
            limit: one.limit.max(other.limit),
            time: one.time.min(other.time),
        })
    }

    fn wanting<'a>(
        &'a self,
        body: Body,
        state: &'a RequestState,
        remaining: Remaining,
    ) -> impl Iterator<Item = &'a Step> {
        let steps = self.steps[hook(body)].iter().map(|step| &**step);
        steps.filter(move |step| remaining.has(step) && !state.has_skipped(body, step.index))
    }

    /// Records that plugins with these limits cannot be shown a body, and leaves them out. Returns whether one of them fails closed.
    pub fn body_failed(
        &self,
        body: Body,
        state: &RequestState,
        remaining: Remaining,
        concerns: impl Fn(&BodyLimits) -> bool,
        failure: &Failure,
    ) -> bool {
        let concerned = self.wanting(body, state, remaining);
        let concerned: Vec<&Step> = concerned.filter(|step| concerns(&step.body)).collect();
        concerned.into_iter().any(|step| {
            state.skip(body, step.index);
            step.failed(hook(body), failure).is_err()
        })
    }

    /// Asks the request-body filters in order, until one answers.
    pub fn request_body<H: RequestHead + Clone>(
        &self,
        mut context: CallContext<'_>,
        head: &mut H,
        content: &mut Content,
    ) -> BodyFlow<RequestFlow> {
        let mut clock = Instant::now();
        let state = context.facts.state;
        for step in self.wanting(Body::Request, state, Remaining::ALL) {
            if !content.fits(limit(step)) {
                match step.failed(Hook::RequestBodyFilter, &Failure::body_too_large(step.body.whole)) {
                    Ok(()) => continue,
                    Err(FailedClosed(reason)) => return BodyFlow::Unfit(reason),
                }
            }
            content.allow(Access::Edit, limit(step));
            let notes = context.notes;
            let pool = state.pool();
            content.keep(step.fails_open());
            let mut head = Undoable::new(&mut *head, step.fails_open());
            let request = context.at(step, RequestAccess::Edit(&mut head));
            match step.run(Hook::RequestBodyFilter, notes, &mut clock, |plugin| {
                plugin.request_body(request, content)
            }) {
                StepResult::Result(Verdict::Next) => {}
                StepResult::GoOn => {
                    head.undo();
                    content.undo();
                    state.return_to_pool(pool);
                }
                StepResult::Result(Verdict::Respond(reply)) => {
                    return BodyFlow::Decided(RequestFlow::Respond(reply));
                }
                StepResult::Failed(_) => return BodyFlow::Decided(RequestFlow::Failed),
            }
        }
        BodyFlow::Decided(RequestFlow::Next)
    }

    /// Asks the response-body filters that remain, until one replaces the response. `access` is what HTTP allows.
    pub fn response_body<H: ResponseHead + Clone>(
        &self,
        remaining: Remaining,
        mut context: CallContext<'_>,
        head: &dyn RequestHead,
        (response, backend): (&mut H, Option<&str>),
        (content, access): (&mut Content, Access),
    ) -> BodyFlow<ResponseFlow> {
        let mut clock = Instant::now();
        let state = context.facts.state;
        for step in self.wanting(Body::Response, state, remaining) {
            if !content.fits(limit(step)) {
                match step.failed(
                    Hook::ResponseBodyFilter,
                    &Failure::body_too_large(step.body.whole),
                ) {
                    Ok(()) => continue,
                    Err(FailedClosed(reason)) => return BodyFlow::Unfit(reason),
                }
            }
            content.allow(access, limit(step));
            let notes = context.notes;
            let request = context.at(step, RequestAccess::Read(head));
            content.keep(step.fails_open());
            let mut response = Undoable::new(&mut *response, step.fails_open());
            match step.run(Hook::ResponseBodyFilter, notes, &mut clock, |plugin| {
                plugin.response_body(request, &mut response, backend, content)
            }) {
                StepResult::Result(Verdict::Next) => {}
                StepResult::GoOn => {
                    response.undo();
                    content.undo();
                }
                StepResult::Result(Verdict::Respond(reply)) => {
                    return BodyFlow::Decided(ResponseFlow::Respond(reply, Remaining(step.index)));
                }
                StepResult::Failed(_) => return BodyFlow::Decided(ResponseFlow::Failed),
            }
        }
        BodyFlow::Decided(ResponseFlow::Next)
    }
}

/// The result of the filters of a body.
#[derive(Debug, PartialEq)]
pub enum BodyFlow<T> {
    /// They have decided.
    Decided(T),
    /// The body cannot be shown to one that fails closed.
    Unfit(FailureReason),
}

fn hook(body: Body) -> Hook {
    match body {
        Body::Request => Hook::RequestBodyFilter,
        Body::Response => Hook::ResponseBodyFilter,
    }
}

/// The most bytes of a body that the plugin is shown.
pub(super) fn limit(step: &Step) -> u32 {
    at_most(step.body.whole)
}

/// The most bytes of a unit that the plugin is shown.
pub(super) fn unit_limit(step: &Step) -> u32 {
    at_most(step.body.unit)
}

fn at_most(bytes: usize) -> u32 {
    u32::try_from(bytes).map_or(Content::MOST, |bytes| bytes.min(Content::MOST))
}
