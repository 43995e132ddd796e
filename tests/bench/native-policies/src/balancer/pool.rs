//! The backends of a request as the policies see them.

use std::time::Duration;

use balancing::Backends;
use pace_hook::{Candidates, Health};

/// The backends that an attempt can choose from.
pub(crate) struct Pool<'a>(pub(super) &'a dyn Candidates);

impl Backends for Pool<'_> {
    fn count(&self) -> u32 {
        self.0.count()
    }

    fn version(&self) -> u64 {
        self.0.version()
    }

    fn pool(&self) -> String {
        self.0.pool().to_owned()
    }

    fn tried(&self, index: u32) -> bool {
        self.0.tried(index)
    }

    fn address(&self, index: u32) -> String {
        self.0.address(index).to_owned()
    }

    fn weight(&self, index: u32) -> u32 {
        self.0.weight(index)
    }

    fn health(&self, index: u32) -> pace_plugin::Health {
        match self.0.health(index) {
            Health::Healthy => pace_plugin::Health::Healthy,
            Health::Unhealthy => pace_plugin::Health::Unhealthy,
            Health::Ejected => pace_plugin::Health::Ejected,
            Health::Draining => pace_plugin::Health::Draining,
        }
    }

    fn in_flight(&self, index: u32) -> u32 {
        self.0.in_flight(index)
    }

    fn latency(&self, index: u32) -> Option<Duration> {
        self.0.latency(index).map(Duration::from_nanos)
    }
}
