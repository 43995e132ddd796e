//! Counts that threads do not share: each adds in its own memory, and a scrape adds that up.
//!
//! An addition to memory that another core has just written takes as long as a hundred instructions, and a request makes dozens of
//! them.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;

/// Several numbers that are counted together.
pub(super) struct Cells<const N: usize>(Box<[Shard<N>]>);

/// The numbers of some threads, apart from those of others: processors fetch cache lines in pairs.
#[repr(align(128))]
struct Shard<const N: usize>([AtomicU64; N]);

/// The most shards. Threads beyond that number share them.
const MOST_SHARDS: usize = 64;

impl<const N: usize> Cells<N> {
    /// All numbers at zero.
    pub(super) fn new() -> Cells<N> {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        // Workers are not the only threads, and two of them must not meet.
        let shards = (2 * threads).next_power_of_two().min(MOST_SHARDS);
        let zeros = || Shard(std::array::from_fn(|_| AtomicU64::new(0)));
        Cells((0..shards).map(|_| zeros()).collect())
    }

    /// The numbers of the calling thread, to add to.
    pub(super) fn mine(&self) -> &[AtomicU64; N] {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            static MINE: Cell<Option<usize>> = const { Cell::new(None) };
        }
        let mine = MINE.get().unwrap_or_else(|| {
            let next = NEXT.fetch_add(1, Ordering::Relaxed);
            MINE.set(Some(next));
            next
        });
        // There are always 2, 4, 8, … shards.
        &self.0[mine & (self.0.len() - 1)].0
    }

    /// The sums over all threads. A number that was counted down, elsewhere than up, is right in the sum all the same.
    pub(super) fn sums(&self) -> [u64; N] {
        let mut sums = [0_u64; N];
        for Shard(cells) in &self.0 {
            for (sum, cell) in sums.iter_mut().zip(cells) {
                *sum = sum.wrapping_add(cell.load(Ordering::Relaxed));
            }
        }
        sums
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn numbers_of_all_threads_are_added_up() {
        let cells = Arc::new(Cells::<2>::new());
        let threads: Vec<_> = (0..100)
            .map(|_| {
                let cells = Arc::clone(&cells);
                thread::spawn(move || {
                    cells.mine()[0].fetch_add(3, Ordering::Relaxed);
                    cells.mine()[1].fetch_sub(1, Ordering::Relaxed);
                })
            })
            .collect();
        threads
            .into_iter()
            .for_each(|thread| thread.join().expect("it ends"));
        cells.mine()[1].fetch_add(101, Ordering::Relaxed);
        assert_eq!(cells.sums(), [300, 1]);
    }
}
