//! Tests of the policy without a host, in pools whose backends take requests and give them back.

use std::collections::BTreeSet;
use std::time::Duration;

use balancing::testing::Pool;
use pace_plugin::Health;
use proptest::prelude::*;

use super::{LeastRequest, Random};

fn policy(seed: u64) -> LeastRequest {
    LeastRequest::new(Random::new(seed))
}

/// Sends requests that do not end, and returns the most that a backend has for a unit of its weight.
fn highest_load(pool: &mut Pool, requests: usize, mut pick: impl FnMut(&Pool) -> u32) -> f64 {
    for _ in 0..requests {
        let picked = pick(pool);
        pool.backends[picked as usize].in_flight += 1;
    }
    let loads = pool
        .backends
        .iter()
        .map(|backend| f64::from(backend.in_flight) / f64::from(backend.weight));
    loads.fold(0.0, f64::max)
}

#[test]
fn two_choices_are_more_even_than_one() {
    let mut random = Random::new(1);
    let by_chance = highest_load(&mut Pool::weighted(&[1; 100]), 10_000, |pool| {
        random.below(pool.backends.len()) as u32
    });
    let mut policy = policy(1);
    let by_load = highest_load(&mut Pool::weighted(&[1; 100]), 10_000, |pool| {
        policy.pick(pool, 1).expect("there are backends")
    });
    // Of 100 on the average: chance is off by three standard deviations of 10, two choices by ln ln 100 / ln 2.
    assert!(by_chance > 115.0, "{by_chance}");
    assert!(by_load < 106.0, "{by_load}");
}

#[test]
fn load_follows_the_weights() {
    let weights: Vec<u32> = (0..100).map(|number| 1 + number % 10).collect();
    let sum = weights.iter().sum::<u32>() as usize;
    let mut policy = policy(1);
    let highest = highest_load(&mut Pool::weighted(&weights), sum * 20, |pool| {
        policy.pick(pool, 1).expect("there are backends")
    });
    assert!(highest < 26.0, "{highest} for a unit of weight, of 20");
}

/// Every backend ends one request in each round, but the slow one only in every twentieth.
#[test]
fn slow_backend_gets_less() {
    let mut pool = Pool::weighted(&[1; 10]);
    let mut policy = policy(1);
    let mut requests = [0; 10];
    for round in 0..2000 {
        for _ in 0..6 {
            let picked = policy.pick(&pool, 1).expect("there are backends") as usize;
            requests[picked] += 1;
            pool.backends[picked].in_flight += 1;
        }
        for (index, backend) in pool.backends.iter_mut().enumerate() {
            if index > 0 || round % 20 == 0 {
                backend.in_flight = backend.in_flight.saturating_sub(1);
            }
        }
    }
    let others = requests[1..].iter().min().expect("there are nine");
    assert!(requests[0] * 5 < *others, "{requests:?}");
}

/// A pool that is not busy, half of which takes ten times as long: of a hundred answers the slowest is a fast one.
#[test]
fn slow_half_of_an_idle_pool_answers_fewer_than_one_of_a_hundred() {
    for count in [2, 4, 10, 100] {
        let mut pool = Pool::weighted(&vec![1; count]);
        for (index, backend) in pool.backends.iter_mut().enumerate() {
            backend.latency = Some(Duration::from_millis([300, 30][index % 2]));
        }
        let mut policy = policy(1);
        for _ in 0..100 {
            policy.pick(&pool, 1);
        }
        let picks = (0..10_000).map(|_| policy.pick(&pool, 1).expect("there are backends"));
        let slow = picks.filter(|picked| picked % 2 == 0).count();
        assert!(slow < 50, "{slow} of 10,000 with {count} backends");
        assert!(slow > 0, "nothing would show that they are slow no more");
    }
}

#[test]
fn backend_that_is_slow_no_more_gets_its_share() {
    let mut pool = Pool::weighted(&[1; 4]);
    let mut policy = policy(1);
    let mut picks = |pool: &Pool| {
        let mut counts = [0; 4];
        for _ in 0..4000 {
            counts[policy.pick(pool, 1).expect("there are backends") as usize] += 1;
        }
        counts
    };
    for backend in &mut pool.backends {
        backend.latency = Some(Duration::from_millis(30));
    }
    pool.backends[0].latency = Some(Duration::from_secs(3));
    assert!(picks(&pool)[0] < 40);
    pool.backends[0].latency = Some(Duration::from_millis(60));
    assert!(picks(&pool)[0] > 800);
}

/// Half as many backends must not get all requests, or they are the ones that are slow next.
#[test]
fn slow_half_takes_what_the_others_have_no_room_for() {
    let mut pool = Pool::weighted(&[1; 10]);
    let mut policy = policy(1);
    for (index, backend) in pool.backends.iter_mut().enumerate() {
        backend.latency = Some(Duration::from_millis([50, 5][index % 2]));
    }
    // As many requests as would make 30 on each fast backend.
    for _ in 0..150 {
        let picked = policy.pick(&pool, 1).expect("there are backends");
        pool.backends[picked as usize].in_flight += 1;
    }
    let slow: u32 = pool
        .backends
        .iter()
        .step_by(2)
        .map(|backend| backend.in_flight)
        .sum();
    assert!((5..30).contains(&slow), "{slow}");
}

#[test]
fn backend_that_refuses_everything_is_asked_now_and_then() {
    let mut pool = Pool::weighted(&[1, 1]);
    let mut policy = policy(1);
    // The other one is busy, and the one that refuses never is.
    pool.backends[1].in_flight = 100;
    let mut refused = 0;
    for _ in 0..170 {
        if policy.pick(&pool, 1) == Some(0) {
            refused += 1;
            let mut retried = pool.clone();
            retried.backends[0].tried = true;
            assert_eq!(policy.pick(&retried, 2), Some(1));
        }
    }
    assert_eq!(refused, 10, "one of 17");
}

#[test]
fn many_failed_backends_are_picked_all_the_same() {
    let mut pool = Pool::weighted(&[1; 100]);
    for backend in &mut pool.backends[1..] {
        backend.tried = true;
    }
    let mut policy = policy(1);
    for _ in 0..100 {
        assert_eq!(policy.pick(&pool, 2), Some(0));
    }
    let picks: BTreeSet<_> = (0..10_000).map(|_| policy.pick(&pool, 1)).collect();
    assert_eq!(picks.len(), 100);
}

#[test]
fn change_of_health_is_noticed_by_the_version() {
    let mut pool = Pool::weighted(&[1, 1]);
    let mut policy = policy(1);
    let picks = |policy: &mut LeastRequest, pool: &Pool| {
        let picks: Vec<_> = (0..50).filter_map(|_| policy.pick(pool, 1)).collect();
        [0, 1].map(|index| picks.contains(&index))
    };
    assert_eq!(picks(&mut policy, &pool), [true, true]);
    pool.backends[0].health = Health::Ejected;
    pool.version += 1;
    assert_eq!(picks(&mut policy, &pool), [false, true]);
    pool.backends[1].health = Health::Unhealthy;
    pool.version += 1;
    assert_eq!(picks(&mut policy, &pool), [true, true]);
}

#[test]
fn thousand_backends_cost_no_more_calls_than_two() {
    for backends in [2, 1000] {
        let pool = Pool::weighted(&vec![1; backends]);
        let mut policy = policy(1);
        policy.pick(&pool, 1);
        pool.calls.set(0);
        for _ in 0..1000 {
            policy.pick(&pool, 1);
        }
        assert_eq!(pool.calls.get(), 5000, "the version, two loads and two latencies");
    }
}

proptest! {
    #[test]
    fn pick_is_legal_in_any_state_of_the_pool(seed in any::<u64>()) {
        let mut policy = policy(seed);
        for number in 0..3 {
            let pool = Pool::any(seed.wrapping_add(number));
            for attempt in [1, 2] {
                let picked = policy.pick(&pool, attempt);
                prop_assert!(pool.is_legal(attempt, picked), "{:?} of {:?}", picked, pool);
            }
        }
    }
}
