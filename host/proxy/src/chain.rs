//! The plugins of a route: their order, the first answer that wins, and what a failure means.
//!
//! This module knows neither HTTP/1.1 nor wasmtime: it joins the views of `pace-hook` with anything that is a [`Plugin`].

mod attempt;
mod body;
mod stream;
mod undo;

use std::sync::Arc;
use std::time::Instant;

use log::error;

use crate::telemetry::PluginMetrics;
use crate::telemetry::notes::{HookCall, Notes, Said};
use pace_base::logging::Limited;
use pace_config::{BodyLimits, OnFailure};
use pace_hook::{
    Candidates, Failure, FailureReason, Hook, Outcome, PerHook, Plugin, Reply, RequestAccess, RequestFacts,
    RequestHead, RequestScope, ResponseHead, Selection, Verdict,
};

pub use attempt::JudgeFlow;
pub use body::{BodyFlow, Demand};
pub use stream::{Filtering, Scene, break_off_all};
pub use undo::Undo;
use undo::Undoable;

/// The plugins of one route, by hook, in the order in which each hook asks them.
pub struct Chain {
    steps: PerHook<Box<[Arc<Step>]>>,
    generations: String,
}

/// One plugin at its place in a route.
pub struct Step {
    /// The plugin, with its configuration for this route.
    pub plugin: Arc<dyn Plugin>,
    /// The plugin's name.
    pub name: Arc<str>,
    /// The route, for the log.
    pub route: Arc<str>,
    /// The consequence of its failure on this route.
    pub on_failure: OnFailure,
    /// The counters of its calls and failures.
    pub metrics: PluginMetrics,
    /// The limit of log lines about its failures.
    pub log: Limited,
    /// The place in the route's list, counted from 0.
    pub index: u32,
    /// The limits of the bodies that it is shown.
    pub body: BodyLimits,
}

/// The limit of log lines about a plugin's failures: each has a backtrace, and there may be one per request.
pub fn failures_of(plugin: &str, route: &str) -> Limited {
    Limited::new(format!("failures of plugin {plugin} on route {route}"))
}

/// The result of the request filters.
#[derive(Debug, PartialEq)]
pub enum RequestFlow {
    /// The request goes on to a backend.
    Next,
    /// A plugin answered the request.
    Respond(Reply),
    /// A plugin failed closed.
    Failed,
}

/// The result of asking for a backend.
#[derive(Debug, PartialEq)]
pub enum SelectFlow {
    /// A plugin picked the backend with this index.
    Pick(u32),
    /// A plugin answered the request.
    Respond(Reply),
    /// No plugin picked.
    NoneLeft,
    /// A plugin failed closed.
    Failed,
}

/// The result of the response filters.
#[derive(Debug, PartialEq)]
pub enum ResponseFlow {
    /// The response is sent as it is.
    Next,
    /// A plugin replaced the response. The reply passes the remaining filters before it is sent.
    Respond(Reply, Remaining),
    /// A plugin failed closed.
    Failed,
}

/// The plugins that have not seen the response yet: those before this place in the route's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remaining(u32);

impl Remaining {
    /// No plugin has seen the response.
    pub const ALL: Remaining = Remaining(u32::MAX);
    /// Every plugin has seen the response, or none is to see it.
    pub const NONE: Remaining = Remaining(0);

    fn has(self, step: &Step) -> bool {
        step.index < self.0
    }
}

/// The surroundings of a request that the chain passes to each call, beside its head.
#[derive(Clone, Copy)]
pub struct CallContext<'a> {
    /// The facts that its head does not tell.
    pub facts: RequestFacts<'a>,
    /// The notes of the request, if anybody is told of it.
    pub notes: Option<&'a Notes>,
}

impl Chain {
    /// A chain of these plugins in the order of the configuration.
    pub fn new(steps: Vec<Step>) -> Chain {
        let placed = |(index, step): (usize, Step)| {
            let index = u32::try_from(index).unwrap_or(u32::MAX);
            Arc::new(Step { index, ..step })
        };
        let steps: Vec<Arc<Step>> = steps.into_iter().enumerate().map(placed).collect();
        let of_hook = |hook: Hook| {
            let with_hook = steps.iter().filter(|step| step.plugin.hooks().contains(hook));
            let with_hook = with_hook.cloned();
            match hook.is_backwards() {
                false => with_hook.collect(),
                true => with_hook.rev().collect(),
            }
        };
        Chain {
            steps: PerHook::from_fn(of_hook),
            generations: steps
                .iter()
                .map(|step| format!("{}={}", step.plugin.name(), step.plugin.generation()))
                .collect::<Vec<_>>()
                .join(" "),
        }
    }

    /// The plugins of the route with the generations that serve it, as `name=number`, in the order of the
    /// configuration.
    pub fn generations(&self) -> &str {
        &self.generations
    }

    /// Asks the request filters in order, until one answers.
    pub fn request_filter<H: RequestHead + Clone>(
        &self,
        mut context: CallContext<'_>,
        head: &mut H,
    ) -> RequestFlow {
        let mut clock = Instant::now();
        for step in &self.steps[Hook::RequestFilter] {
            let notes = context.notes;
            let state = context.facts.state;
            let pool = state.pool();
            let mut head = Undoable::new(&mut *head, step.fails_open());
            let request = context.at(step, RequestAccess::Edit(&mut head));
            match step.run(Hook::RequestFilter, notes, &mut clock, |plugin| {
                plugin.request_filter(request)
            }) {
                StepResult::Result(Verdict::Next) => {}
                StepResult::GoOn => {
                    head.undo();
                    state.return_to_pool(pool);
                }
                StepResult::Result(Verdict::Respond(reply)) => return RequestFlow::Respond(reply),
                StepResult::Failed(_) => return RequestFlow::Failed,
            }
        }
        RequestFlow::Next
    }

    /// Asks for the backend of one attempt, until a plugin picks or answers.
    pub fn select_upstream(
        &self,
        mut context: CallContext<'_>,
        head: &dyn RequestHead,
        candidates: &dyn Candidates,
        attempt: u32,
    ) -> SelectFlow {
        let mut clock = Instant::now();
        for step in &self.steps[Hook::SelectUpstream] {
            let notes = context.notes;
            let request = context.at(step, RequestAccess::Read(head));
            match step.run(Hook::SelectUpstream, notes, &mut clock, |plugin| {
                plugin.select_upstream(request, candidates, attempt)
            }) {
                StepResult::Result(Selection::Pick(index)) => return SelectFlow::Pick(index),
                StepResult::Result(Selection::Respond(reply)) => return SelectFlow::Respond(reply),
                StepResult::Result(Selection::Pass) | StepResult::GoOn => {}
                StepResult::Failed(_) => return SelectFlow::Failed,
            }
        }
        SelectFlow::NoneLeft
    }

    /// Asks the response filters that remain, until one replaces the response.
    pub fn response_filter<H: ResponseHead + Clone>(
        &self,
        remaining: Remaining,
        mut context: CallContext<'_>,
        head: &dyn RequestHead,
        response: &mut H,
        backend: Option<&str>,
    ) -> ResponseFlow {
        let steps = self.steps[Hook::ResponseFilter].iter();
        let mut clock = Instant::now();
        for step in steps.filter(|step| remaining.has(step)) {
            let notes = context.notes;
            let request = context.at(step, RequestAccess::Read(head));
            let mut response = Undoable::new(&mut *response, step.fails_open());
            match step.run(Hook::ResponseFilter, notes, &mut clock, |plugin| {
                plugin.response_filter(request, &mut response, backend)
            }) {
                StepResult::Result(Verdict::Next) => {}
                StepResult::GoOn => response.undo(),
                StepResult::Result(Verdict::Respond(reply)) => {
                    return ResponseFlow::Respond(reply, Remaining(step.index));
                }
                StepResult::Failed(_) => return ResponseFlow::Failed,
            }
        }
        ResponseFlow::Next
    }

    /// Whether any plugin has the hook.
    pub fn has(&self, hook: Hook) -> bool {
        !self.steps[hook].is_empty()
    }

    /// Tells the outcome of a request to every plugin that takes note of it. A failure is counted and logged, and concerns
    /// no other plugin.
    pub fn finished(
        &self,
        mut context: CallContext<'_>,
        head: &dyn RequestHead,
        response: Option<(&dyn ResponseHead, Option<&str>)>,
        outcome: &Outcome<'_>,
    ) {
        let mut clock = Instant::now();
        for step in &self.steps[Hook::Finished] {
            let notes = context.notes;
            let request = context.at(step, RequestAccess::Read(head));
            let (StepResult::Result(()) | StepResult::GoOn | StepResult::Failed(_)) =
                step.run(Hook::Finished, notes, &mut clock, |plugin| {
                    plugin.finished(request, response, outcome)
                });
        }
    }
}

impl CallContext<'_> {
    /// The view of the request for the call of a plugin.
    fn at<'r>(&'r mut self, step: &Step, head: RequestAccess<'r>) -> RequestScope<'r> {
        self.facts.step = step.index;
        RequestScope {
            head,
            facts: &self.facts,
        }
    }
}

/// The result of a step, after the failure policy.
enum StepResult<T> {
    Result(T),
    /// The plugin failed open: the request goes on without it.
    GoOn,
    /// The plugin failed closed, and the request fails with it.
    Failed(FailureReason),
}

/// A plugin has failed, and its failure policy is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailedClosed(pub FailureReason);

impl Step {
    /// Calls a hook. `clock` is the time of its start, and then that of its end: where several plugins have a hook, the end of
    /// one call is the start of the next.
    fn run<T>(
        &self,
        hook: Hook,
        notes: Option<&Notes>,
        clock: &mut Instant,
        call: impl FnOnce(&dyn Plugin) -> Result<T, Failure>,
    ) -> StepResult<T>
    where
        for<'r> &'r T: Into<Said>,
    {
        let result = call(&*self.plugin);
        let begun = std::mem::replace(clock, Instant::now());
        let time = clock.duration_since(begun);
        self.metrics.called(hook, time);
        if let Some(notes) = notes {
            let said = match &result {
                Ok(result) => result.into(),
                Err(failure) => Said::Failed(failure.reason, failure.advice()),
            };
            notes.with(|noted| {
                noted.calls.push(HookCall {
                    plugin: Arc::clone(&self.name),
                    hook,
                    said,
                    picked: None,
                    begun,
                    time,
                });
            });
        }
        match result {
            Ok(result) => StepResult::Result(result),
            Err(failure) => match self.failed(hook, &failure) {
                Ok(()) => StepResult::GoOn,
                Err(FailedClosed(reason)) => StepResult::Failed(reason),
            },
        }
    }

    /// Whether a request goes on without the plugin if that fails, so that its changes must be undone.
    fn fails_open(&self) -> bool {
        self.on_failure == OnFailure::Open
    }

    /// Records a failure, to which the failure policy is applied.
    #[cold]
    fn failed(&self, hook: Hook, failure: &Failure) -> Result<(), FailedClosed> {
        self.metrics.failed(hook, failure.reason);
        let closed = Err(FailedClosed(failure.reason));
        let (outcome, consequence) = match (hook, self.on_failure) {
            (Hook::Finished, _) => (Ok(()), "the request was over"),
            (Hook::RequestStreamFilter | Hook::ResponseStreamFilter, OnFailure::Closed) => {
                (closed, "closed: the message breaks off")
            }
            (_, OnFailure::Closed) => match failure.reason.is_of_plugin() {
                true => (closed, "closed: the request is answered with 503"),
                false => (closed, "closed: the request is refused"),
            },
            (_, OnFailure::Open) => (Ok(()), "open: the request goes on without it"),
        };
        if failure.reason == FailureReason::BreakerOpen {
            // The log has a line from when the breaker opened, and the call is counted; a line per request adds nothing.
            return outcome;
        }
        if !self.log.admits() {
            return outcome;
        }
        error!(
            target: "pace::chain",
            "plugin {} (generation {}) failed in {} on route {}: {failure}; {consequence}",
            self.plugin.name(),
            self.plugin.generation(),
            hook.name(),
            self.route,
        );
        outcome
    }
}

#[cfg(test)]
mod tests;
