use std::sync::atomic::{AtomicU64, Ordering};

/// A number that all workers share, 0 at first.
///
/// Aligned to two cache lines, because processors fetch them in pairs: workers that count in one
/// counter do not slow down those that count in its neighbour, nor those that clone its `Arc`.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Counter(AtomicU64);

// A counter publishes nothing but itself, so the order of other memory does not matter.
impl Counter {
    /// Adds, and returns the sum. Wraps around at 2^64.
    pub fn add(&self, delta: u64) -> u64 {
        self.0.fetch_add(delta, Ordering::Relaxed).wrapping_add(delta)
    }

    /// The present number.
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Replaces the number, and returns the previous one.
    pub fn swap(&self, value: u64) -> u64 {
        self.0.swap(value, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::thread;

    use super::*;

    #[test]
    fn counter_starts_at_zero_adds_swaps_and_wraps() {
        let counter = Counter::default();
        assert_eq!(counter.value(), 0);
        assert_eq!(counter.add(5), 5);
        assert_eq!(counter.swap(u64::MAX), 5);
        assert_eq!(counter.add(2), 1);
        assert_eq!(counter.value(), 1);
    }

    #[test]
    fn counter_concurrent_adds_return_distinct_sums() {
        const THREADS: u64 = 8;
        const EACH: u64 = 10_000;
        let counter = Counter::default();

        let seen: HashSet<u64> = thread::scope(|scope| {
            let workers: Vec<_> = (0..THREADS)
                .map(|_| scope.spawn(|| (0..EACH).map(|_| counter.add(1)).collect::<Vec<_>>()))
                .collect();
            workers
                .into_iter()
                .flat_map(|worker| worker.join().unwrap())
                .collect()
        });

        assert_eq!(seen.len() as u64, THREADS * EACH);
        assert_eq!(counter.value(), THREADS * EACH);
    }
}
