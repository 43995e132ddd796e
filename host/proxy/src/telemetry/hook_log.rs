//! The log line of hook calls: the result and the duration of each, one line per request, at level `debug` of the target
//! `pace::hooks`.

use std::fmt::Write;

use log::{Level, debug, log_enabled};

use super::notes::{HookCall, Said};
use pace_base::escape::Word;

/// The target of the lines, for `RUST_LOG`.
pub const HOOKS_TARGET: &str = "pace::hooks";

/// Whether the lines are enabled.
pub fn is_on() -> bool {
    log_enabled!(target: HOOKS_TARGET, Level::Debug)
}

/// Writes the line of a request that is over. `target` is path and query as the client sent them, `status` is 499 if the client
/// left before it got one.
pub fn write(calls: &[HookCall], method: &str, target: &[u8], status: u16) {
    let mut told = String::new();
    for call in calls {
        let micros = call.time.as_secs_f64() * 1e6;
        // Writing into a string does not fail.
        let (hook, said) = (call.hook.name(), call.said.name());
        let _ = write!(told, " | {} {hook}: {said}", call.plugin);
        let _ = match call.said {
            Said::Next | Said::Pick | Said::Pass | Said::Accept | Said::Retry | Said::Done => Ok(()),
            Said::Respond(status) => write!(told, " {status}"),
            Said::Failed(reason, advice) => write!(told, " ({}: {advice})", reason.name()),
        };
        if let Some(backend) = &call.picked {
            let _ = write!(told, " {}", backend.label);
        }
        let _ = write!(told, ", {micros:.1} µs");
    }
    debug!(
        target: HOOKS_TARGET,
        "{} {}{told} | {status}",
        Word(method.as_bytes()),
        Word(target),
    );
}
