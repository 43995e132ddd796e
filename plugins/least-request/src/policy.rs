//! The choice of the backend that is less busy.

use balancing::{Backends, Choices, Load, Pools, Random};

/// Picks backends by their requests in flight.
pub struct LeastRequest {
    random: Random,
    pools: Pools<Pool>,
}

/// One version of a pool.
struct Pool {
    choices: Choices,
    /// The backends whose attempts failed lately, and how many comparisons each has still to lose.
    failed: Vec<(u32, u32)>,
}

/// The comparisons that a backend loses after a failed attempt. One that refuses all requests at once is never busy,
/// and without this would get every request that it is compared for: of two backends, every second or more.
const LOST: u32 = 16;

/// The most backends that are remembered as failed.
const MOST_FAILED: usize = 8;

impl LeastRequest {
    /// A policy with these random numbers, which has seen no pool yet.
    pub const fn new(random: Random) -> Self {
        Self {
            random,
            pools: Pools::new(),
        }
    }

    /// The backend for an attempt, counted from 1. `None` if no backend is left.
    pub fn pick(&mut self, backends: &impl Backends, attempt: u32) -> Option<u32> {
        let pool = self.pools.current(backends, |_, _| Pool {
            choices: Choices::of(backends),
            failed: Vec::new(),
        });
        let mut loads = Loads {
            backends,
            failed: &mut pool.failed,
        };
        pool.choices.pick(backends, attempt, &mut self.random, &mut loads)
    }
}

/// The requests in flight, except that backends which have failed have too many.
struct Loads<'a, B> {
    backends: &'a B,
    failed: &'a mut Vec<(u32, u32)>,
}

impl<B: Backends> Load for Loads<'_, B> {
    fn of(&mut self, index: u32) -> f64 {
        let Some(place) = self.failed.iter().position(|&(failed, _)| failed == index) else {
            return f64::from(self.backends.in_flight(index));
        };
        self.failed[place].1 -= 1;
        if self.failed[place].1 == 0 {
            self.failed.remove(place);
        }
        f64::INFINITY
    }

    fn failed(&mut self, index: u32) {
        self.failed.retain(|&(failed, _)| failed != index);
        self.failed.truncate(MOST_FAILED - 1);
        self.failed.insert(0, (index, LOST));
    }
}

#[cfg(test)]
mod tests;
