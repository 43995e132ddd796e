//! Tests of the table: shares, and what a change of the backends moves.

use balancing::mix;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// The table of backends with these numbers and weights. A number stands for an address.
fn table(backends: &[(u64, u32)]) -> Table {
    let mut sorted = backends.to_vec();
    sorted.sort_unstable_by_key(|&(number, _)| mix(number));
    let takers = sorted
        .into_iter()
        .map(|(number, weight)| Taker::new(number as u32, mix(number), weight));
    Table::new(takers)
}

fn equal(count: u64) -> Vec<(u64, u32)> {
    (0..count).map(|number| (number, 1)).collect()
}

fn slots_of(table: &Table, number: u64) -> usize {
    table.0.iter().filter(|&&index| index == number as u32).count()
}

/// The part of all slots, in percent, that two tables give to different backends, without those that `gone` had.
fn moved(one: &Table, other: &Table, gone: u64) -> f64 {
    let slots = one.0.iter().zip(&other.0);
    let moved = slots.filter(|&(one, other)| *one != gone as u32 && one != other);
    100.0 * moved.count() as f64 / f64::from(SLOTS)
}

#[test]
fn equal_backends_have_equally_many_slots() {
    for count in [1, 2, 3, 10, 100, 1000] {
        let table = table(&equal(count));
        let least = u64::from(SLOTS) / count;
        for number in 0..count {
            let slots = slots_of(&table, number) as u64;
            assert!(
                (least..=least + 1).contains(&slots),
                "{slots} of {count} backends"
            );
        }
    }
}

#[test]
fn slots_are_in_proportion_to_weights() {
    let weights = [(0, 1), (1, 2), (2, 3), (3, 94)];
    let table = table(&weights);
    for (number, weight) in weights {
        let share = f64::from(SLOTS) * f64::from(weight) / 100.0;
        let slots = slots_of(&table, number) as f64;
        // The last round may end before all have had their turns.
        assert!((slots - share).abs() <= 5.0, "{slots} of {share}");
    }
}

#[test]
fn removed_backend_moves_few_slots_of_others() {
    for (count, most) in [(2, 0.0), (3, 0.1), (10, 2.0), (100, 2.0), (1000, 1.0)] {
        let all = table(&equal(count));
        for gone in [0, count / 2, count - 1] {
            let mut others = equal(count);
            others.remove(gone as usize);
            let moved = moved(&all, &table(&others), gone);
            assert!(moved <= most, "{moved} percent with {count} backends");
        }
    }
}

#[test]
fn changed_weight_moves_few_slots() {
    let mut backends: Vec<_> = (0..10).map(|number| (number, 100)).collect();
    let before = table(&backends);
    backends[3].1 = 90;
    let moved = moved(&before, &table(&backends), u64::MAX);
    // The backend loses a tenth of its tenth.
    assert!((0.9..2.0).contains(&moved), "{moved} percent");
}

#[test]
fn no_backends_have_an_empty_table() {
    assert_eq!(table(&[]).backend(u64::MAX), None);
}

#[test]
fn more_backends_than_slots_fill_the_table() {
    let table = table(&equal(2 * u64::from(SLOTS)));
    assert!(table.0.iter().all(|&index| index != FREE));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn every_backend_has_about_its_share(weights in vec(1..=65_535_u32, 1..100), number in any::<u64>()) {
        let backends: Vec<_> = (0..).zip(weights.iter().copied()).collect();
        let table = table(&backends);
        let sum: f64 = weights.iter().copied().map(f64::from).sum();
        let round = f64::from(SLOTS) / weights.len() as f64;
        for &(number, weight) in &backends {
            let share = f64::from(SLOTS) * f64::from(weight) / sum;
            let slots = slots_of(&table, number) as f64;
            prop_assert!(slots >= 1.0);
            prop_assert!((slots - share).abs() <= 2.0 + share / round.floor(), "{} of {}", slots, share);
        }
        prop_assert!(table.backend(number).is_some_and(|index| (index as usize) < weights.len()));
    }
}
