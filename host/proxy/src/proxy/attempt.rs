//! One attempt: a connection, the request on it, and the head of the response.

use std::future::poll_fn;
use std::io;
use std::task::Poll;
use std::time::Duration;

use http::StatusCode;
use pace_wire::refusal::Refusal;
use pace_wire::request::RequestHead;
use pace_wire::response::RequestFacts;
use tokio::time::Instant;

use super::context::Context;
use super::outbound;
use crate::http1::{BackendConnection, BodyError, Client, HeadError, Pump, PumpError, Side, Sink};
use pace_config::{ClientLimits, PoolSettings};
use pace_hook::AttemptFailure;

/// Why an attempt came to no response.
#[derive(Debug, thiserror::Error)]
pub(super) enum AttemptError {
    /// No connection could be made.
    #[error("{0}")]
    Connect(io::Error),
    /// What came is no response, or nothing did.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// A head came, and behind it what is no body.
    #[error("{0}")]
    Body(String),
    /// Pace could not make one: it has no descriptors, ports or memory left.
    #[error("{0}")]
    Exhausted(io::Error),
    /// Nothing came in time, or the request was not taken in time.
    #[error("no bytes for {0:?}")]
    Silent(Duration),
    /// The attempt, or the request, has taken all the time that it has.
    #[error("the time of the {0} is over")]
    Late(&'static str),
    /// The request had so little time left that the backend cannot be blamed.
    #[error("the time of the request is over")]
    OutOfTime,
    /// A response with a status on which another attempt is made.
    #[error("status {0}")]
    Status(u16),
    /// The request's body is malformed, or does not arrive.
    #[error("{0}")]
    Request(Refusal),
    /// The client has gone.
    #[error("the client has gone")]
    ClientGone,
}

impl AttemptError {
    /// As the contract, the metrics and the log spell it; `None` for what is not the backend's doing.
    pub(super) fn failure(&self) -> Option<AttemptFailure> {
        match self {
            AttemptError::Connect(error) => Some(match error.kind() {
                io::ErrorKind::ConnectionRefused => AttemptFailure::ConnectionRefused,
                io::ErrorKind::TimedOut => AttemptFailure::ConnectionTimeout,
                _ => AttemptFailure::ConnectionFailed,
            }),
            AttemptError::Head(HeadError::Broken(_)) | AttemptError::Body(_) => {
                Some(AttemptFailure::Protocol)
            }
            AttemptError::Head(HeadError::Closed | HeadError::Io(_)) => Some(AttemptFailure::Closed),
            AttemptError::Silent(_) | AttemptError::Late(_) => Some(AttemptFailure::ResponseTimeout),
            AttemptError::Status(status) => Some(AttemptFailure::Status(*status)),
            AttemptError::Exhausted(_)
            | AttemptError::OutOfTime
            | AttemptError::Request(_)
            | AttemptError::ClientGone => None,
        }
    }

    /// What a failure to connect says of the backend, or of this process.
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

/// How long each step of an attempt may take.
pub(super) struct Waits {
    /// For the backend to take any of the request.
    silent: Duration,
    /// For the response, from when the request has been sent.
    first_byte: Duration,
    /// When the attempt is over: later by what it waits for the client.
    attempt: Option<Instant>,
    /// When the request is over.
    request: Option<Instant>,
}

impl Waits {
    /// For an attempt that begins now.
    pub(super) fn new(context: &Context, settings: &PoolSettings) -> Waits {
        Waits {
            silent: settings.response_timeout,
            first_byte: settings.first_byte_timeout,
            attempt: settings.retry.per_try.map(|limit| Instant::now() + limit),
            request: context.deadline(),
        }
    }

    /// No longer than this, and than attempt and request may take.
    pub(super) fn up_to(&self, limit: Duration) -> Duration {
        let now = Instant::now();
        let deadlines = [self.attempt, self.request].into_iter().flatten();
        let left = deadlines.map(|deadline| deadline.saturating_duration_since(now));
        left.fold(limit, Duration::min)
    }
}

/// The patience with a client that sends a body: what it may be silent, given back by what it sends.
pub(super) struct Patience {
    left: Duration,
    full: Duration,
    /// Bytes that give a second back.
    rate: u32,
    /// Since when it is waited for, and how much of the body had come then.
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

    /// It is waited for the client, which has sent so much so far. Returns until when.
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

    /// It is waited for somebody else.
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

/// The request on its way: its body, and whom is waited for.
pub(super) struct Upload {
    pub(super) pump: Pump,
    pub(super) patience: Patience,
    /// The backend does not take any more of it. Its response may still come.
    pub(super) is_broken: bool,
    /// The client waits to be told that it may send its body, as it should.
    pub(super) waits_for_word: bool,
}

/// Sends a request whose head the pump of `upload` has, and waits for the head of the final response. Interim responses are
/// passed on meanwhile.
pub(super) async fn exchange(
    client: &mut Client,
    backend: &mut BackendConnection,
    request: &RequestHead,
    upload: &mut Upload,
    waits: &Waits,
) -> Result<(), AttemptError> {
    let asked = RequestFacts {
        head: request.method == http::Method::HEAD,
        upgrade: request.wants_upgrade(),
    };
    let passes_interim = request.version == http::Version::HTTP_11;
    let mut interim = Sink::new();
    let mut progress = (0, Instant::now());
    let mut attempt_ends = waits.attempt;
    let mut waits_for_client_since = None;
    let exchanged = poll_fn(|context| {
        let mut needs_client = false;
        if !upload.is_broken && !upload.pump.is_done() {
            let source = (&mut client.transport, &mut client.input);
            match upload.pump.poll(source, &mut backend.transport, context) {
                Poll::Ready(Ok(())) => upload.patience.pause(upload.pump.taken()),
                // A backend that has seen enough may have answered before it closed.
                Poll::Ready(Err(PumpError::Write(_))) => upload.is_broken = true,
                Poll::Ready(Err(PumpError::Read(error))) => return Poll::Ready(Err(of_client(error))),
                Poll::Pending if upload.pump.waits_for() == Side::Source => {
                    needs_client = true;
                    upload.waits_for_word &= upload.pump.is_untouched();
                }
                Poll::Pending => upload.patience.pause(upload.pump.taken()),
            }
        }
        if (upload.is_broken || upload.pump.is_done())
            && let Poll::Ready(_error) = client.poll_gone(context)
        {
            return Poll::Ready(Err(AttemptError::ClientGone));
        }
        loop {
            // An interim response that the client does not take is waited for before the next.
            match interim.poll_send(|_| &[], &mut client.transport, context) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return Poll::Ready(Err(AttemptError::ClientGone)),
                Poll::Pending => break,
            }
            match backend.poll_head(asked, context) {
                Poll::Ready(Ok(())) if backend.head.is_interim() => {
                    if passes_interim {
                        outbound::interim_head(interim.before(), &backend.head);
                        upload.waits_for_word &= backend.head.status() != StatusCode::CONTINUE;
                    }
                }
                Poll::Ready(Ok(())) => return Poll::Ready(Ok(())),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error.into())),
                Poll::Pending => break,
            }
        }
        let waits_for_client = needs_client && !upload.waits_for_word;
        if let Some(until) = waits.request
            && client.alarm.poll(until, context).is_ready()
        {
            return Poll::Ready(Err(match waits_for_client {
                true => AttemptError::Request(Refusal::BodyTimeout),
                false => AttemptError::Late("request"),
            }));
        }
        if waits_for_client {
            waits_for_client_since.get_or_insert_with(Instant::now);
            // No answer is due before the request is there.
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
        let written = upload.pump.written() + interim.written();
        if written != progress.0 {
            progress = (written, Instant::now());
        }
        let limit = match upload.pump.is_done() || upload.waits_for_word {
            true => waits.first_byte,
            false => waits.silent,
        };
        client
            .alarm
            .poll(progress.1 + limit, context)
            .map(|()| Err(AttemptError::Silent(limit)))
    })
    .await;
    match interim.is_begun() {
        // Whatever else came now would be read as the rest of it.
        true => Err(AttemptError::ClientGone),
        false => exchanged,
    }
}

/// What it means that a client's body does not get to its end.
pub(super) fn of_client(error: BodyError) -> AttemptError {
    match error {
        BodyError::Fault(fault) => AttemptError::Request(fault.into()),
        BodyError::Early | BodyError::Io(_) => AttemptError::ClientGone,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that give a second back.
    const RATE: u64 = 1024;

    #[tokio::test(start_paused = true)]
    async fn patience_ends_for_a_client_that_is_silent_and_not_for_one_that_is_slow() {
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
