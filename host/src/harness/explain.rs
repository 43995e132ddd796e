//! What a failure of a hook means to whoever wrote the plugin, and what to do about it.

use super::lines::Line;
use crate::hook::{Failure, FailureReason};

/// A sentence that names what went wrong, one that says what to do, and where it was.
///
/// `lines` is what the plugin logged before: the SDK logs panics there.
pub fn explain(failure: &Failure, lines: &[Line]) -> String {
    let (what, trace) = parts(&failure.detail);
    let panic = lines
        .iter()
        .rev()
        .find(|line| line.text.starts_with("panicked"))
        .map(|line| line.text.as_str());
    let (what, advice) = match (failure.reason, panic) {
        (FailureReason::Trap, Some(panic)) if what.contains("`unreachable`") => (
            format!("it {panic}"),
            "a panic ends the call and the instance: answer instead, or let the request pass",
        ),
        (FailureReason::Trap, _) if what.contains("`unreachable`") => (
            format!("it aborted: {what}"),
            "a panic of code that does not log it, or an allocation that failed; the functions below say where",
        ),
        (FailureReason::Trap, _) if what.contains(" was called ") => (
            what.to_owned(),
            "each hook can ask for what there is at its time: see `wit/request.wit`, `wit/upstreams.wit` and \
             `wit/response.wit`",
        ),
        (FailureReason::Trap, _) => (
            format!("it trapped: {what}"),
            "the functions below say where, if the names were not stripped from the file",
        ),
        (FailureReason::Deadline, _) => (
            failure.detail.split(';').next().unwrap_or_default().to_owned(),
            "look for a loop that does not end; if it needs the time, allow more with `limits.time_ms`",
        ),
        (FailureReason::Memory, _) => (
            format!("it ran out of memory: {what}"),
            "look for what grows with each request; if it needs as much, allow more with `limits.memory_mb`",
        ),
        (FailureReason::IllegalOutput, _) => (
            failure.detail.clone(),
            "Pace sends no such answer: `wit/http.wit` says what a response may have, `wit/select-upstream.wit` \
             what can be picked",
        ),
        (FailureReason::Configure, _) => (
            failure.detail.clone(),
            "this is what the operator would read, behind the plugin's name and file",
        ),
        (FailureReason::BreakerOpen, _) => (failure.detail.clone(), "it has failed too often"),
    };
    let mut text = format!("{what}\n{advice}");
    for line in trace.lines() {
        text.push_str("\n  ");
        text.push_str(line.trim());
    }
    text
}

/// The cause and the backtrace of an error of wasmtime's; all of it is cause if it looks otherwise.
fn parts(detail: &str) -> (&str, &str) {
    match detail.split_once("wasm backtrace:") {
        Some((_, rest)) => match rest.split_once("Caused by:") {
            Some((trace, cause)) => {
                let cause = cause.trim();
                (cause.strip_prefix("wasm trap: ").unwrap_or(cause), trace.trim())
            }
            None => (detail, ""),
        },
        None => (detail, ""),
    }
}

#[cfg(test)]
mod tests {
    use log::Level;

    use super::*;

    const TRAP: &str = "error while executing at wasm backtrace:\n    0: 0x1 - x.wasm!a\n    1: 0x2 - x.wasm!b\n\n\
                        Caused by:\n    wasm trap: wasm `unreachable` instruction executed";

    fn failure(reason: FailureReason, detail: &str) -> Failure {
        Failure {
            reason,
            detail: detail.to_owned(),
        }
    }

    #[test]
    fn a_panic_is_what_the_plugin_logged_of_it() {
        let line = |text: &str| Line {
            level: Level::Error,
            text: text.to_owned(),
        };
        let lines = [line("hello"), line("panicked at src/lib.rs:1:2: why")];
        let text = explain(&failure(FailureReason::Trap, TRAP), &lines);
        assert!(text.starts_with("it panicked at src/lib.rs:1:2: why\n"), "{text}");
        assert!(
            text.ends_with("\n  0: 0x1 - x.wasm!a\n  1: 0x2 - x.wasm!b"),
            "{text}"
        );
        let text = explain(&failure(FailureReason::Trap, TRAP), &[]);
        assert!(text.starts_with("it aborted: wasm `unreachable`"), "{text}");
    }

    #[test]
    fn an_error_that_looks_otherwise_is_shown_as_it_is() {
        let text = explain(&failure(FailureReason::Trap, "something new"), &[]);
        assert!(text.starts_with("it trapped: something new\n"), "{text}");
    }
}
