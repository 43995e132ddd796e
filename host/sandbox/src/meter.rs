//! What a call takes of the host: its time, and the bytes that it hands over.

use std::sync::Arc;

use wasmtime::Result;

use super::bindings::pace::plugin::http::HeaderField;
use super::deadline::{Clock, Deadline};
use pace_config::Limits;

/// Measures one call after another.
pub(super) struct Meter {
    /// How often host functions were called, in all calls.
    pub(super) calls_out: u64,
    pub(super) deadline: Deadline,
    /// Bytes that the call may hand to host functions still, and those that it might at its beginning.
    left: usize,
    allowed: usize,
}

/// A call took more of the host than it may. It ends there, and so does the instance.
#[derive(Debug, thiserror::Error)]
pub(super) enum Exceeded {
    /// Time.
    #[error("it called the host when its time was over")]
    Time,
    /// Bytes handed to host functions.
    #[error("it handed more than {0} bytes to host functions")]
    HandedOver(usize),
    /// A key longer than any that a client can be told by.
    #[error("a key of {0} bytes: {MAX_KEY} are allowed")]
    Key(usize),
    /// Bytes of a result, or the number of its headers.
    #[error("{0}")]
    Result(String),
}

/// What a call may hand to host functions, beside the headers that it may add: each function four times with the
/// longest value that a client can send.
const HANDED_OVER: usize = 4 << 20;

/// No head of a message is larger, so a key that is a part of one is not either.
const MAX_KEY: usize = 1 << 20;

/// What a result may have beside headers and body: a status, the places of lists, what `configure` refuses.
const RESULT: usize = 64 << 10;

impl Meter {
    pub(super) fn new(clock: &Arc<Clock>, limits: &Limits) -> Meter {
        Meter {
            calls_out: 0,
            deadline: Deadline::new(clock, limits.time),
            left: 0,
            allowed: HANDED_OVER + limits.header_bytes,
        }
    }

    /// A call begins. Says after how many ticks the engine has to ask for the time.
    pub(super) fn begin(&mut self) -> u64 {
        self.left = self.allowed;
        self.deadline.begin()
    }

    /// A host function is called. Every one begins with this.
    pub(super) fn called(&mut self) -> Result<()> {
        self.calls_out += 1;
        match self.deadline.is_over() {
            false => Ok(()),
            true => Err(Exceeded::Time.into()),
        }
    }

    /// A host function is handed so many bytes.
    pub(super) fn take(&mut self, bytes: usize) -> Result<()> {
        match self.left.checked_sub(bytes) {
            Some(left) => self.left = left,
            None => return Err(Exceeded::HandedOver(self.allowed).into()),
        }
        Ok(())
    }

    /// A host function is handed a key of so many bytes.
    pub(super) fn take_key(&mut self, bytes: usize) -> Result<()> {
        if bytes > MAX_KEY {
            return Err(Exceeded::Key(bytes).into());
        }
        self.take(bytes)
    }
}

/// What is copied at most when something is handed over or returned: a little more than a result may have, so that
/// most of what is too large is told apart by what it is. The component model's runtime knows no other limit than one
/// for both; what is handed over in one call is bounded by [`Meter::take`].
pub(super) fn largest_copy(limits: &Limits) -> usize {
    let result = limits.body_bytes + limits.header_bytes + limits.headers * size_of::<HeaderField>() + RESULT;
    result.max(HANDED_OVER + limits.header_bytes)
}

/// Whether the component model's runtime refused to copy so much. It says so in words only.
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
        let mut meter = Meter::new(&Arc::new(clock), &Limits::default());
        meter.begin();
        meter
    }

    #[test]
    fn what_is_handed_over_is_added_up_until_the_next_call() {
        let mut meter = meter();
        let allowed = HANDED_OVER + Limits::default().header_bytes;
        meter.take(allowed - 1).expect("there is room for it");
        assert!(meter.take(2).is_err());
        meter.take(1).expect("what was refused was not taken");
        assert!(meter.take(1).is_err());
        meter.begin();
        meter.take(allowed).expect("this is another call");
        assert!(meter.take(usize::MAX).is_err());
    }

    #[test]
    fn a_key_that_is_longer_than_any_head_of_a_message_is_refused() {
        let mut meter = meter();
        meter.take_key(MAX_KEY).expect("it may be that long");
        assert!(meter.take_key(MAX_KEY + 1).is_err());
    }
}
