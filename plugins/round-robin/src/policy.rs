//! Which backend the n-th request goes to.

mod wheel;

use std::cmp::Reverse;

use pace_plugin::Health;

use wheel::Wheel;

/// A backend that could be picked.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    pub index: u32,
    /// 0 to 65535.
    pub weight: u32,
    pub health: Health,
}

/// The order in which backends take turns. It repeats after as many requests as the reduced weights have in
/// sum, and in each such round every backend gets exactly its weight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// Equal backends, and short rounds: the indices of one round.
    Listed(Vec<u32>),
    /// Long rounds, which would be long lists: up to 65 million entries for a thousand backends. To cut
    /// them to a bearable length would give wrong shares.
    Wheel(Wheel),
}

/// A backend that takes part, and its weight in lowest terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Share {
    index: u32,
    weight: u64,
}

/// Longer rounds are not listed. To list one takes time with the square of its length, and Pace waits: this
/// is a fraction of a millisecond.
const LONGEST_LISTED_ROUND: u64 = 512;

impl Schedule {
    /// The schedule of those candidates that are eligible: the healthy ones with a weight; without any, all with a
    /// weight. A weight of 0 means nothing new, also when nothing else is left.
    ///
    /// The second step is what Envoy calls panic mode: if nobody seems healthy, it is more likely that the
    /// health checks are wrong than that all backends are down, and to ask one costs nothing but a refused
    /// connection.
    pub fn new(candidates: &[Candidate]) -> Self {
        let share = |c: &Candidate| Share {
            index: c.index,
            weight: c.weight.into(),
        };
        let weighted = || candidates.iter().filter(|c| c.weight > 0);

        let mut shares: Vec<_> = weighted()
            .filter(|c| c.health == Health::Healthy)
            .map(share)
            .collect();
        if shares.is_empty() {
            shares = weighted().map(share).collect();
        }
        Self::of(&in_lowest_terms(shares))
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

    /// The backend for request `n`, counted from 0. `None` if there is no backend at all.
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

/// One round by nginx's "smooth weighted round robin": with every request each backend earns its weight,
/// and the richest, which is asked, pays what all together earned. Of equals the first is asked.
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
