//! The order in which a key's backends are asked.

use std::iter;

use balancing::mix;

use super::table::{Table, Taker};

/// A backend as far as its place depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    /// The hash of the address.
    pub(super) hash: u64,
    pub(super) weight: u32,
}

/// The places of a pool's backends, which follow from their addresses and weights.
pub(super) struct Layout {
    identities: Box<[Identity]>,
    table: Table,
    /// The backends with a weight in the order of their hashes.
    circle: Box<[(u64, u32)]>,
}

/// How often a table is asked for a key. If half of the backends get nothing, one key of 256 is still without a backend
/// then.
const PROBES: u64 = 8;

impl Layout {
    /// The layout of these backends, in the order of their indices.
    pub(super) fn new(identities: Box<[Identity]>) -> Self {
        let weighted = (0..).zip(&identities).filter(|(_, identity)| identity.weight > 0);
        let mut circle: Box<[_]> = weighted.map(|(index, identity)| (identity.hash, index)).collect();
        circle.sort_unstable();
        let mut layout = Self {
            identities,
            table: Table::default(),
            circle,
        };
        layout.table = layout.table_of(|_| true);
        layout
    }

    /// A table of some of the backends.
    pub(super) fn table_of(&self, is_one: impl Fn(u32) -> bool) -> Table {
        let some = self.circle.iter().filter(|&&(_, index)| is_one(index));
        Table::new(some.map(|&(hash, index)| Taker::new(index, hash, self.identities[index as usize].weight)))
    }

    /// The number of backends with a weight.
    pub(super) fn len(&self) -> usize {
        self.circle.len()
    }

    /// Whether it is the layout of these backends.
    pub(super) fn is_of(&self, identities: &[Identity]) -> bool {
        *self.identities == *identities
    }

    /// The backends for a key in the order in which they are asked, with repetitions. Every one comes up in the end.
    ///
    /// The first is the table's. If it is not to be had, the key points to another slot, by chance and yet always the
    /// same: the keys of a backend are spread over all others, and none of theirs moves. `of_few` is a table of those
    /// that are to be had, if they are few.
    pub(super) fn choices<'a>(&'a self, hash: u64, of_few: Option<&'a Table>) -> impl Iterator<Item = u32> {
        let mut probe = 0;
        let probes = iter::from_fn(move || {
            let table = match probe / PROBES {
                0 => &self.table,
                1 => of_few?,
                _ => return None,
            };
            let backend = table.backend(mix(hash.wrapping_add(probe)));
            probe += 1;
            backend
        });
        // The circle is searched only if it is gone round.
        probes.chain(iter::once_with(move || self.clockwise(hash)).flatten())
    }

    /// Every backend with a weight, from the one whose hash follows the key's.
    pub(super) fn clockwise(&self, hash: u64) -> impl Iterator<Item = u32> {
        let start = self.circle.partition_point(|&(of, _)| of < hash);
        let (before, after) = self.circle.split_at(start);
        after.iter().chain(before).map(|&(_, index)| index)
    }
}
