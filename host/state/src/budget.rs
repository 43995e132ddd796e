//! How many bytes state may take: that of each plugin, and that of all.
//!
//! Who needs memory takes it, charges it here, and then has the quietest keys forgotten until the sum is
//! within its limit again. So nothing is ever refused to a key that is in use, a limit is exceeded by what the
//! threads have just taken and no more, and a hit that needs no memory looks at nothing here.

use std::cmp::Reverse;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::window::{Quietest, Window};

/// Bytes, and how many there may be.
struct Account {
    limit: AtomicUsize,
    used: AtomicUsize,
}

// A sum that publishes nothing but itself, so the order of other memory does not matter.
impl Account {
    fn new(limit: usize) -> Account {
        Account {
            limit: AtomicUsize::new(limit),
            used: AtomicUsize::new(0),
        }
    }

    fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// How many bytes there are too many.
    fn excess(&self) -> usize {
        self.used().saturating_sub(self.limit.load(Ordering::Relaxed))
    }

    /// How many bytes to free when there are too many: a little more, so that not every new key has to have
    /// another one forgotten, and little enough that nobody waits for long.
    fn to_free(&self) -> usize {
        const SLACK: usize = 64 << 10;
        let slack = SLACK.min(self.limit.load(Ordering::Relaxed) / 64);
        match self.excess() {
            0 => 0,
            excess => excess.saturating_add(slack),
        }
    }
}

/// What all state of the process may take.
pub(super) struct Total {
    account: Account,
    /// The budgets that are in it.
    budgets: Mutex<Vec<Weak<Budget>>>,
}

impl Total {
    pub(super) fn new(limit: usize) -> Arc<Total> {
        Arc::new(Total {
            account: Account::new(limit),
            budgets: Mutex::default(),
        })
    }

    /// Another limit from now on. If more is used, the quietest keys are forgotten.
    pub(super) fn set_limit(&self, limit: usize) {
        self.account.limit.store(limit, Ordering::Relaxed);
        self.relieve();
    }

    #[cfg(test)]
    pub(super) fn used(&self) -> usize {
        self.account.used()
    }

    /// The budget that holds most forgets its quietest keys, until all are within the limit: who counts little
    /// loses nothing to who counts much.
    fn relieve(&self) {
        let mut left = self.account.to_free();
        while left > 0 {
            let freed = match self.largest() {
                Some(largest) => largest.forget(left.min(AT_ONCE)),
                None => 0,
            };
            if freed == 0 {
                break;
            }
            left = left.saturating_sub(freed);
        }
    }

    fn largest(&self) -> Option<Arc<Budget>> {
        let mut budgets = self.budgets.lock();
        budgets.retain(|budget| budget.strong_count() > 0);
        let largest = budgets.iter().filter_map(Weak::upgrade);
        largest.max_by_key(|budget| budget.keys.load(Ordering::Relaxed))
    }
}

/// After so many bytes it is looked again which budget holds most.
const AT_ONCE: usize = 64 << 10;

/// What the state of one plugin may take: its counters and windows, in all of its scopes.
pub(super) struct Budget {
    account: Account,
    /// Those of the bytes that keys of windows take, which can be forgotten.
    keys: AtomicUsize,
    total: Arc<Total>,
    /// The windows that are in it.
    windows: Mutex<Vec<Weak<Window>>>,
    /// Keys that were forgotten in windows that are gone.
    forgotten: AtomicU64,
    /// Moves on with each look for quiet keys, so that each looks elsewhere.
    turn: AtomicUsize,
}

impl Budget {
    pub(super) fn new(limit: usize, total: &Arc<Total>) -> Arc<Budget> {
        let budget = Arc::new(Budget {
            account: Account::new(limit),
            keys: AtomicUsize::new(0),
            total: Arc::clone(total),
            windows: Mutex::default(),
            forgotten: AtomicU64::new(0),
            turn: AtomicUsize::new(0),
        });
        total.budgets.lock().push(Arc::downgrade(&budget));
        budget
    }

    /// One that nobody else shares, and that ends nowhere.
    pub(super) fn unlimited() -> Arc<Budget> {
        Budget::new(usize::MAX, &Total::new(usize::MAX))
    }

    /// Another limit from now on. If more is used, the quietest keys are forgotten.
    pub(super) fn set_limit(&self, limit: usize) {
        self.account.limit.store(limit, Ordering::Relaxed);
        self.relieve();
    }

    /// Bytes in use.
    pub(super) fn used(&self) -> usize {
        self.account.used()
    }

    /// Keys that were forgotten for want of room.
    pub(super) fn forgotten(&self) -> u64 {
        let windows = self.windows();
        let there: u64 = windows.iter().map(|window| window.forgotten()).sum();
        self.forgotten.load(Ordering::Relaxed) + there
    }

    /// Whether there is room for something that cannot be forgotten; it is charged then.
    pub(super) fn admit(&self, bytes: usize) -> bool {
        self.charge_fixed(bytes);
        self.relieve();
        let fits = self.account.excess() == 0 && self.total.account.excess() == 0;
        if !fits {
            self.release_fixed(bytes);
        }
        fits
    }

    fn charge_fixed(&self, bytes: usize) {
        self.account.used.fetch_add(bytes, Ordering::Relaxed);
        self.total.account.used.fetch_add(bytes, Ordering::Relaxed);
    }

    /// What was admitted is not there any more.
    pub(super) fn release_fixed(&self, bytes: usize) {
        self.account.used.fetch_sub(bytes, Ordering::Relaxed);
        self.total.account.used.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Keys take so many bytes more.
    pub(super) fn charge(&self, bytes: usize) {
        self.keys.fetch_add(bytes, Ordering::Relaxed);
        self.charge_fixed(bytes);
    }

    /// Keys take so many bytes less.
    pub(super) fn release(&self, bytes: usize) {
        self.keys.fetch_sub(bytes, Ordering::Relaxed);
        self.release_fixed(bytes);
    }

    /// A window is in it from now on.
    pub(super) fn enter(&self, window: &Arc<Window>) {
        let mut windows = self.windows.lock();
        windows.retain(|window| window.strong_count() > 0);
        windows.push(Arc::downgrade(window));
    }

    /// A window has ended in which so many keys were forgotten.
    pub(super) fn count_forgotten(&self, keys: u64) {
        self.forgotten.fetch_add(keys, Ordering::Relaxed);
    }

    /// Has the quietest keys forgotten if more is used than may be. To be called after memory was charged, and
    /// by nobody who holds the lock of a shard.
    pub(super) fn relieve(&self) {
        match self.account.to_free() {
            0 => {}
            bytes => drop(self.forget(bytes)),
        }
        if self.total.account.excess() > 0 {
            self.total.relieve();
        }
    }

    /// Forgets quiet keys until they have given back so many bytes, or none is left. Says how many were given
    /// back.
    fn forget(&self, bytes: usize) -> usize {
        let windows = self.windows();
        let mut freed = 0;
        while freed < bytes {
            match self.forget_some(&windows) {
                Some(more) => freed += more,
                None => break,
            }
        }
        freed
    }

    /// Looks at the quietest keys of a few shards, and has the quietest of these forgotten, together with those
    /// of its shard that are as quiet. `None` if there is no key at all.
    ///
    /// A sample is as good as a list of all keys in their order: the quietest of a shard are among the quietest
    /// of all, as keys are spread by their hash. No thread has to keep such a list, nor to wait for who does.
    fn forget_some(&self, windows: &[Arc<Window>]) -> Option<usize> {
        let shards: usize = windows.iter().map(|window| window.shards()).sum();
        let mut sample: Vec<(Quietest, &Window, usize)> = Vec::with_capacity(SAMPLE);
        let mut look = |number: usize| {
            let (window, shard) = shard_at(windows, number);
            if let Some(quietest) = window.quietest(shard) {
                sample.push((quietest, window, shard));
            }
            sample.len()
        };
        let first = self.turn.fetch_add(LOOKS, Ordering::Relaxed);
        let mut anywhere = (first..first.saturating_add(LOOKS)).map(|turn| scattered(turn) % shards.max(1));
        if shards == 0 || !anywhere.any(|number| look(number) == SAMPLE) {
            // Hardly any shard has keys, or none.
            let _is_there = (0..shards).any(|number| look(number) > 0);
        }
        // The quietest key of many is likely to be quieter than that of few, when both were hit in the same second.
        sample.sort_unstable_by_key(|(quietest, ..)| (quietest.hit, Reverse(quietest.of)));
        let (_, window, shard) = sample.first()?;
        let next = sample.get(1).map_or(u32::MAX, |(quietest, ..)| quietest.hit);
        Some(window.forget(*shard, next))
    }

    fn windows(&self) -> Vec<Arc<Window>> {
        self.windows.lock().iter().filter_map(Weak::upgrade).collect()
    }
}

/// How many shards are looked at for the quietest keys.
const SAMPLE: usize = 8;

/// How many are looked at for so many that have keys.
const LOOKS: usize = 64;

/// A number that looks as if it had been drawn: the last step of SplitMix64 (Steele, Lea and Flood, 2014).
fn scattered(turn: usize) -> usize {
    let mut number = (turn as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (number ^ (number >> 31)) as usize
}

/// The shard with this number, counted over all windows.
fn shard_at(windows: &[Arc<Window>], mut number: usize) -> (&Window, usize) {
    for window in windows {
        match number.checked_sub(window.shards()) {
            None => return (window, number),
            Some(rest) => number = rest,
        }
    }
    unreachable!("the number is below the sum of all");
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;
    use std::time::Duration;

    use super::super::{Key, Limits, Now, OpenError, Scope, Store, Window, WindowSpec};

    const MIB: usize = 1 << 20;

    fn scope(store: &Store, owner: &str, bytes: usize) -> Arc<Scope> {
        let limits = Limits {
            bytes,
            ..Limits::default()
        };
        store.scope(owner, owner, limits)
    }

    fn usage(store: &Store, owner: &str) -> (usize, u64) {
        let of_owner = store.usage().into_iter().find(|usage| usage.owner == owner);
        let usage = of_owner.expect("it has state");
        (usage.bytes, usage.forgotten)
    }

    fn hit(window: &Window, number: u64, now: u64) -> Result<u32, u64> {
        let spec = WindowSpec::new(3, Duration::from_secs(3600)).expect("it is in range");
        let key = [number.to_le_bytes(); 16].concat();
        window.hit(&spec, Key::Bytes(&key), Now::from_millis(now))
    }

    #[test]
    fn quiet_keys_go_and_busy_ones_stay() {
        let store = Store::new(usize::MAX);
        let scope = scope(&store, "a", 4 * MIB);
        let windows = ["one", "two"].map(|name| scope.window(name).expect("there is room"));
        // So that the busy one is alone in its window.
        let busy = scope.window("busy").expect("there is room");
        for number in 0..200_000 {
            let now = number / 100;
            let window = &windows[usize::from(number % 3 == 0)];
            hit(window, number, now).expect("it is new");
            if number % 500 == 0 {
                let counted = hit(&busy, 7, now);
                assert_eq!(counted.is_ok(), number < 1500, "event {number}: {counted:?}");
            }
            if number % 1000 == 0 {
                assert!(scope.budget_used() <= 4 * MIB);
            }
        }
        let (bytes, forgotten) = usage(&store, "a");
        assert!(bytes <= 4 * MIB && bytes > 3 * MIB, "{bytes}");
        let there: usize = windows.iter().map(|window| window.len()).sum();
        assert_eq!(forgotten as usize + there, 200_000);
        for number in 199_990..200_000 {
            let window = &windows[usize::from(number % 3 == 0)];
            assert_eq!(hit(window, number, 2_000), Ok(2), "{number} is among the latest");
        }
    }

    #[test]
    fn a_window_that_nobody_hits_any_more_makes_room_for_another() {
        let store = Store::new(usize::MAX);
        let scope = scope(&store, "a", 2 * MIB);
        let [old, new] = ["old", "new"].map(|name| scope.window(name).expect("there is room"));
        for number in 0..20_000 {
            hit(&old, number, 0).expect("it is new");
        }
        let before = old.len();
        for number in 0..3_000 {
            hit(&new, number, 60_000).expect("it is new");
        }
        assert_eq!(new.len(), 3_000, "none of them was forgotten");
        assert!(old.len() < before - 2_000, "{} of {before}", old.len());
    }

    #[test]
    fn the_limit_of_all_is_kept_at_the_cost_of_who_has_most() {
        let store = Store::new(4 * MIB);
        let [large, small] = ["large", "small"].map(|owner| scope(&store, owner, 64 * MIB));
        let [of_large, of_small] = [&large, &small].map(|scope| scope.window("w").expect("there is room"));
        for number in 0..1_000 {
            hit(&of_small, number, 0).expect("it is new");
        }
        for number in 0..100_000 {
            hit(&of_large, number, number).expect("it is new");
        }
        let (large, small) = (usage(&store, "large"), usage(&store, "small"));
        assert!(large.0 + small.0 <= 4 * MIB);
        assert!(large.1 > 50_000);
        assert_eq!(small.1, 0);
        store.set_limit(MIB);
        assert!(store.total_used() <= MIB, "{}", store.total_used());
    }

    #[test]
    fn a_window_for_which_there_is_no_room_cannot_be_opened() {
        let store = Store::new(usize::MAX);
        let scope = scope(&store, "a", MIB);
        let opened = (0..64).map_while(|number| scope.window(&number.to_string()).ok());
        let opened = opened.count();
        assert!((20..64).contains(&opened), "{opened}");
        assert_eq!(scope.window("more").err(), Some(OpenError::TooMany));
        assert!(scope.window("0").is_ok(), "it is there");
    }

    #[test]
    fn all_is_given_back_in_the_end() {
        let store = Store::new(usize::MAX);
        let scope = scope(&store, "a", 64 * MIB);
        let window = scope.window("w").expect("there is room");
        scope.counter("c").expect("there is room");
        for number in 0..10_000 {
            hit(&window, number, 0).expect("it is new");
        }
        assert!(store.total_used() > 10_000 * 128);
        drop((window, scope));
        store.retain(|_| false);
        assert_eq!(store.total_used(), 0);
        assert!(store.usage().is_empty());
    }

    #[test]
    fn threads_that_hoard_together_stay_within_the_limit() {
        const THREADS: u64 = 4;
        const EACH: u64 = 30_000;
        let store = Store::new(usize::MAX);
        let scope = scope(&store, "a", 2 * MIB);
        let window = scope.window("w").expect("there is room");
        thread::scope(|threads| {
            for thread in 0..THREADS {
                let (scope, window) = (&scope, &window);
                threads.spawn(move || {
                    for number in 0..EACH {
                        hit(window, number * THREADS + thread, number).expect("it is new");
                        // What the others have just charged comes on top.
                        assert!(scope.budget_used() <= 2 * MIB + 64 * 1024);
                    }
                });
            }
        });
        let (bytes, forgotten) = usage(&store, "a");
        assert!(bytes <= 2 * MIB);
        assert_eq!(forgotten as usize + window.len(), (EACH * THREADS) as usize);
    }
}
