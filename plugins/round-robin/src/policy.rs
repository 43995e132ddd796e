//! The choice of the backend for the n-th request.

mod wheel;

use std::cmp::Reverse;

use pace_plugin::Health;

use wheel::Wheel;

/// A backend that could be picked.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    pub index: u32,
    /// The share of requests, 0 to 65535.
    pub weight: u32,
    pub health: Health,
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
    /// The schedule of the eligible candidates: the healthy ones with a weight; without any, all with a
    /// weight. A backend of weight 0 gets no new requests, even if no other is left.
    ///
    /// Envoy calls the second step panic mode: if no backend seems healthy, wrong health checks are more
    /// likely than an outage of all, and trying one costs no more than a refused connection.
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
