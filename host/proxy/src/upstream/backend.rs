//! Backends, and the requests on their way to them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use pace_tls::ServerName;
use prometheus::IntCounter;

use crate::telemetry::Metrics;
use pace_base::logging::Limited;

/// A server at one address.
pub struct Backend {
    /// The number that identifies connections to this address, made under this name: no other backend has it.
    pub number: u64,
    /// The name of the backend for plugins, metrics and the log: as the configuration spells it, or its address if a name
    /// has several.
    pub label: String,
    /// The address where it listens.
    pub address: SocketAddr,
    /// The name that it proves to have in the handshake of TLS; `None` if its connections are not encrypted.
    pub name: Option<ServerName<'static>>,
    /// The limit of log lines about its failures.
    pub warnings: Limited,
    load: Load,
    attempts: IntCounter,
}

/// The load of a backend: its requests in flight and its latency.
///
/// Every attempt writes here, and plugins read the other fields of all backends. A load therefore has two cache lines of
/// its own (processors fetch them in pairs): otherwise a busy backend would slow down the readers of its neighbour.
#[derive(Default)]
#[repr(align(128))]
struct Load {
    in_flight: AtomicU32,
    /// The exponentially weighted time to the response head in nanoseconds; 0 before the first response.
    latency: AtomicU64,
}

/// The divisor of a new measurement's weight: each counts for an eighth of the average.
const LATENCY_WEIGHT: u64 = 8;

impl Backend {
    pub(super) fn new(
        pool: &str,
        label: String,
        address: SocketAddr,
        name: Option<ServerName<'static>>,
        metrics: &Metrics,
    ) -> Backend {
        static NEXT_NUMBER: AtomicU64 = AtomicU64::new(0);
        Backend {
            number: NEXT_NUMBER.fetch_add(1, Ordering::Relaxed),
            attempts: metrics.attempts(pool, &label),
            warnings: Limited::new(format!("failed attempts at {label}")),
            label,
            address,
            name,
            load: Load::default(),
        }
    }

    /// The requests that were sent and are not complete, over all workers.
    pub fn in_flight(&self) -> u32 {
        self.load.in_flight.load(Ordering::Relaxed)
    }

    /// The recent time to the response head in nanoseconds; `None` before the first response.
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
        // Of two samples at once one may be lost: this is an average, not an account.
        let after = match before {
            0 => sample,
            _ => before - before / LATENCY_WEIGHT + sample / LATENCY_WEIGHT,
        };
        self.load.latency.store(after.max(1), Ordering::Relaxed);
    }
}

/// A request on its way to a backend, which counts as in flight until this is dropped.
pub struct InFlight(Arc<Backend>);

impl InFlight {
    /// Counts an attempt that begins.
    pub fn begin(backend: &Arc<Backend>) -> InFlight {
        backend.load.in_flight.fetch_add(1, Ordering::Relaxed);
        backend.attempts.inc();
        InFlight(Arc::clone(backend))
    }

    /// The backend of the attempt.
    pub fn backend(&self) -> &Backend {
        &self.0
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.load.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
