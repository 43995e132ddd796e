//! Makes attempts, one after the other, until a backend responds.

use std::future::poll_fn;
use std::sync::{Arc, LazyLock};
use std::task::Poll;

use http::StatusCode;
use log::warn;
use pace_wire::framing::Framing;
use pace_wire::refusal::Refusal;
use pace_wire::request::RequestHead;

use super::Proxy;
use super::answer::Disposition;
use super::attempt::{AttemptError, Patience, Timeouts, Upload, exchange, of_client};
use super::attempt_edits::judge;
use super::choose::Selected;
use super::client::forwarded;
use super::context::{Context, summary};
use super::outbound::{self, AddedFields};
use super::reach::Lease;
use super::refuse::{Refused, refused_after};
use super::retry::{has_attempts_left, has_time_for_pause, is_repeatable, is_retried, pause, select_again};
use super::watch::Watch;
use crate::chain::{JudgeFlow, Remaining};
use crate::http1::{BackendConnection, BodyReader, Client, Pump};
use crate::route::Mirror;
use crate::upstream::{self, Before, Pool};
use pace_base::escape::Line;
use pace_base::logging::Limited;
use pace_config::Protocol;
use pace_hook::{AttemptFailure, Reply};

/// The next action for a request that is being forwarded.
enum NextAction {
    /// An attempt at the backend with this index is made.
    At(u32),
    /// This selection takes effect after a pause.
    Again(Selected),
    /// A plugin answers the request.
    Answer(Reply),
    /// Pace answers the request itself.
    Refuse(Refused),
    /// The client has gone.
    Gone,
}

/// The most times that a request is sent on a session which takes no more. Where sessions take few requests, each is sent more
/// than it takes.
const MOST_CROSSED: u32 = 16;

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
        upload: &mut Upload,
        first: u32,
    ) -> Disposition {
        if let Err(refusal) = context.rewrite(request) {
            let refused = Refused::Request(refusal);
            return self
                .refuse(client, request, upload.pump.reader(), context, refused)
                .await;
        }
        context.pool().budget.first();
        if request.framing == Framing::None {
            self.mirror(client, request, context, upload);
        }
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
                        (true, false, Selected::Reply(reply)) => NextAction::Answer(reply),
                    };
                    continue;
                }
                NextAction::Answer(reply) => {
                    let (body, reply) = (upload.pump.reader(), (reply, Remaining::ALL));
                    return self.answer(client, request, body, context, reply).await;
                }
                NextAction::Refuse(refused) => {
                    self.mirror(client, request, context, upload);
                    return self
                        .refuse(client, request, upload.pump.reader(), context, refused)
                        .await;
                }
                NextAction::Gone => return Disposition::Close,
            };
            if request.wants_upgrade() && context.pool().settings.protocol == Protocol::Http2 {
                next = NextAction::Refuse(Refused::NoUpgrade);
                continue;
            }
            let chosen = context.begin_attempt(index);
            let attempted = self.attempt(client, request, context, upload, &chosen).await;
            let backend = match attempted {
                Ok(backend) => {
                    self.mirror(client, request, context, upload);
                    backend
                }
                Err(failed) => {
                    next = failed;
                    continue;
                }
            };
            next = match self.instead_of_response(request, context, upload, &backend.0) {
                None => match self.deliver(client, request, context, upload, backend).await {
                    Ok(disposition) => return disposition,
                    Err(index) => NextAction::At(index),
                },
                Some(next) => {
                    self.leave(context, upload, backend);
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
        chosen: &Arc<upstream::Backend>,
    ) -> Result<(BackendConnection, Lease), NextAction> {
        let timeouts = Timeouts::new(context, &context.pool().settings);
        let mut watch = Watch::begin(context);
        let way = loop {
            let reaching = self.reach(client, request, context, chosen, &timeouts);
            match watch.during(context, reaching).await {
                Ok(way) => break way,
                Err(error) if matches!(*error, AttemptError::GivenUp) => {
                    self.give_up(request, context, upload, &mut watch, Before::NotReached)?
                }
                // Nothing has been sent, so the request can be repeated whatever its method.
                Err(error) => return Err(self.failed(request, context, upload, &error, true)),
            }
        };
        way.note(context);
        context.connected();
        let refuse = |refusal| NextAction::Refuse(Refused::Request(refusal));
        if let Some(attempting) = &mut context.attempting {
            attempting.load(upload);
        }
        let head = context.head(request);
        let forwarded_for = forwarded(head, context).map_err(|_| refuse(Refusal::FieldLine))?;
        let (target, prefix) = context.target(request);
        let traceparent = context.traceparent();
        let added = AddedFields {
            target,
            host: context.host(),
            prefix,
            forwarded_for: &forwarded_for,
            scheme: context.scheme,
            via: context.snapshot.via.as_ref(),
            backend: chosen.authority(),
            traceparent: traceparent.as_ref(),
        };
        if head.framing != Framing::None && way.may_be_refused() {
            upload.pump.keep(context.pool().settings.retry_body);
        }
        let (mut backend, lease) = way.begin(head, upload, &added, chosen).map_err(refuse)?;
        let error = loop {
            let watching = (&mut watch, &*context);
            match exchange(client, &mut backend, request, upload, &timeouts, watching).await {
                Ok(()) => return Ok((backend, lease)),
                Err(AttemptError::GivenUp) => {
                    lease.doubt_if_silent(&mut backend);
                    self.give_up(request, context, upload, &mut watch, Before::Reached)?;
                }
                Err(error) => break error,
            }
        };
        watch.failed(context, &error);
        if let AttemptError::Broken = error {
            context.current = None;
            return Err(NextAction::Refuse(upload.refused()));
        }
        if error.is_silence() {
            lease.doubt_if_silent(&mut backend);
        }
        if let (Some(place), true) = (&lease.place, error.is_refusal()) {
            place.shrink();
        }
        let is_closed = error.failure() == Some(AttemptFailure::Closed);
        let is_unprocessed = error.is_unprocessed() && backend.is_silent();
        let is_repeatable = match is_unprocessed {
            true => upload.pump.can_begin_again(),
            false => is_repeatable(request, upload, is_closed),
        };
        // The backend had closed the connection while it was idle, or takes no more requests on it. That does not count as a
        // failed attempt: the same backend gets another connection.
        let may_be_replaced = match is_unprocessed && !error.is_refusal() {
            true => context.crossed < MOST_CROSSED,
            false => (is_unprocessed || (lease.is_reused && is_closed)) && !context.has_replaced,
        };
        if may_be_replaced
            && is_repeatable
            && backend.is_silent()
            && let Some(index) = context.take_back_attempt()
        {
            match error.is_refusal() || !is_unprocessed {
                true => context.has_replaced = true,
                false => context.crossed += 1,
            }
            if !error.is_refusal() {
                context.sessions_after = lease.place.map(|place| place.number);
            }
            return Err(NextAction::At(index));
        }
        Err(self.failed(request, context, upload, &error, is_repeatable))
    }

    /// Records a failed attempt, and decides on the next action. `is_repeatable` says whether the request can be sent again.
    fn failed(
        &self,
        request: &RequestHead,
        context: &mut Context,
        upload: &Upload,
        error: &AttemptError,
        is_repeatable: bool,
    ) -> NextAction {
        // The sessions of other backends are not concerned.
        context.sessions_after = None;
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
        // The pool hears of it before another backend is chosen, because it may eject this one.
        context.failed(failure);
        let wants_other = match judge(request, context, upload, Err(failure)) {
            JudgeFlow::Accept => is_repeatable && is_retried(context, failure),
            JudgeFlow::Retry => upload.pump.can_begin_again(),
            JudgeFlow::Respond(reply) => {
                self.book(request, context, error, false);
                return NextAction::Answer(reply);
            }
            JudgeFlow::Failed => {
                self.book(request, context, error, false);
                return NextAction::Refuse(Refused::PluginFailed);
            }
        };
        let wants_other = wants_other && has_attempts_left(context);
        let before = match error {
            AttemptError::Connect(_) => Before::NotReached,
            _ => Before::Reached,
        };
        let again = match wants_other {
            true => select_again(request, context, upload, failure, before),
            false => None,
        };
        self.book(request, context, error, again.is_some());
        match again {
            Some(selected) => NextAction::Again(selected),
            None => NextAction::Refuse(refused_after(failure)),
        }
    }

    /// Gives the present attempt up, whose backend is silent. The error is the next action. Without one, because there is no other
    /// backend, the wait goes on unwatched, and what it comes to is judged again.
    fn give_up(
        &self,
        request: &RequestHead,
        context: &mut Context,
        upload: &Upload,
        watch: &mut Watch,
        before: Before,
    ) -> Result<(), NextAction> {
        let failure = AttemptFailure::ResponseTimeout;
        let instead = match judge(request, context, upload, Err(failure)) {
            JudgeFlow::Accept | JudgeFlow::Retry => None,
            JudgeFlow::Respond(reply) => Some(NextAction::Answer(reply)),
            JudgeFlow::Failed => Some(NextAction::Refuse(Refused::PluginFailed)),
        };
        if let Some(instead) = instead {
            self.book(request, context, &AttemptError::GivenUp, false);
            return Err(instead);
        }
        let Some(selected) = select_again(request, context, upload, failure, before) else {
            watch.end();
            return Ok(());
        };
        // The sessions of other backends are not concerned.
        context.sessions_after = None;
        self.book(request, context, &AttemptError::GivenUp, true);
        Err(NextAction::Again(selected))
    }

    /// The action that replaces a response, if its status or a plugin calls for another attempt or a plugin answers; `None` if the
    /// response is passed on. For another attempt it is replaced only once a backend has been chosen, as this response is better
    /// than none.
    fn instead_of_response(
        &self,
        request: &RequestHead,
        context: &mut Context,
        upload: &Upload,
        backend: &BackendConnection,
    ) -> Option<NextAction> {
        let status = backend.head.status().as_u16();
        let failure = AttemptFailure::Status(status);
        let judged = match backend.head.status() {
            StatusCode::SWITCHING_PROTOCOLS => JudgeFlow::Accept,
            _ => judge(request, context, upload, Ok(&backend.head)),
        };
        let is_wanted = match judged {
            JudgeFlow::Accept => {
                is_retried(context, failure)
                    && upload.pump.is_done()
                    && is_repeatable(request, upload, false)
                    && context.has_others()
            }
            JudgeFlow::Retry => upload.pump.can_begin_again(),
            JudgeFlow::Respond(reply) => {
                context.answered(status);
                return Some(NextAction::Answer(reply));
            }
            JudgeFlow::Failed => {
                context.answered(status);
                return Some(NextAction::Refuse(Refused::PluginFailed));
            }
        };
        if !(is_wanted && has_attempts_left(context) && has_time_for_pause(context)) {
            return None;
        }
        let selected = select_again(request, context, upload, failure, Before::Reached)?;
        context.failed(failure);
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
        context.note(|noted| {
            if let Some(attempt) = noted.attempt() {
                attempt.failed = Some((attempt.begun.elapsed(), failure));
            }
        });
        let backend = in_flight.backend();
        self.shared
            .metrics
            .attempt_failed(&context.begun_pool().name, &backend.label, failure);
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

    /// Keeps a connection whose response is complete for the next request. A session is kept anyway, and has its place back.
    pub(super) fn keep(&self, lease: &Lease, backend: BackendConnection, pool: &Pool) {
        let announced = backend.head.keep_alive_seconds();
        if lease.place.is_none()
            && backend.head.keeps_alive()
            && backend.input.is_empty()
            && announced != Some(0)
        {
            self.idle.put(pool, lease.backend, backend.transport, announced);
        }
    }
}

/// The upload of a request, of which nothing has been sent or read.
pub(super) fn begin(reader: BodyReader, request: &RequestHead, context: &Context) -> Upload {
    let mut pump = Pump::new(reader, outbound::request_body(request));
    if let Some(limit) = context.route().body_limit {
        pump.limit(limit);
    }
    Upload {
        pump,
        patience: Patience::new(&context.snapshot.client),
        is_broken: false,
        awaits_continue: request.expects_continue(),
        is_mirrored: false,
        stages: None,
    }
}

/// Prepares the upload for the pool that was chosen.
pub(super) fn prepare(upload: &mut Upload, request: &RequestHead, context: &Context) {
    upload.is_mirrored = !request.wants_upgrade() && context.mirror().is_some_and(Mirror::draw);
    let is_repeated = request.method.is_idempotent() || upload.is_mirrored || context.attempting.is_some();
    if request.framing != Framing::None && is_repeated {
        upload.pump.keep(context.pool().settings.retry_body);
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
