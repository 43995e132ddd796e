//! From a backend that was chosen to a response: attempts, one after the other.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::LazyLock;
use std::task::Poll;
use std::time::Duration;

use log::warn;
use pace_wire::framing::Framing;
use pace_wire::request::RequestHead;

use super::Proxy;
use super::answer::After;
use super::attempt::{AttemptError, Patience, Upload, Waits, exchange};
use super::choose::{Selected, select};
use super::client::forwarded;
use super::context::{Context, asked};
use super::outbound::{self, Told};
use super::refuse::{Refused, refused_after};
use crate::chain::Remaining;
use crate::http1::{BackendConnection, BodyReader, Client, Pump, connect};
use crate::io::Transport;
use crate::upstream::{self, Pool};
use pace_base::escape::Line;
use pace_base::logging::Limited;
use pace_config::RetryOn;
use pace_hook::AttemptFailure;

/// What comes next.
enum Step {
    /// An attempt at this backend.
    At(u32),
    /// This, after a pause.
    Again(Selected),
    /// Pace's own answer.
    Refuse(Refused),
    /// There is nobody to answer.
    Gone,
}

/// How long connections that wait for a request may take to close.
const SHED_PAUSE: Duration = Duration::from_millis(50);

/// All requests are told the same then.
static EXHAUSTED: LazyLock<Limited> =
    LazyLock::new(|| Limited::new("requests without a connection to any backend"));

impl Proxy {
    /// Sends a request to one backend after the other until one answers, and passes its answer on.
    pub(super) async fn forward(
        &self,
        client: &mut Client,
        request: &mut RequestHead,
        context: &mut Context,
        first: u32,
    ) -> After {
        let mut upload = begin(request, context);
        context.pool().budget.first();
        let mut next = Step::At(first);
        loop {
            let index = match next {
                Step::At(index) => index,
                Step::Again(selected) => {
                    next = match (pause(client, context).await, context.is_late(), selected) {
                        (false, _, _) => Step::Gone,
                        (true, true, _) => Step::Refuse(Refused::NoAnswerInTime),
                        (true, false, Selected::Backend(index)) => Step::At(index),
                        (true, false, Selected::Refused(refused)) => Step::Refuse(refused),
                        (true, false, Selected::Reply(reply)) => {
                            let body = upload.pump.reader();
                            let reply = (reply, Remaining::ALL);
                            return self.answer(client, request, body, context, reply).await;
                        }
                    };
                    continue;
                }
                Step::Refuse(refused) => {
                    return self
                        .refuse(client, request, upload.pump.reader(), context, refused)
                        .await;
                }
                Step::Gone => return After::Close,
            };
            let chosen = context.begin_attempt(index);
            let attempted = self.attempt(client, request, context, &mut upload, &chosen).await;
            let backend = match attempted {
                Ok(backend) => (backend, chosen.address),
                Err(failed) => {
                    next = failed;
                    continue;
                }
            };
            next = match self.instead_of_status(request, context, &upload, &backend.0) {
                None => return self.deliver(client, request, context, upload, backend).await,
                Some(next) => {
                    self.leave(context, &upload, backend);
                    next
                }
            };
        }
    }

    /// One attempt.
    async fn attempt(
        &self,
        client: &mut Client,
        request: &RequestHead,
        context: &mut Context,
        upload: &mut Upload,
        chosen: &upstream::Backend,
    ) -> Result<BackendConnection, Step> {
        let settings = &context.pool().settings;
        let waits = Waits::new(context, settings);
        let idle = match context.has_replaced {
            false => self.idle.take(context.pool(), chosen.address),
            // The others may be as dead.
            true => None,
        };
        let is_reused = idle.is_some();
        let transport = match idle {
            Some(transport) => transport,
            None => {
                let full = settings.connect_timeout;
                let limit = waits.up_to(full);
                match self.connect(client, context, chosen.address, limit).await {
                    Ok(transport) => transport,
                    // Nothing has been sent, so the method does not matter.
                    Err(_) if limit < full && context.is_late() => {
                        return Err(self.failed(request, context, &AttemptError::OutOfTime, false));
                    }
                    Err(error) => return Err(self.failed(request, context, &error, true)),
                }
            }
        };
        let mut backend = BackendConnection::new(transport);
        let forwarded_for = match forwarded(request, context) {
            Ok(value) => value,
            Err(_) => {
                return Err(Step::Refuse(Refused::Request(
                    pace_wire::refusal::Refusal::FieldLine,
                )));
            }
        };
        let told = Told {
            forwarded_for: &forwarded_for,
            scheme: context.scheme,
            via: context.snapshot.via.as_ref(),
            backend: &chosen.label,
        };
        upload
            .pump
            .begin(|out| outbound::request_head(out, request, &told));
        upload.is_broken = false;
        let exchanged = exchange(client, &mut backend, request, upload, &waits).await;
        let Err(error) = exchanged else {
            return Ok(backend);
        };
        let is_closed = error.failure() == Some(AttemptFailure::Closed);
        let is_repeatable = is_repeatable(request, upload, is_closed);
        if is_reused
            && is_closed
            && backend.is_silent()
            && is_repeatable
            && !context.has_replaced
            && let Some(index) = context.tried.pop()
        {
            // The backend had closed the connection while it was idle. That says nothing about the backend,
            // so it is not a failed attempt: the same one gets a new connection.
            context.has_replaced = true;
            context.attempt -= 1;
            context.current = None;
            return Err(Step::At(index));
        }
        Err(self.failed(request, context, &error, is_repeatable))
    }

    /// Connects to a backend. If the process has no descriptors left, connections that wait for a request make room first.
    async fn connect(
        &self,
        client: &mut Client,
        context: &Context,
        to: SocketAddr,
        limit: Duration,
    ) -> Result<Transport, AttemptError> {
        let keepalive = context.snapshot.connections.tcp_keepalive;
        let connected = connect(to, limit, keepalive, &mut client.alarm).await;
        let error = match connected.map_err(AttemptError::of_connecting) {
            Ok(transport) => return Ok(transport),
            Err(error) => error,
        };
        if !matches!(error, AttemptError::Exhausted(_)) {
            return Err(error);
        }
        self.idle.clear();
        self.drain.shed_idle();
        tokio::time::sleep(SHED_PAUSE).await;
        let connected = connect(to, limit, keepalive, &mut client.alarm).await;
        connected.map_err(AttemptError::of_connecting)
    }

    /// Books the end of an attempt, and decides what is next. `is_repeatable` says whether the request could be sent again.
    fn failed(
        &self,
        request: &RequestHead,
        context: &mut Context,
        error: &AttemptError,
        is_repeatable: bool,
    ) -> Step {
        let Some(failure) = error.failure() else {
            // The attempt is over, and nothing is said of the backend.
            context.current = None;
            return match error {
                AttemptError::Request(refusal) => Step::Refuse(Refused::Request(*refusal)),
                AttemptError::OutOfTime => Step::Refuse(Refused::NoAnswerInTime),
                AttemptError::Exhausted(error) => {
                    if EXHAUSTED.admits() {
                        warn!(target: "pace::proxy", "{}: cannot connect to any backend: {error}", asked(request));
                    }
                    Step::Refuse(Refused::NoBackend)
                }
                _ => Step::Gone,
            };
        };
        let wants_other = is_repeatable && is_retried(context, failure) && has_attempts_left(context);
        let again = match wants_other {
            true => select_again(request, context, failure),
            false => None,
        };
        self.book(request, context, error, again.is_some());
        match again {
            Some(selected) => Step::Again(selected),
            None => Step::Refuse(refused_after(failure)),
        }
    }

    /// What takes the place of a response with a status on which another attempt is made: only an attempt at a backend that
    /// has been chosen, as this answer is better than none.
    fn instead_of_status(
        &self,
        request: &RequestHead,
        context: &mut Context,
        upload: &Upload,
        backend: &BackendConnection,
    ) -> Option<Step> {
        let status = backend.head.status().as_u16();
        let failure = AttemptFailure::Status(status);
        let is_wanted = is_retried(context, failure)
            && upload.pump.is_done()
            && is_repeatable(request, upload, false)
            && context.has_others()
            && has_attempts_left(context)
            && has_time_for_pause(context);
        if !is_wanted {
            return None;
        }
        let selected = select_again(request, context, failure)?;
        self.book(request, context, &AttemptError::Status(status), true);
        Some(Step::Again(selected))
    }

    /// Counts and tells an attempt that failed. `again` says whether another is made.
    pub(super) fn book(
        &self,
        request: &RequestHead,
        context: &mut Context,
        error: &AttemptError,
        again: bool,
    ) {
        let (Some(failure), Some((in_flight, since))) = (error.failure(), context.current.take()) else {
            return;
        };
        let backend = in_flight.backend();
        self.environment
            .metrics
            .attempt_failed(&context.pool().name, &backend.label, failure);
        if backend.warnings.admits() {
            warn!(
                target: "pace::proxy",
                "attempt {} of {}, at {} failed after {:.1?} ({}): {}; {}",
                context.attempt,
                asked(request),
                backend.label,
                since.elapsed(),
                failure.name(),
                Line(error),
                if again {
                    "another is made"
                } else {
                    "no other is made"
                },
            );
        }
    }

    /// Keeps a connection whose response is complete for the next request.
    pub(super) fn keep(&self, address: SocketAddr, backend: BackendConnection, pool: &Pool) {
        let said = backend.head.keep_alive_seconds();
        if backend.head.keeps_alive() && backend.input.is_empty() && said != Some(0) {
            self.idle.put(pool, address, backend.transport, said);
        }
    }
}

/// A request of which nothing has been sent.
fn begin(request: &RequestHead, context: &Context) -> Upload {
    let reader = BodyReader::of_request(request.framing, &context.snapshot.rules);
    let mut pump = Pump::new(reader, outbound::request_body(request));
    if request.framing != Framing::None && request.method.is_idempotent() {
        pump.keep(context.pool().settings.retry_body);
    }
    Upload {
        pump,
        patience: Patience::new(&context.snapshot.client),
        is_broken: false,
        waits_for_word: request.expects_continue(),
    }
}

/// Whether the pool has another attempt follow one that ended so.
fn is_retried(context: &Context, failure: AttemptFailure) -> bool {
    let retry = &context.pool().settings.retry;
    let wanted = match failure {
        // A connection may take no longer than the attempt.
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
        // Who bounds one attempt wants another.
        AttemptFailure::ResponseTimeout if retry.per_try.is_some() => return !context.is_late(),
        AttemptFailure::ResponseTimeout => RetryOn::Timeout,
        AttemptFailure::Status(status) => RetryOn::Status(status),
        AttemptFailure::Other => return false,
    };
    retry.on.contains(&wanted)
}

/// Asks for the backend of another attempt, and takes that attempt from the pool's budget. `None` if that leads nowhere:
/// neither to a backend, nor to an answer of a plugin's, nor to the failure of one.
fn select_again(request: &RequestHead, context: &mut Context, failure: AttemptFailure) -> Option<Selected> {
    context.last_failure = Some(failure);
    let selected = select(request, context);
    let leads_on = matches!(
        selected,
        Selected::Backend(_) | Selected::Reply(_) | Selected::Refused(Refused::PluginFailed)
    );
    (leads_on && context.pool().budget.take()).then_some(selected)
}

/// Whether the request has another attempt.
fn has_attempts_left(context: &Context) -> bool {
    context.attempt < context.pool().settings.retry.attempts && !context.is_late()
}

/// How long the pause before the next attempt is on average.
fn mean_pause(context: &Context) -> Duration {
    let first = context.pool().settings.retry.backoff;
    first.saturating_mul(1 << (context.attempt.saturating_sub(1)).min(10))
}

/// Whether the request is not over before the longest pause is.
fn has_time_for_pause(context: &Context) -> bool {
    let end = tokio::time::Instant::now() + mean_pause(context).mul_f64(1.5);
    context.deadline().is_none_or(|deadline| end < deadline)
}

/// Waits before another attempt, if that is configured: a mean that doubles each time, and differs from request to request.
/// Says whether the client is still there.
async fn pause(client: &mut Client, context: &Context) -> bool {
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
/// What may have reached a backend is sent again only if doing it twice is doing it once (RFC 9110, section 9.2.2); or if it
/// has a body of which nothing was sent, and the backend has closed the connection before it answered, as it does when it
/// was about to end. And only if its body is still at hand.
fn is_repeatable(request: &RequestHead, upload: &Upload, is_closed: bool) -> bool {
    let is_harmless = request.method.is_idempotent()
        || upload.pump.written() == 0
        || (is_closed && request.framing != Framing::None && !upload.pump.has_sent_body());
    is_harmless && upload.pump.can_begin_again()
}
