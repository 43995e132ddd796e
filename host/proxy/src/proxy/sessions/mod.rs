//! Sessions of HTTP/2 with backends, which the requests of a worker share.
//!
//! ```text
//!             a session has room ──────────────────▶ Place ──▶ stream ──▶ dropped: room for the next request
//! request ──▶ none has, few sessions ──▶ open one ──▲
//!             none has, many sessions ──▶ wait ─────┘
//! ```
//!
//! Requests that find no room wait in a queue, each for as long as for a connection at the most. One session at a time is opened
//! with a backend, by a task of its own: if the client that wanted it leaves, the session is for the others in the queue. A new
//! session gets one request until the backend's settings have come, which name the limit.
//!
//! | file | what it does |
//! |---|---|
//! | `opening` | connects to a backend, and learns its protocol |
//! | `driving` | reads and writes a session, and tests whether it is alive |
//! | `of_backend` | the sessions with one backend, and the queue for them |

mod driving;
mod of_backend;
mod opening;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use foldhash::fast::RandomState;
use h2::client::SendRequest;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::{MissedTickBehavior, interval};

use self::driving::{drive, probe};
use self::of_backend::{OfBackend, Session, Waiting};
pub(super) use self::opening::Target;
use self::opening::{Opened, Opening};
use super::attempt::AttemptError;
use crate::http2;
use crate::io::{Share, Transport};
use crate::server::Drain;
use crate::upstream::{Backend, Pool};
use pace_tls::alpn::Alpn;

/// The sessions of one worker.
///
/// Only the worker's thread uses them, and operators who count them, so the lock hardly ever waits.
#[derive(Default)]
pub struct Sessions {
    with: Mutex<HashMap<Key, OfBackend, RandomState>>,
    /// The number of sessions so far, which numbers them.
    count: AtomicU64,
}

/// The numbers of a pool, which stands for protocol, authorities and certificate, and of a backend, which stands for an address
/// and a name. Sessions with the same key are interchangeable.
pub(super) type Key = (u64, u64);

/// The time between sweeps: the longest for which a session that has been idle for too long may still be held.
const SWEEP_PERIOD: Duration = Duration::from_secs(1);

/// A place for one request on a session, which is free again when this is dropped.
pub(super) struct Place {
    /// `None` once the place has been given back.
    home: Option<Arc<Sessions>>,
    key: Key,
    /// The number of the session.
    pub(super) number: u64,
    /// Whether the session has had other requests.
    pub(super) is_reused: bool,
}

/// A place, with the means to send its request.
pub(super) struct Ticket {
    pub(super) place: Place,
    pub(super) sender: SendRequest<Bytes>,
    pub(super) share: Share,
}

/// The result of waiting.
pub(super) enum Turn {
    Place(Ticket),
    /// The backend speaks HTTP/1.1. The first in the queue gets the connection that was made to learn that.
    Http1(Option<Transport>),
    Failed(Arc<AttemptError>),
}

/// The answer to a request that wants a place.
pub(super) enum Asked {
    Place(Ticket),
    Wait(oneshot::Receiver<Turn>),
}

pub(super) fn key(pool: &Pool, backend: &Backend) -> Key {
    (pool.number, backend.number)
}

impl Sessions {
    /// The protocol that a backend spoke last, if that is known.
    pub(super) fn spoken(&self, key: Key) -> Option<Alpn> {
        self.with.lock().get(&key)?.spoken()
    }

    /// Whether there is a session with a backend.
    pub(super) fn has_one(&self, key: Key) -> bool {
        let with = self.with.lock();
        with.get(&key).is_some_and(|of_backend| !of_backend.has_none())
    }

    /// Tells of each pool and backend how many sessions there are, and how many requests on them.
    pub(super) fn count(&self, mut tell: impl FnMut(Key, usize, usize)) {
        for (key, of_backend) in &*self.with.lock() {
            let (sessions, streams) = of_backend.count();
            tell(*key, sessions, streams);
        }
    }

    /// Asks for a place on a session with a number above `after`.
    pub(super) fn ask(self: &Arc<Sessions>, target: Target, after: Option<u64>) -> Asked {
        let key = key(&target.pool, &target.backend);
        let mut with = self.with.lock();
        let of_backend = with.entry(key).or_default();
        // A request that was sent in vain has waited before. No other may overtake the queue.
        let is_first = after.is_some();
        if (is_first || of_backend.has_no_queue())
            && let Some(ticket) = of_backend.give(self, key, &target, after)
        {
            return Asked::Place(ticket);
        }
        let (turn, told) = oneshot::channel();
        of_backend.queue(Waiting { turn, target, after });
        self.advance(key, of_backend);
        Asked::Wait(told)
    }

    /// Closes the sessions without a request.
    pub(super) fn clear(&self) {
        self.with.lock().values_mut().for_each(OfBackend::close_idle);
    }

    /// Runs as long as the worker: closes sessions that have been idle for too long, and those without a request when
    /// descriptors have run out or the process is about to end.
    pub async fn sweep(self: Arc<Sessions>, drain: Arc<Drain>, worker: usize) {
        let mut ticks = interval(SWEEP_PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut shed = drain.times_shed();
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                // Once the end has begun this would be ready each time.
                () = drain.idle_must_end(worker), if !drain.has_begun() => {}
            }
            let closes = std::mem::replace(&mut shed, drain.times_shed()) != shed || drain.has_begun();
            let now = Instant::now();
            self.with.lock().retain(|key, of_backend| {
                of_backend.sweep(now, closes);
                self.advance(*key, of_backend);
                !of_backend.is_forgotten(now)
            });
        }
    }

    /// Gives places to requests in the queue, and opens a session if there are too few places.
    fn advance(self: &Arc<Sessions>, key: Key, of_backend: &mut OfBackend) {
        while let Some(first) = of_backend.waiting.pop_front() {
            if first.turn.is_closed() {
                continue;
            }
            let Some(ticket) = of_backend.give(self, key, &first.target, first.after) else {
                if of_backend.may_open() {
                    of_backend.is_opening = Opening::begin(self, key, &first.target);
                }
                of_backend.waiting.push_front(first);
                return;
            };
            if let Err(Turn::Place(mut ticket)) = first.turn.send(Turn::Place(ticket)) {
                // Dropped with its home, the place would want the lock, which is held here.
                ticket.place.home = None;
                of_backend.take_back(ticket.place.number);
            }
        }
    }

    /// Takes note of how the opening of a session went.
    fn opened(self: &Arc<Sessions>, key: Key, opened: Opened) {
        let mut with = self.with.lock();
        let of_backend = with.entry(key).or_default();
        of_backend.is_opening = false;
        match opened {
            Opened::Session(begun, idle_timeout) => {
                let number = self.count.fetch_add(1, Ordering::Relaxed);
                let driving = tokio::spawn(drive(Arc::clone(self), key, number, begun.driver));
                of_backend.add(Session {
                    number,
                    sender: begun.sender,
                    traffic: begun.traffic,
                    pings: begun.pings,
                    driving: driving.abort_handle(),
                    trusted: None,
                    limit: None,
                    shrunk: None,
                    open: 0,
                    served: 0,
                    idle_since: Instant::now(),
                    idle_timeout,
                });
                self.advance(key, of_backend);
            }
            Opened::Http1(transport) => {
                let mut transport = Some(transport);
                of_backend.speaks_http1(Instant::now());
                of_backend.tell_all(|| Turn::Http1(transport.take()));
            }
            Opened::Failed(error) => {
                let error = Arc::new(error);
                of_backend.has_not_opened(Instant::now());
                if of_backend.has_none() {
                    of_backend.tell_all(|| Turn::Failed(Arc::clone(&error)));
                }
            }
        }
    }

    /// Removes a session that has ended; `None` if its task was stopped.
    fn ended(self: &Arc<Sessions>, key: Key, number: u64, how: Option<Result<(), h2::Error>>) {
        let mut with = self.with.lock();
        let Some(of_backend) = with.get_mut(&key) else {
            return;
        };
        let was_known = of_backend.remove(number);
        match how {
            // The backend has not sent its settings, and would not on another session.
            Some(Err(error)) if was_known == Some(false) && of_backend.has_none() => {
                let error = Arc::new(AttemptError::Head(error.into()));
                of_backend.tell_all(|| Turn::Failed(Arc::clone(&error)));
            }
            _ => self.advance(key, of_backend),
        }
    }

    /// Takes note of how many requests a backend takes at once on a session.
    fn limit(self: &Arc<Sessions>, key: Key, number: u64, limit: usize) {
        let mut with = self.with.lock();
        let Some(of_backend) = with.get_mut(&key) else {
            return;
        };
        if let Some(session) = of_backend.session(number) {
            session.limit = Some(limit.min(http2::MAX_STREAMS));
            self.advance(key, of_backend);
        }
    }

    fn leave(self: &Arc<Sessions>, key: Key, number: u64) {
        let mut with = self.with.lock();
        if let Some(of_backend) = with.get_mut(&key) {
            of_backend.take_back(number);
            self.advance(key, of_backend);
        }
    }
}

impl Place {
    /// Has the session take fewer requests for a while: its backend has refused this one.
    pub(super) fn shrink(&self) {
        let Some(home) = &self.home else { return };
        if let Some(of_backend) = home.with.lock().get_mut(&self.key)
            && let Some(session) = of_backend.session(self.number)
        {
            session.shrink();
        }
    }

    /// Has the session take no more requests until it has given a sign of life: it may be dead.
    pub(super) fn doubt(&self) {
        let Some(home) = &self.home else { return };
        if let Some(of_backend) = home.with.lock().get_mut(&self.key)
            && let Some(session) = of_backend.session(self.number)
            && let Some(pings) = session.doubt()
        {
            tokio::spawn(probe(Arc::clone(home), self.key, self.number, pings));
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(home) = self.home.take() {
            home.leave(self.key, self.number);
        }
    }
}
