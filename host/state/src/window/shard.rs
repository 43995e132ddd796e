use foldhash::quality::RandomState;
use hashbrown::HashTable;

use super::entries::Entries;
use super::key::{Lookup, StoredKey};
use super::log::Log;
use super::spec::WindowSpec;
use crate::budget::Budget;

/// The end of a chain of entries.
const NONE: u32 = u32::MAX;

/// How many hits of a shard come between two sweeps, and the most keys that a sweep removes: as many as can
/// have come in the meantime, and few enough that no hit waits for long.
const SWEEP: u32 = 16;

/// Memory is charged to the budget in steps of so many bytes, so that threads seldom meet there.
const STEP: usize = 512;

/// The most keys that are forgotten at once to free memory: about as many as fill a block.
const FORGET: usize = 64;

/// A part of a window's keys, in the order in which they were last hit.
///
/// The entries lie densely and are chained by their positions, and the index holds only positions. This takes
/// about half of the memory of a heap node per key, and can shrink.
pub(super) struct Shard {
    index: HashTable<u32>,
    entries: Entries,
    /// The entry that was hit last.
    newest: u32,
    /// The entry that was quiet for longest.
    oldest: u32,
    /// The most entries.
    capacity: usize,
    /// Counts hits, to know when to sweep. Wraps around.
    hits: u32,
    /// Bytes of keys and logs outside of their entries.
    heap: usize,
    /// Bytes that are charged to the budget.
    charged: usize,
    /// Keys that were forgotten for lack of room.
    forgotten: u64,
}

/// The key of a shard that was quiet for longest.
#[derive(Clone, Copy)]
pub(in super::super) struct Quietest {
    /// When the key was last hit, in units of about a second.
    pub(in super::super) hit: u32,
    /// How many keys its shard has.
    pub(in super::super) of: usize,
}

/// The result of a hit, and the work left until the shard's lock is free.
pub(super) struct Hit {
    pub(super) outcome: Result<u32, u64>,
    /// Whether memory was charged to the budget, which may be exceeded now.
    pub(super) charged: bool,
}

/// One key. 64 bytes, the size of a cache line.
pub(super) struct Entry {
    key: StoredKey,
    log: Log,
    newer: u32,
    older: u32,
}

impl Entry {
    /// Bytes on the heap.
    fn heap(&self) -> usize {
        self.key.heap() + self.log.heap()
    }
}

impl Shard {
    pub(super) fn new(capacity: usize) -> Shard {
        debug_assert!((1..NONE as usize).contains(&capacity));
        Shard {
            index: HashTable::new(),
            entries: Entries::default(),
            newest: NONE,
            oldest: NONE,
            capacity,
            hits: 0,
            heap: 0,
            charged: 0,
            forgotten: 0,
        }
    }

    /// See [`Window::set_max_keys`](super::Window::set_max_keys).
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

    /// See [`Window::hit`](super::Window::hit). `hash` is that of `key` by `hasher`.
    pub(super) fn hit(
        &mut self,
        spec: &WindowSpec,
        key: &Lookup<'_>,
        hash: u64,
        now: u64,
        hasher: &RandomState,
        budget: &Budget,
    ) -> Hit {
        let (position, is_new) = match self.find(key, hash) {
            // A refused key is not quiet: a refusal must not get it forgotten.
            Some(position) => (self.touch(position), false),
            None => (self.insert(key, hash, hasher), true),
        };
        self.hits = self.hits.wrapping_add(1);
        let before = self.heap;
        let outcome = self.entries[position].log.hit(spec, now, &mut self.heap);
        Hit {
            outcome,
            charged: (is_new || self.heap != before) && self.settle(budget),
        }
    }

    /// See [`Window::count`](super::Window::count).
    pub(super) fn count(&self, spec: &WindowSpec, key: &Lookup<'_>, hash: u64, now: u64) -> u32 {
        self.find(key, hash)
            .map_or(0, |position| self.entries[position].log.count(spec, now))
    }

    /// The turn of the sweep after the last hit, if one is due.
    pub(super) fn sweep_due(&self) -> Option<u32> {
        self.hits.is_multiple_of(SWEEP).then_some(self.hits / SWEEP)
    }

    /// Removes a few of the quietest keys if their events have all expired.
    pub(super) fn sweep(&mut self, spec: &WindowSpec, now: u64, hasher: &RandomState, budget: &Budget) {
        for _ in 0..SWEEP {
            match self.entries.get(self.oldest) {
                Some(oldest) if oldest.log.is_quiet(spec, now) => self.remove(self.oldest, hasher),
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
            hit: oldest.log.last_hit(),
            of: self.entries.len(),
        })
    }

    /// Forgets the quietest key, and a few more that were not hit after `hit`, but not the less quiet half of
    /// all. Returns the bytes that were released.
    pub(super) fn forget(&mut self, hit: u32, hasher: &RandomState, budget: &Budget) -> usize {
        let before = self.charged;
        for number in 0..FORGET.min(self.entries.len().div_ceil(2)) {
            match self.quietest() {
                Some(quietest) if quietest.hit <= hit || number == 0 => {
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

    /// Adjusts the charge in the budget. Returns whether more was charged.
    fn settle(&mut self, budget: &Budget) -> bool {
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

    fn find(&self, key: &Lookup<'_>, hash: u64) -> Option<u32> {
        let entries = &self.entries;
        self.index
            .find(hash, |&position| entries[position].key.lookup() == *key)
            .copied()
    }

    fn insert(&mut self, key: &Lookup<'_>, hash: u64, hasher: &RandomState) -> u32 {
        if self.entries.len() >= self.capacity {
            self.forgotten += 1;
            self.remove(self.oldest, hasher);
        }
        let position = self.entries.len() as u32; // below the capacity, which is below NONE
        let entry = Entry {
            key: key.store(),
            log: Log::default(),
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
    fn touch(&mut self, position: u32) -> u32 {
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
    fn remove(&mut self, position: u32, hasher: &RandomState) {
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
impl Shard {
    /// The number of keys that fit into the allocated memory.
    pub(super) fn room(&self) -> usize {
        self.entries.room()
    }

    /// Panics unless index, entries and chain agree.
    pub(super) fn check(&self, hasher: &RandomState) {
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

#[cfg(test)]
#[test]
fn entry_is_one_cache_line() {
    assert_eq!(size_of::<Entry>(), 64);
}

fn hash_of(entries: &Entries, position: u32, hasher: &RandomState) -> u64 {
    entries[position].key.lookup().hash(hasher)
}
