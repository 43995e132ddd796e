//! Backends to choose from, in any state that a test needs.

use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;
use std::time::Duration;

use super::message::Copied;
use pace_hook::{AttemptFailure, Candidates, Health};

/// A pool as one attempt sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// The pool's name.
    pub name: String,
    /// At least one backend.
    pub backends: Vec<Backend>,
    /// Why the previous attempt failed.
    pub last_failure: Option<AttemptFailure>,
    /// The backend of the attempt before, if that went to this pool.
    pub last_failed: Option<u32>,
    pub(super) copied: Copied,
}

/// A backend.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Backend {
    /// Host and port, as the configuration spells them.
    pub address: String,
    /// The weight, 0 to 65535.
    pub weight: u32,
    /// The state.
    pub health: Health,
    /// Requests sent and not complete.
    pub in_flight: u32,
    /// The recent time to the head of a response.
    pub latency: Option<Duration>,
    /// Whether this request has been sent to this backend before.
    pub tried: bool,
}

impl Backend {
    /// An idle, healthy backend of weight 1 without history.
    pub fn new(address: impl Into<String>) -> Backend {
        Backend {
            address: address.into(),
            weight: 1,
            health: Health::Healthy,
            in_flight: 0,
            latency: None,
            tried: false,
        }
    }
}

impl Pool {
    /// A pool with the name `test`.
    ///
    /// # Panics
    ///
    /// If there is no backend.
    pub fn new(backends: impl IntoIterator<Item = Backend>) -> Pool {
        let backends: Vec<Backend> = backends.into_iter().collect();
        assert!(!backends.is_empty(), "a pool has at least one backend");
        Pool {
            name: "test".to_owned(),
            backends,
            last_failure: None,
            last_failed: None,
            copied: Copied::default(),
        }
    }

    fn backend(&self, index: u32) -> &Backend {
        &self.backends[index as usize]
    }
}

impl Default for Pool {
    /// One healthy backend, 10.0.0.1:8000.
    fn default() -> Pool {
        Pool::new([Backend::new("10.0.0.1:8000")])
    }
}

impl Candidates for Pool {
    fn count(&self) -> u32 {
        u32::try_from(self.backends.len()).expect("a test has fewer than 2^32 backends")
    }

    /// The same number for the same backends with the same weights and health, as the contract demands.
    fn version(&self) -> u64 {
        static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        let known: Vec<_> = self
            .backends
            .iter()
            .map(|backend| (&backend.address, backend.weight, backend.health))
            .collect();
        HASHER.hash_one((&self.name, known))
    }

    fn pool(&self) -> &str {
        self.copied.add(&self.name);
        &self.name
    }

    fn last_failure(&self) -> Option<AttemptFailure> {
        self.last_failure
    }

    fn last_failed(&self) -> Option<u32> {
        self.last_failed
    }

    fn tried(&self, index: u32) -> bool {
        self.backend(index).tried
    }

    fn address(&self, index: u32) -> &str {
        let address = &self.backend(index).address;
        self.copied.add(address);
        address
    }

    fn weight(&self, index: u32) -> u32 {
        self.backend(index).weight
    }

    fn health(&self, index: u32) -> Health {
        self.backend(index).health
    }

    fn in_flight(&self, index: u32) -> u32 {
        self.backend(index).in_flight
    }

    fn latency(&self, index: u32) -> Option<u64> {
        let latency = self.backend(index).latency?;
        Some(u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_changes_with_weights_and_health_only() {
        let pool = Pool::new([Backend::new("a:1"), Backend::new("b:1")]);
        let with = |change: fn(&mut Backend)| {
            let mut pool = pool.clone();
            change(&mut pool.backends[1]);
            pool.version()
        };
        assert_eq!(pool.clone().version(), pool.version());
        assert_eq!(with(|backend| backend.in_flight = 7), pool.version());
        assert_eq!(with(|backend| backend.tried = true), pool.version());
        assert_ne!(with(|backend| backend.weight = 7), pool.version());
        assert_ne!(with(|backend| backend.health = Health::Ejected), pool.version());
    }
}
