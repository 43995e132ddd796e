//! The account of requests in flight, by which backends are kept from getting too many.

use balancing::{Backends, Member};

/// Requests in flight of the backends that are asked, as far as they are known.
///
/// A backend may have its share of all requests in flight, the one at hand included, times the bound, rounded up
/// (Mirrokni, Thorup and Zadimoghaddam, Consistent Hashing with Bounded Loads, 2018). The sum over all backends would
/// take a call into the host for each. It is kept instead, and put right with every number that is asked for: each
/// backend that might be picked, and one more per request in turn. A pick counts at once. So the sum is exact while
/// requests come, and where they end on other workers it is late by as many requests as there are backends.
pub(super) struct Account {
    percent: u64,
    /// The indices of the backends that are asked.
    members: Box<[u32]>,
    /// The member whose load is looked at next.
    next: usize,
    /// Every backend up to the last member, by index.
    known: Box<[Known]>,
    /// The sums over the members.
    weights: u64,
    loads: u64,
}

/// A backend as it was known last; without load and weight if it is no member.
#[derive(Clone, Copy, Default)]
struct Known {
    load: u32,
    weight: u32,
}

/// The most backends that are looked at for a request. With 125 percent at least a fifth of all backends have room, so
/// hardly a request needs as many unless the account is late.
const LOOKS: usize = 32;

impl Account {
    /// An account of these members in the order of their indices, with the loads that they have now.
    pub(super) fn new(percent: u64, members: &[Member], backends: &impl Backends) -> Self {
        let count = members.last().map_or(0, |last| last.index as usize + 1);
        let mut known = vec![Known::default(); count];
        for member in members {
            known[member.index as usize].weight = member.weight;
        }
        let mut account = Self {
            percent,
            members: members.iter().map(|member| member.index).collect(),
            next: 0,
            known: known.into(),
            weights: members.iter().map(|member| u64::from(member.weight)).sum(),
            loads: 0,
        };
        for member in members {
            account.look(backends, member.index);
        }
        account
    }

    /// The first of these members that has room for a request. If none has, which is possible while the account is
    /// late, the one with the least load for its weight. `None` if there is none.
    pub(super) fn first_with_room(
        &mut self,
        backends: &impl Backends,
        candidates: impl Iterator<Item = u32>,
    ) -> Option<u32> {
        if let Some(&index) = self.members.get(self.next) {
            self.look(backends, index);
            self.next = (self.next + 1) % self.members.len();
        }
        let mut least: Option<(Known, u32)> = None;
        let mut picked = None;
        for index in candidates.take(LOOKS) {
            let known = self.look(backends, index);
            if self.has_room(known) {
                picked = Some(index);
                break;
            }
            if least.is_none_or(|(least, _)| known.is_less_loaded_than(least)) {
                least = Some((known, index));
            }
        }
        let picked = picked.or(least.map(|(_, index)| index))?;
        self.note(picked, |load| load.saturating_add(1));
        Some(picked)
    }

    /// Asks for the load of a member.
    fn look(&mut self, backends: &impl Backends, index: u32) -> Known {
        let load = backends.in_flight(index);
        self.note(index, |_| load)
    }

    /// Changes the known load of a member.
    fn note(&mut self, index: u32, load: impl FnOnce(u32) -> u32) -> Known {
        let known = &mut self.known[index as usize];
        let before = known.load;
        known.load = load(before);
        self.loads = self.loads - u64::from(before) + u64::from(known.load);
        *known
    }

    /// Whether a backend may have one request more.
    fn has_room(&self, known: Known) -> bool {
        // No pool has more requests in flight than this, and the product stays in its bounds: 32 bits, 14 and 16.
        let all = (self.loads + 1).min(u32::MAX.into());
        let share = all * self.percent * u64::from(known.weight);
        u64::from(known.load) < share.div_ceil(self.weights * 100)
    }
}

impl Known {
    fn is_less_loaded_than(self, other: Self) -> bool {
        u64::from(self.load) * u64::from(other.weight) < u64::from(other.load) * u64::from(self.weight)
    }
}
