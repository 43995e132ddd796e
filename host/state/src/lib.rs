//! State that plugins share and that outlives them: counters and sliding windows.
//!
//! ```text
//! Store ─┬─ scope "limit-api" ────────┬─ counter "denied"     one atomic number
//!        └─ scope "limit-api@orders"  └─ window  "clients"    shards of keys, each key with its log
//! ```
//!
//! The promises of the functions are in `wit/counters.wit` and `wit/windows.wit`; this crate implements them.
//! Time is always a parameter ([`Now`]), so all of it can be tested without a clock; a [`Store`] is told the
//! source of plugins' time ([`Time`]).
//!
//! | file | what it holds |
//! |---|---|
//! | `counter.rs` | one number |
//! | `scope.rs` | the counters and windows of one plugin, by name |
//! | `budget.rs` | budgets of memory, for each plugin and for all |
//! | `time.rs` | the clocks that plugins see |
//! | `window/` | events per key in a period that slides |

mod budget;
mod counter;
mod scope;
mod time;
mod window;

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use budget::{Budget, Total};

pub use counter::Counter;
pub use scope::{OpenError, Scope};
pub use time::{ManualTime, Time};
pub use window::{Key, MAX_KEYS, Now, Prefixes, Window, WindowSpec};

/// All scopes of the process.
///
/// The store knows nothing of plugins and configurations, so a swap or a reload cannot touch its content.
pub struct Store {
    time: Time,
    total: Arc<Total>,
    scopes: Mutex<Scopes>,
}

#[derive(Default)]
struct Scopes {
    by_name: HashMap<Box<str>, Arc<Scope>>,
    /// The budget that all scopes of an owner share.
    budgets: HashMap<Box<str>, Weak<Budget>>,
}

impl Store {
    /// An empty store with the machine's time, for at most so many bytes.
    pub fn new(bytes: usize) -> Arc<Store> {
        Store::with_time(bytes, Time::default())
    }

    /// An empty store for at most so many bytes.
    pub fn with_time(bytes: usize, time: Time) -> Arc<Store> {
        Arc::new(Store {
            time,
            total: Total::new(bytes),
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
        let scope = Arc::new(Scope::new(limits, budget, self.time.clone()));
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
    }
}

/// The usage of an owner's scopes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    /// The owner's name.
    pub owner: String,
    /// Bytes of counters and windows.
    pub bytes: usize,
    /// Keys of windows that were forgotten for lack of room.
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
    /// Bytes of all scopes of the owner together. Above that, the keys of windows that were quiet for longest
    /// are forgotten.
    pub bytes: usize,
}

impl Default for ScopeLimits {
    /// 1,024 counters, 64 windows, [`MAX_KEYS`] keys, 64 MiB.
    fn default() -> ScopeLimits {
        ScopeLimits {
            counters: 1024,
            windows: 64,
            keys_per_window: MAX_KEYS,
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
