//! From a backend that was chosen to a response: attempts, one after the other.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;

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
use crate::config::RetryOn;
use crate::escape::Line;
use crate::hook::AttemptFailure;
use crate::http1::{Backend, BodyReader, Client, Pump, connect};
use crate::upstream::{self, Pool};

/// What becomes of an attempt that failed.
enum Next {
    /// The same backend once more, on a new connection.
    Same(u32),
    /// Another is chosen.
    Other,
    /// This is the answer.
    Refuse(Refused),
    /// There is nobody to answer.
    Gone,
}

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
        let mut next = Next::Same(first);
        loop {
            let index = match next {
                Next::Same(index) => index,
                Next::Other if !pause(client, context).await => return After::Close,
                Next::Other => match select(request, context) {
                    Selected::Backend(index) => index,
                    Selected::Reply(reply) => {
                        let body = upload.pump.reader();
                        let reply = (reply, Remaining::ALL);
                        return self.answer(client, request, body, context, reply).await;
                    }
                    Selected::Refused(refused) => {
                        return self
                            .refuse(client, request, upload.pump.reader(), context, refused)
                            .await;
                    }
                },
                Next::Refuse(refused) => {
                    return self
                        .refuse(client, request, upload.pump.reader(), context, refused)
                        .await;
                }
                Next::Gone => return After::Close,
            };
            let chosen = context.begin_attempt(index);
            let pool = Arc::clone(context.pool());
            next = match self
                .attempt(client, request, context, &mut upload, &pool, &chosen)
                .await
            {
                Ok(backend) => match self.retries_status(request, context, &upload, &backend) {
                    Some(next) => next,
                    None => {
                        return self
                            .deliver(client, request, context, upload, (backend, chosen.address))
                            .await;
                    }
                },
                Err(next) => next,
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
        pool: &Pool,
        chosen: &upstream::Backend,
    ) -> Result<Backend, Next> {
        let settings = &pool.settings;
        let waits = Waits::new(context, settings);
        let idle = match context.has_replaced {
            false => self.idle.take(chosen.address, settings.idle_timeout),
            // The others may be as dead.
            true => None,
        };
        let is_reused = idle.is_some();
        let transport = match idle {
            Some(transport) => transport,
            None => {
                let limit = waits.up_to(settings.connect_timeout);
                let keepalive = context.snapshot.connections.tcp_keepalive;
                match connect(chosen.address, limit, keepalive, &mut client.alarm).await {
                    Ok(transport) => transport,
                    // Nothing has been sent, so the method does not matter.
                    Err(error) => {
                        return Err(self.failed(request, context, &AttemptError::Connect(error), true));
                    }
                }
            }
        };
        let mut backend = Backend::new(transport);
        let forwarded_for = match forwarded(request, context) {
            Ok(value) => value,
            Err(_) => {
                return Err(Next::Refuse(Refused::Request(
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
        let is_repeatable = is_repeatable(request, upload);
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
            return Err(Next::Same(index));
        }
        Err(self.failed(request, context, &error, is_repeatable))
    }

    /// Books the end of an attempt, and decides what is next. `is_repeatable` says whether the request could be sent again.
    fn failed(
        &self,
        request: &RequestHead,
        context: &mut Context,
        error: &AttemptError,
        is_repeatable: bool,
    ) -> Next {
        let Some(failure) = error.failure() else {
            // The attempt is over, and nothing is said of the backend.
            context.current = None;
            return match error {
                AttemptError::Request(refusal) => Next::Refuse(Refused::Request(*refusal)),
                _ => Next::Gone,
            };
        };
        let again = is_repeatable && is_retried(context, failure) && may_try_again(context);
        self.book(request, context, error, again);
        match again {
            true => Next::Other,
            false => Next::Refuse(refused_after(failure)),
        }
    }

    /// Whether a response with this status is not passed on, because another backend may have a better one.
    fn retries_status(
        &self,
        request: &RequestHead,
        context: &mut Context,
        upload: &Upload,
        backend: &Backend,
    ) -> Option<Next> {
        let failure = AttemptFailure::Status(backend.head.status().as_u16());
        let again = is_retried(context, failure)
            && upload.pump.is_done()
            && is_repeatable(request, upload)
            && context.has_others()
            && may_try_again(context);
        again.then(|| {
            let error = AttemptError::Status(backend.head.status().as_u16());
            self.book(request, context, &error, true);
            Next::Other
        })
    }

    /// Counts and tells an attempt that failed. `again` says whether another is made.
    pub(super) fn book(
        &self,
        request: &RequestHead,
        context: &mut Context,
        error: &AttemptError,
        again: bool,
    ) {
        context.last_failure = error.failure();
        let (Some(failure), Some((in_flight, since))) = (error.failure(), context.current.take()) else {
            return;
        };
        let backend = in_flight.backend();
        self.environment
            .metrics
            .attempt_failed(&context.pool().name, &backend.label, failure);
        if backend.warnings.admits() {
            warn!(
                // As for all that is said of requests.
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
    pub(super) fn keep(&self, address: SocketAddr, backend: Backend, pool: &Pool) {
        let said = backend.head.keep_alive_seconds();
        if backend.head.keeps_alive() && backend.input.is_empty() && said != Some(0) {
            self.idle
                .put(address, backend.transport, pool.settings.idle_timeout, said);
        }
    }
}

/// A request of which nothing has been sent.
fn begin(request: &RequestHead, context: &Context) -> Upload {
    let mut pump = Pump::new(BodyReader::new(request.framing), outbound::request_body(request));
    if request.framing != Framing::None && request.method.is_idempotent() {
        pump.keep(context.pool().settings.retry_body);
    }
    Upload {
        pump,
        patience: Patience::new(&context.snapshot.client),
        is_broken: false,
    }
}

/// Whether the pool has another attempt follow one that ended so.
fn is_retried(context: &Context, failure: AttemptFailure) -> bool {
    let retry = &context.pool().settings.retry;
    let wanted = match failure {
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

/// Whether the request has another attempt, and the pool too, from which it is taken then.
fn may_try_again(context: &Context) -> bool {
    let pool = context.pool();
    context.attempt < pool.settings.retry.attempts && !context.is_late() && pool.budget.take()
}

/// Waits before another attempt, if that is configured: a mean that doubles each time, and differs from request to request.
/// Says whether the client is still there.
async fn pause(client: &mut Client, context: &Context) -> bool {
    let mean = context.pool().settings.retry.backoff;
    if mean.is_zero() {
        return true;
    }
    let doubled = mean.saturating_mul(1 << (context.attempt.saturating_sub(1)).min(10));
    let until = tokio::time::Instant::now() + doubled.mul_f64(0.5 + fastrand::f64());
    poll_fn(|task| {
        if client.poll_gone(task).is_ready() {
            return Poll::Ready(false);
        }
        client.alarm.poll(until, task).map(|()| true)
    })
    .await
}

/// Whether the request can be sent again after this.
///
/// What may have reached a backend is sent again only if doing it twice is doing it once (RFC 9110, section 9.2.2), or if it
/// cannot have been done: a request with a body of which nothing was sent. And only if its body is still at hand.
fn is_repeatable(request: &RequestHead, upload: &Upload) -> bool {
    let is_harmless = request.method.is_idempotent()
        || upload.pump.written() == 0
        || (request.framing != Framing::None && !upload.pump.has_sent_body());
    is_harmless && upload.pump.can_begin_again()
}
