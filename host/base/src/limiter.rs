//! A limit of events per second.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Lets a number of events per second through, over all threads, and counts the others.
///
/// Aligned to two cache lines, because processors fetch them in pairs: events do not slow down readers of
/// neighbouring memory.
#[repr(align(128))]
pub struct Limiter {
    per_second: u32,
    /// The second and, in the lower half, the events in it.
    state: AtomicU64,
    dropped: AtomicU64,
}

impl Limiter {
    /// A limiter of `per_second` events per second; with 0, none passes.
    pub fn new(per_second: u32) -> Limiter {
        Limiter {
            per_second,
            state: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
        }
    }

    /// Admits an event or counts it as dropped. `Some` holds how many were dropped since the last admitted
    /// one.
    pub fn admit(&self) -> Option<u64> {
        self.admit_at(now())
    }

    /// Whether an event may pass; if not, it is counted as dropped.
    pub fn passes(&self) -> bool {
        self.passes_at(now())
    }

    /// Takes the number of events dropped since the last call of this or of [`Limiter::admit`] that returned
    /// it.
    pub fn take_dropped(&self) -> u64 {
        self.dropped.swap(0, Ordering::Relaxed)
    }

    fn admit_at(&self, second: u64) -> Option<u64> {
        self.passes_at(second).then(|| self.take_dropped())
    }

    fn passes_at(&self, second: u64) -> bool {
        let second = second & u64::from(u32::MAX);
        let admitted = self
            .state
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |state| {
                let events = if state >> 32 == second {
                    state & u64::from(u32::MAX)
                } else {
                    0
                };
                (events < u64::from(self.per_second)).then(|| second << 32 | (events + 1))
            });
        if admitted.is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        admitted.is_ok()
    }
}

/// Seconds since the first call.
fn now() -> u64 {
    static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);
    EPOCH.elapsed().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limiter_excess_events_are_dropped_and_reported_later() {
        let limiter = Limiter::new(2);
        assert_eq!([limiter.admit_at(7), limiter.admit_at(7)], [Some(0), Some(0)]);
        assert_eq!([limiter.admit_at(7), limiter.admit_at(7)], [None, None]);
        assert_eq!(limiter.admit_at(8), Some(2));
        assert_eq!(limiter.admit_at(8), Some(0));
    }

    #[test]
    fn limiter_of_zero_admits_nothing() {
        assert_eq!(Limiter::new(0).admit_at(1), None);
    }
}
