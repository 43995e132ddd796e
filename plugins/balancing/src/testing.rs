//! A pool in any state that a test needs. It counts the calls that would be calls into the host.

use std::cell::Cell;
use std::time::Duration;

use pace_plugin::Health;

use crate::{Backends, Random};

/// A backend.
#[derive(Clone, Debug)]
pub struct Backend {
    pub address: String,
    pub weight: u32,
    pub health: Health,
    pub in_flight: u32,
    pub latency: Option<Duration>,
    pub tried: bool,
}

/// A pool. Whoever changes backends, weights or health gives it another version.
#[derive(Clone, Debug)]
pub struct Pool {
    pub name: String,
    pub version: u64,
    pub backends: Vec<Backend>,
    pub calls: Cell<usize>,
}

impl Backend {
    /// Whether it may get an attempt of this number at all.
    pub fn is_left(&self, attempt: u32) -> bool {
        self.weight > 0 && self.health != Health::Draining && (attempt == 1 || !self.tried)
    }

    /// A healthy, idle backend that has not answered yet.
    pub fn new(number: usize, weight: u32) -> Self {
        Self {
            address: format!("10.0.{}.{}:8000", number / 250, number % 250),
            weight,
            health: Health::Healthy,
            in_flight: 0,
            latency: None,
            tried: false,
        }
    }
}

impl Pool {
    /// A pool of these backends.
    pub fn new(backends: Vec<Backend>) -> Self {
        Self {
            name: "web".to_owned(),
            version: 1,
            backends,
            calls: Cell::new(0),
        }
    }

    /// A pool of healthy, idle backends.
    pub fn weighted(weights: &[u32]) -> Self {
        let backends = weights.iter().enumerate();
        Self::new(
            backends
                .map(|(number, &weight)| Backend::new(number, weight))
                .collect(),
        )
    }

    /// A pool in any state that the contract allows, which follows from the seed.
    pub fn any(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let count = 1 + random.below(40);
        let backends = (0..count).map(|number| Backend {
            health: [
                Health::Healthy,
                Health::Unhealthy,
                Health::Ejected,
                Health::Draining,
            ][random.below(4)],
            in_flight: [0, 1, 7, u32::MAX][random.below(4)],
            latency: [
                None,
                Some(Duration::ZERO),
                Some(Duration::from_millis(5)),
                Some(Duration::MAX),
            ][random.below(4)],
            tried: random.below(2) == 1,
            ..Backend::new(number, [0, 1, 3, 65_535][random.below(4)])
        });
        let backends = backends.collect();
        Self {
            version: random.number(),
            ..Self::new(backends)
        }
    }

    /// Whether a pick is as it must be for an attempt: an eligible backend, a healthy one if any is left, and none only
    /// if none is left.
    pub fn is_legal(&self, attempt: u32, picked: Option<u32>) -> bool {
        let mut left = self.backends.iter().filter(|backend| backend.is_left(attempt));
        let Some(picked) = picked else {
            return left.next().is_none();
        };
        let Some(picked) = self.backends.get(picked as usize) else {
            return false;
        };
        let is_healthy = |backend: &Backend| backend.health == Health::Healthy;
        picked.is_left(attempt) && (is_healthy(picked) || !left.any(is_healthy))
    }

    fn called(&self, index: u32) -> &Backend {
        self.calls.set(self.calls.get() + 1);
        &self.backends[index as usize]
    }
}

impl Backends for Pool {
    fn count(&self) -> u32 {
        self.calls.set(self.calls.get() + 1);
        self.backends.len() as u32
    }

    fn version(&self) -> u64 {
        self.calls.set(self.calls.get() + 1);
        self.version
    }

    fn pool(&self) -> String {
        self.calls.set(self.calls.get() + 1);
        self.name.clone()
    }

    fn tried(&self, index: u32) -> bool {
        self.called(index).tried
    }

    fn address(&self, index: u32) -> String {
        self.called(index).address.clone()
    }

    fn weight(&self, index: u32) -> u32 {
        self.called(index).weight
    }

    fn health(&self, index: u32) -> Health {
        self.called(index).health
    }

    fn in_flight(&self, index: u32) -> u32 {
        self.called(index).in_flight
    }

    fn latency(&self, index: u32) -> Option<Duration> {
        self.called(index).latency
    }
}
