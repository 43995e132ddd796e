use std::ops::{Index, IndexMut};

use super::shard::Entry;

/// Entries of a block. At 64 bytes each, as those of a window, a block is a page of memory.
const BLOCK: usize = 64;

/// Entries by their positions, which are dense: 0 to the number of entries.
///
/// The entries lie in blocks, of which all but the last are full. So memory exceeds the entries by a block at
/// most, is released as they go, and a freed block makes room anywhere: one vector would have to be copied
/// for that. A few entries have a block of their size.
pub(super) struct Entries<V> {
    blocks: Vec<Vec<Entry<V>>>,
}

impl<V> Entries<V> {
    pub(super) fn new() -> Entries<V> {
        Entries { blocks: Vec::new() }
    }

    pub(super) fn len(&self) -> usize {
        match self.blocks.split_last() {
            Some((last, full)) => full.len() * BLOCK + last.len(),
            None => 0,
        }
    }

    pub(super) fn get(&self, position: u32) -> Option<&Entry<V>> {
        let position = position as usize;
        self.blocks.get(position / BLOCK)?.get(position % BLOCK)
    }

    pub(super) fn get_mut(&mut self, position: u32) -> Option<&mut Entry<V>> {
        let position = position as usize;
        self.blocks.get_mut(position / BLOCK)?.get_mut(position % BLOCK)
    }

    /// Adds an entry at the end.
    pub(super) fn push(&mut self, entry: Entry<V>) {
        let blocks = self.blocks.len();
        match self.blocks.last_mut() {
            Some(last) if last.len() < BLOCK => {
                if last.len() == last.capacity() {
                    last.reserve_exact(last.len().min(BLOCK - last.len()));
                }
                last.push(entry);
            }
            _ => {
                let mut block = Vec::with_capacity(if blocks == 0 { 4 } else { BLOCK });
                block.push(entry);
                self.blocks.push(block);
            }
        }
    }

    /// Removes an entry, and moves the last one to its place.
    pub(super) fn swap_remove(&mut self, position: u32) -> Entry<V> {
        let at_end = position as usize + 1 == self.len();
        let only = self.blocks.len() == 1;
        let last = self
            .blocks
            .last_mut()
            .expect("there is the entry that is removed");
        let moved = last.pop().expect("no block is empty");
        if last.is_empty() {
            self.blocks.pop();
        } else if only && last.capacity() > 4 && last.len() <= last.capacity() / 4 {
            // Allocators leave a shrinking block in its place, so the entries move to a smaller one.
            let mut smaller = Vec::with_capacity(last.len() * 2);
            smaller.append(last);
            *last = smaller;
        }
        if at_end {
            moved
        } else {
            std::mem::replace(&mut self[position], moved)
        }
    }

    /// Allocated bytes.
    pub(super) fn bytes(&self) -> usize {
        let entries = match &self.blocks[..] {
            [] => 0,
            [only] => only.capacity(),
            blocks => blocks.len() * BLOCK,
        };
        entries * size_of::<Entry<V>>() + self.blocks.capacity() * size_of::<Vec<Entry<V>>>()
    }

    /// The number of entries that fit into the allocated memory.
    #[cfg(test)]
    pub(super) fn room(&self) -> usize {
        self.blocks.iter().map(Vec::capacity).sum()
    }
}

impl<V> Index<u32> for Entries<V> {
    type Output = Entry<V>;

    fn index(&self, position: u32) -> &Entry<V> {
        &self.blocks[position as usize / BLOCK][position as usize % BLOCK]
    }
}

impl<V> IndexMut<u32> for Entries<V> {
    fn index_mut(&mut self, position: u32) -> &mut Entry<V> {
        &mut self.blocks[position as usize / BLOCK][position as usize % BLOCK]
    }
}
