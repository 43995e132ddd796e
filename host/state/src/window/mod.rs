//! Sliding windows: how many events a key had within a period up to now.
//!
//! | file | what it holds |
//! |---|---|
//! | `spec.rs` | limit and period |
//! | `log.rs` | the events of one key |
//! | `reservations.rs` | events that a request has counted and may give back |

#[cfg(test)]
mod amounts;
#[cfg(test)]
mod concurrency;
mod log;
mod reservations;
mod spec;
#[cfg(test)]
mod tests;

use parking_lot::Mutex;

use std::sync::Arc;

pub use reservations::Reservations;
pub use spec::WindowSpec;

use super::budget::{Budget, Charged};
use super::keyed::{Key, Keyed, Lookup, MAX_SHARDS, Quiet};
use log::{Log, Taken};

/// Keys that a window holds by default.
pub const MAX_KEYS: usize = 1_000_000;

/// The fewest keys of a shard: with fewer, the busiest shard would be full long before the window is.
const KEYS_PER_SHARD: usize = 1024;

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
    keys: Keyed<Log>,
    /// How the window was opened last, for observers.
    spec: Mutex<Option<WindowSpec>>,
}

/// The state of a key after its events were counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Its events in the window. More than the limit if they were counted without regard to it, or by a higher
    /// one.
    pub count: u32,
    /// The milliseconds, at least 1, until its oldest event leaves; 0 without events.
    pub oldest_leaves_ms: u64,
}

/// Why events were not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// The key has no room. The milliseconds, at least 1, until it has, unless others take it.
    Wait(u64),
    /// The amount is larger than the limit.
    Never,
    /// The request holds [`MAX_RESERVATIONS`](Reservations::MAX).
    TooMany,
}

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
        Window {
            keys: Keyed::within(budget, shards, capacity(max_keys, shards)),
            spec: Mutex::default(),
        }
    }

    /// Bytes of a window for so many keys while it is empty.
    pub(super) fn fixed(max_keys: usize) -> usize {
        size_of::<Window>() + Keyed::<Log>::fixed(shards(max_keys))
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
        self.keys.set_capacity(capacity(max_keys, self.keys.shards()));
    }

    /// Counts one event if the key has room: [`take`](Window::take) of 1.
    pub fn hit(&self, spec: &WindowSpec, key: Key<'_>, now: Now) -> Result<Standing, Denial> {
        self.take(spec, key, 1, now)
    }

    /// Counts so many events at once if the key has room for all of them, and else none. 0 counts nothing and
    /// says where the key stands.
    ///
    /// The limit and period may differ from call to call. The same events are measured by them, except those
    /// that a shorter period has already dropped. Every call makes the key less quiet.
    pub fn take(&self, spec: &WindowSpec, key: Key<'_>, amount: u32, now: Now) -> Result<Standing, Denial> {
        self.take_at(spec, &key.into(), amount, now)
            .map(|(standing, _)| standing)
    }

    /// The same, with the moment to which the events belong.
    fn take_at(
        &self,
        spec: &WindowSpec,
        key: &Lookup<'_>,
        amount: u32,
        now: Now,
    ) -> Result<(Standing, Taken), Denial> {
        // What counts nothing needs no key.
        let make = (1..=spec.limit).contains(&amount);
        let taken = self.with(spec, key, make, now, |log, heap| {
            let standing = log.take(spec, amount, now.0, heap)?;
            Ok((standing, log.taken()))
        });
        taken.unwrap_or_else(|| match amount {
            0 => Ok((Standing::NONE, Log::default().taken())),
            _ => Err(Denial::Never),
        })
    }

    /// Takes up to so many of the key's youngest events back, as if they had never been. Returns how many.
    pub fn refund(&self, spec: &WindowSpec, key: Key<'_>, amount: u32, now: Now) -> u32 {
        let refund = self.with(spec, &key.into(), false, now, |log, heap| {
            log.refund(spec, amount, now.0, heap)
        });
        refund.unwrap_or(0)
    }

    /// Takes up to so many events back, of those that were counted at a moment.
    fn refund_of(&self, spec: &WindowSpec, key: &Lookup<'_>, taken: Taken, amount: u32, now: Now) {
        self.with(spec, key, false, now, |log, heap| {
            log.refund_of(spec, taken, amount, now.0, heap);
        });
    }

    /// Counts so many events whether the key has room or not.
    fn force(&self, spec: &WindowSpec, key: &Lookup<'_>, amount: u32, now: Now) -> Standing {
        let standing = self.with(spec, key, amount > 0, now, |log, heap| {
            log.force(spec, amount, now.0, heap)
        });
        standing.unwrap_or(Standing::NONE)
    }

    /// Uses the log of a key, which is made if there is none and it should be. `None` without one.
    fn with<R>(
        &self,
        spec: &WindowSpec,
        key: &Lookup<'_>,
        make: bool,
        now: Now,
        use_log: impl FnOnce(&mut Log, &mut usize) -> R,
    ) -> Option<R> {
        let is_over = |log: &Log| log.is_quiet(spec, now.0);
        self.keys.with(key, is_over, |shard, at| {
            let position = match shard.find(at.key, at.hash) {
                // A refused key is not quiet: a refusal must not get it forgotten.
                Some(position) => shard.touch(position),
                None if make => shard.insert(at.key, at.hash, Log::default(), at.hasher),
                None => return None,
            };
            let (log, heap) = shard.value_mut(position);
            Some(use_log(log, heap))
        })
    }

    /// The number of the key's events. Counts nothing, and does not make the key less quiet.
    pub fn count(&self, spec: &WindowSpec, key: Key<'_>, now: Now) -> u32 {
        let count = self.keys.look(&key.into(), |log| log.count(spec, now.0));
        count.unwrap_or(0)
    }

    /// The number of keys, including keys whose events have all expired but which were not removed yet. Looks
    /// at every shard.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether no key is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Keys that were forgotten for lack of room.
    pub fn forgotten(&self) -> u64 {
        self.keys.forgotten()
    }
}

impl Standing {
    /// The state of a key without events.
    const NONE: Standing = Standing {
        count: 0,
        oldest_leaves_ms: 0,
    };
}

impl Charged for Window {
    fn keys(&self) -> &dyn Quiet {
        &self.keys
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
