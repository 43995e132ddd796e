//! Weighted turns without a list.

use super::Share;

/// A wheel on whose rim each backend has an arc as long as its weight. Request `n` goes to the backend on
/// whose arc the wheel stands after `n` strides.
///
/// A stride without a common divisor with the circumference reaches every point of the rim once before it
/// reaches any a second time, so each backend gets exactly its weight in any `circumference` requests in a
/// row. A stride near the golden section of the circumference also spreads those visits evenly over time;
/// Fibonacci hashing rests on the same property (Knuth, The Art of Computer Programming, volume 3, section
/// 6.4).
///
/// The wheel needs one number per backend, is made in one pass over them, and is searched by bisection. Its
/// order is a little less even than "smooth weighted round robin", and for a short rim, to which hardly any
/// number is coprime, it is not even at all: 3, 2 and 1 would take turns as `aaabbc`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wheel {
    /// The arcs in ascending order; not empty.
    arcs: Vec<Arc>,
    /// The end of the last arc.
    circumference: u64,
    /// Coprime to the circumference.
    stride: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Arc {
    end: u64,
    index: u32,
}

impl Wheel {
    /// The wheel of these backends, of which there must be one.
    pub(super) fn new(shares: &[Share]) -> Self {
        let mut circumference = 0;
        let arcs = shares.iter().map(|share| {
            circumference += share.weight;
            Arc {
                end: circumference,
                index: share.index,
            }
        });
        Self {
            arcs: arcs.collect(),
            circumference,
            stride: golden_stride(circumference),
        }
    }

    pub(super) fn pick(&self, n: u64) -> u32 {
        // 128 bits, because the product of two numbers below the circumference may need more than 64.
        let turn = u128::from(n % self.circumference);
        let point = (turn * u128::from(self.stride) % u128::from(self.circumference)) as u64;
        let arc = self.arcs.partition_point(|arc| arc.end <= point);
        self.arcs[arc].index
    }
}

/// The best stride near the golden section of `circumference`.
///
/// How unevenly a stride spreads its visits grows with the sum of the quotients in the continued fraction
/// of stride/circumference (Kuipers and Niederreiter, Uniform Distribution of Sequences, chapter 2, section
/// 3). Those of the golden ratio are all 1. An integer next to it can have large ones, but some integer
/// nearby has not.
fn golden_stride(circumference: u64) -> u64 {
    // The golden ratio's inverse, 0.618..., as a fraction of 2^32.
    const GOLDEN: u128 = 2_654_435_769;
    // One of this many numbers in a row on both sides is coprime to any number below 2^48 (Jacobsthal's
    // function is at most 66 there), and the weights of 2^32 backends have no larger sum.
    const NEARBY: u64 = 50;

    let golden = ((u128::from(circumference) * GOLDEN) >> 32) as u64;
    let nearby = golden.saturating_sub(NEARBY).max(1)..=golden.saturating_add(NEARBY).min(circumference);
    nearby
        .filter_map(|stride| {
            Some((
                sum_of_quotients(stride, circumference)?,
                stride.abs_diff(golden),
                stride,
            ))
        })
        .min()
        .map_or(1, |(_, _, stride)| stride)
}

/// The sum of the quotients in the continued fraction of `a`/`b`, if that is in lowest terms.
fn sum_of_quotients(mut a: u64, mut b: u64) -> Option<u64> {
    let mut sum = 0;
    while b != 0 {
        sum += a / b;
        (a, b) = (b, a % b);
    }
    (a == 1).then_some(sum)
}

#[cfg(test)]
impl Wheel {
    /// The largest difference between a backend's requests and its share, in any stretch.
    pub(super) fn unevenness(&self) -> u64 {
        sum_of_quotients(self.stride, self.circumference).expect("the stride is coprime to the circumference")
    }
}
