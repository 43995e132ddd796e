//! Tests of the policy without a host: where keys go, and what moves them.

use std::collections::BTreeMap;

use balancing::testing::{Backend, Pool};
use balancing::{Random, mix};
use pace_plugin::Health;
use proptest::prelude::*;

use super::*;

const KEYS: u64 = 20_000;

fn unbounded() -> ConsistentHash {
    ConsistentHash::new(MaxLoad(None))
}

fn bounded(percent: u64) -> ConsistentHash {
    ConsistentHash::new(MaxLoad(Some(percent)))
}

/// The backend of each key, by its address.
fn places(pool: &Pool, attempt: u32) -> Vec<String> {
    let mut policy = unbounded();
    let place = |key| {
        let picked = policy.pick(pool, attempt, mix(key)).expect("there are backends");
        pool.backends[picked as usize].address.clone()
    };
    (0..KEYS).map(place).collect()
}

/// How many keys each address has.
fn counts(places: &[String]) -> BTreeMap<&str, u64> {
    let mut counts = BTreeMap::new();
    for place in places {
        *counts.entry(place.as_str()).or_default() += 1;
    }
    counts
}

/// Checks that the keys of one backend have moved, that they are spread over the others, and that no other key has
/// moved.
fn only_keys_of_one_have_moved(before: &[String], after: &[String], gone: &str) {
    let mut new_places = Vec::new();
    for (before, after) in before.iter().zip(after) {
        match before == gone {
            true => new_places.push(after.clone()),
            false => assert_eq!(before, after),
        }
    }
    let (keys, counts) = (new_places.len() as u64, counts(&new_places));
    assert!(!counts.contains_key(gone));
    let others = self::counts(before).len() as u64 - 1;
    assert_eq!(counts.len() as u64, others, "{counts:?}");
    for count in counts.values() {
        assert!(
            count * others * 2 > keys && count * others < keys * 2,
            "{counts:?}"
        );
    }
}

#[test]
fn keys_are_spread_by_weight() {
    let pool = Pool::weighted(&[1, 2, 3, 4]);
    let counts = counts(&places(&pool, 1)).into_values().collect::<Vec<_>>();
    for (count, weight) in counts.iter().zip(1..) {
        assert!(count.abs_diff(KEYS / 10 * weight) < KEYS / 50, "{counts:?}");
    }
}

#[test]
fn place_of_a_key_does_not_depend_on_the_order_of_the_pool() {
    let mut pool = Pool::weighted(&[1, 2, 3, 4, 5]);
    let before = places(&pool, 1);
    pool.backends.reverse();
    assert_eq!(places(&pool, 1), before);
}

#[test]
fn keys_of_a_bad_backend_move_and_no_others() {
    for health in [Health::Unhealthy, Health::Ejected, Health::Draining] {
        let mut pool = Pool::weighted(&[1; 10]);
        let before = places(&pool, 1);
        pool.backends[3].health = health;
        let gone = pool.backends[3].address.clone();
        only_keys_of_one_have_moved(&before, &places(&pool, 1), &gone);
    }
}

#[test]
fn retry_goes_to_the_second_choice_of_the_key() {
    let mut pool = Pool::weighted(&[1; 10]);
    let before = places(&pool, 1);
    pool.backends[3].tried = true;
    let gone = pool.backends[3].address.clone();
    only_keys_of_one_have_moved(&before, &places(&pool, 2), &gone);
}

#[test]
fn removed_backend_moves_few_keys_of_others() {
    let pool = Pool::weighted(&[1; 20]);
    let before = places(&pool, 1);
    let mut smaller = pool.clone();
    let gone = smaller.backends.remove(7);
    let after = places(&smaller, 1);
    let moved = before
        .iter()
        .zip(&after)
        .filter(|(before, after)| before != after);
    let (of_it, of_others): (Vec<_>, Vec<_>) = moved.partition(|(before, _)| **before == gone.address);
    assert_eq!(
        of_it.len() as u64,
        counts(&before)[&*gone.address],
        "all of its keys"
    );
    assert!(
        (of_others.len() as u64) < KEYS / 20,
        "{} of {KEYS}",
        of_others.len()
    );
}

#[test]
fn few_good_backends_of_many_get_all_keys() {
    let mut pool = Pool::weighted(&[1; 200]);
    for backend in &mut pool.backends[2..] {
        backend.health = Health::Unhealthy;
    }
    let places = places(&pool, 1);
    let counts = counts(&places);
    assert_eq!(counts.len(), 2);
    assert!(counts.values().all(|&count| count > KEYS / 5), "{counts:?}");
}

#[test]
fn change_of_health_keeps_the_layout() {
    let mut pool = Pool::weighted(&[1; 10]);
    let mut policy = unbounded();
    let layout = |policy: &mut ConsistentHash, pool: &Pool| {
        Arc::clone(
            &policy
                .pools
                .current(pool, |_, _| unreachable!("it is known"))
                .layout,
        )
    };
    policy.pick(&pool, 1, 7);
    let before = layout(&mut policy, &pool);
    pool.backends[3].health = Health::Ejected;
    pool.version += 1;
    policy.pick(&pool, 1, 7);
    assert!(Arc::ptr_eq(&before, &layout(&mut policy, &pool)));
    pool.backends[3].weight = 2;
    pool.version += 1;
    policy.pick(&pool, 1, 7);
    assert!(!Arc::ptr_eq(&before, &layout(&mut policy, &pool)));
}

/// The most requests that a backend may have by the paper's definition.
fn bound(pool: &Pool, percent: u64, backend: &Backend) -> u64 {
    let sum = |of: fn(&Backend) -> u32| {
        pool.backends
            .iter()
            .map(|backend| u64::from(of(backend)))
            .sum::<u64>()
    };
    let share = sum(|backend| backend.in_flight) * u64::from(backend.weight) * percent;
    share.div_ceil(100 * sum(|backend| backend.weight))
}

#[test]
fn no_backend_gets_more_than_its_bound_however_few_keys_there_are() {
    for (percent, keys) in [(101, 1), (125, 1), (125, 3), (200, 1), (125, 1000)] {
        let mut pool = Pool::weighted(&[1, 1, 1, 2, 2, 3, 1, 1]);
        let mut policy = bounded(percent);
        for number in 0..2000 {
            let picked = policy
                .pick(&pool, 1, mix(number % keys))
                .expect("there are backends");
            pool.backends[picked as usize].in_flight += 1;
            let backend = &pool.backends[picked as usize];
            let bound = bound(&pool, percent, backend);
            assert!(
                u64::from(backend.in_flight) <= bound,
                "{} of {bound}",
                backend.in_flight
            );
        }
    }
}

/// Requests end at random, of which the policy is not told.
#[test]
fn bound_holds_about_while_requests_come_and_end() {
    let mut pool = Pool::weighted(&[1; 20]);
    let mut policy = bounded(125);
    let mut random = Random::new(1);
    let mut above = 0;
    for number in 0..20_000_u64 {
        // One key of three is the same.
        let key = if number % 3 == 0 { 0 } else { random.number() };
        let picked = policy.pick(&pool, 1, mix(key)).expect("there are backends");
        pool.backends[picked as usize].in_flight += 1;
        let backend = &pool.backends[picked as usize];
        above += u64::from(u64::from(backend.in_flight) > bound(&pool, 125, backend) + 1);
        let all: u32 = pool.backends.iter().map(|backend| backend.in_flight).sum();
        if all > 200 {
            let busy: Vec<_> = (0..20)
                .filter(|&index| pool.backends[index].in_flight > 0)
                .collect();
            pool.backends[busy[random.below(busy.len())]].in_flight -= 1;
        }
    }
    assert!(above < 200, "{above} of 20000 picks");
}

#[test]
fn key_stays_while_its_backend_has_room() {
    let mut pool = Pool::weighted(&[1; 10]);
    for backend in &mut pool.backends {
        backend.in_flight = 20;
    }
    let mut policy = bounded(150);
    for key in 0..1000 {
        let expected = unbounded().pick(&pool, 1, mix(key));
        let mut policy = bounded(150);
        assert_eq!(policy.pick(&pool, 1, mix(key)), expected);
    }
    let place = policy.pick(&pool, 1, 7).expect("there are backends") as usize;
    pool.backends[place].in_flight = 40;
    assert_ne!(
        policy.pick(&pool, 1, 7),
        Some(place as u32),
        "20 of 22 are the share"
    );
    pool.backends[place].in_flight = 20;
    assert_eq!(policy.pick(&pool, 1, 7), Some(place as u32), "the key comes back");
}

#[test]
fn pool_without_room_is_used_by_load() {
    let mut pool = Pool::weighted(&[1, 1]);
    let mut policy = bounded(125);
    policy.pick(&pool, 1, 7);
    // The account has not heard of these.
    (pool.backends[0].in_flight, pool.backends[1].in_flight) = (4_000_000_000, 4_000_000_001);
    for _ in 0..10 {
        let picked = policy.pick(&pool, 1, 7).expect("there are backends");
        assert_eq!(picked, 0);
    }
}

#[test]
fn thousand_backends_cost_no_more_calls_than_two() {
    let calls = |mut policy: ConsistentHash, backends: usize| {
        let pool = Pool::weighted(&vec![1; backends]);
        policy.pick(&pool, 1, 7);
        pool.calls.set(0);
        for key in 0..1000 {
            policy.pick(&pool, 1, mix(key));
        }
        pool.calls.get()
    };
    for backends in [2, 1000] {
        assert_eq!(calls(unbounded(), backends), 1000, "the version");
        assert_eq!(calls(bounded(125), backends), 3000, "the version and two loads");
    }
}

#[test]
fn client_is_an_address_of_ipv4_or_a_network_of_ipv6() {
    let hash = |text: &str| hash_of_client(text.parse().expect("it is an address"));
    assert_ne!(hash("192.0.2.1"), hash("192.0.2.2"));
    assert_eq!(hash("192.0.2.1"), hash("::ffff:192.0.2.1"));
    assert_eq!(hash("2001:db8::1"), hash("2001:db8::2:3:4:5"));
    assert_ne!(hash("2001:db8::1"), hash("2001:db8:0:1::1"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn pick_is_legal_in_any_state_of_the_pool(seed in any::<u64>(), hash in any::<u64>()) {
        for mut policy in [unbounded(), bounded(101)] {
            for number in 0..3 {
                let pool = Pool::any(seed.wrapping_add(number));
                for attempt in [1, 2] {
                    let picked = policy.pick(&pool, attempt, hash);
                    prop_assert!(pool.is_legal(attempt, picked), "{:?} of {:?}", picked, pool);
                }
            }
        }
    }
}
