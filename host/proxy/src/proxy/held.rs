//! The connections to backends, as they are counted for operators.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Idle, Sessions};
use crate::upstream::{Backend, Pool};

/// The connections of all workers to backends.
#[derive(Clone, Default)]
pub struct BackendConnections(Vec<(Arc<Idle>, Arc<Sessions>)>);

/// The numbers of a pool and of a backend.
pub(super) type Key = (u64, u64);

/// The connections to each backend at a moment.
pub struct HeldConnections(HashMap<Key, Held>);

/// The connections to a backend that are there without a request of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Connections of HTTP/1 that wait for a request.
    pub idle: usize,
    /// Sessions of HTTP/2.
    pub sessions: usize,
    /// The requests on these.
    pub streams: usize,
}

impl BackendConnections {
    /// Adds the connections of a worker.
    pub(crate) fn add(&mut self, idle: &Arc<Idle>, sessions: &Arc<Sessions>) {
        self.0.push((Arc::clone(idle), Arc::clone(sessions)));
    }

    /// Counts the connections. A worker that wants one of its own meanwhile waits, for as long as its part is counted.
    pub fn count(&self) -> HeldConnections {
        let mut held = HashMap::<Key, Held>::new();
        for (idle, sessions) in &self.0 {
            idle.count(|key, count| held.entry(key).or_default().idle += count);
            sessions.count(|key, count, streams| {
                let held = held.entry(key).or_default();
                held.sessions += count;
                held.streams += streams;
            });
        }
        HeldConnections(held)
    }
}

impl HeldConnections {
    /// The connections to a backend of a pool.
    pub fn of(&self, pool: &Pool, backend: &Backend) -> Held {
        let held = self.0.get(&(pool.number, backend.number));
        held.copied().unwrap_or_default()
    }
}
