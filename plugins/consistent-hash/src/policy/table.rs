//! The table from hashes to backends.

/// The number of slots: a prime, so that every step through the table reaches all of them.
///
/// A thousand equal backends have 16 or 17 slots each. It takes 180,000 steps to fill the table for them, a fraction
/// of a millisecond in which a worker waits. With four times as many slots, a backend that leaves would move as many
/// slots of others, and filling them would take four times as long.
const SLOTS: u32 = 16_381;

/// The table of Maglev (Eisenbud and others, Maglev: A Fast and Reliable Software Network Load Balancer, NSDI 2016,
/// section 3.4). The backends take turns, and in its turn each takes the next free slot of its own permutation of all
/// slots, which follows from its hash. So a backend's slots depend little on what others there are.
#[derive(Default)]
pub(super) struct Table(Box<[u32]>);

/// A slot that no backend has taken.
const FREE: u32 = u32::MAX;

/// A backend that takes its turns.
pub(super) struct Taker {
    index: u32,
    weight: u64,
    /// The next slot of its permutation, and the step from one to the one after it.
    next: u32,
    step: u32,
    /// The slots that are due to it, times the sum of the weights.
    credit: u64,
}

impl Table {
    /// The table of these backends, which come in an order that depends on their hashes alone. Without a backend it is
    /// empty.
    pub(super) fn new(backends: impl Iterator<Item = Taker>) -> Self {
        let mut takers: Vec<Taker> = backends.collect();
        let sum: u64 = takers.iter().map(|taker| taker.weight).sum();
        let count = takers.len() as u64;
        let mut slots = vec![FREE; if count > 0 { SLOTS as usize } else { 0 }];
        let mut free = slots.len();
        // Every backend gets a slot in the first round, which has a turn for the smallest weight too.
        for taker in &mut takers {
            taker.credit = sum - 1;
        }
        while free > 0 {
            for taker in &mut takers {
                // A round gives each as many turns as it has times the mean weight.
                taker.credit += taker.weight * count;
                while taker.credit >= sum && free > 0 {
                    taker.credit -= sum;
                    taker.take(&mut slots);
                    free -= 1;
                }
            }
        }
        Self(slots.into())
    }

    /// The backend of the slot to which a number points. `None` if the table is empty.
    pub(super) fn backend(&self, number: u64) -> Option<u32> {
        let slot = ((number >> 32) * self.0.len() as u64) >> 32;
        self.0.get(slot as usize).copied()
    }
}

impl Taker {
    /// A backend with its index, the hash of its address, and its weight, which is not 0.
    pub(super) fn new(index: u32, hash: u64, weight: u32) -> Self {
        Self {
            index,
            weight: weight.into(),
            next: (hash >> 32) as u32 % SLOTS,
            step: 1 + hash as u32 % (SLOTS - 1),
            credit: 0,
        }
    }

    /// Takes the next free slot, of which there must be one.
    fn take(&mut self, slots: &mut [u32]) {
        let (mut slot, step) = (self.next, self.step);
        loop {
            let next = slot + step;
            let next = if next < SLOTS { next } else { next - SLOTS };
            if slots[slot as usize] == FREE {
                slots[slot as usize] = self.index;
                self.next = next;
                return;
            }
            slot = next;
        }
    }
}

#[cfg(test)]
mod tests;
