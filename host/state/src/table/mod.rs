//! Tables: values under keys, for as long as they may be good.
//!
//! | file | what it holds |
//! |---|---|
//! | `cell.rs` | the value of one key, and the claim on it |
//! | `claims.rs` | the claims of a request |

mod cell;
mod claims;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use thiserror::Error;

pub use cell::ClaimId;
pub use claims::Claims;

use super::budget::{Budget, Charged};
use super::keyed::{At, Key, Keyed, Lookup, Quiet, Shard};
use super::window::Now;
use cell::{Cell, heap_of};

/// Many more than there are threads, so that two rarely meet.
const SHARDS: usize = 64;

/// The longest time of a value, 30 days in milliseconds.
const LONGEST_TTL: u64 = 30 * 24 * 3600 * 1000;

/// Values under keys of bytes.
///
/// A value is gone after its time, and may be gone before: when the budget is used up, the keys that were quiet
/// for longest are forgotten. Values whose time is over are removed little by little as others are used. Each
/// operation holds the lock of one shard, and values are copied outside of it.
pub struct Table {
    keys: Keyed<Cell>,
    max_value: AtomicUsize,
}

/// Why a value was not put. The one that was there is unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TableError {
    /// The value has more bytes than the plugin's limit.
    #[error("the value is too large")]
    TooLarge,
    /// The time is 0, or more than 30 days.
    #[error("the time must be 1 ms to 30 days")]
    InvalidArgument,
    /// There would be no room even if everything else were forgotten, or the request holds
    /// [`MAX`](Claims::MAX) claims.
    #[error("there is no room")]
    TooMany,
}

/// The result of [`Table::swap`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Swapped {
    /// The new value is there.
    Done,
    /// Another value was there, or none, and still is.
    Other(Option<Arc<[u8]>>),
}

/// The result of [`Claims::claim`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claimed {
    /// There is no value, and the request should make it.
    Yours,
    /// There is no value, and another request is making it.
    Others,
    /// There is a value.
    Value(Arc<[u8]>),
}

impl Table {
    /// A table for values of at most so many bytes. Its [fixed](Table::fixed) bytes must have been admitted to the
    /// budget.
    pub(super) fn within(budget: Arc<Budget>, max_value: usize) -> Table {
        Table {
            keys: Keyed::within(budget, SHARDS, u32::MAX as usize - 1),
            max_value: AtomicUsize::new(max_value),
        }
    }

    /// Bytes of a table while it is empty.
    pub(super) fn fixed() -> usize {
        size_of::<Table>() + Keyed::<Cell>::fixed(SHARDS)
    }

    /// Changes the most bytes of a value. Values that are there stay.
    pub(super) fn set_max_value(&self, bytes: usize) {
        self.max_value.store(bytes, Ordering::Relaxed);
    }

    /// The value of a key; `None` if there is none, or its time is over.
    pub fn get(&self, key: &[u8], now: Now) -> Option<Arc<[u8]>> {
        self.get_at(&Key::Bytes(key).into(), now)
    }

    fn get_at(&self, key: &Lookup<'_>, now: Now) -> Option<Arc<[u8]>> {
        self.with(key, now, |shard, at| {
            let position = used(shard, &at, now)?;
            shard.value(position).value(now).map(Arc::clone)
        })
    }

    /// Puts a value, in place of any that is there, for so many milliseconds.
    pub fn set(&self, key: &[u8], value: &[u8], ttl: u64, now: Now) -> Result<(), TableError> {
        let key = Lookup::from(Key::Bytes(key));
        let new = self.check(&key, value, ttl, now)?;
        self.with(&key, now, |shard, at| {
            new.put(shard, &at);
            Ok(())
        })
    }

    /// Puts a value if there is none. Returns the one that was there and still is.
    pub fn add(&self, key: &[u8], value: &[u8], ttl: u64, now: Now) -> Result<Option<Arc<[u8]>>, TableError> {
        let key = Lookup::from(Key::Bytes(key));
        // Most often there is one, and then no copy is made.
        if let Some(there) = self.get_at(&key, now) {
            self.check_arguments(value, ttl)?;
            return Ok(Some(there));
        }
        match self.swap_at(&key, None, value, ttl, now)? {
            Swapped::Done => Ok(None),
            Swapped::Other(there) => Ok(there),
        }
    }

    /// Puts a value if the one that is there is `before`, or if there is none and `before` is `None`.
    pub fn swap(
        &self,
        key: &[u8],
        before: Option<&[u8]>,
        value: &[u8],
        ttl: u64,
        now: Now,
    ) -> Result<Swapped, TableError> {
        self.swap_at(&Key::Bytes(key).into(), before, value, ttl, now)
    }

    fn swap_at(
        &self,
        key: &Lookup<'_>,
        before: Option<&[u8]>,
        value: &[u8],
        ttl: u64,
        now: Now,
    ) -> Result<Swapped, TableError> {
        let new = self.check(key, value, ttl, now)?;
        self.with(key, now, |shard, at| {
            let position = used(shard, &at, now);
            let there = position.and_then(|position| shard.value(position).value(now));
            if there.map(|there| &there[..]) != before {
                return Ok(Swapped::Other(there.map(Arc::clone)));
            }
            new.put(shard, &at);
            Ok(Swapped::Done)
        })
    }

    /// Removes a value, and the claim of the request with this number. Returns whether there was a value.
    pub fn remove(&self, key: &[u8], by: Option<ClaimId>, now: Now) -> bool {
        self.with(&Key::Bytes(key).into(), now, |shard, at| {
            let Some(position) = used(shard, &at, now) else {
                return false;
            };
            let was_there = shard.value(position).value(now).is_some();
            let (cell, heap) = shard.value_mut(position);
            cell.clear(heap);
            release(shard, &at, position, by, now);
            was_there
        })
    }

    /// The value of a key, or the task to make it, for the request with this number.
    fn claim(&self, key: &Lookup<'_>, by: ClaimId, ttl: u64, now: Now) -> Result<Claimed, TableError> {
        self.check_arguments(&[], ttl)?;
        if !self.keys.has_room_for(Cell::bytes(key, 0)) {
            return Err(TableError::TooMany);
        }
        self.with(key, now, |shard, at| {
            let position = used(shard, &at, now).unwrap_or_else(|| new_cell(shard, &at, now));
            let (cell, _) = shard.value_mut(position);
            Ok(cell.claim(by, ttl, now))
        })
    }

    /// Ends the claim of the request with this number.
    fn release(&self, key: &Lookup<'_>, by: ClaimId) {
        // No value is over at the beginning of time, so nothing but the claim changes.
        let now = Now::from_millis(0);
        self.keys.with(
            key,
            |_| false,
            |shard, at| {
                if let Some(position) = shard.find(at.key, at.hash) {
                    release(shard, &at, position, Some(by), now);
                }
            },
        );
    }

    /// Whether a request holds the claim on a key.
    fn is_claimed(&self, key: &Lookup<'_>, by: ClaimId, now: Now) -> bool {
        self.keys.look(key, |cell| cell.is_claimed(by, now)) == Some(true)
    }

    /// The number of keys, including some whose time is over. Looks at every shard.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether no key is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn with<R>(&self, key: &Lookup<'_>, now: Now, use_it: impl FnOnce(&mut Shard<Cell>, At<'_>) -> R) -> R {
        self.keys.with(key, |cell| cell.is_over(now), use_it)
    }

    fn check(&self, key: &Lookup<'_>, value: &[u8], ttl: u64, now: Now) -> Result<New, TableError> {
        self.check_arguments(value, ttl)?;
        if !self.keys.has_room_for(Cell::bytes(key, heap_of(value))) {
            return Err(TableError::TooMany);
        }
        Ok(New {
            value: value.into(),
            ttl,
            now,
        })
    }

    fn check_arguments(&self, value: &[u8], ttl: u64) -> Result<(), TableError> {
        if value.len() > self.max_value.load(Ordering::Relaxed) {
            return Err(TableError::TooLarge);
        }
        match (1..=LONGEST_TTL).contains(&ttl) {
            true => Ok(()),
            false => Err(TableError::InvalidArgument),
        }
    }
}

impl Charged for Table {
    fn keys(&self) -> &dyn Quiet {
        &self.keys
    }
}

/// A value to be put, copied before the lock is taken.
struct New {
    value: Arc<[u8]>,
    ttl: u64,
    now: Now,
}

impl New {
    fn put(self, shard: &mut Shard<Cell>, at: &At<'_>) {
        let position = used(shard, at, self.now).unwrap_or_else(|| new_cell(shard, at, self.now));
        let (cell, heap) = shard.value_mut(position);
        cell.put(self.value, self.ttl, self.now, heap);
    }
}

/// The place of a key that is used, if it is there.
fn used(shard: &mut Shard<Cell>, at: &At<'_>, now: Now) -> Option<u32> {
    let position = shard.find(at.key, at.hash)?;
    shard.touch(position);
    shard.value_mut(position).0.used(now);
    Some(position)
}

fn new_cell(shard: &mut Shard<Cell>, at: &At<'_>, now: Now) -> u32 {
    shard.insert(at.key, at.hash, Cell::new(now), at.hasher)
}

/// Ends a claim, and removes the key if nothing is left of it.
fn release(shard: &mut Shard<Cell>, at: &At<'_>, position: u32, by: Option<ClaimId>, now: Now) {
    let (cell, _) = shard.value_mut(position);
    cell.release(by);
    if cell.is_over(now) {
        shard.remove(position, at.hasher);
    }
}
