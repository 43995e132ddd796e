//! The sessions with one backend, and the queue for them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::PingPong;
use h2::client::SendRequest;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use super::{Key, Place, Sessions, Target, Ticket, Turn};
use crate::http2;
use crate::io::Traffic;
use pace_tls::alpn::Alpn;

/// The sessions of a worker with one backend.
#[derive(Default)]
pub(super) struct OfBackend {
    /// The sessions that take requests, the oldest first. Requests go to the oldest that has room, so that sessions which were
    /// needed for a peak become idle after it.
    sessions: Vec<Session>,
    /// The sessions that take no more requests, each with those that are under way.
    leaving: Vec<Leaving>,
    /// Whether another is being opened.
    pub(super) is_opening: bool,
    /// The requests that wait for a place, in their order.
    pub(super) waiting: VecDeque<Waiting>,
    /// The end of the time for which the backend is taken to speak HTTP/1.1.
    http1_until: Option<Instant>,
    /// The end of the time for which no further session is opened, as the last one could not be.
    opens_again: Option<Instant>,
}

/// A session that takes requests.
pub(super) struct Session {
    pub(super) number: u64,
    pub(super) sender: SendRequest<Bytes>,
    pub(super) traffic: Arc<Traffic>,
    /// Sends PING to the backend; `None` while an answer is awaited.
    pub(super) pings: Option<PingPong>,
    /// The task that reads and writes.
    pub(super) driving: AbortHandle,
    /// The time until which no other PING is sent.
    pub(super) trusted: Option<Instant>,
    /// The most requests at once; `None` until the backend has named it.
    pub(super) limit: Option<usize>,
    /// A lower limit that holds for a while, and the end of that time.
    pub(super) shrunk: Option<(usize, Instant)>,
    /// The requests under way.
    pub(super) open: usize,
    /// The requests so far.
    pub(super) served: u64,
    /// The end of the last request, or the beginning.
    pub(super) idle_since: Instant,
    /// The longest time without a request, as the pool of the last one has it.
    pub(super) idle_timeout: Duration,
}

/// A session that ends with the last of its requests.
struct Leaving {
    number: u64,
    open: usize,
}

/// A request that waits for a place.
pub(super) struct Waiting {
    pub(super) turn: oneshot::Sender<Turn>,
    pub(super) target: Target,
    /// Only sessions with a higher number are wanted, as the request was sent in vain on this one.
    pub(super) after: Option<u64>,
}

/// The most sessions with one backend. One that takes as few as ten requests at once gets 640 of each worker.
const MAX_SESSIONS: usize = 64;

/// How long a backend that has chosen HTTP/1.1 is not asked again.
const HTTP1_MEMORY: Duration = Duration::from_secs(60);

/// How long the answer to a PING is enough. Many servers take PING for an attack if it comes often.
const TRUST: Duration = Duration::from_secs(10);

/// How long a session has no more requests at once than it had when one was refused.
const SHRUNK: Duration = Duration::from_secs(1);

/// The pause behind a session that could not be opened while there are others.
const OPENING_PAUSE: Duration = Duration::from_secs(1);

impl OfBackend {
    /// The protocol that the backend spoke last, if that is known.
    pub(super) fn spoken(&self) -> Option<Alpn> {
        let is_known = !self.sessions.is_empty() || self.is_opening;
        let was_http1 = self.http1_until.is_some_and(|until| Instant::now() < until);
        match (is_known, was_http1) {
            (true, _) => Some(Alpn::Http2),
            (false, true) => Some(Alpn::Http11),
            (false, false) => None,
        }
    }

    /// Adds a session.
    pub(super) fn add(&mut self, session: Session) {
        self.http1_until = None;
        self.opens_again = None;
        self.sessions.push(session);
    }

    /// Gives a place on the oldest session that has room and whose number is above `after`.
    pub(super) fn give(
        &mut self,
        home: &Arc<Sessions>,
        key: Key,
        target: &Target,
        after: Option<u64>,
    ) -> Option<Ticket> {
        let at = loop {
            let is_wanted = |session: &Session| after.is_none_or(|after| session.number > after);
            let has_room = |session: &Session| is_wanted(session) && session.has_room();
            let at = self.sessions.iter().position(has_room)?;
            if self.sessions[at].takes_requests() {
                break at;
            }
            let session = self.sessions.remove(at);
            self.leaving.extend(session.leaving());
        };
        let session = &mut self.sessions[at];
        session.open += 1;
        session.served += 1;
        session.idle_timeout = target.pool.settings.idle_timeout;
        Some(Ticket {
            place: Place {
                home: Some(Arc::clone(home)),
                key,
                number: session.number,
                is_reused: session.served > 1,
            },
            sender: session.sender.clone(),
            share: http2::share(&session.traffic),
        })
    }

    /// Takes the place of a request that is over.
    pub(super) fn take_back(&mut self, number: u64) {
        if let Some(session) = self.session(number) {
            session.open -= 1;
            session.idle_since = Instant::now();
        } else if let Some(session) = self.leaving.iter_mut().find(|session| session.number == number) {
            session.open -= 1;
            self.leaving.retain(|session| session.open > 0);
        }
    }

    /// The number of sessions, and of the requests on them.
    pub(super) fn count(&self) -> (usize, usize) {
        let open = self.sessions.iter().map(|session| session.open);
        let leaving = self.leaving.iter().map(|session| session.open);
        (
            self.sessions.len() + self.leaving.len(),
            open.chain(leaving).sum(),
        )
    }

    /// Removes a session, which ends with the last of its requests. Returns whether its limit was known; `None` if it had been
    /// removed before.
    pub(super) fn remove(&mut self, number: u64) -> Option<bool> {
        self.leaving.retain(|session| session.number != number);
        let at = self
            .sessions
            .iter()
            .position(|session| session.number == number)?;
        Some(self.sessions.remove(at).limit.is_some())
    }

    /// The session with this number, as long as it takes requests.
    pub(super) fn session(&mut self, number: u64) -> Option<&mut Session> {
        self.sessions.iter_mut().find(|session| session.number == number)
    }

    /// Whether there is no session.
    pub(super) fn has_none(&self) -> bool {
        self.sessions.is_empty()
    }

    /// Lets a request wait behind all others, or behind those that were sent in vain if it was itself.
    pub(super) fn queue(&mut self, waiting: Waiting) {
        let others = match waiting.after {
            Some(_) => self.waiting.iter().position(|other| other.after.is_none()),
            None => None,
        };
        self.waiting.insert(others.unwrap_or(self.waiting.len()), waiting);
    }

    /// Whether no request waits.
    pub(super) fn has_no_queue(&mut self) -> bool {
        self.waiting.retain(|waiting| !waiting.turn.is_closed());
        self.waiting.is_empty()
    }

    /// Whether another session may be opened: there are not too many, and each of them takes requests.
    pub(super) fn may_open(&self) -> bool {
        let takes_some = |session: &Session| session.limit.is_some_and(|limit| limit > 0);
        let pauses = self.opens_again.is_some_and(|until| Instant::now() < until);
        !self.is_opening
            && self.sessions.len() < MAX_SESSIONS
            && self.sessions.iter().all(takes_some)
            && (self.sessions.is_empty() || !pauses)
    }

    /// Notes that the backend has chosen HTTP/1.1.
    pub(super) fn speaks_http1(&mut self, now: Instant) {
        self.http1_until = Some(now + HTTP1_MEMORY);
    }

    /// Notes that a session could not be opened.
    pub(super) fn has_not_opened(&mut self, now: Instant) {
        self.opens_again = Some(now + OPENING_PAUSE);
    }

    /// Tells all requests that wait, in their order, that there is no place for them.
    pub(super) fn tell_all(&mut self, mut what: impl FnMut() -> Turn) {
        for waiting in self.waiting.drain(..) {
            if !waiting.turn.is_closed() {
                // A request that has left meanwhile wants nothing.
                let _ = waiting.turn.send(what());
            }
        }
    }

    /// Closes the sessions without a request.
    pub(super) fn close_idle(&mut self) {
        self.sessions.retain(|session| session.open > 0);
    }

    /// Closes the sessions without a request that have been idle for too long, or all of them.
    pub(super) fn sweep(&mut self, now: Instant, closes: bool) {
        let leaving = &mut self.leaving;
        self.sessions.retain_mut(|session| {
            let is_late = now.saturating_duration_since(session.idle_since) >= session.idle_timeout;
            let stays = session.takes_requests() && (session.open > 0 || !(closes || is_late));
            if !stays {
                leaving.extend(session.leaving());
            }
            stays
        });
    }

    /// Whether nothing is known that is worth its memory.
    pub(super) fn is_forgotten(&self, now: Instant) -> bool {
        self.sessions.is_empty()
            && self.leaving.is_empty()
            && self.waiting.is_empty()
            && !self.is_opening
            && self.http1_until.is_none_or(|until| until <= now)
    }
}

impl Session {
    /// The session once it takes no more requests, if some are under way.
    fn leaving(&self) -> Option<Leaving> {
        (self.open > 0).then_some(Leaving {
            number: self.number,
            open: self.open,
        })
    }

    /// Has the session get no requests until the backend has answered the caller's PING. `None` if one is under way, or was
    /// answered not long ago.
    pub(super) fn doubt(&mut self) -> Option<PingPong> {
        let is_trusted = self.trusted.is_some_and(|until| Instant::now() < until);
        (!is_trusted).then(|| self.pings.take())?
    }

    /// Notes that the backend has answered a PING.
    pub(super) fn trust(&mut self, pings: PingPong) {
        self.pings = Some(pings);
        self.trusted = Some(Instant::now() + TRUST);
    }

    /// Notes that the backend has refused one of the requests under way. A server may count a stream for longer than its client
    /// does, and then takes fewer than its limit.
    pub(super) fn shrink(&mut self) {
        let taken = self.open.saturating_sub(1).max(1);
        self.shrunk = Some((taken, Instant::now() + SHRUNK));
    }

    fn has_room(&self) -> bool {
        let taken = self
            .shrunk
            .filter(|(taken, until)| self.open >= *taken && Instant::now() < *until);
        self.open < self.limit.unwrap_or(1) && taken.is_none() && self.pings.is_some()
    }

    /// Whether another request may be sent: the backend has not sent GOAWAY, and there are numbers left for streams.
    fn takes_requests(&mut self) -> bool {
        let ready = self.sender.poll_ready(&mut Context::from_waker(Waker::noop()));
        matches!(ready, Poll::Ready(Ok(())))
    }
}
