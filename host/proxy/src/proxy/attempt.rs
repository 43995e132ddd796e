//! One attempt: sends the request on a connection, and reads the head of the response.

use std::future::poll_fn;
use std::io;
use std::task::{Context as Task, Poll};
use std::time::Duration;

use http::StatusCode;
use pace_tls::client::ConnectError;
use pace_wire::refusal::Refusal;
use pace_wire::request::RequestHead;
use pace_wire::response::RequestFacts;
use tokio::time::Instant;

use super::context::Context;
use super::outbound;
use super::retry::is_repeatable;
use super::stages::Stages;
use super::watch::Watch;
use crate::chain::Scene;
use crate::http1::{BackendConnection, BodyError, Client, HeadError, Passed, Pump, PumpError, Side, Sink};
use crate::io::Transport;
use pace_config::{ClientLimits, PoolSettings};
use pace_hook::AttemptFailure;

/// The reason why an attempt got no response.
#[derive(Debug, thiserror::Error)]
pub(super) enum AttemptError {
    /// The backend could not be connected to.
    #[error("{0}")]
    Connect(io::Error),
    /// The backend does not prove who it is, or speaks no TLS.
    #[error("{0}")]
    Tls(ConnectError),
    /// The bytes that came are no valid response, or none came.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// The head is valid, and the bytes behind it are no valid body.
    #[error("{0}")]
    Body(String),
    /// Every session with the backend had as many requests as it takes.
    #[error("no session had room for another request for {0:?}")]
    Crowded(Duration),
    /// The first session with the backend was not opened in time.
    #[error("neither a refusal nor the end of the handshakes of TCP, TLS and HTTP/2 for {0:?}")]
    Unopened(Duration),
    /// Pace had no descriptors, ports or memory left for a connection.
    #[error("{0}")]
    Exhausted(io::Error),
    /// The backend sent nothing in time, or did not take the request in time.
    #[error("no bytes for {0:?}")]
    Silent(Duration),
    /// The time of the attempt, or of the request, is over.
    #[error("the time of the {0} is over")]
    Late(&'static str),
    /// The request had so little time left, or was given so little by its client, that the backend cannot be blamed.
    #[error("the time of the request is over")]
    OutOfTime,
    /// The backend is silent, and another takes the request.
    #[error("the backend answers nobody")]
    GivenUp,
    /// The response has a status on which another attempt is made.
    #[error("status {0}")]
    Status(u16),
    /// The request's body is malformed, or did not arrive in time.
    #[error("{0}")]
    Request(Refusal),
    /// A plugin has broken the request off.
    #[error("a plugin has broken the request off")]
    Broken,
    /// The client has gone.
    #[error("the client has gone")]
    ClientGone,
}

impl AttemptError {
    /// The failure as the contract, the metrics and the log name it; `None` if the backend is not at fault.
    pub(super) fn failure(&self) -> Option<AttemptFailure> {
        match self {
            AttemptError::Connect(error) => Some(match error.kind() {
                io::ErrorKind::ConnectionRefused => AttemptFailure::ConnectionRefused,
                io::ErrorKind::TimedOut => AttemptFailure::ConnectionTimeout,
                _ => AttemptFailure::ConnectionFailed,
            }),
            AttemptError::Crowded(_) | AttemptError::Unopened(_) => Some(AttemptFailure::ConnectionTimeout),
            AttemptError::Tls(_) => Some(AttemptFailure::Tls),
            AttemptError::Head(HeadError::Broken(_) | HeadError::Http2(_)) | AttemptError::Body(_) => {
                Some(AttemptFailure::Protocol)
            }
            AttemptError::Head(HeadError::Closed | HeadError::Io(_) | HeadError::Unprocessed(_)) => {
                Some(AttemptFailure::Closed)
            }
            AttemptError::Silent(_) | AttemptError::Late(_) | AttemptError::GivenUp => {
                Some(AttemptFailure::ResponseTimeout)
            }
            AttemptError::Status(status) => Some(AttemptFailure::Status(*status)),
            AttemptError::Exhausted(_)
            | AttemptError::OutOfTime
            | AttemptError::Request(_)
            | AttemptError::Broken
            | AttemptError::ClientGone => None,
        }
    }

    /// Whether the backend has not processed the request, so that it may be sent again whatever its method.
    pub(super) fn is_unprocessed(&self) -> bool {
        matches!(self, AttemptError::Head(HeadError::Unprocessed(_)))
    }

    /// Whether the backend has refused this request, and no other on its session.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(self, AttemptError::Head(HeadError::Unprocessed(error)) if error.is_reset())
    }

    /// Whether nothing came in time that should have.
    pub(super) fn is_silence(&self) -> bool {
        matches!(
            self,
            AttemptError::Silent(_) | AttemptError::Late(_) | AttemptError::OutOfTime
        )
    }

    /// The error of a failed connect, which may be the backend's or this process's.
    pub(super) fn of_connecting(error: io::Error) -> AttemptError {
        let own = [
            libc::EMFILE,
            libc::ENFILE,
            libc::EADDRNOTAVAIL,
            libc::ENOBUFS,
            libc::ENOMEM,
        ];
        match error.raw_os_error() {
            Some(code) if own.contains(&code) => AttemptError::Exhausted(error),
            _ => AttemptError::Connect(error),
        }
    }
}

/// The timeouts of an attempt.
pub(super) struct Timeouts {
    /// The longest time for which the backend may take none of the request.
    silent: Duration,
    /// The longest time from the end of the request to the response.
    first_byte: Duration,
    /// The end of the attempt, which is extended by the time that it waits for the client.
    attempt: Option<Instant>,
    /// The end of the request.
    request: Option<Instant>,
    /// Whether the client has set that end.
    is_clients: bool,
}

impl Timeouts {
    /// The timeouts of an attempt that begins now.
    pub(super) fn new(context: &Context, settings: &PoolSettings) -> Timeouts {
        Timeouts {
            silent: settings.response_timeout,
            first_byte: context.first_byte_timeout(),
            attempt: context.attempt_timeout().map(|limit| Instant::now() + limit),
            request: context.deadline(),
            is_clients: context.has_deadline_of_client(),
        }
    }

    /// The limit, shortened to the time that the attempt and the request have left.
    pub(super) fn up_to(&self, limit: Duration) -> Duration {
        let now = Instant::now();
        let deadlines = [self.attempt, self.request].into_iter().flatten();
        let left = deadlines.map(|deadline| deadline.saturating_duration_since(now));
        left.fold(limit, Duration::min)
    }
}

/// The patience with a client that sends a body: an allowance of silence, which bytes from the client refill.
pub(super) struct Patience {
    left: Duration,
    full: Duration,
    /// The number of bytes that refill a second.
    rate: u32,
    /// The start of the present wait, and the bytes of the body that had come by then.
    waiting: Option<(Instant, u64)>,
}

impl Patience {
    pub(super) fn new(limits: &ClientLimits) -> Patience {
        Patience {
            left: limits.body,
            full: limits.body,
            rate: limits.body_rate,
            waiting: None,
        }
    }

    /// Notes that Pace waits for the client, which has sent `taken` bytes so far. Returns the end of the wait.
    pub(super) fn wait(&mut self, taken: u64) -> Instant {
        let now = Instant::now();
        match self.waiting {
            Some((since, before)) if before != taken => {
                self.settle(now.duration_since(since), taken - before);
                self.waiting = Some((now, taken));
            }
            Some(_) => {}
            None => self.waiting = Some((now, taken)),
        }
        let since = self.waiting.map_or(now, |(since, _)| since);
        since + self.left
    }

    /// Notes that Pace does not wait for the client at present.
    pub(super) fn pause(&mut self, taken: u64) {
        if let Some((since, before)) = self.waiting.take() {
            self.settle(since.elapsed(), taken.saturating_sub(before));
        }
    }

    fn settle(&mut self, waited: Duration, received: u64) {
        let given_back = Duration::from_millis(received.saturating_mul(1000) / u64::from(self.rate));
        self.left = (self.left.saturating_sub(waited) + given_back).min(self.full);
    }
}

/// The state of a request on its way, after some of it was sent.
#[derive(Debug)]
pub(super) enum Sending {
    /// It is complete, the backend does not take it any more, or nobody waits for the client.
    GoesOn,
    /// More has to come from the client, unless that waits for 100 Continue.
    WaitsForClient,
    /// A plugin has broken it off.
    BrokenOff,
    /// It will not get to its end.
    Failed(BodyError),
}

/// A request on its way to a backend.
pub(super) struct Upload {
    pub(super) pump: Pump,
    pub(super) patience: Patience,
    /// Whether the backend no longer takes the request. Its response may still come.
    pub(super) is_broken: bool,
    /// Whether the client waits for 100 Continue before it sends its body, as it should.
    pub(super) awaits_continue: bool,
    /// Whether a copy of the request is still to be sent.
    pub(super) is_mirrored: bool,
    /// The stream filters that the body passes.
    pub(super) stages: Option<Stages>,
}

impl Upload {
    /// Moves as much of the request as possible to the backend, if more of it can be sent.
    pub(super) fn send<'s>(
        &mut self,
        client: &mut Client,
        target: &mut Transport,
        scene: impl FnOnce() -> Scene<'s>,
        task: &mut Task<'_>,
    ) -> Sending {
        if self.is_broken || self.pump.is_done() {
            return Sending::GoesOn;
        }
        let source = (&mut client.transport, &mut client.input);
        match self.poll(source, target, scene, task) {
            Poll::Ready(Ok(Passed::Broken)) => return Sending::BrokenOff,
            // The backend may have answered before it closed its side.
            Poll::Ready(Err(PumpError::Write(_))) => self.is_broken = true,
            Poll::Ready(Err(PumpError::Read(error))) => return Sending::Failed(error),
            Poll::Pending if self.pump.waits_for() == Side::Source => {
                self.awaits_continue &= self.pump.is_untouched();
                return Sending::WaitsForClient;
            }
            Poll::Ready(Ok(Passed::Whole)) | Poll::Pending => self.patience.pause(self.pump.taken()),
        }
        Sending::GoesOn
    }
}

/// Sends a request whose head is in the pump of `upload`, and waits for the head of the final response. Interim responses
/// are passed on meanwhile. After [`AttemptError::GivenUp`] a further call continues the wait.
pub(super) async fn exchange(
    client: &mut Client,
    backend: &mut BackendConnection,
    request: &RequestHead,
    upload: &mut Upload,
    timeouts: &Timeouts,
    (watch, watched): (&mut Watch, &Context),
) -> Result<(), AttemptError> {
    let facts = RequestFacts {
        head: request.method == http::Method::HEAD,
        upgrade: request.wants_upgrade(),
    };
    let passes_interim = request.version != http::Version::HTTP_10;
    let mut interim = Sink::new();
    let mut progress = (0, Instant::now());
    let mut attempt_ends = timeouts.attempt;
    let mut waits_for_client_since = None;
    let mut is_answered = false;
    let exchanged = poll_fn(|context| {
        let scene = || watched.scene(request);
        let needs_client = match upload.send(client, &mut backend.transport, scene, context) {
            Sending::GoesOn => false,
            Sending::WaitsForClient => true,
            Sending::BrokenOff => return Poll::Ready(Err(AttemptError::Broken)),
            Sending::Failed(error) => return Poll::Ready(Err(of_client(error))),
        };
        if upload.is_broken || upload.pump.is_done() {
            watch.sent(watched);
            if let Poll::Ready(_error) = client.poll_gone(context) {
                return Poll::Ready(Err(AttemptError::ClientGone));
            }
        }
        loop {
            // An interim response must be sent before the next is read. Those of a stream have been read already, and would wait
            // without a bound of their number.
            match interim.poll_send(|_| &[], &mut client.transport, context) {
                Poll::Ready(Ok(())) if is_answered => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return Poll::Ready(Err(AttemptError::ClientGone)),
                Poll::Pending if is_answered || !backend.is_stream() => break,
                Poll::Pending => {}
            }
            match backend.poll_head(facts, context) {
                Poll::Ready(Ok(())) if backend.head.is_interim() => {
                    if passes_interim {
                        match client.transport.stream() {
                            // If this fails, the client has gone, which `poll_gone` finds out.
                            Some(stream) => drop(stream.inform(outbound::interim_stream_head(&backend.head))),
                            None => outbound::interim_head(interim.before(), &backend.head),
                        }
                        upload.awaits_continue &= backend.head.status() != StatusCode::CONTINUE;
                    }
                }
                Poll::Ready(Ok(())) => is_answered = true,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error.into())),
                Poll::Pending => break,
            }
        }
        let waits_for_client = needs_client && !upload.awaits_continue;
        if let Some(until) = timeouts.request
            && client.alarm.poll(until, context).is_ready()
        {
            return Poll::Ready(Err(match waits_for_client {
                _ if timeouts.is_clients => AttemptError::OutOfTime,
                true => AttemptError::Request(Refusal::BodyTimeout),
                false => AttemptError::Late("request"),
            }));
        }
        if waits_for_client {
            waits_for_client_since.get_or_insert_with(Instant::now);
            // No response is due before the request is complete.
            let deadline = upload.patience.wait(upload.pump.taken());
            return client
                .alarm
                .poll(deadline, context)
                .map(|()| Err(AttemptError::Request(Refusal::BodyTimeout)));
        }
        if let Some(since) = waits_for_client_since.take() {
            attempt_ends = attempt_ends.map(|end| end + Instant::elapsed(&since));
        }
        if let Some(until) = attempt_ends
            && client.alarm.poll(until, context).is_ready()
        {
            return Poll::Ready(Err(AttemptError::Late("attempt")));
        }
        let is_repeatable = || is_repeatable(request, upload, false);
        if watch
            .poll(watched, is_repeatable, &mut client.alarm, context)
            .is_ready()
        {
            return Poll::Ready(Err(AttemptError::GivenUp));
        }
        let written = upload.pump.written() + interim.written();
        if written != progress.0 {
            progress = (written, Instant::now());
        }
        let limit = match upload.pump.is_done() || upload.awaits_continue {
            true => timeouts.first_byte,
            false => timeouts.silent,
        };
        client
            .alarm
            .poll(progress.1 + limit, context)
            .map(|()| match is_answered {
                true => Err(AttemptError::ClientGone),
                false => Err(AttemptError::Silent(limit)),
            })
    })
    .await;
    match interim.is_begun() {
        // The client would read anything else as the rest of the interim response.
        true => Err(AttemptError::ClientGone),
        false => exchanged,
    }
}

/// The error of an attempt whose request's body did not get to its end.
pub(super) fn of_client(error: BodyError) -> AttemptError {
    match error {
        BodyError::Fault(fault) => AttemptError::Request(fault.into()),
        BodyError::TooLarge => AttemptError::Request(Refusal::BodyTooLarge),
        BodyError::Early | BodyError::Io(_) => AttemptError::ClientGone,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The number of bytes that refill a second.
    const RATE: u64 = 1024;

    #[tokio::test(start_paused = true)]
    async fn patience_ends_for_a_silent_client_and_not_for_a_slow_one() {
        let seconds = Duration::from_secs;
        let mut patience = Patience::new(&ClientLimits::default());
        let start = Instant::now();
        assert_eq!(patience.wait(0), start + seconds(10));
        tokio::time::advance(seconds(8)).await;
        assert_eq!(
            patience.wait(0),
            start + seconds(10),
            "silence gives nothing back"
        );
        assert_eq!(patience.wait(4 * RATE), start + seconds(8 + 6));
        tokio::time::advance(seconds(5)).await;
        assert_eq!(
            patience.wait(500 * RATE),
            start + seconds(13 + 10),
            "never more than at first"
        );
        patience.pause(500 * RATE);
        tokio::time::advance(seconds(60)).await;
        let now = Instant::now();
        assert_eq!(
            patience.wait(500 * RATE),
            now + seconds(10),
            "the time of others does not count"
        );
    }
}
