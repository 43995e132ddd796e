use std::num::NonZeroU64;
use std::sync::Arc;

use super::{Claimed, Now};
use crate::keyed::{Kept, Lookup};

/// The value of one key, and the claim on it.
pub(super) struct Cell {
    value: Option<Value>,
    claim: Option<Claim>,
    /// When the key was last used, in units of 1,024 ms.
    used: u32,
}

struct Value {
    bytes: Arc<[u8]>,
    /// The first moment at which it is gone, in milliseconds.
    ends: u64,
}

struct Claim {
    by: ClaimId,
    ends: u64,
}

/// The number of a request that claims something.
pub type ClaimId = NonZeroU64;

/// Bytes that a value takes on the heap: with two counts, and rounded up as allocators do.
pub(super) fn heap_of(value: &[u8]) -> usize {
    (2 * size_of::<usize>() + value.len()).next_multiple_of(16)
}

impl Cell {
    pub(super) fn new(now: Now) -> Cell {
        let mut new = Cell {
            value: None,
            claim: None,
            used: 0,
        };
        new.used(now);
        new
    }

    /// Bytes of a key with a value that takes so many on the heap.
    pub(super) fn bytes(key: &Lookup<'_>, value: usize) -> usize {
        // The entry of a shard has two links beside the key.
        let entry = size_of::<Cell>() + 2 * size_of::<u32>();
        entry + key.bytes() + value
    }

    /// Notes that the key is used.
    pub(super) fn used(&mut self, now: Now) {
        self.used = self.used.max((now.as_millis() >> 10) as u32);
    }

    /// The value, if its time is not over.
    pub(super) fn value(&self, now: Now) -> Option<&Arc<[u8]>> {
        let value = self.value.as_ref()?;
        (now.as_millis() < value.ends).then_some(&value.bytes)
    }

    /// Puts a value. Nobody has to make it any more, so the claim is over.
    pub(super) fn put(&mut self, bytes: Arc<[u8]>, ttl: u64, now: Now, heap: &mut usize) {
        self.clear(heap);
        *heap += heap_of(&bytes);
        self.value = Some(Value {
            bytes,
            ends: now.as_millis().saturating_add(ttl),
        });
        self.claim = None;
    }

    /// Drops the value.
    pub(super) fn clear(&mut self, heap: &mut usize) {
        *heap -= self.heap();
        self.value = None;
    }

    /// The value, or the task to make it.
    pub(super) fn claim(&mut self, by: ClaimId, ttl: u64, now: Now) -> Claimed {
        if let Some(value) = self.value(now) {
            return Claimed::Value(Arc::clone(value));
        }
        match &self.claim {
            Some(claim) if claim.by != by && now.as_millis() < claim.ends => Claimed::Others,
            _ => {
                self.claim = Some(Claim {
                    by,
                    ends: now.as_millis().saturating_add(ttl),
                });
                Claimed::Yours
            }
        }
    }

    pub(super) fn is_claimed(&self, by: ClaimId, now: Now) -> bool {
        let claim = self.claim.as_ref();
        claim.is_some_and(|claim| claim.by == by && now.as_millis() < claim.ends)
    }

    /// Ends the claim of a request.
    pub(super) fn release(&mut self, by: Option<ClaimId>) {
        self.claim.take_if(|claim| Some(claim.by) == by);
    }

    /// Whether there is neither a value nor a claim.
    pub(super) fn is_over(&self, now: Now) -> bool {
        let claim = self.claim.as_ref();
        self.value(now).is_none() && claim.is_none_or(|claim| now.as_millis() >= claim.ends)
    }
}

impl Kept for Cell {
    const IN_ORDER: bool = false;

    fn heap(&self) -> usize {
        self.value.as_ref().map_or(0, |value| heap_of(&value.bytes))
    }

    fn last_use(&self) -> u32 {
        self.used
    }
}
