//! The choice of the backend that is likely to answer sooner.

mod cost;

use std::time::Duration;

use balancing::{Backends, Choices, Load, Pools, Random};
use pace_plugin::Integer;
use serde::Deserialize;

use cost::Cost;

/// The configuration as the operator writes it. The crate's documentation has the meaning of each key.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    decay_ms: Integer<100, 3_600_000>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            // Finagle's and Linkerd's.
            decay_ms: Integer::new(10_000),
        }
    }
}

/// Picks backends by latency and requests in flight.
pub struct PeakEwma {
    /// In seconds.
    decay: f64,
    random: Random,
    pools: Pools<Pool>,
}

/// One version of a pool.
struct Pool {
    choices: Choices,
    /// The address and the cost of each backend.
    backends: Vec<(String, Cost)>,
}

impl PeakEwma {
    /// A policy with these random numbers, which has seen no pool yet.
    pub fn new(config: &Config, random: Random) -> Self {
        Self {
            decay: config.decay_ms.get() as f64 / 1000.0,
            random,
            pools: Pools::new(),
        }
    }

    /// The backend for an attempt, counted from 1, at a time since some fixed moment. `None` if no backend is left.
    pub fn pick(&mut self, backends: &impl Backends, attempt: u32, now: Duration) -> Option<u32> {
        let pool = self
            .pools
            .current(backends, |_, before| Pool::of(backends, before));
        let mut costs = Costs {
            backends,
            known: &mut pool.backends,
            now: now.as_secs_f64(),
            decay: self.decay,
        };
        pool.choices.pick(backends, attempt, &mut self.random, &mut costs)
    }
}

impl Pool {
    /// Prepares a version of a pool. A backend that keeps its place keeps its cost, whatever has changed about others.
    fn of(backends: &impl Backends, before: Option<&Self>) -> Self {
        let mut known = before.map_or(&[][..], |pool| &pool.backends[..]).iter();
        let with_cost = |index| {
            let address = backends.address(index);
            let cost = match known.next() {
                Some((known, cost)) if *known == address => cost.clone(),
                _ => Cost::default(),
            };
            (address, cost)
        };
        Self {
            choices: Choices::of(backends),
            backends: (0..backends.count()).map(with_cost).collect(),
        }
    }
}

/// The costs of a pool's backends at a moment, whose time is in seconds.
struct Costs<'a, B> {
    backends: &'a B,
    known: &'a mut [(String, Cost)],
    now: f64,
    decay: f64,
}

impl<B: Backends> Load for Costs<'_, B> {
    fn of(&mut self, index: u32) -> f64 {
        let Some((_, cost)) = self.known.get_mut(index as usize) else {
            return f64::MAX;
        };
        let in_flight = self.backends.in_flight(index);
        let latency = self.backends.latency(index).map(|latency| latency.as_secs_f64());
        cost.observe(latency, in_flight == 0, self.now, self.decay);
        cost.of_another(in_flight)
    }

    fn failed(&mut self, index: u32) {
        if let Some((_, cost)) = self.known.get_mut(index as usize) {
            cost.failed(self.now);
        }
    }
}

#[cfg(test)]
mod tests;
