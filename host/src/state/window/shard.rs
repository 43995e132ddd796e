use foldhash::quality::RandomState;
use hashbrown::HashTable;

use super::key::{Lookup, StoredKey};
use super::log::Log;
use super::spec::WindowSpec;

/// Ends a chain of entries.
const NONE: u32 = u32::MAX;

/// So many hits of a shard are followed by one sweep, and a sweep removes at most so many keys. As many
/// as can have come in the meantime, and few enough that no hit waits for long.
const SWEEP: u32 = 16;

/// A part of a window's keys, in the order in which they were last hit.
///
/// The entries lie densely in one vector and are chained by their positions, the index holds
/// nothing but positions. This takes about half of the memory of a node of heap per key, and can
/// shrink.
pub(super) struct Shard {
    index: HashTable<u32>,
    entries: Vec<Entry>,
    /// The entry that was hit last.
    newest: u32,
    /// The entry that was quiet for longest.
    oldest: u32,
    /// At most so many entries.
    capacity: usize,
    /// Counts hits, to know when to sweep. Wraps around.
    hits: u32,
}

/// One key. 64 bytes, the size of a cache line.
struct Entry {
    key: StoredKey,
    log: Log,
    newer: u32,
    older: u32,
}

impl Shard {
    pub(super) fn new(capacity: usize) -> Shard {
        debug_assert!((1..NONE as usize).contains(&capacity));
        Shard {
            index: HashTable::new(),
            entries: Vec::new(),
            newest: NONE,
            oldest: NONE,
            capacity,
            hits: 0,
        }
    }

    /// See [`Window::set_max_keys`](super::Window::set_max_keys).
    pub(super) fn set_capacity(&mut self, capacity: usize, hasher: &RandomState) {
        debug_assert!((1..NONE as usize).contains(&capacity));
        self.capacity = capacity;
        while self.entries.len() > capacity {
            self.remove(self.oldest, hasher);
        }
        self.shrink(hasher);
    }

    /// See [`Window::hit`](super::Window::hit). `hash` is that of `key` by `hasher`.
    pub(super) fn hit(
        &mut self,
        spec: &WindowSpec,
        key: &Lookup<'_>,
        hash: u64,
        now: u64,
        hasher: &RandomState,
    ) -> Result<u32, u64> {
        let position = match self.find(key, hash) {
            // A refused key is not a quiet one: it must not be forgotten for having been refused.
            Some(position) => self.touch(position),
            None => self.insert(key, hash, hasher),
        };
        self.hits = self.hits.wrapping_add(1);
        self.entries[position as usize].log.hit(spec, now)
    }

    /// See [`Window::count`](super::Window::count).
    pub(super) fn count(&self, spec: &WindowSpec, key: &Lookup<'_>, hash: u64, now: u64) -> u32 {
        self.find(key, hash)
            .map_or(0, |position| self.entries[position as usize].log.count(spec, now))
    }

    /// Whether the last hit is to be followed by a sweep, and if so which turn that is.
    pub(super) fn sweep_due(&self) -> Option<u32> {
        self.hits.is_multiple_of(SWEEP).then_some(self.hits / SWEEP)
    }

    /// Remove a few of the quietest keys if none of their events counts any more.
    pub(super) fn sweep(&mut self, spec: &WindowSpec, now: u64, hasher: &RandomState) {
        for _ in 0..SWEEP {
            match self.entries.get(self.oldest as usize) {
                Some(oldest) if oldest.log.is_quiet(spec, now) => self.remove(self.oldest, hasher),
                _ => break,
            }
        }
        self.shrink(hasher);
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    fn find(&self, key: &Lookup<'_>, hash: u64) -> Option<u32> {
        let entries = &self.entries;
        self.index
            .find(hash, |&position| entries[position as usize].key.lookup() == *key)
            .copied()
    }

    fn insert(&mut self, key: &Lookup<'_>, hash: u64, hasher: &RandomState) -> u32 {
        if self.entries.len() >= self.capacity {
            self.remove(self.oldest, hasher);
        }
        if self.entries.len() == self.entries.capacity() {
            let room = self.capacity - self.entries.len();
            self.entries.reserve_exact(self.entries.len().max(4).min(room));
        }
        let position = self.entries.len() as u32; // below the capacity, which is below NONE
        self.entries.push(Entry {
            key: key.store(),
            log: Log::default(),
            newer: NONE,
            older: NONE,
        });
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

    /// Give memory back when three quarters are unused.
    fn shrink(&mut self, hasher: &RandomState) {
        let len = self.entries.len();
        if self.entries.capacity() > 64 && len < self.entries.capacity() / 4 {
            self.entries.shrink_to(len * 2);
            let entries = &self.entries;
            self.index
                .shrink_to(len * 2, |&position| hash_of(entries, position, hasher));
        }
    }

    /// Remove an entry. The last of the vector takes its place.
    fn remove(&mut self, position: u32, hasher: &RandomState) {
        self.unlink(position);
        self.index
            .find_entry(hash_of(&self.entries, position, hasher), |&found| {
                found == position
            })
            .expect("every entry is in the index")
            .remove();
        self.entries.swap_remove(position as usize);

        let moved = self.entries.len() as u32;
        if moved != position {
            *self
                .index
                .find_mut(hash_of(&self.entries, position, hasher), |&found| found == moved)
                .expect("every entry is in the index") = position;
            let Entry { newer, older, .. } = self.entries[position as usize];
            *self.older_of(newer) = position;
            *self.newer_of(older) = position;
        }
    }

    fn link(&mut self, position: u32) {
        let older = self.newest;
        self.entries[position as usize].newer = NONE;
        self.entries[position as usize].older = older;
        *self.newer_of(older) = position;
        self.newest = position;
    }

    fn unlink(&mut self, position: u32) {
        let Entry { newer, older, .. } = self.entries[position as usize];
        *self.older_of(newer) = older;
        *self.newer_of(older) = newer;
    }

    /// What follows an entry towards the oldest; after none comes the newest.
    fn older_of(&mut self, position: u32) -> &mut u32 {
        match self.entries.get_mut(position as usize) {
            Some(entry) => &mut entry.older,
            None => &mut self.newest,
        }
    }

    /// What follows an entry towards the newest; after none comes the oldest.
    fn newer_of(&mut self, position: u32) -> &mut u32 {
        match self.entries.get_mut(position as usize) {
            Some(entry) => &mut entry.newer,
            None => &mut self.oldest,
        }
    }
}

#[cfg(test)]
impl Shard {
    /// For how many keys there is memory.
    pub(super) fn room(&self) -> usize {
        self.entries.capacity()
    }

    /// Panics unless index, entries and chain agree.
    pub(super) fn check(&self, hasher: &RandomState) {
        let (mut newer, mut position, mut chained) = (NONE, self.newest, 0);
        while let Some(entry) = self.entries.get(position as usize) {
            assert_eq!(entry.newer, newer);
            assert_eq!(
                self.find(&entry.key.lookup(), hash_of(&self.entries, position, hasher)),
                Some(position)
            );
            chained += 1;
            (newer, position) = (position, entry.older);
        }
        assert_eq!((newer, position), (self.oldest, NONE));
        assert_eq!(
            (chained, self.index.len()),
            (self.entries.len(), self.entries.len())
        );
    }
}

#[cfg(test)]
#[test]
fn an_entry_is_a_cache_line() {
    assert_eq!(size_of::<Entry>(), 64);
}

fn hash_of(entries: &[Entry], position: u32, hasher: &RandomState) -> u64 {
    entries[position as usize].key.lookup().hash(hasher)
}
