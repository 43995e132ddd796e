//! Pools of backends, and what is known of each while Pace serves.
//!
//! ```text
//! pace_config::Pool: hosts and ports ──▶ Pool ──▶ Members: the present backends, with a version
//!                                   look up       │
//!                                                 ▼
//!                                    Attempts: the members as one request sees them
//! ```
//!
//! | file | what it has |
//! |---|---|
//! | `backend` | a server at one address, its load, a request on its way to it |
//! | `budget` | bounds the further attempts of a pool |
//! | `names` | looks up the addresses of names |

mod backend;
mod budget;
mod names;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use log::{info, warn};
use parking_lot::Mutex;

pub use self::backend::{Backend, InFlight};
pub use self::budget::RetryBudget;
pub use self::names::{Lookup, system_lookup};
use crate::telemetry::Metrics;
use pace_config::PoolSettings;
use pace_hook::{AttemptFailure, Candidates, Health};
use pace_tls::client::Connector;

/// A pool: backends that serve the same thing.
pub struct Pool {
    /// The name in the configuration.
    pub name: String,
    /// The number that identifies connections to its backends. A pool that replaces this one, and makes its connections in the
    /// same way, has the same.
    pub number: u64,
    /// Timeouts, retries, and the limits of idle connections.
    pub settings: PoolSettings,
    /// The budget of further attempts.
    pub budget: RetryBudget,
    connector: Option<Connector>,
    members: ArcSwap<Members>,
    /// The names to look up, locked by a thread that changes the members. Requests do not wait for it.
    names: Mutex<Names>,
}

/// The servers of a pool as configured, and the addresses found for each.
struct Names {
    servers: Vec<pace_config::Backend>,
    /// For each server, the addresses found last.
    found: Vec<Vec<SocketAddr>>,
}

/// The backends of a pool at a moment. A change makes new members, so that a request sees one state of them.
pub struct Members {
    version: u64,
    list: Box<[Member]>,
}

/// A backend of a pool, with the weight and the health that plugins see.
#[derive(Clone)]
pub struct Member {
    /// The server.
    pub backend: Arc<Backend>,
    /// Its share of requests, relative to the others.
    pub weight: u32,
    /// Its health.
    pub health: Health,
}

impl Pool {
    /// Makes a pool, and looks its names up. Backends that `before` has too keep their load. A name without an address is
    /// logged, and has no backend until an address is found.
    pub fn new(
        pool: &pace_config::Pool,
        connector: Option<Connector>,
        metrics: &Metrics,
        before: Option<&Pool>,
        lookup: Lookup<'_>,
    ) -> Pool {
        static NEXT_NUMBER: AtomicU64 = AtomicU64::new(0);
        let found_before =
            |server: &pace_config::Backend| before.map_or_else(Vec::new, |pool| pool.found(server));
        let made = Pool {
            name: pool.name.clone(),
            // Connections are shared only between pools that make them in the same way.
            number: before
                .filter(|before| before.settings.protocol == pool.settings.protocol)
                .filter(|before| before.connects_with(connector.as_ref()))
                .map_or_else(|| NEXT_NUMBER.fetch_add(1, Ordering::Relaxed), |pool| pool.number),
            connector,
            settings: pool.settings.clone(),
            budget: RetryBudget::new(pool.settings.retry.budget_percent),
            members: ArcSwap::from_pointee(match before {
                Some(before) => Members::of(before.members().list.to_vec()),
                None => Members::of(Vec::new()),
            }),
            names: Mutex::new(Names {
                found: pool.backends.iter().map(found_before).collect(),
                servers: pool.backends.clone(),
            }),
        };
        made.look_up(metrics, lookup);
        made
    }

    /// How its backends with TLS are connected to.
    pub fn connector(&self) -> Option<&Connector> {
        self.connector.as_ref()
    }

    /// Whether its connections are made in this way.
    pub fn connects_with(&self, connector: Option<&Connector>) -> bool {
        match (&self.connector, connector) {
            (Some(ours), Some(theirs)) => ours.is(theirs),
            (ours, theirs) => ours.is_none() && theirs.is_none(),
        }
    }

    /// The present backends.
    pub fn members(&self) -> Arc<Members> {
        self.members.load_full()
    }

    /// The addresses found last for a server with this host and port.
    fn found(&self, server: &pace_config::Backend) -> Vec<SocketAddr> {
        let names = self.names.lock();
        let mut known = names.servers.iter().zip(&names.found);
        let same = known.find(|(known, _)| known.host == server.host && known.port == server.port);
        same.map_or_else(Vec::new, |(_, found)| found.clone())
    }

    /// Looks the pool's names up again, and replaces the members if their backends have changed. A name that is not found
    /// keeps the addresses found before.
    pub fn look_up(&self, metrics: &Metrics, lookup: Lookup<'_>) {
        let mut names = self.names.lock();
        let Names { servers, found } = &mut *names;
        for (server, found) in servers.iter().zip(found.iter_mut()) {
            match names::addresses(server, lookup) {
                Ok(addresses) => *found = addresses,
                Err(error) if found.is_empty() => warn!(
                    target: "pace::upstream",
                    "pool `{}`: cannot find the address of {}: {error}; it gets no requests until there is one",
                    self.name, server.host
                ),
                Err(error) => warn!(
                    target: "pace::upstream",
                    "pool `{}`: cannot find the address of {}: {error}; the addresses found before are kept",
                    self.name, server.host
                ),
            }
        }
        let before = self.members();
        let known: HashMap<_, _> = before
            .backends()
            .map(|backend| {
                (
                    (backend.label.as_str(), backend.address, backend.name.as_ref()),
                    backend,
                )
            })
            .collect();
        let mut list = Vec::new();
        for (server, addresses) in servers.iter().zip(found.iter()) {
            let name = names::server_name(server, &self.settings.tls);
            for address in addresses {
                let label = match addresses.len() {
                    1 => server.label.clone(),
                    // One name stands for several servers, which need labels of their own.
                    _ => address.to_string(),
                };
                list.push(Member {
                    backend: match known.get(&(label.as_str(), *address, name.as_ref())) {
                        Some(known) => Arc::clone(known),
                        None => Arc::new(Backend::new(&self.name, label, *address, name.clone(), metrics)),
                    },
                    weight: server.weight,
                    health: Health::Healthy,
                });
            }
        }
        if before.is_the_same_as(&list) {
            return;
        }
        if !before.list.is_empty() {
            let labels: Vec<_> = list.iter().map(|member| member.backend.label.as_str()).collect();
            info!(target: "pace::upstream", "pool `{}`: the backends are now {}", self.name, labels.join(", "));
        }
        self.members.store(Arc::new(Members::of(list)));
    }
}

impl Members {
    fn of(list: Vec<Member>) -> Members {
        /// The next version. None is used twice, as `upstreams.version` promises.
        static NEXT_VERSION: AtomicU64 = AtomicU64::new(1);
        Members {
            version: NEXT_VERSION.fetch_add(1, Ordering::Relaxed),
            list: list.into(),
        }
    }

    /// The number of backends.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is no backend.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The backend with an index.
    ///
    /// # Panics
    ///
    /// If the index is not below [`Members::len`].
    pub fn backend(&self, index: u32) -> &Arc<Backend> {
        &self.member(index).backend
    }

    /// Whether a backend has this label.
    pub fn has(&self, label: &str) -> bool {
        self.backends().any(|backend| backend.label == label)
    }

    fn backends(&self) -> impl Iterator<Item = &Arc<Backend>> {
        self.list.iter().map(|member| &member.backend)
    }

    fn member(&self, index: u32) -> &Member {
        &self.list[index as usize]
    }

    fn is_the_same_as(&self, list: &[Member]) -> bool {
        self.list.len() == list.len()
            && self.list.iter().zip(list).all(|(one, other)| {
                Arc::ptr_eq(&one.backend, &other.backend)
                    && one.weight == other.weight
                    && one.health == other.health
            })
    }
}

/// A pool as one request sees it.
pub struct Attempts<'a> {
    /// The pool of the route.
    pub pool: &'a Pool,
    /// The pool's backends when the request chose the first.
    pub members: &'a Members,
    /// The indices of the backends of earlier attempts.
    pub tried: &'a [u32],
    /// The failure of the last attempt.
    pub last_failure: Option<AttemptFailure>,
}

impl Candidates for Attempts<'_> {
    fn count(&self) -> u32 {
        u32::try_from(self.members.list.len()).unwrap_or(u32::MAX)
    }

    fn version(&self) -> u64 {
        self.members.version
    }

    fn pool(&self) -> &str {
        &self.pool.name
    }

    fn last_failure(&self) -> Option<AttemptFailure> {
        self.last_failure
    }

    fn tried(&self, index: u32) -> bool {
        self.tried.contains(&index)
    }

    fn address(&self, index: u32) -> &str {
        &self.members.backend(index).label
    }

    fn weight(&self, index: u32) -> u32 {
        self.members.member(index).weight
    }

    fn health(&self, index: u32) -> Health {
        self.members.member(index).health
    }

    fn in_flight(&self, index: u32) -> u32 {
        self.members.backend(index).in_flight()
    }

    fn latency(&self, index: u32) -> Option<u64> {
        self.members.backend(index).latency()
    }
}

#[cfg(test)]
pub(crate) mod tests;
