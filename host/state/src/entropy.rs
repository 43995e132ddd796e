//! The source of random numbers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A source of random numbers: the system's, or one that is the same in every run.
#[derive(Clone, Default)]
pub enum Entropy {
    /// The system's, which nobody can foresee.
    #[default]
    System,
    /// Numbers that follow from a seed, for tests.
    Seeded(Arc<AtomicU64>),
}

impl Entropy {
    /// A source whose numbers follow from a seed.
    pub fn seeded(seed: u64) -> Entropy {
        Entropy::Seeded(Arc::new(AtomicU64::new(seed)))
    }

    /// Fills these bytes.
    ///
    /// # Errors
    ///
    /// The system has no random numbers, which no supported one lets happen.
    pub fn fill(&self, bytes: &mut [u8]) -> Result<(), getrandom::Error> {
        let seed = match self {
            Entropy::System => return getrandom::fill(bytes),
            Entropy::Seeded(seed) => seed,
        };
        for chunk in bytes.chunks_mut(8) {
            let state = seed.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
            chunk.copy_from_slice(&scattered(state).to_le_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}

/// The step of SplitMix64.
pub(super) const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// The last step of SplitMix64 (Steele, Lea and Flood, 2014), which makes a pseudo-random number of a state.
pub(super) fn scattered(mut state: u64) -> u64 {
    state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(entropy: &Entropy) -> Vec<[u8; 12]> {
        let number = |_| {
            let mut bytes = [0; 12];
            entropy.fill(&mut bytes).expect("there is entropy");
            bytes
        };
        (0..100).map(number).collect()
    }

    #[test]
    fn seeded_numbers_are_the_same_in_every_run_and_differ_from_each_other() {
        let first = numbers(&Entropy::seeded(1));
        assert_eq!(first, numbers(&Entropy::seeded(1)));
        assert_ne!(first, numbers(&Entropy::seeded(2)));
        let mut sorted = first.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), first.len());
        let clone = Entropy::seeded(1);
        assert_ne!(numbers(&clone.clone()), numbers(&clone), "clones are one source");
    }

    #[test]
    fn numbers_of_the_system_differ_from_source_to_source() {
        assert_ne!(numbers(&Entropy::System), numbers(&Entropy::System));
    }
}
