//! Random numbers that are the same on every machine and for ever: a case is its seed and its number.

use std::ops::Range;

/// SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
#[derive(Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    /// The dice of one case.
    pub(crate) fn of_case(seed: u64, number: u64) -> Dice {
        let mut dice = Dice(seed);
        let start = dice.next() ^ number.wrapping_mul(0xd134_2543_de82_ef95);
        Dice(start)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`; 0 if there is none.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        // The bias of the remainder does not matter for such small numbers.
        (self.next() % (end.max(1) as u64)) as usize
    }

    /// A number of a range that is not empty.
    pub(crate) fn within(&mut self, range: Range<usize>) -> usize {
        range.start + self.below(range.len())
    }

    /// True in one of `times` throws.
    pub(crate) fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// One of several values.
    pub(crate) fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }
}

#[test]
fn dice_of_a_case_never_change() {
    let throws = |number| {
        let mut dice = Dice::of_case(1, number);
        [(); 8].map(|()| dice.below(100))
    };
    assert_eq!(throws(7), throws(7));
    assert_ne!(throws(7), throws(8));
}

#[test]
fn dice_reach_every_number_of_a_range() {
    let mut dice = Dice::of_case(1, 1);
    let mut reached = [false; 6];
    for _ in 0..200 {
        reached[dice.within(0..6)] = true;
    }
    assert_eq!(reached, [true; 6]);
}
