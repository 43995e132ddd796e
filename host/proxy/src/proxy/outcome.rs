//! The outcome of a request, for the plugins that take note of it.

use std::time::{Duration, Instant};

use pace_wire::request::RequestHead;
use pace_wire::response::ResponseHead;

use super::context::Context;
use super::refuse::Refused;
use crate::telemetry::notes::End;
use pace_hook::{Ending, Outcome};

/// The facts of a request that only plugins with the hook `finished` are told.
#[derive(Debug, Default)]
pub(super) struct Observed {
    /// The beginning of the first attempt.
    pub(super) first_attempt: Option<Instant>,
    /// The time until the present attempt had a connection.
    pub(super) connect: Option<Duration>,
    /// The time until the present attempt had the head of a response.
    pub(super) first_byte: Option<Duration>,
    /// The head that was sent to the client.
    pub(super) response: Option<ResponseHead>,
}

/// The way in which a request has ended.
pub(super) fn ending(context: &Context) -> Ending {
    match (context.status, context.end) {
        (None, _) | (_, End::Client) => Ending::ClientGone,
        (_, End::Backend) => Ending::BackendFailed,
        (_, End::Plugin) => match context.answered_for {
            Some(refused) => refused.ending(context.attempt),
            None => Ending::Cut,
        },
        (_, End::Deadline | End::Timeout) => Ending::Cut,
        (_, End::Complete) => match context.answered_for {
            None => Ending::Complete,
            Some(refused) => refused.ending(context.attempt),
        },
    }
}

impl Refused {
    /// The ending of a request that is refused like this after so many attempts.
    fn ending(self, attempts: u32) -> Ending {
        match self {
            Refused::PluginFailed | Refused::RequestBody(_) | Refused::ResponseBody(_) => {
                Ending::PluginFailed
            }
            Refused::Cut(_) => Ending::Cut,
            Refused::BadAnswer | Refused::NoAnswerInTime => Ending::BackendFailed,
            // No connection could be made; without an attempt, no plugin picked.
            Refused::NoBackend if attempts > 0 => Ending::BackendFailed,
            Refused::NoBackend
            | Refused::Full
            | Refused::Request(_)
            | Refused::MethodNotAllowed
            | Refused::NoRoute
            | Refused::NowhereToGo
            | Refused::Loop
            | Refused::Misdirected
            | Refused::NoUpgrade => Ending::Refused,
        }
    }
}

/// Tells the outcome of a request that is over to the plugins of its route that take note of it.
pub(super) fn tell(request: &RequestHead, context: &Context) {
    let (Some(observed), Some(route)) = (&context.observed, &context.route) else {
        return;
    };
    let has_attempt = context.attempt > 0;
    let outcome = Outcome {
        ending: ending(context),
        status: context.status,
        request_bytes: context.received,
        response_bytes: context.body_bytes,
        attempts: context.attempt,
        backend: context.last_backend(),
        pool: has_attempt.then(|| context.begun_pool().name.as_str()),
        failure: context.failure,
        total: context.started.elapsed(),
        queue: observed
            .first_attempt
            .map(|begun| begun.duration_since(context.started)),
        connect: observed.connect,
        first_byte: observed.first_byte,
    };
    let head = observed.response.as_ref();
    let response = head.map(|head| (head as &dyn pace_hook::ResponseHead, context.backend()));
    route
        .chain
        .finished(context.call_context(), request, response, &outcome);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_backend_is_its_failure_only_after_an_attempt() {
        assert_eq!(Refused::NoBackend.ending(0), Ending::Refused);
        assert_eq!(Refused::NoBackend.ending(1), Ending::BackendFailed);
    }
}
