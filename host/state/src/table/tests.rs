use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;

use proptest::prelude::*;

use super::*;
use crate::{Scope, ScopeLimits, Store};

fn at(millis: u64) -> Now {
    Now::from_millis(millis)
}

fn scope(store: &Store, bytes: usize) -> Arc<Scope> {
    let limits = ScopeLimits {
        bytes,
        value_bytes: 100_000,
        ..ScopeLimits::default()
    };
    store.scope("a", "a", limits)
}

fn table() -> (Arc<Store>, Arc<Table>) {
    let store = Store::new(usize::MAX);
    let table = scope(&store, usize::MAX).table("t").expect("there is room");
    (store, table)
}

fn text(value: Option<Arc<[u8]>>) -> Option<String> {
    value.map(|value| String::from_utf8_lossy(&value).into_owned())
}

#[test]
fn value_is_there_for_its_time() {
    let (_store, table) = table();
    assert_eq!(table.get(b"k", at(0)), None);
    table.set(b"k", b"one", 1000, at(5)).unwrap();
    assert_eq!(text(table.get(b"k", at(1004))).as_deref(), Some("one"));
    assert_eq!(table.get(b"k", at(1005)), None);
    table.set(b"k", b"two", 1000, at(1005)).unwrap();
    table.set(b"k", b"three", 1, at(1006)).unwrap();
    assert_eq!(text(table.get(b"k", at(1006))).as_deref(), Some("three"));
    assert_eq!(table.get(b"k", at(1007)), None);
    assert_eq!(table.get(b"", at(0)), None, "keys may be empty");
}

#[test]
fn arguments_out_of_range_change_nothing() {
    let (_store, table) = table();
    table.set(b"k", b"one", 1000, at(0)).unwrap();
    let large = vec![0; 100_001];
    let mut claims = Claims::default();
    for (value, ttl, error) in [
        (&large[..], 1000, TableError::TooLarge),
        (b"v", 0, TableError::InvalidArgument),
        (b"v", LONGEST_TTL + 1, TableError::InvalidArgument),
    ] {
        assert_eq!(table.set(b"k", value, ttl, at(0)), Err(error));
        assert_eq!(table.add(b"k", value, ttl, at(0)), Err(error));
        assert_eq!(table.add(b"l", value, ttl, at(0)), Err(error));
        assert_eq!(table.swap(b"k", Some(b"one"), value, ttl, at(0)), Err(error));
        if error == TableError::InvalidArgument {
            assert_eq!(claims.claim(&table, b"m", ttl, at(0)), Err(error));
        }
    }
    assert_eq!(text(table.get(b"k", at(0))).as_deref(), Some("one"));
    assert_eq!(table.len(), 1);
    assert!(table.set(b"k", &large[1..], LONGEST_TTL, at(0)).is_ok());
}

#[test]
fn add_and_swap_put_only_where_they_may() {
    let (_store, table) = table();
    assert_eq!(table.add(b"k", b"one", 100, at(0)), Ok(None));
    assert_eq!(
        table.add(b"k", b"two", 100, at(0)).map(text),
        Ok(Some("one".to_owned()))
    );
    assert_eq!(
        table.swap(b"k", Some(b"one"), b"two", 100, at(0)),
        Ok(Swapped::Done)
    );
    let other = Swapped::Other(Some(b"two"[..].into()));
    assert_eq!(
        table.swap(b"k", Some(b"one"), b"three", 100, at(0)),
        Ok(other.clone())
    );
    assert_eq!(table.swap(b"k", None, b"three", 100, at(0)), Ok(other));
    assert_eq!(
        table.swap(b"l", Some(b"one"), b"three", 100, at(0)),
        Ok(Swapped::Other(None))
    );
    assert_eq!(table.len(), 1, "what was not put has no key");
    assert_eq!(
        table.swap(b"k", None, b"three", 100, at(100)),
        Ok(Swapped::Done),
        "its time is over"
    );
    assert_eq!(table.add(b"k", b"four", 100, at(200)), Ok(None));
}

#[test]
fn remove_says_whether_there_was_a_value() {
    let (_store, table) = table();
    assert!(!table.remove(b"k", None, at(0)));
    table.set(b"k", b"one", 100, at(0)).unwrap();
    assert!(table.remove(b"k", None, at(0)) && !table.remove(b"k", None, at(0)));
    table.set(b"k", b"one", 100, at(0)).unwrap();
    assert!(!table.remove(b"k", None, at(100)), "its time was over");
    assert!(table.is_empty());
}

#[test]
fn one_request_is_told_to_make_a_value_and_others_wait() {
    let (_store, table) = table();
    let (mut one, mut two) = (Claims::default(), Claims::default());
    let claim = |claims: &mut Claims, now| claims.claim(&table, b"k", 100, at(now)).expect("it is in range");
    assert_eq!(claim(&mut one, 0), Claimed::Yours);
    assert_eq!(claim(&mut one, 10), Claimed::Yours, "asked again");
    assert_eq!(claim(&mut two, 20), Claimed::Others);
    assert_eq!(table.get(b"k", at(20)), None);
    table.set(b"k", b"made", 30, at(20)).unwrap();
    assert_eq!(claim(&mut two, 40), Claimed::Value(b"made"[..].into()));
    assert_eq!(
        claim(&mut two, 50),
        Claimed::Yours,
        "the value is gone, and the claim was over"
    );
    assert_eq!(claim(&mut one, 60), Claimed::Others);
}

#[test]
fn claim_ends_with_its_time_and_with_its_request() {
    let (_store, table) = table();
    let (mut one, mut two) = (Claims::default(), Claims::default());
    let claim = |claims: &mut Claims, now| claims.claim(&table, b"k", 100, at(now)).expect("it is in range");
    assert_eq!(claim(&mut one, 0), Claimed::Yours);
    assert_eq!(claim(&mut two, 99), Claimed::Others);
    assert_eq!(claim(&mut two, 100), Claimed::Yours);
    assert_eq!(claim(&mut one, 150), Claimed::Others);
    drop(one);
    assert_eq!(
        claim(&mut Claims::default(), 150),
        Claimed::Others,
        "it was not the first's any more"
    );
    drop(two);
    assert!(table.is_empty());
    let mut three = Claims::default();
    assert_eq!(claim(&mut three, 150), Claimed::Yours);
    assert!(!table.remove(b"k", Some(three.id()), at(150)));
    assert_eq!(
        claim(&mut Claims::default(), 150),
        Claimed::Yours,
        "removed by who had it"
    );
}

#[test]
fn remove_by_another_leaves_a_claim() {
    let (_store, table) = table();
    let (mut one, mut two) = (Claims::default(), Claims::default());
    assert_eq!(one.claim(&table, b"k", 100, at(0)), Ok(Claimed::Yours));
    assert!(!table.remove(b"k", Some(two.id()), at(0)) && !table.remove(b"k", None, at(0)));
    assert_eq!(two.claim(&table, b"k", 100, at(0)), Ok(Claimed::Others));
}

#[test]
fn request_holds_so_many_claims() {
    let (_store, table) = table();
    let mut claims = Claims::default();
    let mut claim = |key: usize, now| claims.claim(&table, &[key as u8], 100, at(now));
    for key in 0..Claims::MAX {
        assert_eq!(claim(key, 0), Ok(Claimed::Yours));
    }
    assert_eq!(claim(Claims::MAX, 0), Err(TableError::TooMany));
    assert_eq!(claim(0, 50), Ok(Claimed::Yours), "it has this one");
    table.set(&[1], b"made", 1000, at(50)).unwrap();
    assert_eq!(claim(Claims::MAX, 50), Ok(Claimed::Yours), "one is over");
    assert_eq!(claim(Claims::MAX + 1, 50), Err(TableError::TooMany));
    assert_eq!(claim(Claims::MAX + 1, 120), Ok(Claimed::Yours), "six were over");
    drop(claims);
    let another = Claims::default().claim(&table, &[Claims::MAX as u8], 100, at(120));
    assert_eq!(another, Ok(Claimed::Yours));
}

#[test]
fn values_over_their_time_release_their_memory() {
    let (store, table) = table();
    let empty = store.total_used();
    for number in 0..5_000_u32 {
        table.set(&number.to_le_bytes(), &[0; 100], 1000, at(0)).unwrap();
    }
    // This one is the quietest, and stays.
    table.set(b"long", &[0; 100], LONGEST_TTL, at(0)).unwrap();
    for now in 0..20_000 {
        let _there = table.get(b"k", at(1000 + now));
    }
    assert_eq!(table.len(), 1);
    assert!(
        store.total_used() < empty + 64 * 2048,
        "{}",
        store.total_used() - empty
    );
    table.keys.each_shard(|shard, hasher| shard.check(hasher));
}

#[test]
fn full_budget_forgets_quiet_values_and_keeps_used_ones() {
    const MIB: usize = 1 << 20;
    let store = Store::new(usize::MAX);
    let scope = scope(&store, MIB);
    let table = scope.table("t").expect("there is room");
    for number in 0..20_000_u32 {
        let now = at(u64::from(number));
        table
            .set(&number.to_le_bytes(), &[0; 1000], LONGEST_TTL, now)
            .unwrap();
        if number == 0 {
            table.set(b"used", b"still", LONGEST_TTL, now).unwrap();
        }
        assert_eq!(
            text(table.get(b"used", now)).as_deref(),
            Some("still"),
            "{number}"
        );
        assert!(store.total_used() <= MIB);
    }
    assert!((700..1000).contains(&table.len()), "{}", table.len());
    let usage = &store.usage()[0];
    assert_eq!(usage.forgotten as usize + table.len(), 20_001);
    for number in 19_900..20_000_u32 {
        assert!(table.get(&number.to_le_bytes(), at(20_000)).is_some(), "{number}");
    }
    table.keys.each_shard(|shard, hasher| shard.check(hasher));
}

#[test]
fn value_larger_than_the_budget_is_refused_and_forgets_nothing() {
    let store = Store::new(usize::MAX);
    let scope = scope(&store, 64 << 10);
    let table = scope.table("t").expect("there is room");
    table.set(b"k", b"one", 1000, at(0)).unwrap();
    assert_eq!(
        table.set(b"k", &[0; 60_000], 1000, at(0)),
        Err(TableError::TooMany)
    );
    assert_eq!(text(table.get(b"k", at(0))).as_deref(), Some("one"));
    let windows = scope.window("w").expect("there is room");
    drop(windows);
    let limited = Store::new(64 << 10);
    let table = self::scope(&limited, usize::MAX)
        .table("t")
        .expect("there is room");
    assert_eq!(
        table.set(b"k", &[0; 60_000], 1000, at(0)),
        Err(TableError::TooMany)
    );
    assert!(table.set(b"k", &[0; 40_000], 1000, at(0)).is_ok());
}

#[test]
fn lowered_limit_of_values_holds_for_new_ones() {
    let store = Store::new(usize::MAX);
    let scope = scope(&store, usize::MAX);
    let table = scope.table("t").expect("there is room");
    table.set(b"k", &[0; 1000], 1000, at(0)).unwrap();
    scope.set_limits(ScopeLimits {
        value_bytes: 999,
        tables: 1,
        ..ScopeLimits::default()
    });
    assert_eq!(table.get(b"k", at(0)).map(|value| value.len()), Some(1000));
    assert_eq!(
        table.set(b"k", &[0; 1000], 1000, at(0)),
        Err(TableError::TooLarge)
    );
    assert!(scope.table("u").is_err() && scope.table("t").is_ok());
}

/// Runs `run` in each thread at the same time, and collects the results.
fn in_threads<T: Send>(run: impl Fn(u8) -> T + Sync) -> Vec<T> {
    thread::scope(|scope| {
        let run = &run;
        let workers: Vec<_> = (0..4).map(|thread| scope.spawn(move || run(thread))).collect();
        workers
            .into_iter()
            .map(|worker| worker.join().expect("no thread panics"))
            .collect()
    })
}

#[test]
fn one_of_many_threads_adds_a_value_and_all_see_it() {
    let (_store, table) = table();
    let seen = in_threads(|thread| {
        let add = |number: u32| {
            let key = number.to_le_bytes();
            let added = table.add(&key, &[thread], 1000, at(0)).expect("it is in range");
            added.map_or(thread, |there| there[0])
        };
        (0..5_000).map(add).collect::<Vec<_>>()
    });
    assert!(seen.iter().all(|of_thread| *of_thread == seen[0]));
}

#[test]
fn swaps_of_many_threads_lose_nothing() {
    const EACH: u64 = 2_000;
    let (_store, table) = table();
    in_threads(|_| {
        for _ in 0..EACH {
            let mut before: Option<Arc<[u8]>> = None;
            loop {
                let number = before
                    .as_ref()
                    .map_or(0, |bytes| u64::from_le_bytes(bytes[..].try_into().unwrap()));
                let next = (number + 1).to_le_bytes();
                match table.swap(b"k", before.as_deref(), &next, 1000, at(0)).unwrap() {
                    Swapped::Done => break,
                    Swapped::Other(there) => before = there,
                }
            }
        }
    });
    let sum = table.get(b"k", at(0)).expect("it is there");
    assert_eq!(sum[..], (4 * EACH).to_le_bytes());
}

#[test]
fn one_of_many_threads_has_a_claim() {
    let (_store, table) = table();
    for _ in 0..200 {
        let claimed = in_threads(|_| {
            let mut claims = Claims::default();
            let claimed = claims.claim(&table, b"k", 1000, at(0)).expect("it is in range");
            // The others ask while it is held.
            (claimed, claims)
        });
        let yours = claimed.iter().filter(|(claimed, _)| *claimed == Claimed::Yours);
        assert_eq!(yours.count(), 1);
        drop(claimed);
        assert!(table.is_empty());
    }
}

#[derive(Clone, Debug)]
enum Step {
    Get,
    Set(u64),
    Add(u64),
    Swap(Option<u8>, u64),
    Remove,
    Claim(usize, u64),
    Drop(usize),
}

fn steps() -> impl Strategy<Value = Vec<(u8, u64, u8, Step)>> {
    let ttl = || 1..40_u64;
    let step = prop_oneof![
        Just(Step::Get),
        ttl().prop_map(Step::Set),
        ttl().prop_map(Step::Add),
        (proptest::option::of(0..4_u8), ttl()).prop_map(|(before, ttl)| Step::Swap(before, ttl)),
        Just(Step::Remove),
        (0..3_usize, ttl()).prop_map(|(request, ttl)| Step::Claim(request, ttl)),
        (0..3_usize).prop_map(Step::Drop),
    ];
    proptest::collection::vec((0..4_u8, 0..10_u64, 0..4_u8, step), 1..120)
}

proptest! {
    #[test]
    fn table_agrees_with_a_map(steps in steps()) {
        let (_store, table) = table();
        // A value with its end, and a claim with its request and its end.
        let mut values: BTreeMap<u8, (u8, u64)> = BTreeMap::new();
        let mut claimed: BTreeMap<u8, (usize, u64)> = BTreeMap::new();
        let mut requests: [Claims; 3] = Default::default();
        let mut now = 0;
        for (key, ahead, value, step) in steps {
            now += ahead;
            values.retain(|_, (_, end)| now < *end);
            claimed.retain(|_, (_, end)| now < *end);
            let there = values.get(&key).map(|(value, _)| *value);
            let shown = |value: Option<Arc<[u8]>>| value.map(|value| value[0]);
            let mut put = |ttl| {
                values.insert(key, (value, now + ttl));
                claimed.remove(&key);
            };
            match step {
                Step::Get => prop_assert_eq!(shown(table.get(&[key], at(now))), there),
                Step::Set(ttl) => {
                    table.set(&[key], &[value], ttl, at(now)).unwrap();
                    put(ttl);
                }
                Step::Add(ttl) => {
                    let added = table.add(&[key], &[value], ttl, at(now)).unwrap();
                    prop_assert_eq!(shown(added), there);
                    if there.is_none() {
                        put(ttl);
                    }
                }
                Step::Swap(before, ttl) => {
                    let before_bytes = before.map(|before| [before]);
                    let before_bytes = before_bytes.as_ref().map(|bytes| &bytes[..]);
                    match table.swap(&[key], before_bytes, &[value], ttl, at(now)).unwrap() {
                        Swapped::Done => {
                            prop_assert_eq!(before, there);
                            put(ttl);
                        }
                        Swapped::Other(other) => {
                            prop_assert_ne!(before, there);
                            prop_assert_eq!(shown(other), there);
                        }
                    }
                }
                Step::Remove => {
                    prop_assert_eq!(table.remove(&[key], None, at(now)), there.is_some());
                    values.remove(&key);
                }
                Step::Claim(request, ttl) => {
                    let answer = requests[request].claim(&table, &[key], ttl, at(now)).unwrap();
                    let expected = match (there, claimed.get(&key)) {
                        (Some(value), _) => Claimed::Value([value][..].into()),
                        (None, Some((by, _))) if *by != request => Claimed::Others,
                        (None, _) => {
                            claimed.insert(key, (request, now + ttl));
                            Claimed::Yours
                        }
                    };
                    prop_assert_eq!(answer, expected);
                }
                Step::Drop(request) => {
                    requests[request] = Claims::default();
                    claimed.retain(|_, (by, _)| *by != request);
                }
            }
        }
        table.keys.each_shard(|shard, hasher| shard.check(hasher));
    }
}
