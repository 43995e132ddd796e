//! Pools of backends, and the knowledge about each while Pace serves.
//!
//! ```text
//! pace_config::Pool: hosts and ports ──▶ Pool ──▶ Members: the present backends, their weights and health, with a version
//!                          names ──▲      ▲             │
//!        keeper: checks, clocks ──────────┤             ▼
//!        requests: their outcomes ────────┘       Attempts: the members as one request sees them
//! ```
//!
//! | file | what it has |
//! |---|---|
//! | `members` | the backends at a moment, and as plugins see them |
//! | `backend`, `address`, `load` | a server at one address; a request's place there |
//! | `roster` | the material of members: servers, addresses, standings |
//! | `standing` | the knowledge about a backend, which outlives configurations |
//! | `conduct`, `ejection` | the record of attempts, and ejection because of it |
//! | `checks`, `probe` | the outcomes of health checks; one check |
//! | `drain` | backends that an operator takes out |
//! | `weights` | slow starts and backups |
//! | `queue` | requests that wait for a place |
//! | `sticky` | the names of backends in cookies |
//! | `names` | looks up the addresses of names |
//! | `keeper` | the upkeep beside all requests |
//! | `budget` | bounds the further attempts of a pool |
//! | `status` | pools as the admin API shows them |

mod address;
mod backend;
mod budget;
mod checks;
mod conduct;
mod drain;
mod ejection;
mod keeper;
mod load;
mod members;
mod names;
mod probe;
mod queue;
mod roster;
mod standing;
mod status;
mod sticky;
mod weights;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::time::Instant;

pub use self::address::Address;
pub use self::backend::{Backend, Entry, InFlight};
pub use self::budget::{Before, RetryBudget};
pub use self::keeper::{Changes, Keeper};
pub use self::members::{Attempts, Member, Members};
pub use self::names::{Answers, Lookup, system_lookup};
pub use self::queue::{Queue, Turn};
pub use self::status::{BackendStatus, PoolStatus};
pub use self::sticky::StickyId;

use self::roster::Roster;
use self::standing::Standing;
use crate::telemetry::{Metrics, PoolMetrics, QueueMetrics};
use pace_config::PoolSettings;
use pace_hook::Health;
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
    /// The metrics of requests for which no backend has room.
    pub queue_metrics: Option<QueueMetrics>,
    /// The metrics of its attempts.
    pub metrics: PoolMetrics,
    connector: Option<Connector>,
    members: ArcSwap<Members>,
    queue: Arc<Queue>,
    changes: Arc<Changes>,
    /// The material of the members, locked for each change of them. Requests do not wait for it.
    roster: Mutex<Roster>,
}

impl Pool {
    /// Makes a pool. Backends that `before` has at the same address keep their standing. A name without an address is logged, and
    /// has no backend until an address is found; one that was not looked up keeps the addresses found before.
    pub fn new(
        pool: &pace_config::Pool,
        connector: Option<Connector>,
        metrics: &Metrics,
        changes: &Arc<Changes>,
        before: Option<&Pool>,
        answers: &Answers,
    ) -> Pool {
        static NEXT_NUMBER: AtomicU64 = AtomicU64::new(0);
        let upkeep = &pool.settings.upkeep;
        let queue = before.map_or_else(|| Arc::new(Queue::new()), |before| Arc::clone(&before.queue));
        let roster = Roster::new(pool, before.map(|before| before.roster.lock()).as_deref());
        let made = Pool {
            name: pool.name.clone(),
            // Connections are shared only between pools that make them in the same way.
            number: before
                .filter(|before| before.settings.protocol == pool.settings.protocol)
                .filter(|before| before.connects_with(connector.as_ref()))
                .map_or_else(|| NEXT_NUMBER.fetch_add(1, Ordering::Relaxed), |pool| pool.number),
            connector,
            settings: pool.settings.clone(),
            metrics: metrics.pool(&pool.name),
            budget: match before {
                Some(before) => before.budget.with_percent(pool.settings.retry.budget_percent),
                None => RetryBudget::new(pool.settings.retry.budget_percent),
            },
            queue_metrics: upkeep.in_flight.map(|_| metrics.queue(&pool.name)),
            members: ArcSwap::from_pointee(Members::of(Vec::new(), false)),
            queue,
            changes: Arc::clone(changes),
            roster: Mutex::new(roster),
        };
        made.seat(&mut made.roster.lock(), metrics, answers, before.is_some());
        made
    }

    /// Applies the limits, also to requests that began with a pool that this one replaces. The caller does this once the pool
    /// serves: a refused configuration must not change anything.
    pub fn take_over(&self) {
        let upkeep = &self.settings.upkeep;
        self.queue.set_limit(upkeep.in_flight.map(|limit| limit.most));
        let mut roster = self.roster.lock();
        for seat in &roster.seats {
            seat.backend.standing.keep_only(upkeep);
        }
        self.refresh(&mut roster, Instant::now());
        drop(roster);
        self.let_in();
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

    /// The version of the present backends.
    pub fn version(&self) -> u64 {
        self.members.load().version()
    }

    /// The requests that wait for a place at a backend.
    pub fn queue(&self) -> &Arc<Queue> {
        &self.queue
    }

    /// Takes a place at a backend. `now` is called only if the backend may be silent.
    pub fn enter(
        &self,
        backend: &Arc<Backend>,
        knows_of_drain: bool,
        now: impl FnOnce() -> Instant,
    ) -> Entry {
        if let Some(settings) = &self.settings.upkeep.ejection
            && backend.conduct().may_be_silent(settings)
            && self.judge_silence(backend, now())
        {
            return Entry::Ejected;
        }
        InFlight::enter(backend, knows_of_drain)
    }

    /// Replaces the members if their material has changed.
    fn refresh(&self, roster: &mut Roster, now: Instant) {
        let list = roster.members(&self.settings.upkeep, now);
        let is_well = |member: &Member| member.weight > 0 && member.health == Health::Healthy;
        let is_any_well = list.iter().any(is_well);
        // If none is well, balancers ask all. Two members may be one address, and have one standing.
        let wanted: HashSet<*const Standing> = list
            .iter()
            .filter(|member| is_well(member) || (member.weight > 0 && !is_any_well))
            .map(|member| Arc::as_ptr(&member.backend.standing))
            .collect();
        for Member { backend, health, .. } in &list {
            backend.metrics.healthy.set((*health == Health::Healthy).into());
            let standing = &backend.standing;
            standing.set_wanted(wanted.contains(&Arc::as_ptr(standing)));
        }
        if self.members.load().is_the_same_as(&list) {
            return;
        }
        let is_sticky = self.settings.upkeep.stickiness.is_some();
        self.members.store(Arc::new(Members::of(list, is_sticky)));
        self.let_in();
    }

    /// Offers free places to waiting requests. The places of requests that end are offered without this.
    fn let_in(&self) {
        if self.queue.is_empty() {
            return;
        }
        for Member { backend, .. } in self.members().iter() {
            if !backend.standing.offers_places() {
                continue;
            }
            // Dropping a place offers it. The number of turns is bounded, because requests may decline and wait again.
            for _ in 0..self.queue.len() {
                match InFlight::take(backend, false) {
                    Some(place) => drop(place),
                    None => break,
                }
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
