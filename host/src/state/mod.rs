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
//! | `time.rs` | the clocks that plugins see |
//! | `window/` | events per key in a period that slides |

mod counter;
mod scope;
mod time;
mod window;

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

pub use counter::Counter;
pub use scope::{OpenError, Scope};
pub use time::{ManualTime, Time};
pub use window::{Key, MAX_KEYS, Now, Prefixes, Window, WindowSpec};

/// All scopes.
///
/// There is one for the whole process. It knows nothing of plugins and configurations, which is why
/// a swap or a reload cannot touch what it holds.
#[derive(Default)]
pub struct Store {
    time: Time,
    scopes: Mutex<HashMap<Box<str>, Arc<Scope>>>,
}

impl Store {
    /// An empty store with the machine's time.
    pub fn new() -> Arc<Store> {
        Arc::default()
    }

    /// An empty store.
    pub fn with_time(time: Time) -> Arc<Store> {
        Arc::new(Store {
            time,
            scopes: Mutex::default(),
        })
    }

    /// The scope of this name; made, with these limits, if there is none. One that is there keeps the limits
    /// that it has.
    ///
    /// A scope belongs to one entry of the configuration, and its name is that entry's: `limit-api`
    /// for what `[[plugins]]` defines, `limit-api@orders` where a route has its own configuration
    /// of it.
    pub fn scope(&self, name: &str, limits: Limits) -> Arc<Scope> {
        let mut scopes = self.scopes.lock();
        if let Some(scope) = scopes.get(name) {
            return Arc::clone(scope);
        }
        let scope = Arc::new(Scope::new(limits, self.time.clone()));
        scopes.insert(name.into(), Arc::clone(&scope));
        scope
    }

    /// Forget the scopes whose names `keep` refuses: those that no configuration names any more.
    ///
    /// Who still holds such a scope goes on with it; asked for again, the name gets a new, empty one.
    pub fn retain(&self, mut keep: impl FnMut(&str) -> bool) {
        self.scopes.lock().retain(|name, _| keep(name));
    }
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
}

impl Default for Limits {
    /// 1,024 counters, 64 windows, [`MAX_KEYS`] keys.
    fn default() -> Limits {
        Limits {
            counters: 1024,
            windows: 64,
            keys_per_window: MAX_KEYS,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counter(store: &Store, scope: &str, name: &str) -> Arc<Counter> {
        let scope = store.scope(scope, Limits::default());
        scope.counter(name).unwrap()
    }

    #[test]
    fn a_scope_is_found_again_by_name_and_is_nobody_elses() {
        let store = Store::new();
        counter(&store, "limit-api", "denied").add(3);

        assert_eq!(counter(&store, "limit-api", "denied").value(), 3);
        assert_eq!(counter(&store, "limit-api@orders", "denied").value(), 0);
    }

    #[test]
    fn retain_forgets_what_it_refuses_and_leaves_the_rest() {
        let store = Store::new();
        let held = counter(&store, "gone", "c");
        held.add(1);
        counter(&store, "kept", "c").add(2);

        store.retain(|name| name == "kept");

        assert_eq!(counter(&store, "kept", "c").value(), 2);
        assert_eq!(counter(&store, "gone", "c").value(), 0, "a new one");
        assert_eq!(held.add(1), 2, "whoever holds the old one can go on");
    }
}
