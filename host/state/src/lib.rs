//! State that plugins share and that outlives them: counters and sliding windows.
//!
//! ```text
//! Store ─┬─ scope "limit-api" ────────┬─ counter "denied"     one atomic number
//!        └─ scope "limit-api@orders"  └─ window  "clients"    shards of keys, each key with its log
//! ```
//!
//! What the functions promise is written in `wit/counters.wit` and `wit/windows.wit`; this is those
//! promises as native code. Time is always a parameter ([`Now`]), so all of it can be tested without
//! a clock; where plugins' time comes from, a [`Store`] is told ([`Time`]).
//!
//! | file | what it holds |
//! |---|---|
//! | `counter.rs` | one number |
//! | `scope.rs` | what one plugin can open, by name |
//! | `budget.rs` | how many bytes a plugin's may take, and all of it |
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

/// All scopes.
///
/// There is one for the whole process. It knows nothing of plugins and configurations, which is why
/// a swap or a reload cannot touch what it holds.
pub struct Store {
    time: Time,
    total: Arc<Total>,
    scopes: Mutex<Scopes>,
}

#[derive(Default)]
struct Scopes {
    by_name: HashMap<Box<str>, Arc<Scope>>,
    /// What all scopes of an owner may take together.
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

    /// From now on it has at most so many bytes. If there are more, the owner that has most forgets the keys
    /// that were quiet for longest.
    pub fn set_limit(&self, bytes: usize) {
        self.total.set_limit(bytes);
    }

    /// The scope of this name; made, with these limits, if there is none. One that is there keeps the limits
    /// that it has. The bytes are a limit for all scopes of the owner together.
    ///
    /// A scope belongs to one entry of the configuration, and its name is that entry's: `limit-api`
    /// for what `[[plugins]]` defines, `limit-api@orders` where a route has its own configuration
    /// of it. The owner of both is `limit-api`.
    pub fn scope(&self, owner: &str, name: &str, limits: Limits) -> Arc<Scope> {
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

    /// What the scopes of each owner take.
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

    /// Forget the scopes whose names `keep` refuses: those that no configuration names any more.
    ///
    /// Who still holds such a scope goes on with it; asked for again, the name gets a new, empty one.
    pub fn retain(&self, mut keep: impl FnMut(&str) -> bool) {
        let mut scopes = self.scopes.lock();
        scopes.by_name.retain(|name, _| keep(name));
        scopes.budgets.retain(|_, budget| budget.strong_count() > 0);
    }
}

/// What the scopes of an owner take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Whose they are.
    pub owner: String,
    /// Bytes of counters and windows.
    pub bytes: usize,
    /// Keys of windows that were forgotten for want of room.
    pub forgotten: u64,
}

/// How much one scope may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Counters per scope.
    pub counters: usize,
    /// Windows per scope. What is open when there are too many stays.
    pub windows: usize,
    /// Keys per window; at least 1 is kept.
    pub keys_per_window: usize,
    /// Bytes of all scopes of the owner together. When there are more, the keys of windows that were quiet for
    /// longest are forgotten.
    pub bytes: usize,
}

impl Default for Limits {
    /// 1,024 counters, 64 windows, [`MAX_KEYS`] keys, 64 MiB.
    fn default() -> Limits {
        Limits {
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
        let scope = store.scope("limit-api", scope, Limits::default());
        scope.counter(name).unwrap()
    }

    #[test]
    fn a_scope_is_found_again_by_name_and_is_nobody_elses() {
        let store = Store::new(usize::MAX);
        counter(&store, "limit-api", "denied").add(3);

        assert_eq!(counter(&store, "limit-api", "denied").value(), 3);
        assert_eq!(counter(&store, "limit-api@orders", "denied").value(), 0);
    }

    #[test]
    fn retain_forgets_what_it_refuses_and_leaves_the_rest() {
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
