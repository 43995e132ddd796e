//! Advice on a hook that failed.

use super::{Failure, FailureReason};

impl Failure {
    /// Advice to the plugin's author, in one sentence.
    pub fn advice(&self) -> &'static str {
        match self.reason {
            // wasmtime's wording.
            FailureReason::Trap if self.detail.contains("`unreachable`") => {
                "a panic ends the call and the instance: answer instead, or let the request pass"
            }
            // The wording of the host functions.
            FailureReason::Trap if self.detail.contains(" was called ") => {
                "each hook can ask for what there is at its time: see `wit/request.wit`, `wit/upstreams.wit` and \
                 `wit/response.wit`"
            }
            FailureReason::Trap => "the backtrace says where, if the names were not stripped from the file",
            FailureReason::Deadline => {
                "look for a loop that does not end; if it needs the time, allow more with `limits.time_ms`"
            }
            FailureReason::Memory => {
                "look for what grows with each request; if it needs as much, allow more with `limits.memory_mb`"
            }
            FailureReason::IllegalOutput => {
                "Pace sends no such answer: `wit/http.wit` says what a response may have, `wit/select-upstream.wit` \
                 what can be picked"
            }
            FailureReason::Configure => {
                "this is what the operator would read, behind the plugin's name and file"
            }
            FailureReason::BreakerOpen => "it has failed too often: the failures before say why",
            FailureReason::InstanceLost => {
                "a message lives in one instance, and another call in it failed: that failure says why"
            }
            FailureReason::TooManyStreams => {
                "return no opening for messages that need none; if so many are long, allow more with `limits.streams`"
            }
            FailureReason::UnitTooLarge => {
                "take another framing; if units are as long, allow more with `limits.unit_kb`"
            }
            FailureReason::BodyTooLarge => {
                "skip bodies that the plugin need not see; if those that it must see are as large, allow more with `limits.read_body_kb`"
            }
            FailureReason::BodyTimeout => {
                "whoever sends the body is slow; if it may be, allow more time with `limits.read_body_ms`"
            }
            FailureReason::BodyBudget => {
                "all bodies that are collected at the moment take as much memory as they may: `[server] body_mb`"
            }
            FailureReason::BodyEncoding => {
                "the body is broken, or its coding is not one of gzip, deflate, br and zstd: skip what the plugin need not see"
            }
            FailureReason::BodyPartial => "the backend sends a part even if it is asked for the whole",
        }
    }
}
