//! Tests of the policy without a host, in pools whose latencies the test says.

use balancing::testing::Pool;
use pace_plugin::parse_config;
use proptest::prelude::*;

use super::*;

fn policy(seed: u64) -> PeakEwma {
    PeakEwma::new(&Config::default(), Random::new(seed))
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A pool of equal backends with these latencies in milliseconds.
fn pool(latencies: &[u64]) -> Pool {
    let mut pool = Pool::weighted(&vec![1; latencies.len()]);
    for (backend, &latency) in pool.backends.iter_mut().zip(latencies) {
        backend.latency = Some(Duration::from_millis(latency));
    }
    pool
}

/// The picks for so many requests at one moment, by index.
fn picks(policy: &mut PeakEwma, pool: &Pool, now: Duration, requests: usize) -> Vec<usize> {
    let mut picks = vec![0; pool.backends.len()];
    for _ in 0..requests {
        picks[policy.pick(pool, 1, now).expect("there are backends") as usize] += 1;
    }
    picks
}

#[test]
fn faster_backend_is_picked() {
    let pool = pool(&[20, 10]);
    assert_eq!(picks(&mut policy(1), &pool, seconds(1), 100), [0, 100]);
}

#[test]
fn requests_in_flight_make_a_backend_slower() {
    let mut pool = pool(&[20, 10]);
    pool.backends[1].in_flight = 2;
    assert_eq!(picks(&mut policy(1), &pool, seconds(1), 100), [100, 0]);
}

#[test]
fn weight_makes_a_backend_faster() {
    let mut pool = pool(&[20, 10]);
    pool.backends[0].weight = 3;
    assert_eq!(picks(&mut policy(1), &pool, seconds(1), 100), [100, 0]);
}

#[test]
fn slowest_of_many_gets_nothing() {
    let pool = pool(&[10, 10, 10, 300, 10]);
    let picks = picks(&mut policy(1), &pool, seconds(1), 1000);
    assert_eq!(picks[3], 0);
    assert!(
        picks.iter().filter(|&&count| count > 150).count() == 4,
        "{picks:?}"
    );
}

#[test]
fn slow_backend_is_asked_again_when_its_measurement_is_old() {
    let pool = pool(&[1000, 10]);
    let mut policy = policy(1);
    // The fast backend has new measurements all the time, and the slow one has none.
    let mut asked = None;
    for second in 0..200 {
        let mut pool = pool.clone();
        pool.backends[1].latency = Some(Duration::from_micros(10_000 + second % 2));
        if policy.pick(&pool, 1, seconds(second)) == Some(0) {
            asked = asked.or(Some(second));
        }
    }
    // From a second to 10 ms it is ln 100 = 4.6 times 10 s.
    assert!(
        asked.is_some_and(|second| (46..48).contains(&second)),
        "{asked:?}"
    );
}

#[test]
fn backend_that_fails_is_left_alone_for_a_while() {
    let mut pool = pool(&[10, 10]);
    pool.backends[0].latency = None;
    let mut policy = policy(1);
    assert_eq!(policy.pick(&pool, 1, seconds(1)), Some(0), "it is to be measured");
    pool.backends[0].tried = true;
    assert_eq!(policy.pick(&pool, 2, seconds(1)), Some(1));
    assert_eq!(picks(&mut policy, &pool, seconds(1), 100), [0, 100]);
    pool.backends[1].in_flight = 200;
    assert_eq!(
        picks(&mut policy, &pool, seconds(1), 1),
        [1, 0],
        "but not at any price"
    );
}

#[test]
fn backend_keeps_its_cost_when_others_change() {
    let mut pool = pool(&[10, 10, 10]);
    let mut policy = policy(1);
    pool.backends[0].latency = Some(seconds(1));
    picks(&mut policy, &pool, seconds(1), 100);
    // Its average falls at once, and its cost does not.
    pool.backends[0].latency = Some(Duration::from_millis(1));
    pool.backends[2].health = pace_plugin::Health::Ejected;
    pool.version += 1;
    assert_eq!(picks(&mut policy, &pool, seconds(1), 100), [0, 100, 0]);
    pool.backends[0].address = "another:80".to_owned();
    pool.version += 1;
    assert_eq!(picks(&mut policy, &pool, seconds(1), 100), [100, 0, 0]);
}

#[test]
fn thousand_backends_cost_no_more_calls_than_two() {
    for backends in [2, 1000] {
        let pool = pool(&vec![10; backends]);
        let mut policy = policy(1);
        policy.pick(&pool, 1, seconds(1));
        pool.calls.set(0);
        picks(&mut policy, &pool, seconds(2), 1000);
        assert_eq!(pool.calls.get(), 5000, "the version, two loads and two latencies");
    }
}

#[test]
fn configuration_out_of_bounds_is_refused_with_its_key() {
    assert_eq!(parse_config::<Config>("{}"), Ok(Config::default()));
    let refusal = parse_config::<Config>(r#"{"decay_ms": 5}"#).expect_err("it is too short");
    assert_eq!(
        refusal,
        "decay_ms: invalid value: integer `5`, expected an integer from 100 to 3600000"
    );
}

proptest! {
    #[test]
    fn pick_is_legal_in_any_state_of_the_pool(seed in any::<u64>(), times in any::<[u64; 3]>()) {
        let mut policy = policy(seed);
        for (number, time) in (0..).zip(times) {
            let pool = Pool::any(seed.wrapping_add(number));
            for attempt in [1, 2] {
                let picked = policy.pick(&pool, attempt, Duration::from_nanos(time));
                prop_assert!(pool.is_legal(attempt, picked), "{:?} of {:?}", picked, pool);
            }
        }
    }
}
