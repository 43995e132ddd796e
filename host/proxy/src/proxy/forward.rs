//! Makes attempts, one after the other, until a backend responds.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::LazyLock;
use std::task::Poll;
use std::time::Duration;

use log::warn;
use pace_tls::client::Reason;
use pace_wire::framing::Framing;
use pace_wire::refusal::Refusal;
use pace_wire::request::RequestHead;

use tokio::net::TcpStream;

use super::Proxy;
use super::answer::Disposition;
use super::attempt::{AttemptError, Patience, Timeouts, Upload, exchange, of_client};
use super::choose::{Selected, select};
use super::client::forwarded;
use super::context::{Context, summary};
use super::outbound::{self, AddedFields};
use super::refuse::{Refused, refused_after};
use crate::chain::Remaining;
use crate::http1::{BackendConnection, BodyReader, Client, Pump, connect};
use crate::io::Transport;
use crate::upstream::{self, Pool};
use pace_base::escape::Line;
use pace_base::logging::Limited;
use pace_config::RetryOn;
use pace_hook::AttemptFailure;

/// The next action for a request that is being forwarded.
enum NextAction {
    /// An attempt at the backend with this index is made.
    At(u32),
    /// This selection takes effect after a pause.
    Again(Selected),
    /// Pace answers the request itself.
    Refuse(Refused),
    /// The client has gone.
    Gone,
}

/// The time that waiting connections get to close when descriptors have run out.
const SHED_PAUSE: Duration = Duration::from_millis(50);

/// The limit of log lines about a lack of descriptors, which concerns all backends alike.
static EXHAUSTED: LazyLock<Limited> =
    LazyLock::new(|| Limited::new("requests without a connection to any backend"));

impl Proxy {
    /// Sends a request to one backend after the other until one responds, and passes the response on.
    pub(super) async fn forward(
        &self,
        client: &mut Client,
        request: &mut RequestHead,
        context: &mut Context,
        mut upload: Upload,
        first: u32,
    ) -> Disposition {
        context.pool().budget.first();
        let mut next = NextAction::At(first);
        loop {
            let index = match next {
                NextAction::At(index) => index,
                NextAction::Again(selected) => {
                    next = match (pause(client, context).await, context.is_late(), selected) {
                        (false, _, _) => NextAction::Gone,
                        (true, true, _) => NextAction::Refuse(Refused::NoAnswerInTime),
                        (true, false, Selected::Backend(index)) => NextAction::At(index),
                        (true, false, Selected::Refused(refused)) => NextAction::Refuse(refused),
                        (true, false, Selected::Reply(reply)) => {
                            let body = upload.pump.reader();
                            let reply = (reply, Remaining::ALL);
                            return self.answer(client, request, body, context, reply).await;
                        }
                    };
                    continue;
                }
                NextAction::Refuse(refused) => {
                    return self
                        .refuse(client, request, upload.pump.reader(), context, refused)
                        .await;
                }
                NextAction::Gone => return Disposition::Close,
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

    /// Makes one attempt. The error is the next action.
    async fn attempt(
        &self,
        client: &mut Client,
        request: &RequestHead,
        context: &mut Context,
        upload: &mut Upload,
        chosen: &upstream::Backend,
    ) -> Result<BackendConnection, NextAction> {
        let settings = &context.pool().settings;
        let timeouts = Timeouts::new(context, settings);
        let idle = match context.has_replaced {
            false => self.idle.take(context.pool(), chosen.address),
            // Other idle connections may be as dead as the one that was replaced.
            true => None,
        };
        let is_reused = idle.is_some();
        let transport = match idle {
            Some(transport) => transport,
            None => {
                let full = settings.connect_timeout;
                let limit = timeouts.up_to(full);
                match self.connect(client, context, chosen, limit).await {
                    Ok(transport) => transport,
                    Err(_) if limit < full && context.is_late() => {
                        return Err(self.failed(request, context, &AttemptError::OutOfTime, false));
                    }
                    // Nothing has been sent, so the request can be repeated whatever its method.
                    Err(error) => return Err(self.failed(request, context, &error, true)),
                }
            }
        };
        let mut backend = BackendConnection::new(transport);
        let forwarded_for = match forwarded(request, context) {
            Ok(value) => value,
            Err(_) => {
                return Err(NextAction::Refuse(Refused::Request(Refusal::FieldLine)));
            }
        };
        let added = AddedFields {
            forwarded_for: &forwarded_for,
            scheme: context.scheme,
            via: context.snapshot.via.as_ref(),
            backend: &chosen.label,
        };
        upload
            .pump
            .begin(|out| outbound::request_head(out, request, &added));
        upload.is_broken = false;
        let exchanged = exchange(client, &mut backend, request, upload, &timeouts).await;
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
            // The backend had closed the connection while it was idle. That does not count as a failed attempt: the same
            // backend gets a new connection.
            context.has_replaced = true;
            context.attempt -= 1;
            context.current = None;
            return Err(NextAction::At(index));
        }
        Err(self.failed(request, context, &error, is_repeatable))
    }

    /// Connects to a backend. If the process has no descriptors left, connections that wait for a request are closed first.
    async fn connect(
        &self,
        client: &mut Client,
        context: &Context,
        to: &upstream::Backend,
        limit: Duration,
    ) -> Result<Transport, AttemptError> {
        let deadline = tokio::time::Instant::now() + limit;
        let stream = self.connect_socket(client, context, to.address, limit).await?;
        let (Some(name), Some(connector)) = (&to.name, context.pool().connector()) else {
            return Ok(Transport::new(stream));
        };
        let connecting = Box::pin(connector.connect(stream, name.clone(), deadline));
        match connecting.await {
            Ok(connected) => Ok(Transport::Tls(Box::new(connected.stream.into()))),
            Err(error) if error.reason == Reason::Timeout => {
                Err(AttemptError::Connect(io::ErrorKind::TimedOut.into()))
            }
            Err(error) => Err(AttemptError::Tls(error)),
        }
    }

    async fn connect_socket(
        &self,
        client: &mut Client,
        context: &Context,
        to: SocketAddr,
        limit: Duration,
    ) -> Result<TcpStream, AttemptError> {
        let keepalive = context.snapshot.connections.tcp_keepalive;
        let connected = connect(to, limit, keepalive, &mut client.alarm).await;
        let error = match connected.map_err(AttemptError::of_connecting) {
            Ok(stream) => return Ok(stream),
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

    /// Records a failed attempt, and decides on the next action. `is_repeatable` says whether the request can be sent again.
    fn failed(
        &self,
        request: &RequestHead,
        context: &mut Context,
        error: &AttemptError,
        is_repeatable: bool,
    ) -> NextAction {
        let Some(failure) = error.failure() else {
            // The attempt is over, and the backend is not at fault.
            context.current = None;
            return match error {
                AttemptError::Request(refusal) => NextAction::Refuse(Refused::Request(*refusal)),
                AttemptError::OutOfTime => NextAction::Refuse(Refused::NoAnswerInTime),
                AttemptError::Exhausted(error) => {
                    if EXHAUSTED.admits() {
                        warn!(target: "pace::proxy", "{}: cannot connect to any backend: {error}", summary(request));
                    }
                    NextAction::Refuse(Refused::NoBackend)
                }
                _ => NextAction::Gone,
            };
        };
        let wants_other = is_repeatable && is_retried(context, failure) && has_attempts_left(context);
        let again = match wants_other {
            true => select_again(request, context, failure),
            false => None,
        };
        self.book(request, context, error, again.is_some());
        match again {
            Some(selected) => NextAction::Again(selected),
            None => NextAction::Refuse(refused_after(failure)),
        }
    }

    /// The action that replaces a response whose status calls for another attempt; `None` if the response is passed on. It
    /// is replaced only once a backend has been chosen, as this response is better than none.
    fn instead_of_status(
        &self,
        request: &RequestHead,
        context: &mut Context,
        upload: &Upload,
        backend: &BackendConnection,
    ) -> Option<NextAction> {
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
        Some(NextAction::Again(selected))
    }

    /// Counts and logs a failed attempt. `again` says whether another is made.
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
        self.shared
            .metrics
            .attempt_failed(&context.pool().name, &backend.label, failure);
        if backend.warnings.admits() {
            warn!(
                target: "pace::proxy",
                "attempt {} of {}, at {} failed after {:.1?} ({}): {}; {}",
                context.attempt,
                summary(request),
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
        let announced = backend.head.keep_alive_seconds();
        if backend.head.keeps_alive() && backend.input.is_empty() && announced != Some(0) {
            self.idle.put(pool, address, backend.transport, announced);
        }
    }
}

/// Prepares the upload of a request, of which nothing has been sent or read.
pub(super) fn begin(reader: BodyReader, request: &RequestHead, context: &Context) -> Upload {
    let mut pump = Pump::new(reader, outbound::request_body(request));
    if request.framing != Framing::None && request.method.is_idempotent() {
        pump.keep(context.pool().settings.retry_body);
    }
    Upload {
        pump,
        patience: Patience::new(&context.snapshot.client),
        is_broken: false,
        awaits_continue: request.expects_continue(),
    }
}

/// Reads as much of the request's body as its pool wants before a backend is chosen, and waits for the client meanwhile.
///
/// A request that expects `100 Continue` asks the backend whether to send its body, so nothing of it is waited for. A stream of
/// HTTP/2 whose length is 0 is waited for until it has ended: with data it is malformed, and a backend of HTTP/1 would have taken
/// it for complete by then (RFC 9113, section 8.1.1).
pub(super) async fn read_ahead(
    client: &mut Client,
    request: &RequestHead,
    context: &Context,
    upload: &mut Upload,
) -> Result<(), AttemptError> {
    let wanted = context.pool().settings.buffer_request;
    let limit = match request.framing {
        Framing::Length(0) => wanted.max(1),
        _ => wanted,
    };
    if limit == 0 || upload.awaits_continue || upload.pump.is_read() {
        return Ok(());
    }
    poll_fn(|task| {
        let source = (&mut client.transport, &mut client.input);
        if let Poll::Ready(read) = upload.pump.poll_read_ahead(limit, source, task) {
            upload.patience.pause(upload.pump.taken());
            return Poll::Ready(read.map_err(of_client));
        }
        let patience = upload.patience.wait(upload.pump.taken());
        let until = context
            .deadline()
            .map_or(patience, |deadline| deadline.min(patience));
        client
            .alarm
            .poll(until, task)
            .map(|()| Err(AttemptError::Request(Refusal::BodyTimeout)))
    })
    .await
}

/// Whether the pool retries after such a failure.
fn is_retried(context: &Context, failure: AttemptFailure) -> bool {
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

/// Asks for the backend of another attempt, and takes that attempt from the pool's budget. `None` if the budget is used up,
/// or if there is neither a backend, nor a plugin's reply, nor the failure of a plugin.
fn select_again(request: &RequestHead, context: &mut Context, failure: AttemptFailure) -> Option<Selected> {
    context.last_failure = Some(failure);
    let selected = select(request, context);
    let leads_on = matches!(
        selected,
        Selected::Backend(_) | Selected::Reply(_) | Selected::Refused(Refused::PluginFailed)
    );
    (leads_on && context.pool().budget.take()).then_some(selected)
}

/// Whether the request has an attempt left, and time for it.
fn has_attempts_left(context: &Context) -> bool {
    context.attempt < context.pool().settings.retry.attempts && !context.is_late()
}

/// The mean pause before the next attempt.
fn mean_pause(context: &Context) -> Duration {
    let first = context.pool().settings.retry.backoff;
    first.saturating_mul(1 << (context.attempt.saturating_sub(1)).min(10))
}

/// Whether the longest pause ends before the request's deadline.
fn has_time_for_pause(context: &Context) -> bool {
    let end = tokio::time::Instant::now() + mean_pause(context).mul_f64(1.5);
    context.deadline().is_none_or(|deadline| end < deadline)
}

/// Waits before another attempt, if a pause is configured. The mean doubles with each attempt, and the pause varies randomly
/// around it. Returns whether the client is still there.
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
/// A request that may have reached a backend is repeated only if its method is idempotent (RFC 9110, section 9.2.2), or if
/// it has a body of which nothing was sent and the backend closed the connection before it responded, as a backend does
/// that was about to end. In all cases the body must still be at hand.
fn is_repeatable(request: &RequestHead, upload: &Upload, is_closed: bool) -> bool {
    let is_harmless = request.method.is_idempotent()
        || upload.pump.written() == 0
        || (is_closed && request.framing != Framing::None && !upload.pump.has_sent_body());
    is_harmless && upload.pump.can_begin_again()
}
