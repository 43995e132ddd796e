//! Explains a failure of a hook to the plugin's author, with advice.

use super::lines::Line;
use pace_hook::{Failure, FailureReason};

/// A sentence that names the fault, one that advises, and the place of the fault.
///
/// `lines` are the plugin's earlier lines of the log: the SDK logs panics there.
pub fn explain(failure: &Failure, lines: &[Line]) -> String {
    let (what, trace) = parts(&failure.detail);
    let panic = lines
        .iter()
        .rev()
        .find(|line| line.text.starts_with("panicked"))
        .map(|line| line.text.as_str());
    let what = match (failure.reason, panic) {
        (FailureReason::Trap, Some(panic)) if what.contains("`unreachable`") => format!("it {panic}"),
        (FailureReason::Trap, None) if what.contains("`unreachable`") => format!("it aborted: {what}"),
        (FailureReason::Trap, _) if what.contains(" was called ") => what.to_owned(),
        (FailureReason::Trap, _) => format!("it trapped: {what}"),
        (FailureReason::Deadline, _) => failure.detail.split(';').next().unwrap_or_default().to_owned(),
        (FailureReason::Memory, _) => format!("it ran out of memory: {what}"),
        (
            FailureReason::IllegalOutput
            | FailureReason::Configure
            | FailureReason::BreakerOpen
            | FailureReason::InstanceLost
            | FailureReason::TooManyStreams
            | FailureReason::UnitTooLarge
            | FailureReason::BodyTooLarge
            | FailureReason::BodyTimeout
            | FailureReason::BodyBudget
            | FailureReason::BodyEncoding
            | FailureReason::BodyPartial,
            _,
        ) => failure.detail.clone(),
    };
    let advice = failure.advice();
    let mut text = format!("{what}\n{advice}");
    for line in trace.lines() {
        text.push_str("\n  ");
        text.push_str(line.trim());
    }
    text
}

/// The cause and the backtrace of a wasmtime error. A text of another form is all cause.
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
    fn explain_panic_quotes_the_logged_line() {
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
    fn explain_unknown_error_is_shown_unchanged() {
        let text = explain(&failure(FailureReason::Trap, "something new"), &[]);
        assert!(text.starts_with("it trapped: something new\n"), "{text}");
    }
}
