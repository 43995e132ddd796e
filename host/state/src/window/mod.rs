//! Sliding windows: how many events a key had within a period up to now.
//!
//! | file | what it holds |
//! |---|---|
//! | `spec.rs` | limit and period |
//! | `key.rs` | keys of events |
//! | `log.rs` | the events of one key |
//! | `shard.rs` | a part of the keys, the quietest last |
//! | `entries.rs` | the memory of a shard's keys |

#[cfg(test)]
mod concurrency;
mod entries;
mod key;
mod log;
mod shard;
mod spec;
#[cfg(test)]
mod tests;

use foldhash::quality::RandomState;
use parking_lot::Mutex;

use std::sync::Arc;

pub use key::{Key, Prefixes};
pub use spec::WindowSpec;

use super::budget::Budget;
use key::Lookup;
pub(super) use shard::Quietest;
use shard::{Hit, Shard};

/// Keys that a window holds by default.
pub const MAX_KEYS: usize = 1_000_000;

/// The fewest keys of a shard: with fewer, the busiest shard would be full long before the window is.
const KEYS_PER_SHARD: usize = 1024;

/// Shards of a large window: many more than there are threads, so that two rarely meet, and each small enough
/// to grow in some ten microseconds.
const MAX_SHARDS: usize = 256;

/// A moment: whole milliseconds (rounded down) since an epoch that is the same for all hits of a window.
///
/// Threads that read one clock may hit in another order than they read it. For each key, time is the latest
/// it has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Now(u64);

impl Now {
    /// The moment so many milliseconds after the epoch, at most 139 years.
    pub const fn from_millis(millis: u64) -> Now {
        match millis < log::MAX_TIME {
            true => Now(millis),
            false => Now(log::MAX_TIME),
        }
    }

    /// The milliseconds since the epoch.
    pub const fn as_millis(self) -> u64 {
        self.0
    }
}

/// Counts events per key in a period that slides with time.
///
/// The count is exact: no stretch of the period ever has more counted events than the limit, however many
/// threads count at the same time. Time is kept in steps of 1/1024 of the period, rounded up to whole
/// milliseconds; an event may stay a step too long and never leaves early.
///
/// Memory: 64 bytes for a key and 6 to 12 for its place in the index, and the key's bytes if it is not an
/// address. A key whose events do not fit in one step needs 8 bytes more for each further step with events,
/// of which there are never more than 1024 nor than the limit (and up to twice that for room to grow). When a
/// window has its most keys, the one that was quiet for longest is forgotten; so are the quietest keys of all
/// windows in a [`Budget`] that is used up. Keys without events are removed little by little as others are
/// hit.
pub struct Window {
    budget: Arc<Budget>,
    hasher: RandomState,
    /// The shards, a power of two, each on its own cache lines (which processors fetch in pairs).
    shards: Box<[Padded<Mutex<Shard>>]>,
    /// How the window was opened last, for observers.
    spec: Mutex<Option<WindowSpec>>,
}

#[repr(align(128))]
struct Padded<T>(T);

impl Window {
    /// A window for about so many keys, at least one, without a budget.
    pub fn new(max_keys: usize) -> Window {
        Window::within(Budget::unlimited(), max_keys)
    }

    /// A window for about so many keys, at least one. Its [fixed](Window::fixed) bytes must have been
    /// admitted to the budget.
    ///
    /// Keys spread by their hash over shards with equal parts of this number. A shard that exceeds its part
    /// forgets its quietest key even if others have room. Up to 1,024 keys there is one shard, so the number
    /// and the order are exact.
    pub(super) fn within(budget: Arc<Budget>, max_keys: usize) -> Window {
        let shards = shards(max_keys);
        let capacity = capacity(max_keys, shards);
        Window {
            budget,
            hasher: RandomState::default(),
            shards: (0..shards)
                .map(|_| Padded(Mutex::new(Shard::new(capacity))))
                .collect(),
            spec: Mutex::default(),
        }
    }

    /// Bytes of a window for so many keys while it is empty.
    pub(super) fn fixed(max_keys: usize) -> usize {
        size_of::<Window>() + shards(max_keys) * size_of::<Padded<Mutex<Shard>>>()
    }

    /// How a plugin measures its events; `None` if none has opened the window. The last opening counts.
    pub fn spec(&self) -> Option<WindowSpec> {
        *self.spec.lock()
    }

    pub(super) fn opened_with(&self, spec: WindowSpec) {
        *self.spec.lock() = Some(spec);
    }

    /// Changes the number of keys. If there are more, those that were quiet for longest are forgotten.
    ///
    /// The number of shards stays, and each keeps at least one key.
    pub fn set_max_keys(&self, max_keys: usize) {
        let capacity = capacity(max_keys, self.shards.len());
        for shard in &self.shards {
            shard.0.lock().set_capacity(capacity, &self.hasher, &self.budget);
        }
    }

    /// Counts one event if the key has room.
    ///
    /// `Ok`: the event was counted; the number of the key's events in the window, this one included. `Err`:
    /// the key has its limit of events, and nothing was counted; the milliseconds, at least 1, until it has
    /// room for one, unless another hit takes it.
    ///
    /// The limit and period may differ from hit to hit. The same events are measured by them, except those
    /// that a shorter period has already dropped.
    pub fn hit(&self, spec: &WindowSpec, key: Key<'_>, now: Now) -> Result<u32, u64> {
        let key = Lookup::from(key);
        let hash = key.hash(&self.hasher);
        let position = self.position(hash);
        let mut shard = self.shards[position].0.lock();
        let Hit { outcome, charged } = shard.hit(spec, &key, hash, now.0, &self.hasher, &self.budget);
        let due = shard.sweep_due();
        drop(shard);
        if let Some(turn) = due {
            self.sweep(position.wrapping_add(turn as usize), spec, now);
        }
        if charged {
            self.budget.relieve();
        }
        outcome
    }

    /// The number of the key's events. Counts nothing, and does not make the key less quiet.
    pub fn count(&self, spec: &WindowSpec, key: Key<'_>, now: Now) -> u32 {
        let key = Lookup::from(key);
        let hash = key.hash(&self.hasher);
        self.shards[self.position(hash)]
            .0
            .lock()
            .count(spec, &key, hash, now.0)
    }

    /// The number of keys, including keys whose events have all expired but which were not removed yet. Looks
    /// at every shard.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.0.lock().len()).sum()
    }

    /// Whether no key is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Removes a few keys without events from one shard. Each shard's hits go around all shards, so that
    /// shards without hits release their memory too.
    fn sweep(&self, turn: usize, spec: &WindowSpec, now: Now) {
        // A shard in use is looked at on another turn.
        if let Some(mut shard) = self.shards[turn & (self.shards.len() - 1)].0.try_lock() {
            shard.sweep(spec, now.0, &self.hasher, &self.budget);
        }
    }

    /// The number of shards.
    pub(super) fn shards(&self) -> usize {
        self.shards.len()
    }

    /// The quietest key of a shard; `None` without keys.
    pub(super) fn quietest(&self, shard: usize) -> Option<Quietest> {
        self.shards[shard].0.lock().quietest()
    }

    /// Forgets the quietest key of a shard, and a few more that were hit at `hit` or before. Returns the
    /// bytes that were released.
    pub(super) fn forget(&self, shard: usize, hit: u32) -> usize {
        self.shards[shard]
            .0
            .lock()
            .forget(hit, &self.hasher, &self.budget)
    }

    /// Keys that were forgotten for lack of room.
    pub fn forgotten(&self) -> u64 {
        self.shards.iter().map(|shard| shard.0.lock().forgotten()).sum()
    }

    fn position(&self, hash: u64) -> usize {
        // Inside a shard the index uses the upper 7 and the lower bits.
        (hash >> 48) as usize & (self.shards.len() - 1)
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        let (mut charged, mut forgotten) = (0, 0);
        for shard in &mut self.shards {
            let shard = shard.0.get_mut();
            charged += shard.charged();
            forgotten += shard.forgotten();
        }
        self.budget.release(charged);
        self.budget.count_forgotten(forgotten);
    }
}

/// The number of shards of a window for so many keys: a power of two.
fn shards(max_keys: usize) -> usize {
    (max_keys / KEYS_PER_SHARD).next_power_of_two().min(MAX_SHARDS)
}

/// A shard's part of the keys.
fn capacity(max_keys: usize, shards: usize) -> usize {
    (max_keys / shards).clamp(1, u32::MAX as usize - 1)
}
