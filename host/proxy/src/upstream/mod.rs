//! Pools of backends: what Pace knows about them while it serves.
//!
//! ```text
//! pace_config::Pool: hosts and ports ──▶ Pool ──▶ Members: the backends at the moment, with a version
//!                                   look up       │
//!                                                 ▼
//!                                    Attempts: the members as one request sees them
//! ```
//!
//! | file | what it has |
//! |---|---|
//! | `backend` | one server at one address, how it is doing, a request on its way to it |
//! | `budget` | how many further attempts a pool may have |
//! | `names` | from names to addresses |

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

/// Backends that serve the same thing.
pub struct Pool {
    /// The name in the configuration.
    pub name: String,
    /// Its own, and that of the pools that take its place: how connections to its backends are told from others.
    pub number: u64,
    /// How requests get to its backends, and how long that may take.
    pub settings: PoolSettings,
    /// How many further attempts there may be.
    pub budget: RetryBudget,
    members: ArcSwap<Members>,
    /// Who changes the members. Requests do not wait for it.
    changing: Mutex<Names>,
}

/// The servers of a pool by name, and what was found of each.
struct Names {
    servers: Vec<pace_config::Backend>,
    /// The addresses found last, of each server.
    found: Vec<Vec<SocketAddr>>,
}

/// The backends of a pool at a moment. What changes makes new members, so that a request sees one state of them.
pub struct Members {
    version: u64,
    list: Box<[Member]>,
}

/// One backend, and what plugins are told of it.
#[derive(Clone)]
pub struct Member {
    /// The server.
    pub backend: Arc<Backend>,
    /// Its share of requests.
    pub weight: u32,
    /// Its state.
    pub health: Health,
}

impl Pool {
    /// A pool whose names are looked up now. Backends that `before` has too keep what is known of them. A name that has no
    /// address is told, and has no backend until one is found.
    pub fn new(
        pool: &pace_config::Pool,
        metrics: &Metrics,
        before: Option<&Pool>,
        lookup: Lookup<'_>,
    ) -> Pool {
        static NEXT_NUMBER: AtomicU64 = AtomicU64::new(0);
        let found_before =
            |server: &pace_config::Backend| before.map_or_else(Vec::new, |pool| pool.found(server));
        let made = Pool {
            name: pool.name.clone(),
            number: before.map_or_else(|| NEXT_NUMBER.fetch_add(1, Ordering::Relaxed), |pool| pool.number),
            settings: pool.settings.clone(),
            budget: RetryBudget::new(pool.settings.retry.budget_percent),
            members: ArcSwap::from_pointee(match before {
                Some(before) => Members::of(before.members().list.to_vec()),
                None => Members::of(Vec::new()),
            }),
            changing: Mutex::new(Names {
                found: pool.backends.iter().map(found_before).collect(),
                servers: pool.backends.clone(),
            }),
        };
        made.look_up(metrics, lookup);
        made
    }

    /// The backends at the moment.
    pub fn members(&self) -> Arc<Members> {
        self.members.load_full()
    }

    /// The addresses found last of a server with this host and port.
    fn found(&self, server: &pace_config::Backend) -> Vec<SocketAddr> {
        let names = self.changing.lock();
        let mut known = names.servers.iter().zip(&names.found);
        let same = known.find(|(known, _)| known.host == server.host && known.port == server.port);
        same.map_or_else(Vec::new, |(_, found)| found.clone())
    }

    /// Looks its names up again. If that finds other backends than there are, they are the pool's from now on; if it finds
    /// none for a name, those that were found before stay.
    pub fn look_up(&self, metrics: &Metrics, lookup: Lookup<'_>) {
        let mut names = self.changing.lock();
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
            .map(|backend| ((backend.label.as_str(), backend.address), backend))
            .collect();
        let mut list = Vec::new();
        for (server, addresses) in servers.iter().zip(found.iter()) {
            for address in addresses {
                let label = match addresses.len() {
                    1 => server.label.clone(),
                    // One name, several servers.
                    _ => address.to_string(),
                };
                list.push(Member {
                    backend: match known.get(&(label.as_str(), *address)) {
                        Some(known) => Arc::clone(known),
                        None => Arc::new(Backend::new(&self.name, label, *address, metrics)),
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
        /// Never used again, as `upstreams.version` promises.
        static NEXT_VERSION: AtomicU64 = AtomicU64::new(1);
        Members {
            version: NEXT_VERSION.fetch_add(1, Ordering::Relaxed),
            list: list.into(),
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// A backend by its index.
    ///
    /// # Panics
    ///
    /// If there are fewer.
    pub fn backend(&self, index: u32) -> &Arc<Backend> {
        &self.member(index).backend
    }

    /// Whether one of them has this label.
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
    /// Its backends when the request chose the first.
    pub members: &'a Members,
    /// Where the request has been.
    pub tried: &'a [u32],
    /// How it ended there.
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
