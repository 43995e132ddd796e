//! Tests of the policy without a host: weights and health, and the resulting picks.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn candidate(index: usize, weight: u32, health: Health) -> Candidate {
    Candidate {
        index: index as u32,
        weight,
        health,
    }
}

fn healthy(weights: &[u32]) -> Vec<Candidate> {
    weights
        .iter()
        .enumerate()
        .map(|(index, &weight)| candidate(index, weight, Health::Healthy))
        .collect()
}

fn picks(schedule: &Schedule, from: u64, count: u64) -> BTreeMap<u32, u64> {
    let mut picks = BTreeMap::new();
    for n in from..from + count {
        *picks
            .entry(schedule.pick(n).expect("there are backends"))
            .or_default() += 1;
    }
    picks
}

fn order(weights: &[u32], count: u64) -> String {
    let schedule = Schedule::new(&healthy(weights));
    (0..count)
        .filter_map(|n| char::from_u32('a' as u32 + schedule.pick(n)?))
        .collect()
}

#[test]
fn equal_backends_take_turns_in_the_order_of_the_configuration() {
    assert_eq!(order(&[1, 1, 1], 7), "abcabca");
    assert_eq!(order(&[60_000, 60_000], 4), "abab");
}

#[test]
fn unequal_backends_are_interleaved() {
    assert_eq!(order(&[2, 1], 6), "abaaba");
    assert_eq!(order(&[5, 1, 1], 7), "aabacaa");
    assert_eq!(order(&[3, 2, 1], 6), "abacba");
}

#[test]
fn empty_pool_has_no_pick() {
    assert_eq!(Schedule::new(&[]).pick(0), None);
}

#[test]
fn unhealthy_backends_with_a_weight_are_picked_if_none_is_healthy() {
    let nobody_healthy = [
        candidate(0, 1, Health::Unhealthy),
        candidate(1, 0, Health::Healthy),
        candidate(2, 1, Health::Ejected),
    ];
    assert_eq!(
        picks(&Schedule::new(&nobody_healthy), 0, 10),
        BTreeMap::from([(0, 5), (2, 5)])
    );

    let nobody_weighted = [
        candidate(0, 0, Health::Healthy),
        candidate(1, 0, Health::Draining),
    ];
    assert_eq!(
        Schedule::new(&nobody_weighted).pick(0),
        None,
        "a weight of 0 means nothing new"
    );
}

#[test]
fn largest_weights_have_exact_shares() {
    let weights = [65_535, 65_534, 1, 40_000];
    let picks = picks(&Schedule::new(&healthy(&weights)), 3, 171_070);
    assert_eq!(
        picks,
        BTreeMap::from([(0, 65_535), (1, 65_534), (2, 1), (3, 40_000)])
    );
}

#[test]
fn thousand_backends_of_the_largest_weights_are_all_picked() {
    let mut weights = vec![65_535; 1_000];
    weights[7] = 65_534;
    let picks = picks(&Schedule::new(&healthy(&weights)), 0, 10_000);
    assert!(
        (0..1_000).all(|index| (8..=12).contains(&picks[&index])),
        "{picks:?}"
    );
}

#[test]
fn counter_that_wraps_around_gives_a_legal_pick() {
    for weights in [&[1, 1, 1][..], &[3, 1], &[65_535, 65_534, 1]] {
        let schedule = Schedule::new(&healthy(weights));
        assert!(
            schedule.pick(u64::MAX).is_some() && schedule.pick(0).is_some(),
            "{weights:?}"
        );
    }
}

fn any_health() -> impl Strategy<Value = Health> {
    prop_oneof![
        Just(Health::Healthy),
        Just(Health::Unhealthy),
        Just(Health::Ejected),
        Just(Health::Draining)
    ]
}

proptest! {
    #[test]
    fn equal_backends_get_equal_shares_in_any_stretch(
        backends in 1..2_000_usize,
        weight in 1..=65_535_u32,
        from in 0..u64::from(u32::MAX),
        count in 1..5_000_u64,
    ) {
        let picks = picks(&Schedule::new(&healthy(&vec![weight; backends])), from, count);
        let backends = backends as u64;
        for index in 0..backends {
            let got = picks.get(&(index as u32)).copied().unwrap_or(0);
            prop_assert!(got == count / backends || got == count.div_ceil(backends));
        }
    }

    #[test]
    fn backend_gets_exactly_its_weight_in_any_round(
        weights in vec(1..=1_000_u32, 1..20),
        from in 0..u64::from(u32::MAX),
    ) {
        // A backend of weight 1 keeps the weights as they are, since their only common divisor is 1.
        let weights = [&weights[..], &[1]].concat();
        let round = weights.iter().map(|&weight| u64::from(weight)).sum();
        let picks = picks(&Schedule::new(&healthy(&weights)), from, round);
        for (index, &weight) in weights.iter().enumerate() {
            prop_assert_eq!(picks[&(index as u32)], u64::from(weight));
        }
    }

    #[test]
    fn long_round_is_even(
        weights in vec(1..=1_000_u32, 2..10),
        from in 0..u64::from(u32::MAX),
        count in 1..5_000_u64,
    ) {
        let schedule = Schedule::new(&healthy(&weights));
        let Schedule::Wheel(wheel) = &schedule else { return Ok(()) };
        let picks = picks(&schedule, from, count);
        let sum: u64 = weights.iter().map(|&weight| u64::from(weight)).sum();
        for (index, &weight) in weights.iter().enumerate() {
            let got = picks.get(&(index as u32)).copied().unwrap_or(0);
            let share = count as f64 * f64::from(weight) / sum as f64;
            prop_assert!((got as f64 - share).abs() <= wheel.unevenness() as f64, "{} of {}", got, share);
        }
    }

    #[test]
    fn ineligible_backend_gets_nothing_while_another_is_eligible(
        backends in vec((0..=3_u32, any_health()), 1..50),
        n in any::<u64>(),
    ) {
        let mut candidates: Vec<_> = backends.iter().enumerate()
            .map(|(index, &(weight, health))| candidate(index, weight, health))
            .collect();
        candidates.push(candidate(backends.len(), 1, Health::Healthy));
        let picked = Schedule::new(&candidates).pick(n).expect("there are backends");
        let picked = candidates[picked as usize];
        prop_assert!(picked.weight > 0 && picked.health == Health::Healthy);
    }

    #[test]
    fn pick_is_always_a_candidate(
        backends in vec((0..=65_535_u32, any_health()), 1..50),
        tried in vec(any::<bool>(), 50),
        n in any::<u64>(),
    ) {
        let candidates: Vec<_> = backends.iter().enumerate()
            .filter(|&(index, _)| !tried[index])
            .map(|(index, &(weight, health))| candidate(index, weight, health))
            .collect();
        let picked = Schedule::new(&candidates).pick(n);
        prop_assert_eq!(picked.is_none(), candidates.is_empty());
        prop_assert!(picked.is_none_or(|index| candidates.iter().any(|c| c.index == index)));
    }
}
