//! The choice of the backend for the n-th request.

mod wheel;

use std::cmp::Reverse;

use balancing::{Backends, Eligible, Member};

use wheel::Wheel;

/// The turns of a version of a pool.
#[derive(Clone, Debug)]
pub struct Turns {
    schedule: Schedule,
    eligible: Eligible,
}

/// The turns that a retry takes until it searches for a backend that was not tried.
const TURNS: usize = 16;

impl Turns {
    /// Works the turns out.
    pub fn of(backends: &impl Backends) -> Self {
        let eligible = Eligible::of(backends);
        Self {
            schedule: Schedule::new(&eligible.preferred),
            eligible,
        }
    }

    /// The backend for the first attempt of request `n`, counted from 0. `None` if there is no eligible backend.
    pub fn first(&self, n: u64) -> Option<u32> {
        self.schedule.pick(n)
    }

    /// The backend for a further attempt, which takes turns of its own, as many as it needs to come upon one that this
    /// request has not been sent to. `None` if there is none left.
    pub fn retry(&self, backends: &impl Backends, mut next: impl FnMut() -> u64) -> Option<u32> {
        let untried = |index: &u32| !backends.tried(*index);
        let by_turn = (0..TURNS).map_while(|_| self.schedule.pick(next())).find(untried);
        by_turn.or_else(|| {
            // Backends that were tried are few, so this takes no longer in a large pool.
            let start = next();
            let Eligible { preferred, spare } = &self.eligible;
            from(preferred, start).chain(from(spare, start)).find(untried)
        })
    }
}

/// The indices of all members, beginning somewhere.
fn from(members: &[Member], start: u64) -> impl Iterator<Item = u32> {
    let start = start % (members.len() as u64).max(1);
    let (before, after) = members.split_at(start as usize);
    after.iter().chain(before).map(|member| member.index)
}

/// The order in which backends take turns. It repeats after as many requests as the sum of the reduced
/// weights, and in each such round every backend gets exactly its weight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// The indices of one round, if backends are equal or the round is short.
    Listed(Vec<u32>),
    /// A wheel for long rounds, whose lists would have up to 65 million entries for a thousand backends.
    /// Cutting them to a bearable length would give wrong shares.
    Wheel(Wheel),
}

/// A backend of the schedule, and its weight in lowest terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Share {
    index: u32,
    weight: u64,
}

/// The longest round that is listed. Listing takes time with the square of the length, while Pace waits: this
/// is a fraction of a millisecond.
const LONGEST_LISTED_ROUND: u64 = 512;

impl Schedule {
    /// The schedule of these members.
    pub fn new(members: &[Member]) -> Self {
        let shares = members.iter().map(|member| Share {
            index: member.index,
            weight: member.weight.into(),
        });
        Self::of(&in_lowest_terms(shares.collect()))
    }

    fn of(shares: &[Share]) -> Self {
        let round: u64 = shares.iter().map(|share| share.weight).sum();
        if shares.iter().all(|share| share.weight == 1) {
            Self::Listed(shares.iter().map(|share| share.index).collect())
        } else if round <= LONGEST_LISTED_ROUND {
            Self::Listed(smooth_round(shares))
        } else {
            Self::Wheel(Wheel::new(shares))
        }
    }

    /// The backend for request `n`, counted from 0. `None` if there is no eligible backend.
    pub fn pick(&self, n: u64) -> Option<u32> {
        match self {
            Self::Listed(round) => n.checked_rem(round.len() as u64).map(|turn| round[turn as usize]),
            Self::Wheel(wheel) => Some(wheel.pick(n)),
        }
    }
}

fn in_lowest_terms(mut shares: Vec<Share>) -> Vec<Share> {
    let divisor = shares
        .iter()
        .fold(0, |divisor, share| gcd(divisor, share.weight))
        .max(1);
    for share in &mut shares {
        share.weight /= divisor;
    }
    shares
}

fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// One round of nginx's "smooth weighted round robin": with every request each backend earns its weight, and
/// the richest gets the request and pays the sum of all weights. Among equals the first gets it.
fn smooth_round(shares: &[Share]) -> Vec<u32> {
    let round: u64 = shares.iter().map(|share| share.weight).sum();
    let mut credits = vec![0_i64; shares.len()];
    let mut turn = || {
        for (credit, share) in credits.iter_mut().zip(shares) {
            *credit += share.weight as i64;
        }
        let richest = (0..shares.len()).min_by_key(|&i| Reverse(credits[i]))?;
        credits[richest] -= round as i64;
        Some(shares[richest].index)
    };
    (0..round).filter_map(|_| turn()).collect()
}

#[cfg(test)]
mod tests;
