//! Pools of backends: what Pace knows about them while it serves.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use prometheus::IntCounter;

use crate::config;
use crate::hook::{AttemptFailure, Candidates, Health};
use crate::logging::Limited;
use crate::telemetry::Metrics;

/// Backends that serve the same thing.
pub struct Pool {
    /// The name in the configuration.
    pub name: String,
    /// At least one.
    pub backends: Box<[Backend]>,
    /// How often a request may be tried again after its first attempt.
    pub max_retries: u32,
    /// How long a connection may take.
    pub connect_timeout: Duration,
    /// How long a backend may be silent while something is expected of it.
    pub response_timeout: Duration,
    /// How long an idle connection is kept.
    pub idle_timeout: Duration,
    version: u64,
}

/// One server.
pub struct Backend {
    /// As the configuration spells it.
    pub label: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// How failed attempts are told.
    pub warnings: Limited,
    weight: u32,
    load: Load,
    attempts: IntCounter,
}

/// How a backend is doing.
///
/// Every attempt writes here, and plugins read the rest of all backends. So it has two cache lines of its own
/// (processors fetch them in pairs): otherwise a busy backend would slow down whoever looks at its neighbour.
#[derive(Default)]
#[repr(align(128))]
struct Load {
    in_flight: AtomicU32,
    /// Exponentially weighted time to the response head in nanoseconds, 0 before the first.
    latency: AtomicU64,
}

/// Each new measurement counts for so many parts of the average.
const LATENCY_WEIGHT: u64 = 8;

impl Pool {
    /// A pool with everything at zero.
    pub fn new(pool: &config::Pool, metrics: &Metrics) -> Pool {
        /// Never used again, as `upstreams.version` promises.
        static NEXT_VERSION: AtomicU64 = AtomicU64::new(1);
        let backends = pool.backends.iter().map(|backend| Backend {
            label: backend.label.clone(),
            address: backend.address,
            warnings: Limited::new(format!("failed attempts at {}", backend.label)),
            weight: backend.weight,
            load: Load::default(),
            attempts: metrics.attempts(&pool.name, &backend.label),
        });
        Pool {
            name: pool.name.clone(),
            backends: backends.collect(),
            max_retries: pool.max_retries,
            connect_timeout: pool.connect_timeout,
            response_timeout: pool.response_timeout,
            idle_timeout: pool.idle_timeout,
            version: NEXT_VERSION.fetch_add(1, Ordering::Relaxed),
        }
    }
}

impl Backend {
    /// Takes a measured time to the response head into account.
    pub fn responded_in(&self, time: Duration) {
        let sample = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).max(1);
        let before = self.load.latency.load(Ordering::Relaxed);
        // Two workers at once may lose one of two samples: this is an average, not an account.
        let after = match before {
            0 => sample,
            _ => before - before / LATENCY_WEIGHT + sample / LATENCY_WEIGHT,
        };
        self.load.latency.store(after.max(1), Ordering::Relaxed);
    }
}

/// A request on its way to a backend: counts as in flight until it is dropped.
pub struct InFlight {
    pool: Arc<Pool>,
    index: u32,
}

impl InFlight {
    /// Begins an attempt. `index` must be one of the pool's.
    pub fn begin(pool: &Arc<Pool>, index: u32) -> InFlight {
        let in_flight = InFlight {
            pool: Arc::clone(pool),
            index,
        };
        in_flight.backend().load.in_flight.fetch_add(1, Ordering::Relaxed);
        in_flight.backend().attempts.inc();
        in_flight
    }

    /// Where it goes.
    pub fn backend(&self) -> &Backend {
        &self.pool.backends[self.index as usize]
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.backend().load.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A pool as one request sees it.
pub struct Attempts<'a> {
    /// The pool of the route.
    pub pool: &'a Pool,
    /// Where the request has been.
    pub tried: &'a [u32],
    /// How it ended there.
    pub last_failure: Option<AttemptFailure>,
}

impl Attempts<'_> {
    fn backend(&self, index: u32) -> &Backend {
        &self.pool.backends[index as usize]
    }
}

impl Candidates for Attempts<'_> {
    fn count(&self) -> u32 {
        u32::try_from(self.pool.backends.len()).expect("the configuration allows 65535 backends")
    }

    fn version(&self) -> u64 {
        self.pool.version
    }

    fn pool(&self) -> &str {
        &self.pool.name
    }

    fn last_failure(&self) -> Option<AttemptFailure> {
        self.last_failure
    }

    fn tried(&self, index: u32) -> bool {
        self.tried.contains(&index)
    }

    fn address(&self, index: u32) -> &str {
        &self.backend(index).label
    }

    fn weight(&self, index: u32) -> u32 {
        self.backend(index).weight
    }

    fn health(&self, _index: u32) -> Health {
        // Without health checks nothing speaks against a backend.
        Health::Healthy
    }

    fn in_flight(&self, index: u32) -> u32 {
        self.backend(index).load.in_flight.load(Ordering::Relaxed)
    }

    fn latency(&self, index: u32) -> Option<u64> {
        match self.backend(index).load.latency.load(Ordering::Relaxed) {
            0 => None,
            latency => Some(latency),
        }
    }
}
