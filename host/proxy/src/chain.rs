//! The plugins of a route: their order, the first answer that wins, and what a failure means.
//!
//! Knows neither HTTP/1.1 nor wasmtime: it joins the views of `hook` with anything that is a
//! [`Plugin`].

use std::net::IpAddr;
use std::sync::Arc;

use log::error;

use crate::telemetry::{self, HookCalls, PluginMetrics};
use pace_base::logging::Limited;
use pace_config::OnFailure;
use pace_hook::{
    Candidates, Failure, FailureReason, Hook, PerHook, Plugin, Reply, RequestAccess, RequestHead,
    RequestScope, ResponseHead, Selection, Verdict,
};

/// The plugins of one route, by hook, in the order in which each hook asks them.
pub struct Chain {
    steps: PerHook<Box<[Arc<Step>]>>,
    generations: String,
}

/// One plugin at its place in a route.
pub struct Step {
    /// The plugin with the configuration it has here.
    pub plugin: Arc<dyn Plugin>,
    /// The route, for the log.
    pub route: Arc<str>,
    /// What its failure means here.
    pub on_failure: OnFailure,
    /// Where its calls and failures are counted.
    pub metrics: PluginMetrics,
    /// How often its failures are told.
    pub log: Limited,
}

/// How a step's failures are told: each has a backtrace, and there may be one per request.
pub fn failures_of(plugin: &str, route: &str) -> Limited {
    Limited::new(format!("failures of plugin {plugin} on route {route}"))
}

/// The result of the request filters.
#[derive(Debug, PartialEq)]
pub enum RequestFlow {
    /// Go on to a backend.
    Next,
    /// A plugin answered.
    Respond(Reply),
    /// A plugin failed closed.
    Failed,
}

/// The result of asking for a backend.
#[derive(Debug, PartialEq)]
pub enum SelectFlow {
    /// This one.
    Pick(u32),
    /// A plugin answered.
    Respond(Reply),
    /// No plugin picked.
    NoneLeft,
    /// A plugin failed closed.
    Failed,
}

/// The result of the response filters.
#[derive(Debug, PartialEq)]
pub enum ResponseFlow {
    /// Send what is there.
    Next,
    /// Send this instead, after it has passed the filters that remain.
    Respond(Reply, Remaining),
    /// A plugin failed closed.
    Failed,
}

/// The response filters that have not seen the response yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remaining(usize);

impl Remaining {
    /// None has.
    pub const ALL: Remaining = Remaining(0);
    /// All have, or none shall.
    pub const NONE: Remaining = Remaining(usize::MAX);
}

/// The request as the chain passes it to each plugin.
#[derive(Clone, Copy)]
pub struct Asker<'a> {
    /// Who asks.
    pub client: IpAddr,
    /// `http` or `https`.
    pub scheme: &'static str,
    /// Where the calls are noted, if anybody wants to read of them.
    pub calls: Option<&'a HookCalls>,
}

impl Chain {
    /// A chain of these plugins in the order of the configuration.
    pub fn new(steps: Vec<Step>) -> Chain {
        let steps: Vec<Arc<Step>> = steps.into_iter().map(Arc::new).collect();
        let of_hook = |hook: Hook| {
            let with_hook = steps.iter().filter(|step| step.plugin.hooks().contains(hook));
            let with_hook = with_hook.cloned();
            match hook {
                Hook::RequestFilter | Hook::SelectUpstream => with_hook.collect(),
                // Who saw the request first sees the response last.
                Hook::ResponseFilter => with_hook.rev().collect(),
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
    pub fn request_filter(&self, asker: Asker<'_>, head: &mut dyn RequestHead) -> RequestFlow {
        for step in &self.steps[Hook::RequestFilter] {
            let request = asker.with(RequestAccess::Edit(&mut *head));
            match step.run(
                Hook::RequestFilter,
                asker.calls,
                |plugin| plugin.request_filter(request),
                telemetry::verdict,
            ) {
                Outcome::Result(Verdict::Next) | Outcome::GoOn => {}
                Outcome::Result(Verdict::Respond(reply)) => return RequestFlow::Respond(reply),
                Outcome::Failed => return RequestFlow::Failed,
            }
        }
        RequestFlow::Next
    }

    /// Asks for the backend of one attempt, until a plugin picks or answers.
    pub fn select_upstream(
        &self,
        asker: Asker<'_>,
        head: &dyn RequestHead,
        candidates: &dyn Candidates,
        attempt: u32,
    ) -> SelectFlow {
        for step in &self.steps[Hook::SelectUpstream] {
            let request = asker.with(RequestAccess::Read(head));
            match step.run(
                Hook::SelectUpstream,
                asker.calls,
                |plugin| plugin.select_upstream(request, candidates, attempt),
                |selection| telemetry::selection(selection, candidates),
            ) {
                Outcome::Result(Selection::Pick(index)) => return SelectFlow::Pick(index),
                Outcome::Result(Selection::Respond(reply)) => return SelectFlow::Respond(reply),
                Outcome::Result(Selection::Pass) | Outcome::GoOn => {}
                Outcome::Failed => return SelectFlow::Failed,
            }
        }
        SelectFlow::NoneLeft
    }

    /// Asks the response filters that remain, until one replaces the response.
    pub fn response_filter(
        &self,
        remaining: Remaining,
        asker: Asker<'_>,
        head: &dyn RequestHead,
        response: &mut dyn ResponseHead,
        backend: Option<&str>,
    ) -> ResponseFlow {
        let steps = self.steps[Hook::ResponseFilter].iter().enumerate();
        for (position, step) in steps.skip(remaining.0) {
            let request = asker.with(RequestAccess::Read(head));
            match step.run(
                Hook::ResponseFilter,
                asker.calls,
                |plugin| plugin.response_filter(request, &mut *response, backend),
                telemetry::verdict,
            ) {
                Outcome::Result(Verdict::Next) | Outcome::GoOn => {}
                Outcome::Result(Verdict::Respond(reply)) => {
                    return ResponseFlow::Respond(reply, Remaining(position + 1));
                }
                Outcome::Failed => return ResponseFlow::Failed,
            }
        }
        ResponseFlow::Next
    }
}

impl Asker<'_> {
    fn with(self, head: RequestAccess<'_>) -> RequestScope<'_> {
        RequestScope {
            head,
            client: self.client,
            scheme: self.scheme,
        }
    }
}

/// What a step came to, after the failure policy.
enum Outcome<T> {
    Result(T),
    /// It failed, and is not missed.
    GoOn,
    /// It failed, and the request with it.
    Failed,
}

impl Step {
    fn run<T>(
        &self,
        hook: Hook,
        calls: Option<&HookCalls>,
        call: impl FnOnce(&dyn Plugin) -> Result<T, Failure>,
        said: impl FnOnce(&T) -> String,
    ) -> Outcome<T> {
        self.metrics.called(hook);
        let result = match calls {
            None => call(&*self.plugin),
            Some(calls) => calls.note(&*self.plugin, hook, call, said),
        };
        match result {
            Ok(result) => Outcome::Result(result),
            Err(failure) => self.failed(hook, &failure),
        }
    }

    #[cold]
    fn failed<T>(&self, hook: Hook, failure: &Failure) -> Outcome<T> {
        self.metrics.failed(hook, failure.reason);
        let (outcome, consequence) = match self.on_failure {
            OnFailure::Closed => (Outcome::Failed, "closed: the request is answered with 503"),
            OnFailure::Open => (Outcome::GoOn, "open: the request goes on without it"),
        };
        if failure.reason == FailureReason::BreakerOpen {
            // It has been said when the breaker opened, and is counted; a line per request says no more.
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
