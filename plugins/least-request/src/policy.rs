//! The choice of the backend that is less busy.

mod typical;

use balancing::{Backends, Choices, Load, Pools, Random};

use typical::Typical;

/// Picks backends by their requests in flight, and slow ones only when others are busier than they are slow.
pub struct LeastRequest {
    random: Random,
    pools: Pools<Pool>,
}

/// One version of a pool.
struct Pool {
    choices: Choices,
    /// The backends whose attempts failed lately, and how many comparisons each has still to lose.
    failed: Vec<(u32, u32)>,
    /// The latency of the faster backends.
    typical: Typical,
    /// The slow backends that have been drawn for the present request.
    slow: Vec<u32>,
}

/// The comparisons that a backend loses after a failed attempt. One that refuses all requests at once is never busy,
/// and without this would get every request that it is compared for: of two backends, every second or more.
const LOST: u32 = 16;

/// The most backends that are remembered as failed.
const MOST_FAILED: usize = 8;

/// A backend is slow if its latency is so many times that of the faster backends. Less than that is the difference between
/// machines, between near and far, or chance.
const SLOW: f64 = 4.0;

/// The further pairs that are drawn while the less busy one is slow. With three of four backends slow, one request of 50 finds
/// no other among all of them.
const MORE_PAIRS: usize = 6;

/// One of so many draws of a slow backend without requests counts it as any other, so that it is seen when it is slow no
/// more. Few enough for the slowest answer of a hundred not to be one of these.
const PROBE: usize = 512;

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
        let pool = self.pools.current(backends, |_, before| Pool {
            choices: Choices::of(backends),
            failed: Vec::new(),
            typical: before.map(|before| before.typical.clone()).unwrap_or_default(),
            slow: Vec::new(),
        });
        pool.slow.clear();
        let probes = self.random.below(PROBE) == 0;
        let mut loads = Loads {
            backends,
            failed: &mut pool.failed,
            typical: &mut pool.typical,
            slow: &mut pool.slow,
            probes,
            is_first_pair: true,
        };
        let mut picked = pool
            .choices
            .pick_with_load(backends, attempt, &mut self.random, &mut loads)?;
        for _ in 0..MORE_PAIRS {
            if !loads.slow.contains(&picked.0) {
                break;
            }
            loads.is_first_pair = false;
            let other = pool
                .choices
                .pick_with_load(backends, attempt, &mut self.random, &mut loads)?;
            if other.1 < picked.1 {
                picked = other;
            }
        }
        Some(picked.0)
    }
}

/// The requests in flight, except that backends which have failed have too many, and slow ones as many as would be there for as
/// long if they were not slow.
struct Loads<'a, B> {
    backends: &'a B,
    failed: &'a mut Vec<(u32, u32)>,
    typical: &'a mut Typical,
    slow: &'a mut Vec<u32>,
    /// Whether a slow backend without requests counts as any other.
    probes: bool,
    /// Whether a comparison is the one of this request that a failed backend loses.
    is_first_pair: bool,
}

impl<B: Backends> Loads<'_, B> {
    /// The requests in flight of a backend that has not failed.
    fn of_sound(&mut self, index: u32) -> f64 {
        let in_flight = self.backends.in_flight(index);
        let latency = self.backends.latency(index).map(|latency| latency.as_secs_f64());
        let times = match latency {
            Some(latency) => latency / self.typical.with(latency),
            // A backend that has not answered yet has to do so once before it gets more than others have room for.
            None if in_flight > 0 => SLOW,
            None => 1.0,
        };
        if times < SLOW || (self.probes && in_flight == 0) {
            return f64::from(in_flight);
        }
        if !self.slow.contains(&index) {
            self.slow.push(index);
        }
        (f64::from(in_flight) + 1.0) * times
    }
}

impl<B: Backends> Load for Loads<'_, B> {
    fn of(&mut self, index: u32) -> f64 {
        let Some(place) = self.failed.iter().position(|&(failed, _)| failed == index) else {
            return self.of_sound(index);
        };
        if self.is_first_pair {
            let Some(left) = self.failed[place].1.checked_sub(1) else {
                self.failed.remove(place);
                return self.of_sound(index);
            };
            self.failed[place].1 = left;
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
