//! Tests of the policy without a host: weights and health, and the resulting picks.

use std::collections::BTreeMap;

use balancing::testing::Pool;
use pace_plugin::Health;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// Members of these weights.
fn members(weights: &[u32]) -> Vec<Member> {
    (0..)
        .zip(weights)
        .map(|(index, &weight)| Member { index, weight })
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
    let schedule = Schedule::new(&members(weights));
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
fn bad_backends_take_turns_if_none_is_healthy() {
    let mut pool = Pool::weighted(&[1, 0, 1, 1]);
    let states = [
        Health::Unhealthy,
        Health::Healthy,
        Health::Ejected,
        Health::Draining,
    ];
    for (backend, health) in pool.backends.iter_mut().zip(states) {
        backend.health = health;
    }
    let turns = Turns::of(&pool);
    assert_eq!([0, 1, 2, 3].map(|n| turns.first(n)), [0, 2, 0, 2].map(Some));
}

#[test]
fn retries_take_turns_among_untried_backends() {
    let mut pool = Pool::weighted(&[1, 4, 1, 1]);
    pool.backends[1].tried = true;
    let turns = Turns::of(&pool);
    let mut n = 0..;
    let picks = [(); 6].map(|()| turns.retry(&pool, || n.next().expect("it is endless")));
    assert_eq!(picks, [0, 2, 3, 0, 2, 3].map(Some));
}

#[test]
fn retry_is_searched_for_if_turns_do_not_find_it() {
    let mut pool = Pool::weighted(&[1, 400, 1]);
    pool.backends[1].tried = true;
    let turns = Turns::of(&pool);
    let mut n = 0..;
    let mut picks = BTreeMap::new();
    for _ in 0..100 {
        let picked = turns.retry(&pool, || n.next().expect("it is endless"));
        *picks.entry(picked).or_insert(0) += 1;
    }
    assert_eq!(picks.keys().copied().collect::<Vec<_>>(), [Some(0), Some(2)]);
    pool.backends[0].tried = true;
    pool.backends[2].tried = true;
    assert_eq!(turns.retry(&pool, || 0), None);
}

#[test]
fn retry_in_a_large_pool_takes_few_calls() {
    let mut pool = Pool::weighted(&[1; 1000]);
    pool.backends[7].tried = true;
    let turns = Turns::of(&pool);
    pool.calls.set(0);
    let mut n = 0..;
    for _ in 0..1000 {
        turns.retry(&pool, || n.next().expect("it is endless"));
    }
    assert_eq!(
        pool.calls.get(),
        1001,
        "one for each, and another for the backend that was tried"
    );
}

#[test]
fn largest_weights_have_exact_shares() {
    let weights = [65_535, 65_534, 1, 40_000];
    let picks = picks(&Schedule::new(&members(&weights)), 3, 171_070);
    assert_eq!(
        picks,
        BTreeMap::from([(0, 65_535), (1, 65_534), (2, 1), (3, 40_000)])
    );
}

#[test]
fn thousand_backends_of_the_largest_weights_are_all_picked() {
    let mut weights = vec![65_535; 1_000];
    weights[7] = 65_534;
    let picks = picks(&Schedule::new(&members(&weights)), 0, 10_000);
    assert!(
        (0..1_000).all(|index| (8..=12).contains(&picks[&index])),
        "{picks:?}"
    );
}

#[test]
fn counter_that_wraps_around_gives_a_legal_pick() {
    for weights in [&[1, 1, 1][..], &[3, 1], &[65_535, 65_534, 1]] {
        let schedule = Schedule::new(&members(weights));
        assert!(
            schedule.pick(u64::MAX).is_some() && schedule.pick(0).is_some(),
            "{weights:?}"
        );
    }
}

proptest! {
    #[test]
    fn equal_backends_get_equal_shares_in_any_stretch(
        backends in 1..2_000_usize,
        weight in 1..=65_535_u32,
        from in 0..u64::from(u32::MAX),
        count in 1..5_000_u64,
    ) {
        let picks = picks(&Schedule::new(&members(&vec![weight; backends])), from, count);
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
        let picks = picks(&Schedule::new(&members(&weights)), from, round);
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
        let schedule = Schedule::new(&members(&weights));
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
    fn pick_is_legal_in_any_state_of_the_pool(seed in any::<u64>(), n in any::<u64>()) {
        let pool = Pool::any(seed);
        let turns = Turns::of(&pool);
        let mut numbers = n..;
        let picks = [(1, turns.first(n)), (2, turns.retry(&pool, || numbers.next().unwrap_or(0)))];
        for (attempt, picked) in picks {
            prop_assert!(pool.is_legal(attempt, picked), "{:?} of {:?}", picked, pool);
        }
    }
}
