//! The meter of calls: the time that a call takes, and the bytes that it hands to the host.

use std::sync::Arc;
use std::time::Duration;

use wasmtime::Result;

use super::bindings::pace::plugin::http::HeaderField;
use super::deadline::{Clock, Deadline};
use pace_config::Limits;
use pace_hook::{Hook, Hooks};

/// Measures the calls of one instance, one after another.
pub(super) struct Meter {
    /// The number of calls of host functions, in all calls.
    pub(super) calls_out: u64,
    pub(super) deadline: Deadline,
    /// Bytes that the call may still hand to host functions.
    left: usize,
    /// Bytes that each call may hand to host functions.
    allowed: usize,
    /// The most bytes that are copied when a plugin hands something over or returns it: a little more than a result may
    /// have, so that most results that are too large reach the check that says what is too large about them.
    ///
    /// The component model's runtime has one limit for both directions. [`Meter::take`] bounds the bytes that are handed
    /// over in one call.
    pub(super) largest_copy: usize,
}

/// Error: a call took more of the host than it may. The call and the instance end with it.
#[derive(Debug, thiserror::Error)]
pub(super) enum Exceeded {
    /// The call took more time.
    #[error("it called the host when its time was over")]
    Time,
    /// The call handed more bytes to host functions.
    #[error("it handed more than {0} bytes to host functions")]
    HandedOver(usize),
    /// The key is longer than any part of a message.
    #[error("a key of {0} bytes: {MAX_KEY} are allowed")]
    Key(usize),
    /// The result has too many bytes or headers, or a value that is too long.
    #[error("{0}")]
    Result(String),
}

/// Bytes that a call may hand to host functions beside the headers that it may add, the largest value
/// of a table and content: enough to call each
/// function four times with the longest value that a client can send.
const HANDED_OVER: usize = 4 << 20;

/// The time that a call has for each byte of content, beside its limit: about 4 ms for each MiB, twice what it takes to parse.
const PER_BYTE: Duration = Duration::from_nanos(4);

/// The longest key, in bytes. No head of a message is larger, so a key that is part of one is not longer either.
const MAX_KEY: usize = 1 << 20;

/// Bytes that a result may have beside headers and body: a status, the places of lists, the refusal of `configure`.
const RESULT: usize = 64 << 10;

impl Meter {
    /// A meter for calls of a plugin with these hooks.
    pub(super) fn new(clock: &Arc<Clock>, limits: &Limits, hooks: Hooks) -> Meter {
        let content = hooks.iter().map(|hook| content_bytes(limits, hook)).max();
        let allowed = HANDED_OVER + limits.header_bytes + limits.value_bytes + content.unwrap_or_default();
        let result =
            limits.body_bytes + limits.header_bytes + limits.headers * size_of::<HeaderField>() + RESULT;
        Meter {
            calls_out: 0,
            deadline: Deadline::new(clock, limits.time),
            left: 0,
            allowed,
            largest_copy: result.max(allowed),
        }
    }

    /// Begins a call for so many bytes of content. Returns after how many ticks the engine has to look at the time.
    pub(super) fn begin(&mut self, content: u32) -> u64 {
        self.left = self.allowed;
        self.deadline.begin(PER_BYTE * content)
    }

    /// Counts a call of a host function. Every host function begins with this.
    ///
    /// # Errors
    ///
    /// The call's time is over.
    pub(super) fn called(&mut self) -> Result<()> {
        self.calls_out += 1;
        match self.deadline.is_over() {
            false => Ok(()),
            true => Err(Exceeded::Time.into()),
        }
    }

    /// Counts bytes that a host function is handed.
    ///
    /// # Errors
    ///
    /// The call has handed over more than it may.
    pub(super) fn take(&mut self, bytes: usize) -> Result<()> {
        match self.left.checked_sub(bytes) {
            Some(left) => self.left = left,
            None => return Err(Exceeded::HandedOver(self.allowed).into()),
        }
        Ok(())
    }

    /// Counts the bytes of a key that a host function is handed.
    ///
    /// # Errors
    ///
    /// The key is too long, or the call has handed over more than it may.
    pub(super) fn take_key(&mut self, bytes: usize) -> Result<()> {
        if bytes > MAX_KEY {
            return Err(Exceeded::Key(bytes).into());
        }
        self.take(bytes)
    }
}

/// The most bytes of the content for which a hook runs.
fn content_bytes(limits: &Limits, hook: Hook) -> usize {
    match hook {
        Hook::RequestBodyFilter | Hook::AttemptFilter | Hook::ResponseBodyFilter => limits.read_body_bytes,
        Hook::RequestStreamFilter | Hook::ResponseStreamFilter => limits.unit_bytes,
        Hook::RequestFilter | Hook::SelectUpstream | Hook::ResponseFilter | Hook::Finished => 0,
    }
}

/// Whether the component model's runtime refused to copy so much. Its error is known by its text alone.
pub(super) fn is_too_large_to_copy(error: &wasmtime::Error) -> bool {
    const WORDS: &str = "fuel allocated for hostcalls has been exhausted";
    error.root_cause().to_string().contains(WORDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meter() -> Meter {
        let engine = wasmtime::Engine::default();
        let clock = Clock::start(engine).expect("there can be a thread");
        let mut meter = Meter::new(&Arc::new(clock), &Limits::default(), Hooks::default());
        meter.begin(0);
        meter
    }

    #[test]
    fn bytes_handed_over_add_up_until_the_next_call() {
        let mut meter = meter();
        let limits = Limits::default();
        let allowed = HANDED_OVER + limits.header_bytes + limits.value_bytes;
        meter.take(allowed - 1).expect("there is room for it");
        assert!(meter.take(2).is_err());
        meter.take(1).expect("what was refused was not taken");
        assert!(meter.take(1).is_err());
        meter.begin(0);
        meter.take(allowed).expect("this is another call");
        assert!(meter.take(usize::MAX).is_err());
    }

    #[test]
    fn key_longer_than_any_message_head_is_refused() {
        let mut meter = meter();
        meter.take_key(MAX_KEY).expect("it may be that long");
        assert!(meter.take_key(MAX_KEY + 1).is_err());
    }
}
