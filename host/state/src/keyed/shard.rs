use foldhash::quality::RandomState;
use hashbrown::HashTable;

use super::entries::Entries;
use super::key::{Lookup, StoredKey};
use super::{Kept, Quietest};
use crate::budget::Budget;

/// The end of a chain of entries.
const NONE: u32 = u32::MAX;

/// How many uses of a shard come between two sweeps, and the most keys that a sweep looks at: as many as can
/// have come in the meantime, and few enough that nobody waits for long.
const SWEEP: u32 = 16;

/// Memory is charged to the budget in steps of so many bytes, so that threads seldom meet there.
const STEP: usize = 512;

/// The most keys that are forgotten at once to free memory: about as many as fill a block.
const FORGET: usize = 64;

/// A part of the keys, in the order in which they were last used.
///
/// The entries lie densely and are chained by their positions, and the index holds only positions. This takes
/// about half of the memory of a heap node per key, and can shrink.
pub(crate) struct Shard<V> {
    index: HashTable<u32>,
    entries: Entries<V>,
    /// The entry that was used last.
    newest: u32,
    /// The entry that was quiet for longest.
    oldest: u32,
    /// The most entries.
    capacity: usize,
    /// Counts uses, to know when to sweep. Wraps around.
    uses: u32,
    /// The entry that the next sweep begins with, if it goes around.
    next: u32,
    /// Bytes of keys and values outside of their entries.
    heap: usize,
    /// The heap and the number of entries when the charge was last adjusted.
    settled: (usize, usize),
    /// Bytes that are charged to the budget.
    charged: usize,
    /// Keys that were forgotten for lack of room.
    forgotten: u64,
}

/// One key. In a window 64 bytes, the size of a cache line.
pub(super) struct Entry<V> {
    key: StoredKey,
    value: V,
    newer: u32,
    older: u32,
}

impl<V: Kept> Entry<V> {
    /// Bytes on the heap.
    fn heap(&self) -> usize {
        self.key.heap() + self.value.heap()
    }
}

impl<V: Kept> Shard<V> {
    pub(super) fn new(capacity: usize) -> Shard<V> {
        debug_assert!((1..NONE as usize).contains(&capacity));
        Shard {
            index: HashTable::new(),
            entries: Entries::new(),
            newest: NONE,
            oldest: NONE,
            capacity,
            uses: 0,
            next: 0,
            heap: 0,
            settled: (0, 0),
            charged: 0,
            forgotten: 0,
        }
    }

    /// Changes the most entries, and forgets the quietest beyond.
    pub(super) fn set_capacity(&mut self, capacity: usize, hasher: &RandomState, budget: &Budget) {
        debug_assert!((1..NONE as usize).contains(&capacity));
        self.capacity = capacity;
        while self.entries.len() > capacity {
            self.forgotten += 1;
            self.remove(self.oldest, hasher);
        }
        self.shrink(hasher);
        self.settle(budget);
    }

    /// The value of a key.
    pub(crate) fn value(&self, position: u32) -> &V {
        &self.entries[position].value
    }

    /// The value of a key, and the sum of heap memory that a change of it has to adjust.
    pub(crate) fn value_mut(&mut self, position: u32) -> (&mut V, &mut usize) {
        (&mut self.entries[position].value, &mut self.heap)
    }

    /// Counts a use. Returns the turn of the sweep that is due after it, if one is.
    pub(super) fn used(&mut self) -> Option<u32> {
        self.uses = self.uses.wrapping_add(1);
        self.uses.is_multiple_of(SWEEP).then_some(self.uses / SWEEP)
    }

    /// Removes a few keys whose values are over: of the quietest, or, if others can be over before these, of
    /// those whose turn it is.
    pub(super) fn sweep(&mut self, is_over: impl Fn(&V) -> bool, hasher: &RandomState, budget: &Budget) {
        for _ in 0..SWEEP {
            let position = if V::IN_ORDER { self.oldest } else { self.next };
            match self.entries.get(position) {
                // The last entry comes to its place, and is the next to be looked at.
                Some(found) if is_over(&found.value) => self.remove(position, hasher),
                Some(_) if !V::IN_ORDER => self.next += 1,
                None if self.next > 0 => self.next = 0,
                _ => break,
            }
        }
        self.shrink(hasher);
        self.settle(budget);
    }

    /// The quietest key; `None` without keys.
    pub(super) fn quietest(&self) -> Option<Quietest> {
        let oldest = self.entries.get(self.oldest)?;
        Some(Quietest {
            used: oldest.value.last_use(),
            of: self.entries.len(),
        })
    }

    /// Forgets the quietest key, and a few more that were not used after `used`, but not the less quiet half
    /// of all. Returns the bytes that were released.
    pub(super) fn forget(&mut self, used: u32, hasher: &RandomState, budget: &Budget) -> usize {
        let before = self.charged;
        for number in 0..FORGET.min(self.entries.len().div_ceil(2)) {
            match self.quietest() {
                Some(quietest) if quietest.used <= used || number == 0 => {
                    self.forgotten += 1;
                    self.remove(self.oldest, hasher);
                }
                _ => break,
            }
        }
        self.shrink(hasher);
        self.settle(budget);
        before - self.charged
    }

    /// Keys that were forgotten for lack of room.
    pub(super) fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// Bytes that are charged to the budget.
    pub(super) fn charged(&self) -> usize {
        self.charged
    }

    /// Adjusts the charge in the budget if something has changed. Returns whether more was charged.
    pub(super) fn settle_change(&mut self, budget: &Budget) -> bool {
        self.settled != (self.heap, self.entries.len()) && self.settle(budget)
    }

    /// Adjusts the charge in the budget. Returns whether more was charged.
    fn settle(&mut self, budget: &Budget) -> bool {
        self.settled = (self.heap, self.entries.len());
        let bytes = self.heap + self.entries.bytes() + self.index.allocation_size();
        if bytes > self.charged {
            let more = (bytes - self.charged).next_multiple_of(STEP);
            budget.charge(more);
            self.charged += more;
            return true;
        }
        // One step more than needed stays charged, so that a key that comes and goes costs nothing here.
        let less = (self.charged - bytes) / STEP * STEP;
        if less > STEP || bytes == 0 {
            budget.release(less);
            self.charged -= less;
        }
        false
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The place of a key, which holds until another is added or removed.
    pub(crate) fn find(&self, key: &Lookup<'_>, hash: u64) -> Option<u32> {
        let entries = &self.entries;
        self.index
            .find(hash, |&position| entries[position].key.lookup() == *key)
            .copied()
    }

    /// Adds a key that is not there, as the newest. The quietest gives way if there are too many.
    pub(crate) fn insert(&mut self, key: &Lookup<'_>, hash: u64, value: V, hasher: &RandomState) -> u32 {
        if self.entries.len() >= self.capacity {
            self.forgotten += 1;
            self.remove(self.oldest, hasher);
        }
        let position = self.entries.len() as u32; // below the capacity, which is below NONE
        let entry = Entry {
            key: key.store(),
            value,
            newer: NONE,
            older: NONE,
        };
        self.heap += entry.heap();
        self.entries.push(entry);
        let entries = &self.entries;
        self.index
            .insert_unique(hash, position, |&position| hash_of(entries, position, hasher));
        self.link(position);
        position
    }

    /// Makes an entry the newest.
    pub(crate) fn touch(&mut self, position: u32) -> u32 {
        if position != self.newest {
            self.unlink(position);
            self.link(position);
        }
        position
    }

    /// Releases memory of the index when three quarters are unused; the entries do so by themselves.
    fn shrink(&mut self, hasher: &RandomState) {
        let len = self.entries.len();
        if self.index.capacity() > 8 && len < self.index.capacity() / 4 {
            let entries = &self.entries;
            self.index
                .shrink_to(len * 2, |&position| hash_of(entries, position, hasher));
        }
    }

    /// Removes an entry, and moves the last one to its place.
    pub(crate) fn remove(&mut self, position: u32, hasher: &RandomState) {
        self.unlink(position);
        self.index
            .find_entry(hash_of(&self.entries, position, hasher), |&found| {
                found == position
            })
            .expect("every entry is in the index")
            .remove();
        let gone = self.entries.swap_remove(position);
        self.heap -= gone.heap();

        let moved = self.entries.len() as u32;
        if moved != position {
            *self
                .index
                .find_mut(hash_of(&self.entries, position, hasher), |&found| found == moved)
                .expect("every entry is in the index") = position;
            let Entry { newer, older, .. } = self.entries[position];
            *self.older_of(newer) = position;
            *self.newer_of(older) = position;
        }
    }

    fn link(&mut self, position: u32) {
        let older = self.newest;
        self.entries[position].newer = NONE;
        self.entries[position].older = older;
        *self.newer_of(older) = position;
        self.newest = position;
    }

    fn unlink(&mut self, position: u32) {
        let Entry { newer, older, .. } = self.entries[position];
        *self.older_of(newer) = older;
        *self.newer_of(older) = newer;
    }

    /// The next entry towards the oldest; after [`NONE`] comes the newest.
    fn older_of(&mut self, position: u32) -> &mut u32 {
        match self.entries.get_mut(position) {
            Some(entry) => &mut entry.older,
            None => &mut self.newest,
        }
    }

    /// The next entry towards the newest; after [`NONE`] comes the oldest.
    fn newer_of(&mut self, position: u32) -> &mut u32 {
        match self.entries.get_mut(position) {
            Some(entry) => &mut entry.newer,
            None => &mut self.oldest,
        }
    }
}

#[cfg(test)]
impl<V: Kept> Shard<V> {
    /// The number of keys that fit into the allocated memory.
    pub(crate) fn room(&self) -> usize {
        self.entries.room()
    }

    /// Panics unless index, entries and chain agree.
    pub(crate) fn check(&self, hasher: &RandomState) {
        let (mut newer, mut position, mut chained, mut heap) = (NONE, self.newest, 0, 0);
        while let Some(entry) = self.entries.get(position) {
            assert_eq!(entry.newer, newer);
            assert_eq!(
                self.find(&entry.key.lookup(), hash_of(&self.entries, position, hasher)),
                Some(position)
            );
            chained += 1;
            heap += entry.heap();
            (newer, position) = (position, entry.older);
        }
        assert_eq!((newer, position), (self.oldest, NONE));
        assert_eq!(
            (chained, self.index.len()),
            (self.entries.len(), self.entries.len())
        );
        let bytes = heap + self.entries.bytes() + self.index.allocation_size();
        assert_eq!(heap, self.heap);
        assert!((bytes..bytes + 2 * STEP).contains(&self.charged));
    }
}

/// Bytes of a key with its value.
#[cfg(test)]
pub(crate) fn entry_size<V>() -> usize {
    size_of::<Entry<V>>()
}

fn hash_of<V>(entries: &Entries<V>, position: u32, hasher: &RandomState) -> u64 {
    entries[position].key.lookup().hash(hasher)
}
