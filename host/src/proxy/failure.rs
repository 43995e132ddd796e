//! Attempts that failed: what is booked and logged, and whether there is another one.

use http::header::{HOST, HeaderValue};
use log::warn;
use pingora::{Error, ErrorSource};
use pingora_proxy::Session;

use super::Proxy;
use super::context::Context;
use super::error::{Refusal, attempt_failure, refusal};
use crate::escape::Line;
use crate::hook::AttemptFailure;
use crate::telemetry::Asked;

impl Proxy {
    /// An attempt failed on its connection. Books it, and decides whether there is another one.
    pub(super) fn exchange_failed(
        &self,
        session: &Session,
        context: &mut Context,
        mut error: Box<Error>,
        reused: bool,
    ) -> Box<Error> {
        // What may have reached an origin is sent again only if doing it twice is doing it once (RFC 9110,
        // section 9.2.2), and only if its body is still at hand. A backend that was silent for the whole
        // response timeout is not asked to be again: the client has waited long enough.
        let repeatable = !response_begun(session)
            && *error.esource() == ErrorSource::Upstream
            && attempt_failure(error.etype()) != AttemptFailure::ResponseTimeout
            && session.req_header().method.is_idempotent()
            && !session.as_ref().retry_buffer_truncated();
        if repeatable && reused && context.ask_again() {
            // The backend had closed the connection while it was idle. That says nothing about the backend,
            // so it is not a failed attempt: the same one gets a new connection.
            error.set_retry(true);
            return error;
        }
        self.attempt_failed(session, context, error, repeatable)
    }

    /// Books the end of an attempt, and decides whether there is another one.
    pub(super) fn attempt_failed(
        &self,
        session: &Session,
        context: &mut Context,
        mut error: Box<Error>,
        repeatable: bool,
    ) -> Box<Error> {
        let failure = attempt_failure(error.etype());
        let route = context.route.as_ref().expect("an attempt follows a route");
        let again = repeatable && context.attempt <= route.pool.max_retries;
        error.set_retry(again);
        if *error.esource() != ErrorSource::Upstream || response_begun(session) {
            // The client's doing, or a response that broke off: the attempt itself had come to an answer.
            return error;
        }
        if let Some((in_flight, since)) = context.current.take() {
            let backend = in_flight.backend();
            self.environment
                .metrics
                .attempt_failed(&route.pool.name, &backend.label, failure);
            if refusal(&error) != Refusal::ClientGone && backend.warnings.admits() {
                warn!(
                    // As for all that is said of requests.
                    target: "pace::proxy",
                    "attempt {} of {}, at {} failed after {:.1?} ({}): {}; {}",
                    context.attempt,
                    asked(session),
                    backend.label,
                    since.elapsed(),
                    failure.name(),
                    Line(error.root_cause()),
                    if again {
                        "another is made"
                    } else {
                        "no other is made"
                    },
                );
            }
            // Also one of too many.
            context.explained |= refusal(&error) != Refusal::ClientGone;
        }
        context.last_failure = Some(failure);
        error
    }
}

/// The request, as it is called in the log.
pub(super) fn asked(session: &Session) -> Asked<'_> {
    let head = session.req_header();
    Asked {
        method: head.method.as_str(),
        target: head.raw_path(),
        host: head.headers.get(HOST).map(HeaderValue::as_bytes),
    }
}

/// Whether the client has got the head of its response.
pub(super) fn response_begun(session: &Session) -> bool {
    session
        .response_written()
        .is_some_and(|head| !head.status.is_informational())
}
