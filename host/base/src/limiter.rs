//! So many lines per second and no more.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Lets a number of events per second through, over all threads, and counts the others.
///
/// Aligned to two cache lines, because processors fetch them in pairs: events do not slow down those who read
/// what lies beside it.
#[repr(align(128))]
pub struct Limiter {
    per_second: u32,
    /// The second and, in the lower half, the events in it.
    state: AtomicU64,
    dropped: AtomicU64,
}

impl Limiter {
    /// So many per second; 0: none.
    pub fn new(per_second: u32) -> Limiter {
        Limiter {
            per_second,
            state: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
        }
    }

    /// Whether this event may pass. `Some` says how many were dropped since the last that did.
    pub fn admit(&self) -> Option<u64> {
        self.admit_at(now())
    }

    /// Whether this event may pass; if not, it is counted.
    pub fn passes(&self) -> bool {
        self.passes_at(now())
    }

    /// How many were dropped since this was asked last, or since [`Limiter::admit`] said so.
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

/// Seconds since the process began to ask.
fn now() -> u64 {
    static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);
    EPOCH.elapsed().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_much_is_dropped_and_told_later() {
        let limiter = Limiter::new(2);
        assert_eq!([limiter.admit_at(7), limiter.admit_at(7)], [Some(0), Some(0)]);
        assert_eq!([limiter.admit_at(7), limiter.admit_at(7)], [None, None]);
        assert_eq!(limiter.admit_at(8), Some(2));
        assert_eq!(limiter.admit_at(8), Some(0));
    }

    #[test]
    fn nothing_passes_a_limit_of_zero() {
        assert_eq!(Limiter::new(0).admit_at(1), None);
    }
}
