//! Values by keys, in shards, with the memory that they take in a budget.
//!
//! | file | what it holds |
//! |---|---|
//! | `key.rs` | keys |
//! | `shard.rs` | a part of the keys, the quietest last |
//! | `entries.rs` | the memory of a shard's keys |

mod entries;
mod key;
mod shard;

use std::sync::Arc;

use foldhash::quality::RandomState;
use parking_lot::Mutex;

pub use key::{Key, Prefixes};
pub(super) use key::{Lookup, StoredKey};
pub(super) use shard::Shard;
#[cfg(test)]
pub(super) use shard::entry_size;

use super::budget::Budget;

/// The most shards: many more than there are threads, so that two rarely meet, and each small enough to grow in
/// some ten microseconds.
pub(super) const MAX_SHARDS: usize = 256;

/// A value that is kept for a key.
pub(super) trait Kept {
    /// Whether values that were quiet for longer are over before others.
    const IN_ORDER: bool;

    /// Bytes on the heap.
    fn heap(&self) -> usize;

    /// When the key was last used, in units of 1,024 ms.
    fn last_use(&self) -> u32;
}

/// Keys that can be forgotten.
pub(super) trait Quiet: Send + Sync {
    /// The number of shards.
    fn shards(&self) -> usize;

    /// The quietest key of a shard; `None` without keys.
    fn quietest(&self, shard: usize) -> Option<Quietest>;

    /// Forgets the quietest key of a shard, and a few more that were used at `used` or before. Returns the
    /// bytes that were released.
    fn forget(&self, shard: usize, used: u32) -> usize;

    /// Keys that were forgotten for lack of room.
    fn forgotten(&self) -> u64;
}

/// The key of a shard that was quiet for longest.
#[derive(Clone, Copy)]
pub(super) struct Quietest {
    /// When the key was last used, in units of about a second.
    pub(super) used: u32,
    /// How many keys its shard has.
    pub(super) of: usize,
}

/// Values by keys.
///
/// Keys spread by their hash over shards, a power of two, each on its own cache lines (which processors fetch in
/// pairs) and behind a lock of its own. A thread holds one lock at a time, and waits for nothing while it does.
pub(super) struct Keyed<V: Kept> {
    budget: Arc<Budget>,
    hasher: RandomState,
    shards: Box<[Padded<Mutex<Shard<V>>>]>,
}

#[repr(align(128))]
struct Padded<T>(T);

/// A key that is looked up in its shard.
pub(super) struct At<'a> {
    pub(super) key: &'a Lookup<'a>,
    pub(super) hash: u64,
    pub(super) hasher: &'a RandomState,
}

impl<V: Kept> Keyed<V> {
    /// So many shards with so many keys each at most. Their [fixed](Keyed::fixed) bytes must have been admitted
    /// to the budget.
    pub(super) fn within(budget: Arc<Budget>, shards: usize, capacity: usize) -> Keyed<V> {
        debug_assert!(shards.is_power_of_two());
        Keyed {
            budget,
            hasher: RandomState::default(),
            shards: (0..shards)
                .map(|_| Padded(Mutex::new(Shard::new(capacity))))
                .collect(),
        }
    }

    /// Bytes of so many shards while they are empty.
    pub(super) fn fixed(shards: usize) -> usize {
        shards * size_of::<Padded<Mutex<Shard<V>>>>()
    }

    /// Changes the number of keys of a shard. If one has more, those that were quiet for longest are forgotten.
    pub(super) fn set_capacity(&self, capacity: usize) {
        for shard in &self.shards {
            shard.0.lock().set_capacity(capacity, &self.hasher, &self.budget);
        }
    }

    /// Uses a key: calls `use_it` with its shard, and then does what is due without holding its lock. Some keys
    /// whose values are over are removed, of one shard after another, so that those that nobody uses release
    /// their memory too.
    pub(super) fn with<R>(
        &self,
        key: &Lookup<'_>,
        is_over: impl Fn(&V) -> bool,
        use_it: impl FnOnce(&mut Shard<V>, At<'_>) -> R,
    ) -> R {
        let at = At {
            key,
            hash: key.hash(&self.hasher),
            hasher: &self.hasher,
        };
        let position = self.position(at.hash);
        let mut shard = self.shards[position].0.lock();
        let result = use_it(&mut shard, at);
        let due = shard.used();
        let charged = shard.settle_change(&self.budget);
        drop(shard);
        if let Some(turn) = due {
            let next = position.wrapping_add(turn as usize) & (self.shards.len() - 1);
            // A shard in use is looked at on another turn.
            if let Some(mut shard) = self.shards[next].0.try_lock() {
                shard.sweep(is_over, &self.hasher, &self.budget);
            }
        }
        if charged {
            self.budget.relieve();
        }
        result
    }

    /// Looks at the value of a key, if there is one, which does not make it less quiet.
    pub(super) fn look<R>(&self, key: &Lookup<'_>, look: impl FnOnce(&V) -> R) -> Option<R> {
        let hash = key.hash(&self.hasher);
        let shard = self.shards[self.position(hash)].0.lock();
        let position = shard.find(key, hash)?;
        Some(look(shard.value(position)))
    }

    /// The number of keys. Looks at every shard.
    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.0.lock().len()).sum()
    }

    /// Whether a value of so many bytes would have room if everything else were forgotten.
    pub(super) fn has_room_for(&self, bytes: usize) -> bool {
        self.budget.has_room_for(bytes)
    }

    fn position(&self, hash: u64) -> usize {
        // Inside a shard the index uses the upper 7 and the lower bits.
        (hash >> 48) as usize & (self.shards.len() - 1)
    }

    /// Calls `look` with each shard and the hasher of its keys.
    #[cfg(test)]
    pub(super) fn each_shard(&self, mut look: impl FnMut(&Shard<V>, &RandomState)) {
        self.shards
            .iter()
            .for_each(|shard| look(&shard.0.lock(), &self.hasher));
    }
}

impl<V: Kept + Send> Quiet for Keyed<V> {
    fn shards(&self) -> usize {
        self.shards.len()
    }

    fn quietest(&self, shard: usize) -> Option<Quietest> {
        self.shards[shard].0.lock().quietest()
    }

    fn forget(&self, shard: usize, used: u32) -> usize {
        self.shards[shard]
            .0
            .lock()
            .forget(used, &self.hasher, &self.budget)
    }

    fn forgotten(&self) -> u64 {
        self.shards.iter().map(|shard| shard.0.lock().forgotten()).sum()
    }
}

impl<V: Kept> Drop for Keyed<V> {
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
