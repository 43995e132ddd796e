//! The end of a request, as `finished` is told it.

use std::time::Duration;

use pace_hook::{AttemptFailure, Ending, Outcome};

/// The end of a request, beside what the exchange itself decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// The way in which it ended; `None` for the way that the exchange takes.
    pub ending: Option<Ending>,
    /// Bytes of the request's body.
    pub request_bytes: u64,
    /// Bytes of the response's body.
    pub response_bytes: u64,
    /// The whole duration.
    pub total: Duration,
    /// The time before the first attempt.
    pub queue: Duration,
    /// The time until the last attempt had a connection.
    pub connect: Duration,
    /// The time until the last attempt had the head of a response.
    pub first_byte: Duration,
}

impl Default for End {
    /// No bodies, in no time.
    fn default() -> End {
        End {
            ending: None,
            request_bytes: 0,
            response_bytes: 0,
            total: Duration::ZERO,
            queue: Duration::ZERO,
            connect: Duration::ZERO,
            first_byte: Duration::ZERO,
        }
    }
}

impl End {
    /// The outcome of a request that was answered with this status, after an attempt at this backend or without any.
    pub(super) fn outcome<'a>(
        &self,
        status: Option<u16>,
        attempt: Option<Attempt<'a>>,
        ending: Ending,
    ) -> Outcome<'a> {
        let is_made = attempt.is_some();
        let attempt = attempt.unwrap_or_default();
        Outcome {
            ending: self.ending.unwrap_or(ending),
            status,
            request_bytes: self.request_bytes,
            response_bytes: self.response_bytes,
            attempts: attempt.number,
            backend: is_made.then_some(attempt.backend),
            pool: is_made.then_some(attempt.pool),
            failure: attempt.failure,
            total: self.total,
            queue: is_made.then_some(self.queue),
            connect: is_made.then_some(self.connect),
            first_byte: is_made.then_some(self.first_byte),
        }
    }
}

/// The last attempt of a request.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Attempt<'a> {
    /// 1 for the first.
    pub(super) number: u32,
    pub(super) backend: &'a str,
    pub(super) pool: &'a str,
    /// Why it failed, if it did.
    pub(super) failure: Option<AttemptFailure>,
}
