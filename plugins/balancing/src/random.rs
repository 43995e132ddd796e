//! Random numbers, for choices that nobody gains by foreseeing.

use pace_plugin::{Counter, OpenError, clock};

/// A generator of random numbers: SplitMix64 (Steele, Lea and Flood, Fast Splittable Pseudorandom Number
/// Generators, 2014).
#[derive(Clone, Debug)]
pub struct Random(u64);

/// The golden section of 2^64, made odd.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

impl Random {
    /// A generator whose numbers follow from the seed.
    pub const fn new(seed: u64) -> Self {
        // Neighbouring seeds would otherwise give the same numbers, shifted.
        Self(mix(seed))
    }

    /// A generator that begins elsewhere in each instance of a plugin, and in each process.
    ///
    /// The contract has no random numbers. A counter of Pace's tells the instances of a process apart, which may be
    /// made at the same moment, and the time tells processes apart.
    ///
    /// # Errors
    ///
    /// The counter cannot be opened.
    pub fn of_instance() -> Result<Self, OpenError> {
        let instance = Counter::open("instances")?.add(1);
        let now = clock::since_1970().as_nanos() as u64;
        Ok(Self::new(mix(now).wrapping_add(instance)))
    }

    /// The next number, of which every bit is random.
    pub const fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        mix(self.0)
    }

    /// A number below `bound`; 0 if that is 0.
    ///
    /// Some numbers come up more often than others by `bound` of 2^32 times (Lemire, Fast Random Integer Generation in
    /// an Interval, 2019, without the rejection), which is nothing for a number of backends.
    pub fn below(&mut self, bound: usize) -> usize {
        scale(self.number(), bound)
    }
}

/// Maps the upper half of a random number evenly to the numbers below `bound`.
pub(crate) const fn scale(random: u64, bound: usize) -> usize {
    (((random >> 32) * bound as u64) >> 32) as usize
}

/// Mixes the bits of a number: each bit of the argument changes each of the result in about half of all cases, and no
/// two arguments have the same result. It is the last step of MurmurHash3 with the constants of Stafford's variant 13.
pub const fn mix(mut number: u64) -> u64 {
    number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first numbers of the published generator for the state 1234567.
    #[test]
    fn numbers_are_those_of_splitmix64() {
        let mut random = Random(1_234_567);
        let numbers = [(); 5].map(|()| random.number());
        assert_eq!(
            numbers,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423,
                4_593_380_528_125_082_431,
                16_408_922_859_458_223_821,
            ]
        );
    }

    #[test]
    fn neighbouring_seeds_give_other_numbers() {
        let numbers = |seed| {
            let mut random = Random::new(seed);
            [(); 100].map(|()| random.number())
        };
        let (one, other) = (numbers(1), numbers(2));
        assert!(one.iter().all(|number| !other.contains(number)));
    }

    #[test]
    fn numbers_below_a_bound_are_even() {
        let mut random = Random::new(1);
        for bound in [1, 2, 3, 7, 1000] {
            let mut counts = vec![0_u32; bound];
            for _ in 0..bound * 1000 {
                counts[random.below(bound)] += 1;
            }
            // Five standard deviations.
            assert!(
                counts.iter().all(|count| count.abs_diff(1000) <= 160),
                "{bound}: {counts:?}"
            );
        }
        assert_eq!(random.below(0), 0);
    }
}
