//! The attempts that the plugins of a route prepare and judge.

use std::time::Instant;

use pace_content::body::{Access, Content};

use super::body::limit;
use super::{CallContext, Chain, RequestFlow, StepResult, Undo};
use pace_hook::{Attempt, Hook, Judgement, Reply, RequestAccess, RequestHead, ResponseHead, Verdict};

/// The result of judging an attempt.
#[derive(Debug, PartialEq)]
pub enum JudgeFlow {
    /// The configuration decides.
    Accept,
    /// A plugin wants another attempt.
    Retry,
    /// A plugin answered the request.
    Respond(Reply),
    /// A plugin failed closed.
    Failed,
}

impl Chain {
    /// Has the plugins prepare an attempt in order, until one answers. A plugin that may not be shown as much as the body has does
    /// without it.
    pub fn prepare<A: Attempt + Undo>(
        &self,
        mut context: CallContext<'_>,
        head: &dyn RequestHead,
        attempt: &mut A,
        mut body: Option<&mut Content>,
        number: u32,
    ) -> RequestFlow {
        let mut clock = Instant::now();
        for step in &self.steps[Hook::AttemptFilter] {
            let mut body = body.as_deref_mut().filter(|body| body.fits(limit(step)));
            if let Some(body) = &mut body {
                body.allow(Access::Edit, limit(step));
                body.keep(step.fails_open());
            }
            attempt.keep(step.fails_open());
            let notes = context.notes;
            let request = context.at(step, RequestAccess::Read(head));
            match step.run(Hook::AttemptFilter, notes, &mut clock, |plugin| {
                plugin.prepare(request, &mut *attempt, body.as_deref_mut(), number)
            }) {
                StepResult::Result(Verdict::Next) => {}
                StepResult::GoOn => {
                    attempt.undo();
                    if let Some(body) = body {
                        body.undo();
                    }
                }
                StepResult::Result(Verdict::Respond(reply)) => return RequestFlow::Respond(reply),
                StepResult::Failed(_) => return RequestFlow::Failed,
            }
        }
        RequestFlow::Next
    }

    /// Has the plugins judge an attempt in reverse order, until one does not accept it. `response` is what the attempt has brought,
    /// and the backend that it is from; `None` if it has failed.
    pub fn judge(
        &self,
        mut context: CallContext<'_>,
        head: &dyn RequestHead,
        attempt: &dyn Attempt,
        response: Option<(&dyn ResponseHead, Option<&str>)>,
        number: u32,
    ) -> JudgeFlow {
        let mut clock = Instant::now();
        for step in self.steps[Hook::AttemptFilter].iter().rev() {
            let notes = context.notes;
            let request = context.at(step, RequestAccess::Read(head));
            match step.run(Hook::AttemptFilter, notes, &mut clock, |plugin| {
                plugin.judge(request, attempt, response, number)
            }) {
                StepResult::Result(Judgement::Accept) | StepResult::GoOn => {}
                StepResult::Result(Judgement::Retry) => return JudgeFlow::Retry,
                StepResult::Result(Judgement::Respond(reply)) => return JudgeFlow::Respond(reply),
                StepResult::Failed(_) => return JudgeFlow::Failed,
            }
        }
        JudgeFlow::Accept
    }
}
