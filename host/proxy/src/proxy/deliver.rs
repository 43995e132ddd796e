//! Passes a response on, from its head to its end.

use std::future::poll_fn;
use std::io;
use std::task::Poll;
use std::time::Duration;

use http::StatusCode;
use log::warn;
use pace_wire::broken::Broken as BrokenMessage;
use pace_wire::fields::TooLarge;
use pace_wire::framing::{self, Framing};
use pace_wire::known::Known;
use pace_wire::request::RequestHead;
use pace_wire::response::ResponseHead;
use tokio::time::Instant;

use super::Proxy;
use super::answer::{Disposition, Filtered, tell_generations};
use super::attempt::{AttemptError, Sending, Upload};
use super::body::{Looked, announced};
use super::certificate;
use super::context::{Context, summary};
use super::grpc::{self, Cause};
use super::outbound::{self, Delivery};
use super::reach::Lease;
use super::refuse::Refused;
use super::stages::Running;
use super::sticky;
use crate::chain::{Remaining, Scene};
use crate::http1::{BackendConnection, BodyReader, Client, Outgoing, Passed, Pump, PumpError, Side, tunnel};
use crate::io::{Buffer, Transport};
use crate::telemetry::Counting;
use crate::telemetry::notes::End;
use pace_base::escape::Line;
use pace_base::logging::Limited;
use pace_config::ClientLimits;
use pace_hook::{AttemptFailure, Body, Ending};

/// The reason why a response did not get to its end.
#[derive(Debug, thiserror::Error)]
enum RelayError {
    /// The backend broke the response off.
    #[error("{0}")]
    Backend(String),
    /// The time that the client gives its call is over.
    #[error("the client's time is over")]
    OutOfTime,
    /// A plugin has broken the response off.
    #[error("a plugin has broken it off")]
    Plugin,
    /// The time that the route or the pool gives the whole request is over.
    #[error("the time of the request is over")]
    Timeout,
    /// The client did not take the response, or sent a malformed body.
    #[error("the client has gone")]
    Client,
}

impl Proxy {
    /// Passes a response on. `upload` is the request, whose body may still be on its way. The error is the backend that is to be asked
    /// once more, for the whole instead of a part.
    pub(super) async fn deliver(
        &self,
        client: &mut Client,
        request: &mut RequestHead,
        context: &mut Context,
        upload: &mut Upload,
        (mut backend, lease): (BackendConnection, Lease),
    ) -> Result<Disposition, u32> {
        if backend.head.status() == StatusCode::SWITCHING_PROTOCOLS {
            if upload.pump.is_done() && is_asked_for(request, &backend.head) {
                context.answered(backend.head.status().as_u16());
                sticky::remember(request, context, &mut backend.head);
                return Ok(self.switch(client, request, context, backend).await);
            }
            // A switch must be to a protocol that the client has named, and not before the end of the request (RFC 9110,
            // section 7.8).
            let error = AttemptError::Body(BrokenMessage::Upgrade.to_string());
            context.failed(AttemptFailure::Protocol);
            self.book(request, context, &error, false);
            let body = upload.pump.reader();
            let refused = Refused::BadAnswer;
            return Ok(self.refuse(client, request, body, context, refused).await);
        }
        context.answered(backend.head.status().as_u16());
        sticky::remember(request, context, &mut backend.head);
        certificate::forbid_caches(client, context, &mut backend.head);
        context.response_size = announced(backend.head.framing);
        if let Filtered::Instead(reply, remaining) =
            self.filter(request, context, Remaining::ALL, &mut backend.head)
        {
            // The backend's response is not used, so the backend need not wait until the client has read the other one.
            self.leave(context, upload, (backend, lease));
            let body = upload.pump.reader();
            let reply = (reply, remaining);
            return Ok(self.answer(client, request, body, context, reply).await);
        }
        if backend.head.status() == StatusCode::RESET_CONTENT {
            without_content(&mut backend);
        }
        let mut download = Pump::new(BodyReader::of_response(&backend.head), Outgoing::Plain);
        let looked = self
            .filter_response_body(client, request, context, upload, &mut backend, &mut download)
            .await;
        let mut opened = None;
        let looked = match looked {
            Looked::Next => match self.open_response_streams(request, context, upload, &mut backend.head) {
                Ok(streams) => {
                    opened = streams;
                    Looked::Next
                }
                Err(looked) => looked,
            },
            looked => looked,
        };
        let refused = match looked {
            Looked::Next => None,
            Looked::WantsWhole => {
                for name in ["Range", "If-Range"] {
                    request.fields.remove(name);
                    if let Some(attempting) = &mut context.attempting {
                        attempting.remove(name);
                    }
                }
                context.has_asked_for_whole = true;
                context.answered = false;
                self.leave(context, upload, (backend, lease));
                match context.take_back_attempt() {
                    Some(index) => return Err(index),
                    None => return Ok(Disposition::Close),
                }
            }
            Looked::Instead(reply, remaining) => {
                self.keep_if_read(context, upload, &download, (backend, lease));
                let body = upload.pump.reader();
                let reply = (reply, remaining);
                return Ok(self.answer(client, request, body, context, reply).await);
            }
            Looked::Refused(refused) => {
                self.keep_if_read(context, upload, &download, (backend, lease));
                let body = upload.pump.reader();
                return Ok(self.refuse(client, request, body, context, refused).await);
            }
            Looked::Broken(why) => {
                lease.doubt_if_silent(&mut backend);
                context.answered = false;
                context.failed(AttemptFailure::Protocol);
                self.book(request, context, &AttemptError::Body(why), false);
                Some(Refused::BadAnswer)
            }
            Looked::Late(error) => {
                lease.doubt_if_silent(&mut backend);
                context.answered = false;
                context.failed(AttemptFailure::ResponseTimeout);
                self.book(request, context, &error, false);
                Some(Refused::NoAnswerInTime)
            }
            Looked::OutOfTime => {
                lease.doubt_if_silent(&mut backend);
                Some(Refused::NoAnswerInTime)
            }
            Looked::ClientGone => return Ok(Disposition::Close),
        };
        if let Some(refused) = refused {
            let body = upload.pump.reader();
            return Ok(self.refuse(client, request, body, context, refused).await);
        }
        tell_generations(request, context, &mut backend.head);
        grpc::make_room_for_outcome(request, &mut backend.head);

        // A client that still waits for 100 Continue will not send its body after the final response.
        let is_read = upload.pump.is_read() || read_over_rest(client, upload);
        let waits = request.expects_continue() && !is_read && upload.pump.is_untouched();
        upload.is_broken |= waits;
        let keep = !waits && self.keeps(client, request, context);
        let delivery = Delivery::new(request, backend.head.framing, keep);
        let ends_with_connection = delivery.body == Outgoing::Plain
            && matches!(backend.head.framing, Framing::Chunked | Framing::UntilClose);
        download.frame(delivery.body);
        if opened.is_some() {
            download.pass_through(Body::Response);
        }
        let via = context.snapshot.via.as_ref();
        match client.transport.stream() {
            Some(stream) => {
                let is_complete = backend.head.framing == Framing::None;
                stream.respond(outbound::stream_head(&backend.head, via), is_complete);
                download.begin(|_| {});
            }
            None => download.begin(|out| outbound::response_head(out, &backend.head, request, delivery, via)),
        }
        context.status = Some(backend.head.status().as_u16());
        if let Some(observed) = &mut context.observed {
            observed.response = Some(backend.head.clone());
        }
        let limits = context.snapshot.client;
        let silence = context.pool().settings.response_timeout;
        let until = context.deadline();
        let is_clients = context.has_deadline_of_client();
        let uploading = context.scene(request);
        let mut stages = opened.map(|opened| {
            opened.run(Scene {
                response: Some((&*backend.head, context.backend())),
                ..uploading
            })
        });
        let relayed = relay(
            client,
            (&mut backend.transport, &mut backend.input),
            (upload, uploading),
            (&mut download, stages.as_mut()),
            (&limits, silence, until, is_clients),
        )
        .await;
        let broken = stages.and_then(|mut stages| {
            stages.end(match &relayed {
                Ok(()) => Ending::Complete,
                Err(RelayError::Backend(_)) => Ending::BackendFailed,
                Err(RelayError::OutOfTime | RelayError::Timeout | RelayError::Plugin) => Ending::Cut,
                Err(RelayError::Client) => Ending::ClientGone,
            })
        });
        // Without a reason among the response's filters, those of the request have broken it off.
        let broken_off = match broken {
            Some(broken) => broken.refused(Body::Response),
            None => upload.refused(),
        };
        context.body_bytes = download.given();
        if let Err(RelayError::Backend(_) | RelayError::OutOfTime | RelayError::Timeout) = relayed {
            lease.doubt_if_silent(&mut backend);
        }
        let disposition = match relayed {
            Ok(()) => {
                self.keep_if_read(context, upload, &download, (backend, lease));
                match (delivery.keep, upload.pump.is_read()) {
                    (true, true) => Disposition::Keep,
                    (true, false) if read_rest(client, upload, &limits).await => Disposition::Keep,
                    (false, true) => Disposition::of_last(client, request),
                    (_, false) => Disposition::Linger,
                }
            }
            Err(RelayError::Backend(why)) if download.written() == 0 => {
                // Not even the first bytes arrived, so the client can still get an error.
                context.status = None;
                context.answered = false;
                let error = AttemptError::Body(why);
                context.failed(AttemptFailure::Protocol);
                self.book(request, context, &error, false);
                self.refuse(client, request, upload.pump.reader(), context, Refused::BadAnswer)
                    .await
            }
            Err(RelayError::Plugin) if download.written() == 0 => {
                context.status = None;
                context.answered = false;
                self.refuse(client, request, upload.pump.reader(), context, broken_off)
                    .await
            }
            Err(error) => {
                // When the time is over, nothing is waited for any more.
                let (end, cause, is_worth_waiting) = match error {
                    RelayError::Backend(_) => (End::Backend, Some(Cause::Backend), true),
                    RelayError::OutOfTime => (End::Deadline, Some(Cause::Late), false),
                    RelayError::Timeout => (End::Timeout, Some(Cause::Late), false),
                    RelayError::Plugin => (End::Plugin, Some(Cause::Plugin), true),
                    RelayError::Client => (End::Client, None, false),
                };
                context.end = end;
                if let RelayError::Plugin = error {
                    context.answered_for = Some(broken_off);
                }
                if let RelayError::Backend(_) | RelayError::Timeout = error
                    && context.warnings().is_none_or(Limited::admits)
                {
                    warn!(
                        target: "pace::proxy",
                        "{}: the response of {} broke off: {}",
                        summary(request),
                        context.backend().unwrap_or("-"),
                        Line(error),
                    );
                }
                let is_told = cause.is_some_and(|cause| tell_outcome(client, request, &backend.head, cause));
                if let (End::Deadline, false, Some(stream)) = (end, is_told, client.transport.stream()) {
                    stream.cancel();
                }
                if is_told {
                    Disposition::Keep
                } else if ends_with_connection && !is_worth_waiting {
                    // An orderly close would make the broken body look complete.
                    Disposition::Reset
                } else if ends_with_connection || (is_worth_waiting && client.transport.stream().is_some()) {
                    Disposition::BreakOff
                } else if is_worth_waiting && upload.pump.is_read() {
                    Disposition::of_last(client, request)
                } else if is_worth_waiting {
                    // A client that is still sending would not get what has passed.
                    Disposition::Linger
                } else {
                    Disposition::Close
                }
            }
        };
        Ok(disposition)
    }

    /// Drops a response that is not wanted. The connection is kept if the whole response has come already.
    pub(super) fn leave(
        &self,
        context: &Context,
        upload: &Upload,
        (mut backend, lease): (BackendConnection, Lease),
    ) {
        let is_over = BodyReader::of_response(&backend.head).read_over(&mut backend.input);
        if is_over && upload.pump.is_done() {
            self.keep(&lease, backend, context.begun_pool());
        }
    }

    /// Keeps the connection of a response that has been read and is not sent.
    fn keep_if_read(
        &self,
        context: &Context,
        upload: &Upload,
        download: &Pump,
        (backend, lease): (BackendConnection, Lease),
    ) {
        if download.is_read() && upload.pump.is_done() {
            self.keep(&lease, backend, context.pool());
        }
    }

    /// Switches the client's connection to another protocol, and copies bytes until its end.
    async fn switch(
        &self,
        client: &mut Client,
        request: &RequestHead,
        context: &mut Context,
        mut backend: BackendConnection,
    ) -> Disposition {
        let mut head = Vec::new();
        outbound::switching_head(&mut head, &backend.head);
        let before = head.len() as u64;
        context.status = Some(backend.head.status().as_u16());
        let limit = context.snapshot.client.upgraded;
        let upgraded = Counting::upgraded(&client.arrival.connections);
        let (written, ended) = tunnel(client, &mut backend, head, limit).await;
        drop(upgraded);
        context.body_bytes = written.saturating_sub(before);
        if let Err(error) = ended
            && !is_usual(&error)
        {
            log::info!(
                target: "pace::proxy",
                "{}: the upgraded connection to {} ended: {}",
                summary(request),
                context.backend().unwrap_or("-"),
                match error.kind() {
                    io::ErrorKind::TimedOut => format!("nothing was said for {limit:?}"),
                    _ => error.to_string(),
                },
            );
        }
        Disposition::Close
    }
}

/// Ends a broken response to a call of gRPC with trailers that say so. Returns whether it has.
fn tell_outcome(client: &mut Client, request: &RequestHead, response: &ResponseHead, cause: Cause) -> bool {
    let trailers = grpc::broken_off(request, response, cause);
    trailers.is_some_and(|trailers| client.transport.finish(Some(&trailers)).is_ok())
}

/// Moves the response to the client, and the rest of the request to the backend, until the response is complete.
async fn relay(
    client: &mut Client,
    (transport, input): (&mut Transport, &mut Buffer),
    (upload, uploading): (&mut Upload, Scene<'_>),
    (download, mut stages): (&mut Pump, Option<&mut Running<'_>>),
    (limits, silence, until, is_clients): (&ClientLimits, Duration, Option<Instant>, bool),
) -> Result<(), RelayError> {
    let (mut downwards, mut upwards) = ((0, Instant::now()), (0, Instant::now()));
    poll_fn(|context| {
        let waits_for_body = match upload.send(client, transport, || uploading, context) {
            Sending::GoesOn => None,
            Sending::WaitsForClient => Some(upload.patience.wait(upload.pump.taken())),
            Sending::BrokenOff => return Poll::Ready(Err(RelayError::Plugin)),
            // The response has begun: the only sign left for the client is that it breaks off.
            Sending::Failed(_) => return Poll::Ready(Err(RelayError::Client)),
        };
        if (upload.is_broken || upload.pump.is_done()) && client.poll_gone(context).is_ready() {
            return Poll::Ready(Err(RelayError::Client));
        }
        let source = (&mut *transport, &mut *input);
        let target = &mut client.transport;
        let passed = match &mut stages {
            Some(stages) => download.poll_through(source, target, &mut stages.through(), context),
            None => download.poll(source, target, context).map_ok(|()| Passed::Whole),
        };
        match passed {
            Poll::Ready(Ok(Passed::Whole)) => return Poll::Ready(Ok(())),
            Poll::Ready(stopped) => return Poll::Ready(Err(of_stopped(stopped))),
            Poll::Pending => {}
        }
        if let Some(until) = until
            && client.alarm.poll(until, context).is_ready()
        {
            return Poll::Ready(Err(match is_clients {
                true => RelayError::OutOfTime,
                false => RelayError::Timeout,
            }));
        }
        // Progress in one direction does not excuse a standstill in the other.
        for (progress, moved) in [
            (&mut downwards, download.written() + download.taken()),
            (&mut upwards, upload.pump.written()),
        ] {
            if moved != progress.0 {
                *progress = (moved, Instant::now());
            }
        }
        match download.waits_for() {
            // Plugins have limits of their own, and each of them a reason to look at.
            Side::Transform => Poll::Pending,
            Side::Target => client
                .alarm
                .poll(downwards.1 + limits.send, context)
                .map(|()| Err(download.give_up().map_or(RelayError::Client, of_stopped))),
            // The backend may wait for the rest of the request.
            Side::Source => match waits_for_body {
                Some(deadline) => client
                    .alarm
                    .poll(deadline.max(downwards.1 + limits.body), context)
                    .map(|()| Err(RelayError::Client)),
                None => client
                    .alarm
                    .poll(downwards.1.max(upwards.1) + silence, context)
                    .map(|()| Err(RelayError::Backend(format!("no bytes for {silence:?}")))),
            },
        }
    })
    .await
}

/// The reason why a response does not get to its end.
fn of_stopped(stopped: Result<Passed, PumpError>) -> RelayError {
    match stopped {
        Ok(_) => RelayError::Plugin,
        Err(PumpError::Read(error)) => RelayError::Backend(error.to_string()),
        Err(PumpError::Write(_)) => RelayError::Client,
    }
}

/// Discards the rest of a body that the backend no longer takes, as far as that has come. Returns whether it was all.
fn read_over_rest(client: &mut Client, upload: &mut Upload) -> bool {
    upload.is_broken && upload.pump.reader().read_over(&mut client.input)
}

/// The longest rest of a body that is read although nobody wants it: less than what a new connection costs.
const LONGEST_REST: usize = 64 << 10;

/// Reads the rest of a body whose response was complete before. Returns whether that was all of it, so that the next request
/// can follow: the client has been told that its connection is kept.
async fn read_rest(client: &mut Client, upload: &mut Upload, limits: &ClientLimits) -> bool {
    if client.transport.stream().is_some() {
        return true;
    }
    let deadline = Instant::now() + limits.body;
    let mut left = LONGEST_REST;
    let body = upload.pump.reader();
    poll_fn(|context| {
        loop {
            match body.poll_data(&mut client.input, &mut client.transport, context) {
                Poll::Ready(Ok(None)) => return Poll::Ready(true),
                Poll::Ready(Ok(Some(data))) if data.len() <= left => left -= data.len(),
                Poll::Ready(_) => return Poll::Ready(false),
                Poll::Pending => return client.alarm.poll(deadline, context).map(|()| false),
            }
        }
    })
    .await
}

/// Removes the content of a 205, which has none (RFC 9110, section 15.3.6). If the backend sends some, it is not read, and
/// the backend's connection ends.
fn without_content(backend: &mut BackendConnection) {
    if backend.head.framing != Framing::None {
        backend.head.framing = Framing::None;
        backend.head.options.close = true;
    }
    framing::remove_framing(&mut backend.head.fields);
    if let Err(TooLarge) = backend.head.fields.append("Content-Length", b"0") {
        backend.head.options.close = true;
    }
}

/// Whether the client has named every protocol that a 101 names.
fn is_asked_for(request: &RequestHead, response: &ResponseHead) -> bool {
    let is_named = |chosen: &[u8]| {
        let mut named = request.fields.elements(Known::Upgrade);
        named.any(|named| named.eq_ignore_ascii_case(chosen))
    };
    response.fields.elements(Known::Upgrade).all(is_named)
}

/// Whether an error is a usual end of an upgraded connection: clients and backends end them as they like.
fn is_usual(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::NotConnected
    )
}
