//! The pool as a policy sees it.

use std::time::Duration;

use pace_plugin::{Health, Upstreams};

/// The backends of a pool: the contract's `upstreams`, as a trait so that a policy runs without the sandbox too.
///
/// In the sandbox each function is a call into the host, about 50 ns, and one with a text three times that.
pub trait Backends {
    /// The number of backends.
    fn count(&self) -> u32;
    /// A number that changes with the backends, their weights and their health, and that no two pools share.
    fn version(&self) -> u64;
    /// The name of the pool.
    fn pool(&self) -> String;
    /// Whether an earlier attempt of this request went to this backend.
    fn tried(&self, index: u32) -> bool;
    /// The address as the configuration spells it.
    fn address(&self, index: u32) -> String;
    /// The share of requests, 0 to 65535.
    fn weight(&self, index: u32) -> u32;
    /// The state.
    fn health(&self, index: u32) -> Health;
    /// The requests whose responses are not complete, over all workers.
    fn in_flight(&self, index: u32) -> u32;
    /// The average time to the head of a response; `None` before the first one.
    fn latency(&self, index: u32) -> Option<Duration>;
}

impl Backends for Upstreams {
    fn count(&self) -> u32 {
        self.count()
    }

    fn version(&self) -> u64 {
        self.version()
    }

    fn pool(&self) -> String {
        self.pool()
    }

    fn tried(&self, index: u32) -> bool {
        self.tried(index)
    }

    fn address(&self, index: u32) -> String {
        self.address(index)
    }

    fn weight(&self, index: u32) -> u32 {
        self.weight(index)
    }

    fn health(&self, index: u32) -> Health {
        self.health(index)
    }

    fn in_flight(&self, index: u32) -> u32 {
        self.in_flight(index)
    }

    fn latency(&self, index: u32) -> Option<Duration> {
        self.latency(index)
    }
}
