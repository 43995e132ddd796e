use std::collections::VecDeque;

use super::spec::{STEPS, WindowSpec};
use super::{Denial, Standing};
use crate::keyed::Kept;

/// The events of one key: when, and how many.
///
/// Events that are less than a step apart from the first of them share a slot. A slot keeps the time of its
/// youngest event and leaves as a whole once that is older than the period, so that an event may stay a step
/// too long and never leaves early. A millisecond that has begun is not over yet: an event at `t` is older
/// than the period from `t + period + 1` on.
///
/// Times are kept as the lower 32 bits of milliseconds. All slots of a log are within a period (at most 7
/// days) before `last`, and `last` within a period before `hit`, so 32 bits (49 days) identify them.
#[derive(Default)]
pub(super) struct Log {
    /// The slots before the newest; none until a second slot is needed.
    earlier: Option<Box<Earlier>>,
    /// When the key was last used, counted or not, in units of 1,024 ms.
    hit: u32,
    /// Time of the last event.
    last: u32,
    /// Events in all slots; 0 only before the first event.
    total: u32,
    /// Events in the newest slot, whose youngest is `last`.
    newest: u32,
    /// Time of the first event of the newest slot.
    start: u32,
    /// Time of the oldest slot, kept here so that most hits need not look at `earlier`.
    oldest: u32,
}

/// The binary logarithm of the unit of [`Log::hit`] in milliseconds.
const HIT_SHIFT: u32 = 10;

/// The last moment that [`Log::hit`] can hold: 139 years after the first.
pub(super) const MAX_TIME: u64 = (1 << (32 + HIT_SHIFT)) - 1;

/// Slots, oldest first. A type of its own so that a log with a single slot costs one pointer for it.
#[derive(Default)]
struct Earlier(VecDeque<Slot>);

struct Slot {
    /// Time of the slot's youngest event.
    last: u32,
    count: u32,
}

impl Log {
    /// Counts so many events if there is room for all of them. Adds the change of the log's heap memory to
    /// `heap`, as all functions here.
    pub(super) fn take(
        &mut self,
        spec: &WindowSpec,
        amount: u32,
        now: u64,
        heap: &mut usize,
    ) -> Result<Standing, Denial> {
        let at = self.use_at(spec, now, heap);
        if amount > spec.limit.saturating_sub(self.total) && amount > 0 {
            return Err(match amount > spec.limit {
                true => Denial::Never,
                false => Denial::Wait(self.until_room(spec, amount, now)),
            });
        }
        self.record(spec.step, amount, at, heap);
        Ok(self.standing(spec, now))
    }

    /// Counts so many events whether there is room or not, as many as can be counted.
    pub(super) fn force(&mut self, spec: &WindowSpec, amount: u32, now: u64, heap: &mut usize) -> Standing {
        let at = self.use_at(spec, now, heap);
        self.record(spec.step, amount.min(u32::MAX - self.total), at, heap);
        self.standing(spec, now)
    }

    /// Drops the events that have expired. Returns the time that it is for this key.
    fn use_at(&mut self, spec: &WindowSpec, now: u64, heap: &mut usize) -> u64 {
        debug_assert!(now <= MAX_TIME);
        // Another thread may have come first with a later time, which then counts for this use too.
        let at = now.max(self.last());
        self.expire(spec, at, heap);
        // This comes last: until now `hit` is needed to interpret `last`.
        self.hit = self.hit.max((at >> HIT_SHIFT) as u32);
        at
    }

    /// Takes up to so many of the youngest events back. Returns how many.
    pub(super) fn refund(&mut self, spec: &WindowSpec, amount: u32, now: u64, heap: &mut usize) -> u32 {
        let mut left = amount.min(self.count(spec, now));
        let all = left;
        while left > 0 {
            left -= self.remove(self.earlier().count(), left, spec.step, heap);
        }
        all
    }

    /// Takes up to so many events back, of those that were counted at a time. What has expired since is not taken
    /// back, and so nothing is that was counted later.
    pub(super) fn refund_of(
        &mut self,
        spec: &WindowSpec,
        taken: Taken,
        amount: u32,
        now: u64,
        heap: &mut usize,
    ) {
        let at = self.use_at(spec, now, heap);
        if self.total == 0 || at.saturating_sub(taken.0) > spec.period {
            return;
        }
        // The slot that holds the events is the first that ends no earlier.
        let holds = |slot: &Slot| self.time(slot.last) >= taken.0;
        let slot = self.earlier().position(holds);
        let slot = slot.unwrap_or_else(|| self.earlier().count());
        self.remove(slot, amount, spec.step, heap);
    }

    /// The time of the last event, to name what was counted just now.
    pub(super) fn taken(&self) -> Taken {
        Taken(self.last())
    }

    fn standing(&self, spec: &WindowSpec, now: u64) -> Standing {
        let leaves = self.time(self.oldest).saturating_add(spec.period + 1);
        Standing {
            count: self.total,
            oldest_leaves_ms: match self.total {
                0 => 0,
                _ => leaves.saturating_sub(now).max(1),
            },
        }
    }

    /// Removes up to so many events of a slot: of an earlier one by its place, or of the newest.
    fn remove(&mut self, slot: usize, amount: u32, step: u64, heap: &mut usize) -> u32 {
        *heap -= self.heap();
        let mut earlier = self.earlier.as_mut().map(|earlier| &mut earlier.0);
        let found = earlier.as_mut().and_then(|earlier| earlier.get_mut(slot));
        let count = found.map_or(&mut self.newest, |slot| &mut slot.count);
        let removed = amount.min(*count);
        *count -= removed;
        self.total -= removed;
        if *count == 0
            && let Some(earlier) = earlier
            && earlier.remove(slot).is_none()
            && let Some(before) = earlier.pop_back()
        {
            (self.last, self.newest) = (before.last, before.count);
            // When it began is not known any more, so the next event begins another.
            self.start = before.last.wrapping_sub(step as u32);
        }
        let oldest = self.earlier().next().map(|slot| slot.last);
        self.oldest = oldest.unwrap_or(self.last);
        if let Some(earlier) = &mut self.earlier {
            earlier.shrink();
        }
        *heap += self.heap();
        removed
    }

    /// Counts the events without dropping expired ones.
    pub(super) fn count(&self, spec: &WindowSpec, now: u64) -> u32 {
        let at = now.max(self.last());
        if self.is_quiet(spec, at) {
            return 0;
        }
        if at - self.time(self.oldest) <= spec.period {
            return self.total;
        }
        let expired: u32 = self
            .earlier()
            .take_while(|slot| at - self.time(slot.last) > spec.period)
            .map(|slot| slot.count)
            .sum();
        self.total - expired
    }

    /// Whether every event has expired.
    pub(super) fn is_quiet(&self, spec: &WindowSpec, now: u64) -> bool {
        now.saturating_sub(self.last()) > spec.period
    }

    fn expire(&mut self, spec: &WindowSpec, at: u64, heap: &mut usize) {
        if self.is_quiet(spec, at) {
            *heap -= self.heap();
            *self = Log::default();
            return;
        }
        if at - self.time(self.oldest) <= spec.period {
            return;
        }
        let before = self.heap();
        // The newest slot stays, so the loop ends there at the latest.
        while at - self.time(self.oldest) > spec.period {
            let earlier = &mut self.earlier.as_mut().expect("a slot older than the newest").0;
            let gone = earlier.pop_front().expect("a slot older than the newest");
            self.total -= gone.count;
            self.oldest = earlier.front().map_or(self.last, |slot| slot.last);
        }
        self.earlier.as_mut().expect("it had the slots").shrink();
        *heap = *heap - before + self.heap();
    }

    fn record(&mut self, step: u64, amount: u32, at: u64, heap: &mut usize) {
        if amount == 0 {
            return;
        }
        if self.total == 0 {
            self.start = at as u32;
        } else if at > self.last() && at - self.time(self.start) >= step {
            self.begin_slot(step, at, heap);
        }
        self.last = at as u32;
        self.newest += amount;
        self.total += amount;
        if self.newest == self.total {
            self.oldest = at as u32;
        }
    }

    fn begin_slot(&mut self, step: u64, at: u64, heap: &mut usize) {
        *heap -= self.heap();
        let earlier = self.earlier.get_or_insert_default();
        earlier.0.push_back(Slot {
            last: self.last,
            count: self.newest,
        });
        if earlier.0.len() > STEPS as usize {
            earlier.merge(step);
            self.oldest = earlier.0.front().expect("merged, not removed").last;
        }
        *heap += earlier.heap();
        self.start = at as u32;
        self.newest = 0;
    }

    /// The time from `now`, which may be before `last`, until so many events have expired that an amount within
    /// the limit has room.
    fn until_room(&self, spec: &WindowSpec, amount: u32, now: u64) -> u64 {
        let mut surplus = u64::from(self.total) + u64::from(amount) - u64::from(spec.limit);
        let mut leaving = self.time(self.oldest);
        if surplus > 1 {
            leaving = self.last();
            for slot in self.earlier() {
                if u64::from(slot.count) >= surplus {
                    leaving = self.time(slot.last);
                    break;
                }
                surplus -= u64::from(slot.count);
            }
        }
        leaving.saturating_add(spec.period + 1).saturating_sub(now).max(1)
    }

    fn earlier(&self) -> impl Iterator<Item = &Slot> {
        self.earlier.iter().flat_map(|earlier| &earlier.0)
    }

    /// Time of the last event.
    fn last(&self) -> u64 {
        // The end of the unit in which the key was hit, which is not before the event.
        let hit = u64::from(self.hit) << HIT_SHIFT | ((1 << HIT_SHIFT) - 1);
        hit - u64::from((hit as u32).wrapping_sub(self.last))
    }

    /// The time whose lower half is `low`.
    fn time(&self, low: u32) -> u64 {
        // The beginning of a slot may lie before the first moment, see `remove`.
        self.last().saturating_sub(self.last.wrapping_sub(low).into())
    }

    #[cfg(test)]
    pub(super) fn slots(&self) -> usize {
        self.earlier().count() + usize::from(self.total > 0)
    }
}

/// A moment at which events were counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Taken(u64);

impl Kept for Log {
    const IN_ORDER: bool = true;

    fn heap(&self) -> usize {
        self.earlier.as_ref().map_or(0, |earlier| earlier.heap())
    }

    fn last_use(&self) -> u32 {
        self.hit
    }
}

impl Earlier {
    /// Bytes on the heap, this one included.
    fn heap(&self) -> usize {
        size_of::<Earlier>() + self.0.capacity() * size_of::<Slot>()
    }

    /// Releases memory when three quarters are unused.
    fn shrink(&mut self) {
        if self.0.capacity() > 16 && self.0.len() < self.0.capacity() / 4 {
            // Allocators leave a shrinking block in its place.
            let mut smaller = VecDeque::with_capacity(self.0.len() * 2);
            smaller.extend(self.0.drain(..));
            self.0 = smaller;
        }
    }

    /// Merges slots that are less than a step apart.
    ///
    /// With one step for all hits there are never more than [`STEPS`] slots here: all but the oldest
    /// begin within the period, and a step apart. Only hits with other periods can add slots between
    /// those, and this brings them back under the bound.
    fn merge(&mut self, step: u64) {
        let mut merged: VecDeque<Slot> = VecDeque::with_capacity(self.0.len());
        let mut first = 0;
        for slot in self.0.drain(..) {
            match merged.back_mut() {
                Some(group) if u64::from(slot.last.wrapping_sub(first)) < step => {
                    group.last = slot.last;
                    group.count += slot.count;
                }
                _ => {
                    first = slot.last;
                    merged.push_back(slot);
                }
            }
        }
        self.0 = merged;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::tests::counted;
    use super::*;

    impl Log {
        /// A hit with the log's own sum of heap memory.
        fn hit_at(&mut self, spec: &WindowSpec, now: u64) -> Result<u32, u64> {
            let mut heap = self.heap();
            let hit = self.take(spec, 1, now, &mut heap);
            assert_eq!(heap, self.heap());
            counted(hit)
        }
    }

    fn spec(limit: u32, period_ms: u64) -> WindowSpec {
        WindowSpec::new(limit, Duration::from_millis(period_ms)).unwrap()
    }

    #[test]
    fn entry_of_a_log_is_one_cache_line() {
        assert_eq!(crate::keyed::entry_size::<Log>(), 64);
    }

    #[test]
    fn hit_counts_for_its_period_and_its_own_millisecond() {
        let spec = spec(1, 1000);
        let mut log = Log::default();
        assert_eq!(log.hit_at(&spec, 50), Ok(1));
        assert_eq!(log.hit_at(&spec, 50), Err(1001));
        assert_eq!(log.hit_at(&spec, 51), Err(1000));
        assert_eq!(log.hit_at(&spec, 1050), Err(1));
        assert_eq!(log.count(&spec, 1050), 1);
        assert_eq!(log.count(&spec, 1051), 0);
        assert_eq!(log.hit_at(&spec, 1051), Ok(1));
    }

    #[test]
    fn events_expire_one_after_another() {
        let spec = spec(3, 1000);
        let mut log = Log::default();
        for now in [0, 100, 200] {
            log.hit_at(&spec, now).unwrap();
        }
        assert_eq!(log.hit_at(&spec, 1000), Err(1));
        assert_eq!(log.hit_at(&spec, 1001), Ok(3));
        assert_eq!(log.hit_at(&spec, 1001), Err(100));
        assert_eq!(log.count(&spec, 1101), 2);
        assert_eq!(log.count(&spec, 2001), 1);
        assert_eq!(log.count(&spec, 2002), 0);
    }

    #[test]
    fn events_within_a_step_expire_with_the_youngest() {
        let spec = spec(10, 102_400); // steps of 100 ms
        let mut log = Log::default();
        for now in [0, 60, 99] {
            log.hit_at(&spec, now).unwrap();
        }
        assert_eq!(log.slots(), 1);
        assert_eq!(log.hit_at(&spec, 100), Ok(4));
        assert_eq!(log.slots(), 2);
        assert_eq!(log.count(&spec, 99 + 102_400), 4);
        assert_eq!(log.count(&spec, 99 + 102_401), 1);
    }

    #[test]
    fn hit_with_a_late_time_counts_as_the_latest_seen() {
        let spec = spec(2, 1000);
        let mut log = Log::default();
        log.hit_at(&spec, 500).unwrap();
        assert_eq!(log.hit_at(&spec, 490), Ok(2));
        assert_eq!(log.count(&spec, 490), 2);
        assert_eq!(log.hit_at(&spec, 490), Err(1011), "by the clock of who asks");
        assert_eq!(log.count(&spec, 1500), 2);
        assert_eq!(log.count(&spec, 1501), 0);
    }

    #[test]
    fn hit_after_a_lowered_limit_waits_for_all_surplus_events() {
        let mut log = Log::default();
        for now in [0, 100, 200, 300] {
            log.hit_at(&spec(4, 1000), now).unwrap();
        }
        let lower = spec(2, 1000);
        assert_eq!(log.hit_at(&lower, 300), Err(201 + 1000 - 300));
        assert_eq!(log.hit_at(&lower, 1200), Err(1));
        assert_eq!(log.hit_at(&lower, 1201), Ok(2));
        assert_eq!(log.hit_at(&spec(1, 1000), 1201), Err(1001));
    }

    #[test]
    fn longer_period_sees_events_that_a_shorter_one_kept() {
        let mut log = Log::default();
        log.hit_at(&spec(10, 1000), 0).unwrap();
        log.hit_at(&spec(10, 1000), 900).unwrap();
        assert_eq!(log.count(&spec(10, 500), 1001), 1);
        assert_eq!(log.count(&spec(10, 60_000), 50_000), 2, "counting drops nothing");
        assert_eq!(log.hit_at(&spec(10, 1000), 1001), Ok(2));
        assert_eq!(log.count(&spec(10, 60_000), 50_000), 2, "a hit does");
    }

    #[test]
    fn times_may_wrap_in_their_lower_half() {
        let spec = spec(2, 1000);
        let wrap = 1 << 32;
        let mut log = Log::default();
        log.hit_at(&spec, wrap - 600).unwrap();
        log.hit_at(&spec, wrap - 100).unwrap();
        assert_eq!(log.hit_at(&spec, wrap + 100), Err(301));
        assert_eq!(log.hit_at(&spec, wrap + 401), Ok(2));
        // A full turn later nothing is mistaken for recent.
        assert_eq!(log.count(&spec, 2 * wrap + 401), 0);
        assert_eq!(log.hit_at(&spec, 2 * wrap + 401), Ok(1));
    }

    #[test]
    fn hit_at_the_end_of_time_works() {
        let spec = spec(1, 1000);
        let mut log = Log::default();
        assert_eq!(log.hit_at(&spec, MAX_TIME - 5), Ok(1));
        assert!(log.hit_at(&spec, MAX_TIME).is_err());
        assert_eq!(log.count(&spec, MAX_TIME), 1);
    }

    #[test]
    fn busy_key_has_at_most_1025_slots() {
        for period in [500, 1024, 1025, 60_000] {
            let spec = spec(u32::MAX, period);
            let mut log = Log::default();
            for now in 0..2 * period {
                log.hit_at(&spec, now).unwrap();
                assert!(log.slots() <= 1025, "{} slots for {period} ms", log.slots());
            }
        }
    }

    #[test]
    fn hits_with_different_periods_keep_the_bound_of_slots() {
        let (short, long) = (spec(u32::MAX, 1000), spec(u32::MAX, 3_600_000));
        let mut log = Log::default();
        for now in (0..1_800_000).step_by(1300) {
            log.hit_at(&long, now).unwrap();
        }
        let mut now = 1_800_000;
        for round in 0..2000 {
            log.hit_at(if round % 50 == 0 { &short } else { &long }, now)
                .unwrap();
            now += 1;
            assert!(log.slots() <= 1025);
        }
        for _ in 0..2000 {
            log.hit_at(&long, now).unwrap();
            // Makes every hit begin a slot of its own.
            log.start = log.start.wrapping_sub(3600);
            now += 1;
            assert!(log.slots() <= 1025);
        }
        let counted: u32 = log.earlier().map(|slot| slot.count).sum();
        assert_eq!(counted + log.newest, log.total);
    }

    #[test]
    fn refused_hit_updates_the_last_hit_and_not_the_events() {
        const WEEK: u64 = 7 * 24 * 3600 * 1000;
        let spec = spec(1, WEEK);
        let mut log = Log::default();
        let begin = (1 << 32) - WEEK / 2;
        log.hit_at(&spec, begin).unwrap();
        for now in (begin..=begin + WEEK).step_by(777_777) {
            assert_eq!(log.hit_at(&spec, now), Err(begin + WEEK + 1 - now));
            assert_eq!(u64::from(log.last_use()), now >> HIT_SHIFT);
        }
        assert_eq!(log.hit_at(&spec, begin + WEEK + 1), Ok(1));
    }

    #[test]
    fn busy_key_releases_memory_when_quiet() {
        let spec = spec(u32::MAX, 1024);
        let mut log = Log::default();
        for now in 0..2000 {
            log.hit_at(&spec, now).unwrap();
        }
        let busy = log.heap();
        assert!(busy >= 1024 * size_of::<Slot>());
        // The last events of the busy time still count.
        log.hit_at(&spec, 3000).unwrap();
        assert!(log.heap() <= busy / 8, "{} of {busy}", log.heap());
        log.hit_at(&spec, 10_000).unwrap();
        assert_eq!(log.heap(), 0);
    }
}
