//! Whether, when and where another attempt is made.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use pace_wire::framing::Framing;
use pace_wire::request::RequestHead;

use super::attempt::Upload;
use super::attempt_edits::{resume, set_aside};
use super::choose::{Selected, prepare_and_select};
use super::context::Context;
use super::refuse::Refused;
use crate::http1::Client;
use crate::upstream::Before;
use pace_config::RetryOn;
use pace_hook::AttemptFailure;

/// Whether the pool retries after such a failure.
pub(super) fn is_retried(context: &Context, failure: AttemptFailure) -> bool {
    let retry = &context.pool().settings.retry;
    let wanted = match failure {
        // The limit of the attempt was shorter than the connect timeout, so it was the former that ended.
        AttemptFailure::ConnectionTimeout
            if retry
                .per_try
                .is_some_and(|limit| limit < context.pool().settings.connect_timeout) =>
        {
            return !context.is_late();
        }
        AttemptFailure::ConnectionRefused
        | AttemptFailure::ConnectionTimeout
        | AttemptFailure::ConnectionFailed
        | AttemptFailure::Tls => RetryOn::Connect,
        AttemptFailure::Closed | AttemptFailure::Protocol => RetryOn::Closed,
        // A limit for each attempt is configured so that another can follow.
        AttemptFailure::ResponseTimeout if retry.per_try.is_some() => return !context.is_late(),
        AttemptFailure::ResponseTimeout => RetryOn::Timeout,
        AttemptFailure::Status(status) => RetryOn::Status(status),
        AttemptFailure::Other => return false,
    };
    retry.on.contains(&wanted)
}

/// Asks for the backend of another attempt, and takes that attempt from the pool's budget, unless plugins have sent the request to a
/// pool where it has not been. `None` if the budget is used up, or if there is neither a backend, nor a plugin's reply, nor the
/// failure of a plugin; the present attempt is as it was then.
pub(super) fn select_again(
    request: &RequestHead,
    context: &mut Context,
    upload: &Upload,
    failure: AttemptFailure,
    before: Before,
) -> Option<Selected> {
    context.last_failure = Some(failure);
    let aside = set_aside(context);
    let selected = prepare_and_select(request, context, upload);
    let leads_on = matches!(
        selected,
        Selected::Backend(_) | Selected::Reply(_) | Selected::Refused(Refused::PluginFailed)
    );
    let is_new = context.is_new_to_pool();
    let is_granted = leads_on && (is_new || context.pool().budget.take(before));
    if !is_granted {
        context.place = None;
        resume(context, aside);
    } else if is_new {
        context.pool().budget.first();
    }
    is_granted.then_some(selected)
}

/// Whether the request has an attempt left, and time for it.
pub(super) fn has_attempts_left(context: &Context) -> bool {
    context.has_attempt_after(context.attempt)
}

/// The mean pause before the next attempt. There is none before one that goes elsewhere.
fn mean_pause(context: &Context) -> Duration {
    if context.is_new_to_pool() {
        return Duration::ZERO;
    }
    let first = context.pool().settings.retry.backoff;
    first.saturating_mul(1 << (context.attempt.saturating_sub(1)).min(10))
}

/// Whether the longest pause ends before the request's deadline.
pub(super) fn has_time_for_pause(context: &Context) -> bool {
    let end = tokio::time::Instant::now() + mean_pause(context).mul_f64(1.5);
    context.deadline().is_none_or(|deadline| end < deadline)
}

/// Waits before another attempt, if a pause is configured. The mean doubles with each attempt, and the pause varies randomly
/// around it. Returns whether the client is still there.
pub(super) async fn pause(client: &mut Client, context: &Context) -> bool {
    let mean = mean_pause(context);
    if mean.is_zero() {
        return true;
    }
    let end = tokio::time::Instant::now() + mean.mul_f64(0.5 + fastrand::f64());
    let until = context.deadline().map_or(end, |deadline| deadline.min(end));
    poll_fn(|task| {
        if client.poll_gone(task).is_ready() {
            return Poll::Ready(false);
        }
        client.alarm.poll(until, task).map(|()| true)
    })
    .await
}

/// Whether the request can be sent again after an attempt.
///
/// A request that may have reached a backend is repeated only if its method is idempotent (RFC 9110, section 9.2.2), or if
/// it has a body of which nothing was sent and the backend closed the connection before it responded, as a backend does
/// that was about to end. In all cases the body must still be at hand.
pub(super) fn is_repeatable(request: &RequestHead, upload: &Upload, is_closed: bool) -> bool {
    let is_harmless = request.method.is_idempotent()
        || upload.pump.written() == 0
        || (is_closed && request.framing != Framing::None && !upload.pump.has_sent_body());
    is_harmless && upload.pump.can_begin_again()
}
