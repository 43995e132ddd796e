//! Idle connections to backends, which wait for their next request.
//!
//! No task watches them: a connection is checked when it is taken, and once a second by [`Idle::sweep`]. A connection on
//! which the backend has sent something is not used again: the bytes would be taken for the response to the next request.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;
use parking_lot::Mutex;
use tokio::time::{MissedTickBehavior, interval};

use super::held::Key;
use crate::io::Transport;
use crate::server::Drain;
use crate::upstream::Pool;

/// The idle connections of one worker.
///
/// Only the worker's thread uses them, and operators who count them, so the lock hardly ever waits.
#[derive(Default)]
pub struct Idle {
    /// The connections by the number of their pool. A sweep removes pools that have none.
    kept: Mutex<HashMap<u64, PoolConnections, RandomState>>,
}

/// The idle connections of one pool.
#[derive(Default)]
struct PoolConnections {
    /// The connections by the number of their backend, those that have waited longest first. A sweep removes backends that
    /// have none.
    by_backend: HashMap<u64, VecDeque<IdleConnection>, RandomState>,
    count: usize,
}

/// An idle connection.
struct IdleConnection {
    transport: Transport,
    since: Instant,
    /// The longest time for which the connection may wait.
    timeout: Duration,
}

/// The time by which Pace closes a connection before the backend is about to.
const MARGIN: Duration = Duration::from_millis(500);

/// The time between sweeps: the longest for which a connection that is closed or expired may still be held.
const SWEEP_PERIOD: Duration = Duration::from_secs(1);

impl Idle {
    /// Takes the newest connection to a backend of a pool, by its number, that is still open and has waited no longer than the
    /// pool allows.
    pub(super) fn take(&self, pool: &Pool, backend: u64) -> Option<Transport> {
        loop {
            let mut waiting = self.kept.lock().get_mut(&pool.number)?.take(backend)?;
            waiting.timeout = waiting.timeout.min(pool.settings.idle_timeout);
            if waiting.may_be_used(Instant::now()) {
                return Some(waiting.transport);
            }
        }
    }

    /// Keeps a connection whose last response is complete, for as long as the pool allows. If the pool has too many, those
    /// that have waited longest are closed. `announced` is how many seconds the backend keeps the connection, if it said so.
    pub(super) fn put(&self, pool: &Pool, backend: u64, transport: Transport, announced: Option<u64>) {
        let timeout = match announced {
            // A request that is on its way when the backend closes the connection is lost.
            Some(seconds) => {
                let with_margin = Duration::from_secs(seconds).saturating_sub(MARGIN);
                pool.settings.idle_timeout.min(with_margin)
            }
            None => pool.settings.idle_timeout,
        };
        let waiting = IdleConnection {
            transport,
            since: Instant::now(),
            timeout,
        };
        let mut kept = self.kept.lock();
        let of_pool = kept.entry(pool.number).or_default();
        of_pool.put(backend, waiting, pool.settings.idle_connections);
    }

    /// Tells of each pool and backend how many connections it has.
    pub(super) fn count(&self, mut tell: impl FnMut(Key, usize)) {
        for (pool, of_pool) in &*self.kept.lock() {
            for (backend, of_backend) in &of_pool.by_backend {
                tell((*pool, *backend), of_backend.len());
            }
        }
    }

    /// Closes all connections.
    pub(super) fn clear(&self) {
        self.kept.lock().clear();
    }

    /// Runs as long as the worker: closes connections that have expired or were closed by the backend, and all connections
    /// when descriptors have run out.
    pub async fn sweep(self: Arc<Idle>, drain: Arc<Drain>) {
        let mut ticks = interval(SWEEP_PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut shed = drain.times_shed();
        loop {
            let now = ticks.tick().await.into_std();
            let keep = std::mem::replace(&mut shed, drain.times_shed()) == shed;
            self.kept.lock().retain(|_, of_pool| {
                of_pool.retain(|waiting| keep && waiting.may_be_used(now));
                of_pool.count > 0
            });
        }
    }
}

impl IdleConnection {
    fn may_be_used(&mut self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) < self.timeout && self.transport.is_silent()
    }
}

impl PoolConnections {
    fn take(&mut self, backend: u64) -> Option<IdleConnection> {
        let waiting = self.by_backend.get_mut(&backend)?.pop_back()?;
        self.count -= 1;
        Some(waiting)
    }

    fn put(&mut self, backend: u64, waiting: IdleConnection, limit: usize) {
        self.by_backend.entry(backend).or_default().push_back(waiting);
        self.count += 1;
        while self.count > limit && self.take_oldest().is_some() {}
    }

    /// Takes the connection that has waited longest. The search takes a step for each backend, which is less than the
    /// connection costs that is kept instead.
    fn take_oldest(&mut self) -> Option<IdleConnection> {
        let of_backends = self.by_backend.values_mut();
        let oldest = of_backends.filter_map(|of_backend| Some((of_backend.front()?.since, of_backend)));
        let (_, of_backend) = oldest.min_by_key(|(since, _)| *since)?;
        self.count -= 1;
        of_backend.pop_front()
    }

    fn retain(&mut self, mut keep: impl FnMut(&mut IdleConnection) -> bool) {
        for of_backend in self.by_backend.values_mut() {
            of_backend.retain_mut(&mut keep);
        }
        self.by_backend.retain(|_, of_backend| !of_backend.is_empty());
        self.count = self.by_backend.values().map(VecDeque::len).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::tests::{configured, made};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    const LONG: Duration = Duration::from_secs(60);

    /// Both ends of a connection.
    async fn connection() -> (Transport, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let (ours, theirs) = tokio::join!(TcpStream::connect(address), listener.accept());
        let ours = Transport::new(ours.expect("the listener accepts"));
        (ours, theirs.expect("the client connects").0)
    }

    /// A number that identifies an open connection.
    fn id(transport: &Transport) -> i32 {
        match transport {
            Transport::Plain(stream) => std::os::fd::AsRawFd::as_raw_fd(stream),
            _ => panic!("connections to backends are plain here"),
        }
    }

    fn pool(idle_connections: usize, idle_timeout: Duration) -> Pool {
        let mut pool = configured("backends = [\"127.0.0.1:1\"]");
        pool.settings.idle_connections = idle_connections;
        pool.settings.idle_timeout = idle_timeout;
        made(&pool)
    }

    /// Waits until the kernel shows at our end what the other end did.
    async fn until_heard(transport: &mut Transport) {
        while transport.is_silent() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn take_returns_the_newest_connection_of_the_backend_and_pool_only() {
        let (idle, web, other) = (Idle::default(), pool(8, LONG), pool(8, LONG));
        let mut ids = Vec::new();
        let mut others = Vec::new();
        for backend in [1, 1, 2] {
            let (ours, theirs) = connection().await;
            ids.push(id(&ours));
            others.push(theirs);
            idle.put(&web, backend, ours, None);
        }
        let take = |pool, backend| idle.take(pool, backend).map(|transport| id(&transport));
        assert_eq!(take(&web, 3), None);
        assert_eq!(take(&other, 1), None);
        assert_eq!(take(&web, 1), Some(ids[1]));
        assert_eq!(take(&web, 2), Some(ids[2]));
        assert_eq!(take(&web, 1), Some(ids[0]));
        assert_eq!(take(&web, 1), None);
    }

    /// The runtime has not polled the sockets since: the check does not depend on it.
    #[tokio::test]
    async fn connection_that_closed_spoke_or_expired_is_not_reused() {
        let (idle, web) = (Idle::default(), pool(8, LONG));
        let (mut closed, theirs) = connection().await;
        drop(theirs);
        let (mut talking, mut theirs) = connection().await;
        theirs
            .write_all(b"HTTP/1.1 408 Request Timeout")
            .await
            .expect("it is open");
        until_heard(&mut closed).await;
        until_heard(&mut talking).await;
        let (old, _open) = connection().await;
        idle.put(&web, 1, closed, None);
        idle.put(&web, 1, talking, None);
        idle.put(&pool_of(&web, Duration::ZERO), 1, old, None);
        assert!(idle.take(&web, 1).is_none());
        let (late, _theirs) = connection().await;
        idle.put(&web, 1, late, None);
        assert!(
            idle.take(&pool_of(&web, Duration::ZERO), 1).is_none(),
            "a reload may have made the pool stricter"
        );
        let (brief, _theirs) = connection().await;
        idle.put(&web, 1, brief, Some(0));
        assert!(idle.take(&web, 1).is_none(), "the backend is about to close it");
        assert!(idle.kept.lock().values().all(|of_pool| of_pool.count == 0));
    }

    /// The same pool after a reload.
    fn pool_of(before: &Pool, idle_timeout: Duration) -> Pool {
        let mut after = pool(8, idle_timeout);
        after.number = before.number;
        after
    }

    #[tokio::test]
    async fn pool_with_too_many_connections_closes_the_oldest() {
        let (idle, web, other) = (Idle::default(), pool(2, LONG), pool(2, LONG));
        let mut theirs = Vec::new();
        for (pool, backend) in [(&other, 9), (&web, 1), (&web, 2), (&web, 3)] {
            let (ours, end) = connection().await;
            theirs.push(end);
            idle.put(pool, backend, ours, None);
        }
        assert_eq!(theirs[1].read(&mut [0]).await.expect("an end is no error"), 0);
        assert!(idle.take(&web, 1).is_none());
        assert!(idle.take(&web, 2).is_some() && idle.take(&web, 3).is_some());
        assert!(idle.take(&other, 9).is_some(), "each pool has its own");
    }

    #[tokio::test]
    async fn sweep_closes_expired_connections_and_forgets_their_pool() {
        let (idle, web) = (Arc::new(Idle::default()), pool(8, LONG));
        let (kept, _open) = connection().await;
        let (old, mut their_end) = connection().await;
        idle.put(&web, 1, kept, None);
        idle.put(&pool(8, Duration::ZERO), 2, old, None);
        let sweeping = tokio::spawn(Arc::clone(&idle).sweep(Arc::default()));
        assert_eq!(their_end.read(&mut [0]).await.expect("an end is no error"), 0);
        sweeping.abort();
        let kept = idle.kept.lock();
        assert_eq!(kept.len(), 1, "its pool is forgotten with it");
        assert_eq!(kept[&web.number].by_backend.len(), 1);
    }
}
