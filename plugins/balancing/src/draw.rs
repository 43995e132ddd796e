//! One of several things at random, by weight.

use crate::random::scale;

/// Draws positions in a list at random, each as often as its weight says, in a time that does not depend on the
/// length of the list.
///
/// This is the alias method (Walker 1977, built as by Vose in 1991). The weights are cut up and laid into as many
/// columns of equal height as there are positions: each column has a piece of its own position's weight and, above it,
/// a piece of one other's. A draw picks a column, and then a height in it.
#[derive(Clone, Debug, Default)]
pub struct Draw {
    columns: Box<[Column]>,
}

#[derive(Clone, Copy, Debug)]
struct Column {
    /// The height of the own piece, in 2^32ths of the column's. A full column names its position twice, so that
    /// this one need not be 2^32.
    own: u32,
    /// The position that has the rest.
    other: u32,
}

impl Draw {
    /// Prepares draws for these weights, of which none is 0.
    pub fn new(weights: impl ExactSizeIterator<Item = u32>) -> Self {
        let count = weights.len() as u64;
        // In units in which each column is as high as the sum of the weights, all numbers are whole.
        let mut left: Vec<u64> = weights.map(|weight| u64::from(weight) * count).collect();
        let height = left.iter().sum::<u64>() / count.max(1);
        let full = |position| Column {
            own: u32::MAX,
            other: position,
        };
        let mut columns: Box<[Column]> = (0..left.len() as u32).map(full).collect();
        let (mut short, mut long): (Vec<u32>, Vec<u32>) =
            (0..left.len() as u32).partition(|&position| left[position as usize] < height);
        // As long as there is too little for one column there is too much for another.
        while let (Some(&filled), Some(&from)) = (short.last(), long.last()) {
            let own = left[filled as usize];
            columns[filled as usize] = Column {
                own: (own as f64 / height as f64 * 2_f64.powi(32)) as u32,
                other: from,
            };
            short.pop();
            left[from as usize] -= height - own;
            if left[from as usize] < height {
                short.extend(long.pop());
            }
        }
        Self { columns }
    }

    /// The position for a random number, 0 if there is none. Both halves of the number are used.
    pub fn position(&self, random: u64) -> usize {
        let position = scale(random, self.columns.len());
        match self.columns.get(position) {
            Some(column) if random as u32 >= column.own => column.other as usize,
            _ => position,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Random;
    use proptest::collection::vec;
    use proptest::prelude::*;

    impl Draw {
        /// The share of each position, which is the sum of its pieces.
        fn shares(&self) -> Vec<f64> {
            let mut shares = vec![0.0; self.columns.len()];
            for (position, column) in self.columns.iter().enumerate() {
                let own = f64::from(column.own) / 2_f64.powi(32);
                shares[position] += own / self.columns.len() as f64;
                shares[column.other as usize] += (1.0 - own) / self.columns.len() as f64;
            }
            shares
        }
    }

    #[test]
    fn draws_follow_the_weights() {
        let weights = [1, 5, 4, 90];
        let draw = Draw::new(weights.into_iter());
        let mut random = Random::new(7);
        let mut counts = [0_u32; 4];
        for _ in 0..100_000 {
            counts[draw.position(random.number())] += 1;
        }
        // Five standard deviations of the least certain count are below 800.
        let expected = weights.map(|weight| weight * 1000);
        let close = counts
            .iter()
            .zip(expected)
            .all(|(count, of)| count.abs_diff(of) < 800);
        assert!(close, "{counts:?}");
        assert!(counts[0].abs_diff(1000) < 160, "{counts:?}");
    }

    #[test]
    fn empty_list_has_no_position() {
        let draw = Draw::new([].into_iter());
        assert_eq!(draw.position(u64::MAX), 0);
    }

    proptest! {
        #[test]
        fn share_is_the_weights_part_of_the_sum(weights in vec(1..=65_535_u32, 1..300)) {
            let shares = Draw::new(weights.iter().copied()).shares();
            let sum: f64 = weights.iter().copied().map(f64::from).sum();
            for (weight, share) in weights.iter().zip(shares) {
                // A column cannot be more exact than 2^-32 of its height.
                prop_assert!((f64::from(*weight) / sum - share).abs() < 1e-9);
            }
        }

        #[test]
        fn position_is_in_the_list(weights in vec(1..=65_535_u32, 1..300), random in any::<u64>()) {
            prop_assert!(Draw::new(weights.iter().copied()).position(random) < weights.len());
        }
    }
}
