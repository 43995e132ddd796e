use foldhash::quality::RandomState;
use hashbrown::HashTable;

use super::entries::Entries;
use super::key::{Lookup, StoredKey};
use super::log::Log;
use super::spec::WindowSpec;
use crate::budget::Budget;

/// Ends a chain of entries.
const NONE: u32 = u32::MAX;

/// So many hits of a shard are followed by one sweep, and a sweep removes at most so many keys. As many
/// as can have come in the meantime, and few enough that no hit waits for long.
const SWEEP: u32 = 16;

/// Memory is charged to the budget in steps of so many bytes, so that threads seldom meet there.
const STEP: usize = 512;

/// At most so many keys are forgotten at once for the sake of others: as many as free about a block.
const FORGET: usize = 64;

/// A part of a window's keys, in the order in which they were last hit.
///
/// The entries lie densely and are chained by their positions, the index holds nothing but
/// positions. This takes about half of the memory of a node of heap per key, and can shrink.
pub(super) struct Shard {
    index: HashTable<u32>,
    entries: Entries,
    /// The entry that was hit last.
    newest: u32,
    /// The entry that was quiet for longest.
    oldest: u32,
    /// At most so many entries.
    capacity: usize,
    /// Counts hits, to know when to sweep. Wraps around.
    hits: u32,
    /// Bytes of keys and logs outside of their entries.
    heap: usize,
    /// Bytes that are charged to the budget.
    charged: usize,
    /// Keys that were forgotten for want of room.
    forgotten: u64,
}

/// The key of a shard that was quiet for longest.
#[derive(Clone, Copy)]
pub(in super::super) struct Quietest {
    /// When it was hit, in units of about a second.
    pub(in super::super) hit: u32,
    /// How many keys the shard has.
    pub(in super::super) of: usize,
}

/// What a hit came to, and what it leaves to be done once the shard's lock is free.
pub(super) struct Hit {
    pub(super) outcome: Result<u32, u64>,
    /// Memory was charged to the budget, which may have too little now.
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
            // A refused key is not a quiet one: it must not be forgotten for having been refused.
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

    /// Whether the last hit is to be followed by a sweep, and if so which turn that is.
    pub(super) fn sweep_due(&self) -> Option<u32> {
        self.hits.is_multiple_of(SWEEP).then_some(self.hits / SWEEP)
    }

    /// Remove a few of the quietest keys if none of their events counts any more.
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

    /// The quietest key; `None` if there is no key.
    pub(super) fn quietest(&self) -> Option<Quietest> {
        let oldest = self.entries.get(self.oldest)?;
        Some(Quietest {
            hit: oldest.log.last_hit(),
            of: self.entries.len(),
        })
    }

    /// Forget the quietest key, and a few more that were not hit after `hit`, but not the less quiet half of all.
    /// Returns how many bytes were given back.
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

    /// Keys that were forgotten for want of room.
    pub(super) fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// Bytes that are charged to the budget.
    pub(super) fn charged(&self) -> usize {
        self.charged
    }

    /// Have the budget know what there is now. Whether more was charged.
    fn settle(&mut self, budget: &Budget) -> bool {
        let bytes = self.heap + self.entries.bytes() + self.index.allocation_size();
        if bytes > self.charged {
            let more = (bytes - self.charged).next_multiple_of(STEP);
            budget.charge(more);
            self.charged += more;
            return true;
        }
        // A step more than need be stays, so that a key that comes and goes costs nothing here.
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

    /// Make an entry the newest.
    fn touch(&mut self, position: u32) -> u32 {
        if position != self.newest {
            self.unlink(position);
            self.link(position);
        }
        position
    }

    /// Give memory of the index back when three quarters are unused; the entries do so by themselves.
    fn shrink(&mut self, hasher: &RandomState) {
        let len = self.entries.len();
        if self.index.capacity() > 8 && len < self.index.capacity() / 4 {
            let entries = &self.entries;
            self.index
                .shrink_to(len * 2, |&position| hash_of(entries, position, hasher));
        }
    }

    /// Remove an entry. The last one takes its place.
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

    /// What follows an entry towards the oldest; after none comes the newest.
    fn older_of(&mut self, position: u32) -> &mut u32 {
        match self.entries.get_mut(position) {
            Some(entry) => &mut entry.older,
            None => &mut self.newest,
        }
    }

    /// What follows an entry towards the newest; after none comes the oldest.
    fn newer_of(&mut self, position: u32) -> &mut u32 {
        match self.entries.get_mut(position) {
            Some(entry) => &mut entry.newer,
            None => &mut self.oldest,
        }
    }
}

#[cfg(test)]
impl Shard {
    /// For how many keys there is memory.
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
fn an_entry_is_a_cache_line() {
    assert_eq!(size_of::<Entry>(), 64);
}

fn hash_of(entries: &Entries, position: u32, hasher: &RandomState) -> u64 {
    entries[position].key.lookup().hash(hasher)
}
