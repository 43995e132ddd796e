//! State that plugins share and that outlives them: counters, sliding windows, tables and metrics.
//!
//! ```text
//! Store ─┬─ scope "limit-api" ────────┬─ counter "denied"     one atomic number
//!        └─ scope "limit-api@orders"  ├─ window  "clients"    shards of keys, each key with its log
//!                                     ├─ table   "sessions"   shards of keys, each key with its value
//!                                     └─ metric  "requests"   of both scopes: series by label values
//! ```
//!
//! The promises of the functions are in `wit/counters.wit`, `windows.wit`, `tables.wit` and `metrics.wit`;
//! this crate implements them.
//! Time is always a parameter ([`Now`]), so all of it can be tested without a clock; a [`Store`] is told the
//! sources of plugins' time ([`Time`]) and random numbers ([`Entropy`]).
//!
//! | file | what it holds |
//! |---|---|
//! | `counter.rs` | one number |
//! | `scope.rs` | the state of one entry of the configuration, by name |
//! | `budget.rs` | budgets of memory, for each plugin and for all |
//! | `time.rs`, `entropy.rs` | the clocks and the random numbers that plugins see |
//! | `keyed/` | values by keys in shards, of which windows and tables are made |
//! | `window/` | events per key in a period that slides |
//! | `table/` | values for a time |
//! | `metrics/` | what plugins measure, by the values of labels |

mod budget;
mod counter;
mod entropy;
mod keyed;
mod metrics;
mod scope;
mod table;
mod time;
mod window;

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use budget::{Budget, Total};
use metrics::Definitions;

pub use counter::Counter;
pub use entropy::Entropy;
pub use keyed::{Key, Prefixes};
pub use metrics::{
    Definition, Distribution, Kind, Level, MAX_BOUNDS, MAX_LABELS, MAX_SERIES, Metric, MetricSnapshot,
    Metrics, Sample, Sum, Value, WrongLabels,
};
pub use scope::{OpenError, Scope};
pub use table::{ClaimId, Claimed, Claims, Swapped, Table, TableError};
pub use time::{ManualTime, Time};
pub use window::{Denial, MAX_KEYS, Now, Reservations, Standing, Window, WindowSpec};

/// All scopes of the process.
///
/// The store knows nothing of plugins and configurations, so a swap or a reload cannot touch its content.
pub struct Store {
    time: Time,
    entropy: Entropy,
    total: Arc<Total>,
    definitions: Arc<Definitions>,
    scopes: Mutex<Scopes>,
}

#[derive(Default)]
struct Scopes {
    by_name: HashMap<Box<str>, Arc<Scope>>,
    /// The budget that all scopes of an owner share.
    budgets: HashMap<Box<str>, Weak<Budget>>,
    /// The metrics that all scopes of an owner share.
    metrics: HashMap<Box<str>, Weak<Metrics>>,
}

impl Store {
    /// An empty store with the machine's time and random numbers, for at most so many bytes.
    pub fn new(bytes: usize) -> Arc<Store> {
        Store::with(bytes, Time::default(), Entropy::default())
    }

    /// An empty store for at most so many bytes.
    pub fn with(bytes: usize, time: Time, entropy: Entropy) -> Arc<Store> {
        Arc::new(Store {
            time,
            entropy,
            total: Total::new(bytes),
            definitions: Arc::default(),
            scopes: Mutex::default(),
        })
    }

    /// Changes the limit in bytes. If more is used, the owner that has most forgets the keys that were quiet
    /// for longest.
    pub fn set_limit(&self, bytes: usize) {
        self.total.set_limit(bytes);
    }

    /// The scope of a name, made with these limits if there is none. An existing one keeps its limits. The
    /// bytes are a limit for all scopes of the owner together.
    ///
    /// A scope belongs to one entry of the configuration and has its name: `limit-api` for the entry in
    /// `[[plugins]]`, `limit-api@orders` where a route has its own configuration of the plugin. The owner of
    /// both is `limit-api`.
    pub fn scope(&self, owner: &str, name: &str, limits: ScopeLimits) -> Arc<Scope> {
        let mut scopes = self.scopes.lock();
        if let Some(scope) = scopes.by_name.get(name) {
            return Arc::clone(scope);
        }
        let known = scopes.budgets.get(owner).and_then(Weak::upgrade);
        let budget = known.unwrap_or_else(|| {
            let made = Budget::new(limits.bytes, &self.total);
            scopes.budgets.insert(owner.into(), Arc::downgrade(&made));
            made
        });
        let known = scopes.metrics.get(owner).and_then(Weak::upgrade);
        let metrics = known.unwrap_or_else(|| {
            let made = Metrics::new(owner, limits.metrics, &self.definitions, &budget, &self.time);
            scopes.metrics.insert(owner.into(), Arc::downgrade(&made));
            made
        });
        let scope = Arc::new(Scope::new(
            limits,
            budget,
            metrics,
            self.time.clone(),
            self.entropy.clone(),
        ));
        scopes.by_name.insert(name.into(), Arc::clone(&scope));
        scope
    }

    /// The usage of each owner.
    pub fn usage(&self) -> Vec<Usage> {
        let budgets: Vec<_> = {
            let scopes = self.scopes.lock();
            let there = scopes.budgets.iter();
            there
                .filter_map(|(owner, budget)| Some((owner.to_string(), budget.upgrade()?)))
                .collect()
        };
        let usage = |(owner, budget): (String, Arc<Budget>)| Usage {
            owner,
            bytes: budget.used(),
            forgotten: budget.forgotten(),
        };
        budgets.into_iter().map(usage).collect()
    }

    /// The present values of all metrics, those of one name together. Looks at every series, and gives up
    /// those that have not changed for an hour.
    pub fn metrics(&self) -> Vec<MetricSnapshot> {
        let metrics: Vec<_> = {
            let scopes = self.scopes.lock();
            scopes.metrics.values().filter_map(Weak::upgrade).collect()
        };
        let mut all: Vec<_> = metrics.iter().flat_map(|metrics| metrics.snapshot()).collect();
        all.sort_by(|a, b| {
            let [one, other] = [a, b].map(|metric| (metric.definition.name(), &metric.plugin));
            one.cmp(&other)
        });
        all
    }

    #[cfg(test)]
    fn total_used(&self) -> usize {
        self.total.used()
    }

    /// Forgets the scopes whose names `keep` refuses: those that no configuration names any more.
    ///
    /// A forgotten scope works on for its present holders; the name gets a new, empty one.
    pub fn retain(&self, mut keep: impl FnMut(&str) -> bool) {
        let mut scopes = self.scopes.lock();
        scopes.by_name.retain(|name, _| keep(name));
        scopes.budgets.retain(|_, budget| budget.strong_count() > 0);
        scopes.metrics.retain(|_, metrics| metrics.strong_count() > 0);
    }
}

/// The usage of an owner's scopes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    /// The owner's name.
    pub owner: String,
    /// Bytes of all state.
    pub bytes: usize,
    /// Keys of windows and tables that were forgotten for lack of room.
    pub forgotten: u64,
}

/// The limits of one scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScopeLimits {
    /// Counters per scope.
    pub counters: usize,
    /// Windows per scope. Windows above a lowered limit stay open.
    pub windows: usize,
    /// Keys per window; at least 1 is kept.
    pub keys_per_window: usize,
    /// Tables per scope. Tables above a lowered limit stay open.
    pub tables: usize,
    /// Bytes of a value in a table.
    pub value_bytes: usize,
    /// Metrics of all scopes of the owner together. Metrics above a lowered limit stay open.
    pub metrics: usize,
    /// Bytes of all scopes of the owner together. Above that, the keys of windows and tables that were quiet
    /// for longest are forgotten.
    pub bytes: usize,
}

impl Default for ScopeLimits {
    /// 1,024 counters, 64 windows, [`MAX_KEYS`] keys, 16 tables, 64 KiB a value, 32 metrics,
    /// 64 MiB.
    fn default() -> ScopeLimits {
        ScopeLimits {
            counters: 1024,
            windows: 64,
            keys_per_window: MAX_KEYS,
            tables: 16,
            value_bytes: 64 << 10,
            metrics: 32,
            bytes: 64 << 20,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counter(store: &Store, scope: &str, name: &str) -> Arc<Counter> {
        let scope = store.scope("limit-api", scope, ScopeLimits::default());
        scope.counter(name).unwrap()
    }

    #[test]
    fn scope_is_found_by_its_name_only() {
        let store = Store::new(usize::MAX);
        counter(&store, "limit-api", "denied").add(3);

        assert_eq!(counter(&store, "limit-api", "denied").value(), 3);
        assert_eq!(counter(&store, "limit-api@orders", "denied").value(), 0);
    }

    #[test]
    fn retain_forgets_refused_scopes_and_keeps_the_others() {
        let store = Store::new(usize::MAX);
        let held = counter(&store, "gone", "c");
        held.add(1);
        counter(&store, "kept", "c").add(2);

        store.retain(|name| name == "kept");

        assert_eq!(counter(&store, "kept", "c").value(), 2);
        assert_eq!(counter(&store, "gone", "c").value(), 0, "a new one");
        assert_eq!(held.add(1), 2, "whoever holds the old one can go on");
    }
}
