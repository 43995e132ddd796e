use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use thiserror::Error;

use super::budget::Budget;
use super::{Counter, Entropy, Metrics, Now, ScopeLimits, Table, Time, Window, WindowSpec};

/// Why a counter, window, table or metric was not opened. Each is the plugin's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum OpenError {
    /// The name is not 1 to 64 characters out of `a-z`, `0-9`, `.`, `_` and `-`; for metrics and labels see
    /// [`Definition::new`](super::Definition::new).
    #[error("the name must have 1 to 64 characters out of those that are allowed")]
    InvalidName,
    /// An argument is outside the range of [`WindowSpec::new`](super::WindowSpec::new) or
    /// [`Definition::new`](super::Definition::new).
    #[error("an argument is outside of its range")]
    InvalidArgument,
    /// The scope has reached its [`ScopeLimits`] of counters, windows, tables, metrics or bytes.
    #[error("the plugin has as many as it is allowed to have")]
    TooMany,
    /// There is a metric of this name with another kind, help or labels.
    #[error("the name has another meaning already")]
    Conflict,
}

/// The state of one entry of the configuration, by name. Metrics are those of all its owner's scopes.
///
/// Counters and windows have separate names. Each stays open as long as the scope exists.
pub struct Scope {
    counters: Named<Counter>,
    windows: Named<Window>,
    keys_per_window: AtomicUsize,
    tables: Named<Table>,
    value_bytes: AtomicUsize,
    metrics: Arc<Metrics>,
    budget: Arc<Budget>,
    /// The bytes admitted to the budget for counters and for windows and tables without keys.
    fixed: AtomicUsize,
    time: Time,
    entropy: Entropy,
}

/// Bytes of a counter with its name. It takes two pairs of cache lines: its own, and that of the `Arc`'s
/// counts.
const COUNTER: usize = 2 * size_of::<Counter>() + NAME;

/// Bytes of a name of average length and of its place in the table.
const NAME: usize = 96;

impl Scope {
    pub(super) fn new(
        limits: ScopeLimits,
        budget: Arc<Budget>,
        metrics: Arc<Metrics>,
        time: Time,
        entropy: Entropy,
    ) -> Scope {
        Scope {
            budget,
            fixed: AtomicUsize::new(0),
            counters: Named::new(limits.counters),
            windows: Named::new(limits.windows),
            keys_per_window: AtomicUsize::new(limits.keys_per_window),
            tables: Named::new(limits.tables),
            value_bytes: AtomicUsize::new(limits.value_bytes),
            metrics,
            time,
            entropy,
        }
    }

    /// Changes the limits, also for what is open. A window that has to shrink forgets the keys that were
    /// quiet for longest, and so do all windows in the budget if that shrinks.
    pub fn set_limits(&self, limits: ScopeLimits) {
        self.counters.max.store(limits.counters, Ordering::Relaxed);
        self.windows.max.store(limits.windows, Ordering::Relaxed);
        let before = self
            .keys_per_window
            .swap(limits.keys_per_window, Ordering::Relaxed);
        if before != limits.keys_per_window {
            for window in self.windows.things.lock().values() {
                window.set_max_keys(limits.keys_per_window);
            }
        }
        self.tables.max.store(limits.tables, Ordering::Relaxed);
        self.value_bytes.store(limits.value_bytes, Ordering::Relaxed);
        for table in self.tables.things.lock().values() {
            table.set_max_value(limits.value_bytes);
        }
        self.metrics.set_max(limits.metrics);
        self.budget.set_limit(limits.bytes);
    }

    /// The clocks of the scope's users.
    pub fn time(&self) -> &Time {
        &self.time
    }

    /// The random numbers of the scope's users.
    pub fn entropy(&self) -> &Entropy {
        &self.entropy
    }

    /// The moment of an event that happens now.
    pub fn now(&self) -> Now {
        self.time.now()
    }

    /// Opens the counter of a name, made if there is none.
    pub fn counter(&self, name: &str) -> Result<Arc<Counter>, OpenError> {
        self.counters.open(name, || {
            self.admit(COUNTER)?;
            Ok(Arc::default())
        })
    }

    /// Opens the window of a name, made if there is none.
    pub fn window(&self, name: &str) -> Result<Arc<Window>, OpenError> {
        self.windows.open(name, || {
            let max_keys = self.keys_per_window.load(Ordering::Relaxed);
            self.admit(Window::fixed(max_keys) + NAME)?;
            let window = Arc::new(Window::within(Arc::clone(&self.budget), max_keys));
            let charged = Arc::downgrade(&window);
            self.budget.enter(charged);
            Ok(window)
        })
    }

    /// Opens the table of a name, made if there is none.
    pub fn table(&self, name: &str) -> Result<Arc<Table>, OpenError> {
        self.tables.open(name, || {
            self.admit(Table::fixed() + NAME)?;
            let max_value = self.value_bytes.load(Ordering::Relaxed);
            let table = Arc::new(Table::within(Arc::clone(&self.budget), max_value));
            let charged = Arc::downgrade(&table);
            self.budget.enter(charged);
            Ok(table)
        })
    }

    #[cfg(test)]
    pub(super) fn budget_used(&self) -> usize {
        self.budget.used()
    }

    fn admit(&self, bytes: usize) -> Result<(), OpenError> {
        if !self.budget.admit(bytes) {
            return Err(OpenError::TooMany);
        }
        self.fixed.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    /// Opens the window of a name for a plugin, which from then on measures its events by `spec`.
    pub fn open_window(&self, name: &str, spec: WindowSpec) -> Result<Arc<Window>, OpenError> {
        let window = self.window(name)?;
        window.opened_with(spec);
        Ok(window)
    }

    /// Every open table with its name, in alphabetical order.
    pub fn tables(&self) -> Vec<(String, Arc<Table>)> {
        self.tables.list()
    }

    /// The metrics of the scope's owner.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Every open counter with its name, in alphabetical order.
    pub fn counters(&self) -> Vec<(String, Arc<Counter>)> {
        self.counters.list()
    }

    /// Every open window with its name, in alphabetical order.
    pub fn windows(&self) -> Vec<(String, Arc<Window>)> {
        self.windows.list()
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        self.budget.release_fixed(*self.fixed.get_mut());
    }
}

/// At most `max` values with names.
struct Named<T> {
    max: AtomicUsize,
    things: Mutex<HashMap<Box<str>, Arc<T>>>,
}

impl<T> Named<T> {
    fn new(max: usize) -> Named<T> {
        Named {
            max: AtomicUsize::new(max),
            things: Mutex::default(),
        }
    }

    fn open(
        &self,
        name: &str,
        make: impl FnOnce() -> Result<Arc<T>, OpenError>,
    ) -> Result<Arc<T>, OpenError> {
        if !is_name(name) {
            return Err(OpenError::InvalidName);
        }
        let mut things = self.things.lock();
        if let Some(thing) = things.get(name) {
            return Ok(Arc::clone(thing));
        }
        if things.len() >= self.max.load(Ordering::Relaxed) {
            return Err(OpenError::TooMany);
        }
        let thing = make()?;
        things.insert(name.into(), Arc::clone(&thing));
        Ok(thing)
    }

    fn list(&self) -> Vec<(String, Arc<T>)> {
        let things = self.things.lock();
        let mut list: Vec<_> = things
            .iter()
            .map(|(name, thing)| (name.to_string(), Arc::clone(thing)))
            .collect();
        list.sort_by(|(a, _), (b, _)| a.cmp(b));
        list
    }
}

fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name
            .bytes()
            .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{Key, Now, Store, WindowSpec};

    fn scope(limits: ScopeLimits) -> Arc<Scope> {
        Store::new(usize::MAX).scope("a", "a", limits)
    }

    #[test]
    fn open_checks_names() {
        let scope = scope(ScopeLimits::default());
        let longest = "x".repeat(64);
        for name in ["a", "0", ".", "requests.by-client_2", &longest] {
            assert!(scope.counter(name).is_ok(), "{name:?}");
            assert!(scope.window(name).is_ok(), "{name:?}");
        }
        let too_long = "x".repeat(65);
        for name in ["", "A", "a b", "a/b", "é", "a\n", &too_long] {
            assert_eq!(
                scope.counter(name).err(),
                Some(OpenError::InvalidName),
                "{name:?}"
            );
            assert_eq!(scope.window(name).err(), Some(OpenError::InvalidName), "{name:?}");
        }
    }

    #[test]
    fn open_again_returns_the_same_and_does_not_count() {
        let limits = ScopeLimits {
            counters: 2,
            windows: 1,
            keys_per_window: 10,
            ..ScopeLimits::default()
        };
        let scope = scope(limits);
        let first = scope.counter("a").unwrap();
        scope.counter("b").unwrap();

        assert_eq!(scope.counter("c").err(), Some(OpenError::TooMany));
        assert!(Arc::ptr_eq(&first, &scope.counter("a").unwrap()));

        let window = scope.window("a").unwrap();
        assert_eq!(scope.window("b").err(), Some(OpenError::TooMany));
        assert!(Arc::ptr_eq(&window, &scope.window("a").unwrap()));
    }

    #[test]
    fn open_by_threads_returns_the_same_for_a_name() {
        const NAMES: usize = 4000;
        const THREADS: usize = 4;
        let limits = ScopeLimits {
            counters: NAMES / 2,
            ..ScopeLimits::default()
        };
        let scope = scope(limits);
        // The threads go from name to name in step, so that they meet.
        let together = std::sync::Barrier::new(THREADS);
        let open_all = || {
            let opened = (0..NAMES).filter_map(|name| {
                together.wait();
                let counter = scope.counter(&name.to_string()).ok()?;
                Some(counter.add(1))
            });
            opened.count()
        };
        let opened: Vec<usize> = std::thread::scope(|threads| {
            let workers: Vec<_> = (0..THREADS).map(|_| threads.spawn(open_all)).collect();
            workers.into_iter().map(|worker| worker.join().unwrap()).collect()
        });
        assert_eq!(opened, [NAMES / 2; THREADS]);
        let counters = scope.counters();
        assert_eq!(counters.len(), NAMES / 2);
        for (name, counter) in counters {
            assert_eq!(
                counter.value(),
                THREADS as u64,
                "not everybody has the same {name}"
            );
        }
    }

    #[test]
    fn open_counters_and_windows_are_listed_by_name() {
        let scope = scope(ScopeLimits::default());
        for name in ["b", "a"] {
            scope.counter(name).unwrap();
            scope.window(name).unwrap();
        }
        let names = |names: Vec<String>| assert_eq!(names, ["a", "b"]);
        names(scope.counters().into_iter().map(|(name, _)| name).collect());
        names(scope.windows().into_iter().map(|(name, _)| name).collect());
    }

    #[test]
    fn window_keeps_the_spec_of_its_last_opening() {
        let scope = scope(ScopeLimits::default());
        assert_eq!(scope.window("a").unwrap().spec(), None);
        for limit in [1, 2] {
            let spec = WindowSpec::new(limit, std::time::Duration::from_secs(1)).unwrap();
            scope.open_window("a", spec).unwrap();
            assert_eq!(scope.window("a").unwrap().spec(), Some(spec));
        }
    }

    #[test]
    fn set_limits_applies_to_open_windows() {
        let limits = |windows, keys_per_window| ScopeLimits {
            counters: 1,
            windows,
            keys_per_window,
            ..ScopeLimits::default()
        };
        let scope = scope(limits(1, 2));
        let window = scope.window("a").unwrap();
        let spec = WindowSpec::new(1, Duration::from_secs(1)).unwrap();
        let hit =
            |window: &Window, key: &[u8]| window.hit(&spec, Key::Bytes(key), Now::from_millis(0)).is_ok();
        assert!(hit(&window, b"a") && hit(&window, b"b") && !hit(&window, b"a"));

        scope.set_limits(limits(2, 3));
        assert!(scope.window("b").is_ok());
        assert!(
            hit(&window, b"c") && !hit(&window, b"a") && !hit(&window, b"b"),
            "there is room for three"
        );

        scope.set_limits(limits(1, 1));
        assert!(scope.window("b").is_ok(), "it is there");
        assert_eq!(window.len(), 1);
        assert!(!hit(&window, b"b"), "the others have been quiet for longer");
    }
}
