//! Budgets of memory for state: one for each plugin, and one for all.
//!
//! A thread that needs memory takes it, charges it here, and then has the quietest keys forgotten until the
//! sum is within its limit again. So a key in use is never refused, a limit is exceeded only by what the
//! threads have just taken, and a hit that needs no memory does not come here.

use std::cmp::Reverse;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::entropy;
use super::keyed::{Quiet, Quietest};

/// A sum of bytes with its limit.
struct Account {
    limit: AtomicUsize,
    used: AtomicUsize,
}

// The sum publishes nothing but itself, so the order of other memory does not matter.
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

    /// How many bytes are above the limit.
    fn excess(&self) -> usize {
        self.used().saturating_sub(self.limit.load(Ordering::Relaxed))
    }

    /// How many bytes to free if the limit is exceeded: a little more than the excess, so that not every new
    /// key has to have another one forgotten, and little enough that no thread waits for long.
    fn to_free(&self) -> usize {
        const SLACK: usize = 64 << 10;
        let slack = SLACK.min(self.limit.load(Ordering::Relaxed) / 64);
        match self.excess() {
            0 => 0,
            excess => excess.saturating_add(slack),
        }
    }
}

/// The budget of all state of the process.
pub(super) struct Total {
    account: Account,
    /// The budgets that are part of it.
    budgets: Mutex<Vec<Weak<Budget>>>,
}

impl Total {
    pub(super) fn new(limit: usize) -> Arc<Total> {
        Arc::new(Total {
            account: Account::new(limit),
            budgets: Mutex::default(),
        })
    }

    /// Changes the limit. If more is used, the quietest keys are forgotten.
    pub(super) fn set_limit(&self, limit: usize) {
        self.account.limit.store(limit, Ordering::Relaxed);
        self.relieve();
    }

    #[cfg(test)]
    pub(super) fn used(&self) -> usize {
        self.account.used()
    }

    /// Makes the budget that holds most forget its quietest keys until all are within the limit: a plugin that
    /// counts little loses nothing to one that counts much.
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

    /// Bytes of keys in all budgets.
    fn keys(&self) -> usize {
        let budgets = self.budgets.lock();
        let there = budgets.iter().filter_map(Weak::upgrade);
        there.map(|budget| budget.keys.load(Ordering::Relaxed)).sum()
    }
}

/// Keys with their memory in a budget: a window or a table.
pub(super) trait Charged: Send + Sync {
    /// The keys.
    fn keys(&self) -> &dyn Quiet;
}

/// The bytes after which the largest budget is determined again.
const AT_ONCE: usize = 64 << 10;

/// The budget of one plugin's state in all of its scopes.
pub(super) struct Budget {
    account: Account,
    /// The part of the bytes that keys of windows and tables take, which can be forgotten.
    keys: AtomicUsize,
    total: Arc<Total>,
    /// The windows and tables that are charged to it.
    charged: Mutex<Vec<Weak<dyn Charged>>>,
    /// Keys that were forgotten in windows and tables that no longer exist.
    forgotten: AtomicU64,
    /// Moves on with each search for quiet keys, so that each searches elsewhere.
    turn: AtomicUsize,
}

impl Budget {
    pub(super) fn new(limit: usize, total: &Arc<Total>) -> Arc<Budget> {
        let budget = Arc::new(Budget {
            account: Account::new(limit),
            keys: AtomicUsize::new(0),
            total: Arc::clone(total),
            charged: Mutex::default(),
            forgotten: AtomicU64::new(0),
            turn: AtomicUsize::new(0),
        });
        total.budgets.lock().push(Arc::downgrade(&budget));
        budget
    }

    /// An unshared budget without limit.
    pub(super) fn unlimited() -> Arc<Budget> {
        Budget::new(usize::MAX, &Total::new(usize::MAX))
    }

    /// Changes the limit. If more is used, the quietest keys are forgotten.
    pub(super) fn set_limit(&self, limit: usize) {
        self.account.limit.store(limit, Ordering::Relaxed);
        self.relieve();
    }

    /// Bytes in use.
    pub(super) fn used(&self) -> usize {
        self.account.used()
    }

    /// Keys that were forgotten for lack of room.
    pub(super) fn forgotten(&self) -> u64 {
        let all = self.all();
        let there: u64 = all.iter().map(|one| one.keys().forgotten()).sum();
        self.forgotten.load(Ordering::Relaxed) + there
    }

    /// Charges bytes that cannot be forgotten, if there is room. Returns whether there is.
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

    /// Releases admitted bytes.
    pub(super) fn release_fixed(&self, bytes: usize) {
        self.account.used.fetch_sub(bytes, Ordering::Relaxed);
        self.total.account.used.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Charges bytes of keys.
    pub(super) fn charge(&self, bytes: usize) {
        self.keys.fetch_add(bytes, Ordering::Relaxed);
        self.charge_fixed(bytes);
    }

    /// Releases bytes of keys.
    pub(super) fn release(&self, bytes: usize) {
        self.keys.fetch_sub(bytes, Ordering::Relaxed);
        self.release_fixed(bytes);
    }

    /// Whether so many bytes would be within the limits if all keys were forgotten.
    pub(super) fn has_room_for(&self, bytes: usize) -> bool {
        let fits = |account: &Account, keys: usize| {
            let others = account.used().saturating_sub(keys);
            others.saturating_add(bytes) <= account.limit.load(Ordering::Relaxed)
        };
        let total = &self.total.account;
        fits(&self.account, self.keys.load(Ordering::Relaxed))
            && (fits(total, 0) || fits(total, self.total.keys()))
    }

    /// Adds a window or a table.
    pub(super) fn enter(&self, one: Weak<dyn Charged>) {
        let mut all = self.charged.lock();
        all.retain(|one| one.strong_count() > 0);
        all.push(one);
    }

    /// Adds the forgotten keys of a window or table that has ended.
    pub(super) fn count_forgotten(&self, keys: u64) {
        self.forgotten.fetch_add(keys, Ordering::Relaxed);
    }

    /// Forgets the quietest keys if the limit is exceeded. Call it after memory was charged, and never
    /// with the lock of a shard held.
    pub(super) fn relieve(&self) {
        match self.account.to_free() {
            0 => {}
            bytes => drop(self.forget(bytes)),
        }
        if self.total.account.excess() > 0 {
            self.total.relieve();
        }
    }

    /// Forgets quiet keys until they have released so many bytes, or none is left. Returns how many were
    /// released.
    fn forget(&self, bytes: usize) -> usize {
        let all = self.all();
        let all: Vec<&dyn Quiet> = all.iter().map(|one| one.keys()).collect();
        let mut freed = 0;
        while freed < bytes {
            match self.forget_some(&all) {
                Some(more) => freed += more,
                None => break,
            }
        }
        freed
    }

    /// Looks at the quietest keys of a few shards, and has the quietest of these forgotten, together with
    /// those of its shard that are as quiet. `None` if there is no key at all.
    ///
    /// A sample is as good as a sorted list of all keys: the quietest of a shard are among the quietest of
    /// all, as keys are spread by their hash. No thread has to keep such a list, nor to wait for one that
    /// does.
    fn forget_some(&self, all: &[&dyn Quiet]) -> Option<usize> {
        let shards: usize = all.iter().map(|one| one.shards()).sum();
        let mut sample: Vec<(Quietest, &dyn Quiet, usize)> = Vec::with_capacity(SAMPLE);
        let mut look = |number: usize| {
            let (one, shard) = shard_at(all, number);
            if let Some(quietest) = one.quietest(shard) {
                sample.push((quietest, one, shard));
            }
            sample.len()
        };
        let first = self.turn.fetch_add(LOOKS, Ordering::Relaxed);
        let mut anywhere = (first..first.saturating_add(LOOKS)).map(|turn| scattered(turn) % shards.max(1));
        if shards == 0 || !anywhere.any(|number| look(number) == SAMPLE) {
            // Hardly any shard has keys, or none.
            let _is_there = (0..shards).any(|number| look(number) > 0);
        }
        // The quietest key of many is probably quieter than that of few, if both were used in the same second.
        sample.sort_unstable_by_key(|(quietest, ..)| (quietest.used, Reverse(quietest.of)));
        let (_, one, shard) = sample.first()?;
        let next = sample.get(1).map_or(u32::MAX, |(quietest, ..)| quietest.used);
        Some(one.forget(*shard, next))
    }

    fn all(&self) -> Vec<Arc<dyn Charged>> {
        self.charged.lock().iter().filter_map(Weak::upgrade).collect()
    }
}

/// How many shards with keys are compared.
const SAMPLE: usize = 8;

/// How many shards are tried to find that many.
const LOOKS: usize = 64;

/// A pseudo-random number.
fn scattered(turn: usize) -> usize {
    entropy::scattered((turn as u64).wrapping_mul(entropy::STEP)) as usize
}

/// The shard with this number, counted over all windows and tables.
fn shard_at<'a>(all: &[&'a dyn Quiet], mut number: usize) -> (&'a dyn Quiet, usize) {
    for one in all {
        match number.checked_sub(one.shards()) {
            None => return (*one, number),
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

    use super::super::{Denial, Key, Now, OpenError, Scope, ScopeLimits, Store, Window, WindowSpec};

    const MIB: usize = 1 << 20;

    fn scope(store: &Store, owner: &str, bytes: usize) -> Arc<Scope> {
        let limits = ScopeLimits {
            bytes,
            ..ScopeLimits::default()
        };
        store.scope(owner, owner, limits)
    }

    fn usage(store: &Store, owner: &str) -> (usize, u64) {
        let of_owner = store.usage().into_iter().find(|usage| usage.owner == owner);
        let usage = of_owner.expect("it has state");
        (usage.bytes, usage.forgotten)
    }

    fn hit(window: &Window, number: u64, now: u64) -> Result<u32, Denial> {
        let spec = WindowSpec::new(3, Duration::from_secs(3600)).expect("it is in range");
        let key = [number.to_le_bytes(); 16].concat();
        let hit = window.hit(&spec, Key::Bytes(&key), Now::from_millis(now));
        hit.map(|standing| standing.count)
    }

    #[test]
    fn full_budget_forgets_quiet_keys_and_keeps_busy_ones() {
        let store = Store::new(usize::MAX);
        let scope = scope(&store, "a", 4 * MIB);
        let windows = ["one", "two"].map(|name| scope.window(name).expect("there is room"));
        // A window of its own for the busy key.
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
    fn full_budget_takes_room_from_a_window_without_hits() {
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
    fn total_limit_is_kept_at_the_cost_of_the_largest_owner() {
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
    fn window_without_room_is_not_opened() {
        let store = Store::new(usize::MAX);
        let scope = scope(&store, "a", MIB);
        let opened = (0..64).map_while(|number| scope.window(&number.to_string()).ok());
        let opened = opened.count();
        assert!((20..64).contains(&opened), "{opened}");
        assert_eq!(scope.window("more").err(), Some(OpenError::TooMany));
        assert!(scope.window("0").is_ok(), "it is there");
    }

    #[test]
    fn dropped_state_releases_all_bytes() {
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
    fn threads_with_many_keys_stay_within_the_limit() {
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
                        // The keys that other threads have just charged come on top.
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
