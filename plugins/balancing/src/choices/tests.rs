//! Tests of two choices with a pool that the test makes.

use pace_plugin::Health;
use proptest::prelude::*;

use super::*;
use crate::testing::Pool;

/// The requests in flight, and the failures that were noted.
struct InFlight<'a> {
    pool: &'a Pool,
    failed: Vec<u32>,
}

impl Load for InFlight<'_> {
    fn of(&mut self, index: u32) -> f64 {
        f64::from(self.pool.in_flight(index))
    }

    fn failed(&mut self, index: u32) {
        self.failed.push(index);
    }
}

fn in_flight(pool: &Pool) -> InFlight<'_> {
    InFlight {
        pool,
        failed: Vec::new(),
    }
}

/// The picks of an idle pool for so many requests, by index.
fn picks(pool: &Pool, attempt: u32, requests: usize) -> Vec<usize> {
    let choices = Choices::of(pool);
    let mut random = Random::new(1);
    let mut picks = vec![0; pool.backends.len()];
    for _ in 0..requests {
        let picked = choices.pick(pool, attempt, &mut random, &mut in_flight(pool));
        picks[picked.expect("there is a backend") as usize] += 1;
    }
    picks
}

#[test]
fn idle_pool_is_used_by_weight() {
    let picks = picks(&Pool::weighted(&[1, 3, 6]), 1, 10_000);
    for (count, expected) in picks.iter().zip([1000_usize, 3000, 6000]) {
        assert!(count.abs_diff(expected) < 250, "{picks:?}");
    }
}

#[test]
fn less_loaded_of_two_backends_is_always_picked() {
    let mut pool = Pool::weighted(&[1, 1]);
    pool.backends[0].in_flight = 1;
    assert_eq!(picks(&pool, 1, 1000), [0, 1000]);
}

#[test]
fn load_is_compared_by_weight() {
    let mut pool = Pool::weighted(&[4, 1]);
    (pool.backends[0].in_flight, pool.backends[1].in_flight) = (7, 2);
    assert_eq!(picks(&pool, 1, 1000), [1000, 0], "7/4 is less than 2");
    pool.backends[0].in_flight = 9;
    assert_eq!(picks(&pool, 1, 1000), [0, 1000], "9/4 is more than 2");
}

#[test]
fn most_loaded_backend_is_never_picked() {
    let mut pool = Pool::weighted(&[1; 10]);
    for (index, backend) in pool.backends.iter_mut().enumerate() {
        backend.in_flight = index as u32;
    }
    let picks = picks(&pool, 1, 10_000);
    assert_eq!(picks[9], 0);
    assert!(
        picks.windows(2).all(|pair| pair[0] > pair[1]),
        "less load, more requests: {picks:?}"
    );
}

#[test]
fn retry_goes_to_an_untried_backend_and_notes_the_failure() {
    let mut pool = Pool::weighted(&[1, 1, 1]);
    pool.backends[0].tried = true;
    pool.backends[2].in_flight = 1;
    assert_eq!(picks(&pool, 2, 1000), [0, 1000, 0]);

    pool.backends[2].tried = true;
    let (choices, mut random) = (Choices::of(&pool), Random::new(1));
    let mut load = in_flight(&pool);
    assert_eq!(choices.pick(&pool, 3, &mut random, &mut load), Some(1));
    load.failed.sort_unstable();
    load.failed.dedup();
    assert_eq!(load.failed, [0, 2]);

    pool.backends[1].tried = true;
    assert_eq!(choices.pick(&pool, 4, &mut random, &mut in_flight(&pool)), None);
}

#[test]
fn retry_goes_to_a_bad_backend_only_when_no_healthy_one_is_left() {
    let mut pool = Pool::weighted(&[1, 1, 1]);
    pool.backends[0].health = Health::Ejected;
    pool.backends[1].tried = true;
    assert_eq!(picks(&pool, 2, 100), [0, 0, 100]);
    pool.backends[2].tried = true;
    assert_eq!(picks(&pool, 3, 100), [100, 0, 0]);
}

#[test]
fn only_backend_is_picked_without_a_look_at_its_load() {
    let pool = Pool::weighted(&[1]);
    let choices = Choices::of(&pool);
    pool.calls.set(0);
    let picked = choices.pick(&pool, 1, &mut Random::new(1), &mut in_flight(&pool));
    assert_eq!((picked, pool.calls.get()), (Some(0), 0));
}

#[test]
fn thousand_backends_cost_no_more_calls_than_two() {
    let calls = |backends: usize, attempt: u32| {
        let mut pool = Pool::weighted(&vec![1; backends]);
        pool.backends[0].tried = attempt > 1;
        let choices = Choices::of(&pool);
        pool.calls.set(0);
        let mut random = Random::new(1);
        for _ in 0..1000 {
            choices.pick(&pool, attempt, &mut random, &mut in_flight(&pool));
        }
        pool.calls.get()
    };
    assert_eq!(calls(2, 1), 2000, "the load of each of the two");
    assert_eq!(calls(1000, 1), 2000);
    assert!(calls(1000, 2) <= 4100, "and whether they were tried");
}

proptest! {
    #[test]
    fn pick_is_an_eligible_untried_backend_if_there_is_one(seed in any::<u64>()) {
        let pool = Pool::any(seed);
        let choices = Choices::of(&pool);
        for attempt in [1, 2] {
            let picked = choices.pick(&pool, attempt, &mut Random::new(seed), &mut in_flight(&pool));
            prop_assert!(pool.is_legal(attempt, picked), "{:?} of {:?}", picked, pool);
        }
    }
}
