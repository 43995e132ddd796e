//! The log line of hook calls: the result and the duration of each, one line per request, at level `debug` of the target
//! `pace::hooks`.
//!
//! Unless that level is enabled, calls are not recorded and no clock is read.

use std::fmt::Write;
use std::time::Instant;

use log::{Level, debug, log_enabled};
use parking_lot::Mutex;

use pace_base::escape::Word;
use pace_hook::{Candidates, Failure, Hook, Plugin, Reply, Selection, Verdict};

/// The target of the lines, for `RUST_LOG`.
pub const HOOKS_TARGET: &str = "pace::hooks";

/// The hook calls of one request, as text for the log line.
#[derive(Debug, Default)]
pub struct HookCalls(Mutex<String>);

impl HookCalls {
    /// An empty record for a new request; `None` if the line is not enabled.
    pub fn begin() -> Option<Box<HookCalls>> {
        log_enabled!(target: HOOKS_TARGET, Level::Debug).then(Box::default)
    }

    /// Calls a hook, and records its result as `describe` words it, or the reason of its failure.
    pub fn note<T>(
        &self,
        plugin: &dyn Plugin,
        hook: Hook,
        call: impl FnOnce(&dyn Plugin) -> Result<T, Failure>,
        describe: impl FnOnce(&T) -> String,
    ) -> Result<T, Failure> {
        let since = Instant::now();
        let result = call(plugin);
        let micros = since.elapsed().as_secs_f64() * 1e6;
        let mut calls = self.0.lock();
        let _ = write!(calls, " | {} {}: ", plugin.name(), hook.name());
        let _ = match &result {
            Ok(result) => write!(calls, "{}", describe(result)),
            Err(failure) => write!(calls, "failed ({}: {})", failure.reason.name(), failure.advice()),
        };
        let _ = write!(calls, ", {micros:.1} µs");
        result
    }

    /// Writes the line once the response has been sent. `target` is path and query as the client sent them, and
    /// `status` is 499 if the client left before it got one.
    pub fn write(&self, method: &str, target: &[u8], status: u16) {
        debug!(
            target: HOOKS_TARGET,
            "{} {}{} | {status}",
            Word(method.as_bytes()),
            Word(target),
            self.0.lock(),
        );
    }
}

/// The decision of a filter, in a few words.
pub(crate) fn verdict(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Next => "next".to_owned(),
        Verdict::Respond(reply) => respond(reply),
    }
}

/// The decision of `select-upstream`, with the backend as the configuration spells it.
pub(crate) fn selection(selection: &Selection, candidates: &dyn Candidates) -> String {
    match selection {
        Selection::Pick(index) => format!("pick {}", candidates.address(*index)),
        Selection::Pass => "pass".to_owned(),
        Selection::Respond(reply) => respond(reply),
    }
}

fn respond(reply: &Reply) -> String {
    format!("respond {}", reply.status.as_u16())
}
