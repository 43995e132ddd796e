//! The load of a backend.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// The load of a backend: its requests in flight and its latency.
///
/// Every attempt writes here, and plugins read the other fields of all backends. A load therefore has two cache lines of
/// its own (processors fetch them in pairs): otherwise a busy backend would slow down the readers of its neighbour.
#[derive(Default)]
#[repr(align(128))]
pub(super) struct Load {
    in_flight: AtomicU32,
    /// The exponentially weighted time to the response head in nanoseconds; 0 before the first response.
    latency: AtomicU64,
}

/// The divisor of a new measurement's weight: each counts for an eighth of the average.
const LATENCY_WEIGHT: u64 = 8;

impl Load {
    /// The requests in flight, over all workers.
    pub(super) fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::SeqCst)
    }

    /// Counts a request, if that makes no more than the limit.
    pub(super) fn enter(&self, limit: u32) -> bool {
        if limit == u32::MAX {
            self.in_flight.fetch_add(1, Ordering::SeqCst);
            return true;
        }
        let counted = self
            .in_flight
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |count| {
                (count < limit).then_some(count + 1)
            });
        counted.is_ok()
    }

    /// Counts that a request has ended.
    pub(super) fn leave(&self) {
        self.in_flight.fetch_sub(1, Ordering::SeqCst);
    }

    /// The recent time to the response head in nanoseconds; `None` before the first response.
    pub(super) fn latency(&self) -> Option<u64> {
        match self.latency.load(Ordering::Relaxed) {
            0 => None,
            latency => Some(latency),
        }
    }

    /// Takes a measured time to the response head into account.
    pub(super) fn responded_in(&self, time: Duration) {
        let sample = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).max(1);
        let before = self.latency.load(Ordering::Relaxed);
        // Of two samples at once one may be lost: this is an average, not an account.
        let after = match before {
            0 => sample,
            _ => before - before / LATENCY_WEIGHT + sample / LATENCY_WEIGHT,
        };
        self.latency.store(after.max(1), Ordering::Relaxed);
    }
}
