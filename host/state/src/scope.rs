use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use thiserror::Error;

use super::budget::Budget;
use super::{Counter, Limits, Now, Time, Window, WindowSpec};

/// Why a counter or window could not be opened. Each is the plugin's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum OpenError {
    /// The name is not 1 to 64 characters out of `a-z`, `0-9`, `.`, `_` and `-`.
    #[error("the name must have 1 to 64 characters out of a-z, 0-9, '.', '_' and '-'")]
    InvalidName,
    /// The limit or the period is outside what [`WindowSpec::new`](super::WindowSpec::new) allows.
    #[error("the limit must be at least 1 and the period 1 ms to 7 days")]
    InvalidArgument,
    /// The scope has as many as its [`Limits`] let it have, or as many bytes.
    #[error("the plugin has as many as it is allowed to have")]
    TooMany,
}

/// What one entry of the configuration counts: its counters and windows, by name.
///
/// Counters and windows have separate names. What was opened stays for as long as the scope does.
pub struct Scope {
    counters: Named<Counter>,
    windows: Named<Window>,
    keys_per_window: AtomicUsize,
    budget: Arc<Budget>,
    /// What was admitted to the budget, of counters and of windows without keys.
    fixed: AtomicUsize,
    time: Time,
}

/// Bytes of a counter with its name, which has two pairs of cache lines: one is its own, the other has what an
/// `Arc` counts.
const COUNTER: usize = 2 * size_of::<Counter>() + NAME;

/// Bytes of a name of middling length and of its place in the table.
const NAME: usize = 96;

impl Scope {
    pub(super) fn new(limits: Limits, budget: Arc<Budget>, time: Time) -> Scope {
        Scope {
            budget,
            fixed: AtomicUsize::new(0),
            counters: Named::new(limits.counters),
            windows: Named::new(limits.windows),
            keys_per_window: AtomicUsize::new(limits.keys_per_window),
            time,
        }
    }

    /// Other limits hold from now on, also for what is there. A window that has to be smaller forgets those of
    /// its keys that were quiet for longest, and so do all windows in the budget if that has to be smaller.
    pub fn set_limits(&self, limits: Limits) {
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
        self.budget.set_limit(limits.bytes);
    }

    /// The clocks of whoever uses it.
    pub fn time(&self) -> &Time {
        &self.time
    }

    /// The moment of an event that happens now.
    pub fn now(&self) -> Now {
        self.time.now()
    }

    /// The counter of this name, made if there is none.
    pub fn counter(&self, name: &str) -> Result<Arc<Counter>, OpenError> {
        self.counters.open(name, || {
            self.admit(COUNTER)?;
            Ok(Arc::default())
        })
    }

    /// The window of this name, made if there is none.
    pub fn window(&self, name: &str) -> Result<Arc<Window>, OpenError> {
        self.windows.open(name, || {
            let max_keys = self.keys_per_window.load(Ordering::Relaxed);
            self.admit(Window::fixed(max_keys) + NAME)?;
            let window = Arc::new(Window::within(Arc::clone(&self.budget), max_keys));
            self.budget.enter(&window);
            Ok(window)
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

    /// The window of this name as a plugin opens it, which then measures the events by `spec`.
    pub fn open_window(&self, name: &str, spec: WindowSpec) -> Result<Arc<Window>, OpenError> {
        let window = self.window(name)?;
        window.opened_with(spec);
        Ok(window)
    }

    /// Every counter that was opened, by name, in alphabetical order.
    pub fn counters(&self) -> Vec<(String, Arc<Counter>)> {
        self.counters.list()
    }

    /// Every window that was opened, by name, in alphabetical order.
    pub fn windows(&self) -> Vec<(String, Arc<Window>)> {
        self.windows.list()
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        self.budget.release_fixed(*self.fixed.get_mut());
    }
}

/// At most `max` things with names.
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
    use crate::budget::Total;
    use crate::{Key, Now, WindowSpec};

    fn scope(limits: Limits) -> Scope {
        let budget = Budget::new(limits.bytes, &Total::new(usize::MAX));
        Scope::new(limits, budget, Time::Real)
    }

    #[test]
    fn names_are_checked() {
        let scope = scope(Limits::default());
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
    fn opening_again_returns_the_same_and_is_no_further_one() {
        let limits = Limits {
            counters: 2,
            windows: 1,
            keys_per_window: 10,
            ..Limits::default()
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
    fn threads_that_open_the_same_names_get_the_same() {
        const NAMES: usize = 4000;
        const THREADS: usize = 4;
        let limits = Limits {
            counters: NAMES / 2,
            ..Limits::default()
        };
        let scope = scope(limits);
        // They go from name to name together, so that they meet.
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
    fn what_was_opened_is_listed_by_name() {
        let scope = scope(Limits::default());
        for name in ["b", "a"] {
            scope.counter(name).unwrap();
            scope.window(name).unwrap();
        }
        let names = |names: Vec<String>| assert_eq!(names, ["a", "b"]);
        names(scope.counters().into_iter().map(|(name, _)| name).collect());
        names(scope.windows().into_iter().map(|(name, _)| name).collect());
    }

    #[test]
    fn a_window_knows_how_it_was_opened_last() {
        let scope = scope(Limits::default());
        assert_eq!(scope.window("a").unwrap().spec(), None);
        for limit in [1, 2] {
            let spec = WindowSpec::new(limit, std::time::Duration::from_secs(1)).unwrap();
            scope.open_window("a", spec).unwrap();
            assert_eq!(scope.window("a").unwrap().spec(), Some(spec));
        }
    }

    #[test]
    fn limits_change_while_things_are_open() {
        let limits = |windows, keys_per_window| Limits {
            counters: 1,
            windows,
            keys_per_window,
            ..Limits::default()
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
