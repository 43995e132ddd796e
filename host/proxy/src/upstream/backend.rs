//! One server at one address.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use prometheus::IntCounter;

use crate::telemetry::Metrics;
use pace_base::logging::Limited;

/// One server at one address.
pub struct Backend {
    /// What plugins, metrics and the log call it: as the configuration spells it, or its address if a name has several.
    pub label: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// How often something is said of its failures.
    pub warnings: Limited,
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

impl Backend {
    pub(super) fn new(pool: &str, label: String, address: SocketAddr, metrics: &Metrics) -> Backend {
        Backend {
            attempts: metrics.attempts(pool, &label),
            warnings: Limited::new(format!("failed attempts at {label}")),
            label,
            address,
            load: Load::default(),
        }
    }

    /// Whether it is this server.
    /// Requests sent and not complete, over all workers.
    pub fn in_flight(&self) -> u32 {
        self.load.in_flight.load(Ordering::Relaxed)
    }

    /// Recent time to the response head in nanoseconds, once there was one.
    pub fn latency(&self) -> Option<u64> {
        match self.load.latency.load(Ordering::Relaxed) {
            0 => None,
            latency => Some(latency),
        }
    }

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
pub struct InFlight(Arc<Backend>);

impl InFlight {
    /// Begins an attempt.
    pub fn begin(backend: &Arc<Backend>) -> InFlight {
        backend.load.in_flight.fetch_add(1, Ordering::Relaxed);
        backend.attempts.inc();
        InFlight(Arc::clone(backend))
    }

    /// Where it goes.
    pub fn backend(&self) -> &Backend {
        &self.0
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.load.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
