//! Connections to backends that wait for their next request.
//!
//! No task watches them: a connection is looked at when it is taken, and once a second by [`Idle::sweep`].

use std::collections::{HashMap, VecDeque};
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;
use parking_lot::Mutex;
use tokio::task::unconstrained;
use tokio::time::{MissedTickBehavior, interval};

use crate::io::Transport;
use crate::server::Drain;

/// The idle connections of one worker.
///
/// Only the worker's thread uses them, so the lock, without which the compiler would not believe it, is never waited for.
pub struct Idle {
    kept: Mutex<Kept>,
    /// At least 1.
    limit: usize,
}

#[derive(Default)]
struct Kept {
    /// Of each backend, who has waited longest first. Backends without any are removed by the next sweep.
    by_backend: HashMap<SocketAddr, VecDeque<Waiting>, RandomState>,
    count: usize,
}

struct Waiting {
    transport: Transport,
    since: Instant,
    /// For how long whoever has put it here would keep it.
    timeout: Duration,
}

/// How long before the backend does a connection is closed here.
const MARGIN: Duration = Duration::from_millis(500);

/// How long a connection that has been closed by its backend, or has waited long enough, may still be held.
const SWEEP_PERIOD: Duration = Duration::from_secs(1);

impl Idle {
    /// Keeps at most so many connections, of all backends together.
    pub fn new(limit: usize) -> Arc<Idle> {
        Arc::new(Idle {
            kept: Mutex::default(),
            limit: limit.max(1),
        })
    }

    /// The connection to a backend that has waited shortest, if there is one that is still open and has waited no longer
    /// than `timeout`.
    pub(super) fn take(&self, backend: SocketAddr, timeout: Duration) -> Option<Transport> {
        loop {
            let mut waiting = self.kept.lock().take(backend)?;
            waiting.timeout = waiting.timeout.min(timeout);
            if waiting.may_be_used(Instant::now()) {
                return Some(waiting.transport);
            }
        }
    }

    /// Keeps a connection whose last response is complete, for at most `timeout`. If there are too many, the one that
    /// has waited longest is closed. `said` is how many seconds the backend keeps it, if it has said so.
    pub(super) fn put(
        &self,
        backend: SocketAddr,
        mut transport: Transport,
        timeout: Duration,
        said: Option<u64>,
    ) {
        let timeout = match said {
            // A request that is on its way when the backend closes is lost.
            Some(seconds) => timeout.min(Duration::from_secs(seconds).saturating_sub(MARGIN)),
            None => timeout,
        };
        if !is_silent(&mut transport) {
            // Backends that close without saying so must not take the places of others.
            return;
        }
        let waiting = Waiting {
            transport,
            since: Instant::now(),
            timeout,
        };
        let surplus = self.kept.lock().put(backend, waiting, self.limit);
        drop(surplus);
    }

    /// Closes, for as long as the worker serves, what has waited long enough or was closed at the other end, and all when
    /// descriptors have run out.
    pub async fn sweep(self: Arc<Idle>, drain: Arc<Drain>) {
        let mut ticks = interval(SWEEP_PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut shed = drain.times_shed();
        loop {
            let now = ticks.tick().await.into_std();
            let keep = std::mem::replace(&mut shed, drain.times_shed()) == shed;
            self.kept
                .lock()
                .retain(|waiting| keep && waiting.may_be_used(now));
        }
    }
}

impl Waiting {
    fn may_be_used(&mut self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) < self.timeout && is_silent(&mut self.transport)
    }
}

impl Kept {
    fn take(&mut self, backend: SocketAddr) -> Option<Waiting> {
        let waiting = self.by_backend.get_mut(&backend)?.pop_back()?;
        self.count -= 1;
        Some(waiting)
    }

    /// Returns what is one too many.
    fn put(&mut self, backend: SocketAddr, waiting: Waiting, limit: usize) -> Option<Waiting> {
        self.by_backend.entry(backend).or_default().push_back(waiting);
        self.count += 1;
        (self.count > limit).then(|| self.take_oldest()).flatten()
    }

    /// Takes one step for each backend. It is for a connection that is going to be made again, which takes longer.
    fn take_oldest(&mut self) -> Option<Waiting> {
        let of_backends = self.by_backend.values_mut();
        let oldest = of_backends.filter_map(|of_backend| Some((of_backend.front()?.since, of_backend)));
        let (_, of_backend) = oldest.min_by_key(|(since, _)| *since)?;
        self.count -= 1;
        of_backend.pop_front()
    }

    fn retain(&mut self, mut keep: impl FnMut(&mut Waiting) -> bool) {
        for of_backend in self.by_backend.values_mut() {
            of_backend.retain_mut(&mut keep);
        }
        self.by_backend.retain(|_, of_backend| !of_backend.is_empty());
        self.count = self.by_backend.values().map(VecDeque::len).sum();
    }
}

/// Whether the other end has neither closed nor said anything: what it would say belongs to no request.
fn is_silent(transport: &mut Transport) -> bool {
    let mut byte = [0];
    let read = pin!(unconstrained(poll_fn(
        |context| transport.poll_read(&mut byte, context)
    )));
    read.poll(&mut Context::from_waker(Waker::noop())).is_pending()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    const LONG: Duration = Duration::from_secs(60);

    /// Both ends of a connection.
    async fn connection() -> (Transport, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let (ours, theirs) = tokio::join!(TcpStream::connect(address), listener.accept());
        let ours = Transport::new(ours.expect("somebody listens"));
        (ours, theirs.expect("somebody connects").0)
    }

    fn backend(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    /// Waits until the kernel has told our end of what the other end did.
    async fn until_heard(transport: &mut Transport) {
        while is_silent(transport) {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn who_has_waited_shortest_is_taken_and_only_for_its_backend() {
        let idle = Idle::new(8);
        let mut ids = Vec::new();
        let mut others = Vec::new();
        for port in [1, 1, 2] {
            let (ours, theirs) = connection().await;
            ids.push(ours.id());
            others.push(theirs);
            idle.put(backend(port), ours, LONG, None);
        }
        let take = |port| idle.take(backend(port), LONG).map(|transport| transport.id());
        assert_eq!(take(3), None);
        assert_eq!(take(1), Some(ids[1]));
        assert_eq!(take(2), Some(ids[2]));
        assert_eq!(take(1), Some(ids[0]));
        assert_eq!(take(1), None);
    }

    #[tokio::test]
    async fn connection_that_closed_spoke_or_expired_is_not_reused() {
        let idle = Idle::new(8);
        let (mut closed, theirs) = connection().await;
        drop(theirs);
        until_heard(&mut closed).await;
        let (mut talking, mut theirs) = connection().await;
        theirs
            .write_all(b"HTTP/1.1 408 Request Timeout")
            .await
            .expect("it is open");
        // Takes one byte of it.
        until_heard(&mut talking).await;
        let (old, _open) = connection().await;
        idle.put(backend(1), closed, LONG, None);
        idle.put(backend(1), talking, LONG, None);
        idle.put(backend(1), old, Duration::ZERO, None);
        assert!(idle.take(backend(1), LONG).is_none());
        let (late, theirs) = connection().await;
        idle.put(backend(1), late, LONG, None);
        assert!(
            idle.take(backend(1), Duration::ZERO).is_none(),
            "others may be stricter"
        );
        let (late, theirs_too) = connection().await;
        idle.put(backend(1), late, LONG, None);
        drop((theirs, theirs_too));
        while let Some(late) = idle.take(backend(1), LONG) {
            idle.put(backend(1), late, LONG, None);
            tokio::task::yield_now().await;
        }
        assert_eq!(idle.kept.lock().count, 0);
    }

    #[tokio::test]
    async fn of_too_many_the_oldest_goes() {
        let idle = Idle::new(2);
        let mut theirs = Vec::new();
        for port in [1, 2, 3] {
            let (ours, other) = connection().await;
            theirs.push(other);
            idle.put(backend(port), ours, LONG, None);
        }
        assert_eq!(theirs[0].read(&mut [0]).await.expect("an end is no error"), 0);
        assert!(idle.take(backend(1), LONG).is_none());
        assert!(idle.take(backend(2), LONG).is_some() && idle.take(backend(3), LONG).is_some());
    }

    #[tokio::test]
    async fn a_sweep_closes_what_nobody_would_take() {
        let idle = Idle::new(8);
        let (kept, _open) = connection().await;
        let (old, mut their_end) = connection().await;
        idle.put(backend(1), kept, LONG, None);
        idle.put(backend(2), old, Duration::ZERO, None);
        let sweeping = tokio::spawn(Arc::clone(&idle).sweep(Arc::default()));
        assert_eq!(their_end.read(&mut [0]).await.expect("an end is no error"), 0);
        sweeping.abort();
        let kept = idle.kept.lock();
        assert_eq!(
            (kept.count, kept.by_backend.len()),
            (1, 1),
            "its backend is forgotten with it"
        );
    }
}
