use std::net::Ipv6Addr;
use std::time::Duration;

use proptest::prelude::*;

use super::*;

pub(super) fn spec(limit: u32, period_ms: u64) -> WindowSpec {
    WindowSpec::new(limit, Duration::from_millis(period_ms)).unwrap()
}

pub(super) fn at(millis: u64) -> Now {
    Now::from_millis(millis)
}

/// The number of events after a hit, or the time to wait.
pub(super) fn hit(window: &Window, spec: &WindowSpec, key: Key<'_>, now: Now) -> Result<u32, u64> {
    counted(window.hit(spec, key, now))
}

pub(super) fn counted(taken: Result<Standing, Denial>) -> Result<u32, u64> {
    match taken {
        Ok(standing) => Ok(standing.count),
        Err(Denial::Wait(wait)) => Err(wait),
        Err(denial) => panic!("{denial:?}"),
    }
}

pub(super) fn client(number: u32) -> Key<'static> {
    Key::Address(Ipv6Addr::from_bits(0x2001_0db8 << 96 | u128::from(number)).into())
}

#[test]
fn keys_do_not_share_events() {
    let (window, spec) = (Window::new(MAX_KEYS), spec(1, 1000));
    for number in 0..10_000 {
        assert_eq!(hit(&window, &spec, client(number), at(0)), Ok(1));
    }
    assert_eq!(window.len(), 10_000);
    for number in 0..10_000 {
        assert_eq!(hit(&window, &spec, client(number), at(1)), Err(1000));
        assert_eq!(window.count(&spec, client(number), at(1)), 1);
    }
}

#[test]
fn count_does_not_make_a_key() {
    let window = Window::new(10);
    assert_eq!(window.count(&spec(1, 1000), client(1), at(0)), 0);
    assert!(window.is_empty());
}

#[test]
fn keys_of_bytes_may_have_any_length() {
    let (window, spec) = (Window::new(10), spec(5, 1000));
    let long = [1; 300];
    for key in [&b""[..], b"a", b"ab", &long[..256], &long[..257], &long] {
        assert_eq!(hit(&window, &spec, Key::Bytes(key), at(0)), Ok(1));
        assert_eq!(hit(&window, &spec, Key::Bytes(key), at(0)), Ok(2));
    }
    assert_eq!(window.len(), 6);
}

#[test]
fn full_window_forgets_the_quietest_key_first() {
    let (window, spec) = (Window::new(3), spec(2, 60_000));
    for (now, number) in [(0, 1), (1, 2), (2, 3), (3, 1), (4, 2), (5, 1)] {
        let _ = hit(&window, &spec, client(number), at(now));
    }
    // The last hit was refused; 1 is the most recent all the same. 3 was quiet for longest.
    hit(&window, &spec, client(4), at(6)).unwrap();
    assert_eq!(window.len(), 3);
    assert_eq!(
        [1, 2, 3, 4].map(|number| window.count(&spec, client(number), at(6))),
        [2, 2, 0, 1]
    );
    // Counting 2 has not made it less quiet.
    hit(&window, &spec, client(5), at(7)).unwrap();
    assert_eq!(
        [1, 2, 4, 5].map(|number| window.count(&spec, client(number), at(7))),
        [2, 0, 1, 1]
    );
}

#[test]
fn window_never_exceeds_its_keys() {
    for max_keys in [1, 2, 1000, 5000, 300_000] {
        let (window, spec) = (Window::new(max_keys), spec(1, 60_000));
        let keys = max_keys as u32 + max_keys as u32 / 8 + 3;
        for number in 0..keys {
            hit(&window, &spec, client(number), at(0)).unwrap();
        }
        assert!(window.len() <= max_keys, "{} of {max_keys}", window.len());
        assert!(window.len() >= max_keys / 8 * 7, "{} of {max_keys}", window.len());
        assert!(
            hit(&window, &spec, client(keys - 1), at(0)).is_err(),
            "the last one is there"
        );
    }
    assert_eq!(hit(&Window::new(0), &spec(1, 1), client(1), at(0)), Ok(1));
}

#[test]
fn keys_without_events_are_removed_from_every_shard() {
    let (window, spec) = (Window::new(10_000), spec(10, 1000));
    assert!(window.keys.shards() > 1);
    for number in 0..8_000 {
        hit(&window, &spec, client(number), at(0)).unwrap();
    }
    assert!(window.len() > 7_000);
    // Hits of one client are enough to release the memory of the others.
    for now in 0..20_000 {
        let _ = hit(&window, &spec, client(0), at(2000 + now));
    }
    assert_eq!(window.len(), 1);
    window.keys.each_shard(|shard, _| assert!(shard.room() <= 64));
}

/// The events of one key as a list of all that were ever counted: none is dropped or merged.
#[derive(Default)]
struct Model {
    counted: Vec<u64>,
}

impl Model {
    /// Events in the period that ends now, by their exact times.
    fn exact(&self, spec: &WindowSpec, now: u64) -> usize {
        self.counted.iter().filter(|&&t| t + spec.period >= now).count()
    }

    /// Events whose slot has not expired: slots are cut from the first event on, and expire with their last.
    fn in_slots(&self, spec: &WindowSpec, now: u64) -> usize {
        let mut slots: Vec<Vec<u64>> = Vec::new();
        for &t in &self.counted {
            match slots.last_mut() {
                Some(slot) if t - slot[0] < spec.step => slot.push(t),
                _ => slots.push(vec![t]),
            }
        }
        slots
            .iter()
            .filter(|slot| slot[slot.len() - 1] + spec.period >= now)
            .map(Vec::len)
            .sum()
    }
}

#[derive(Clone, Debug)]
enum Step {
    /// Hit after so much of the period, in 1/4096.
    Hit(u64),
    /// Hit after so many milliseconds.
    HitSoon(u64),
    /// After a refused hit, hit one millisecond before the returned time, and at that time.
    Retry,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..2048_u64).prop_map(Step::Hit),
        1 => (0..6000_u64).prop_map(Step::Hit),
        8 => (0..4_u64).prop_map(Step::HitSoon),
        3 => Just(Step::Retry),
    ];
    proptest::collection::vec(step, 1..200)
}

fn periods() -> impl Strategy<Value = u64> {
    prop_oneof![1..20_u64, 1..5000_u64, Just(60_000), 1..=604_800_000_u64]
}

proptest! {
    #[test]
    fn window_agrees_with_the_list_of_all_events(
        limit in prop_oneof![1..5_u32, 1..60_u32],
        period in periods(),
        start in prop_oneof![Just(0), any::<u32>().prop_map(u64::from), (u64::from(u32::MAX) - 5000)..(1 << 33)],
        steps in steps(),
    ) {
        let (window, spec) = (Window::new(100), spec(limit, period));
        let mut model = Model::default();
        let mut now = start;
        let mut wait = None;

        for step in steps {
            match (step, wait) {
                (Step::Hit(part), _) => now += part * period / 4096,
                (Step::HitSoon(millis), _) => now += millis,
                (Step::Retry, None) => {}
                (Step::Retry, Some(wait)) => {
                    if wait > 1 {
                        prop_assert_eq!(hit(&window, &spec, client(1), at(now + wait - 1)), Err(1));
                    }
                    now += wait;
                    prop_assert_eq!(model.in_slots(&spec, now) < limit as usize, true);
                }
            }

            let before = model.in_slots(&spec, now);
            prop_assert_eq!(window.count(&spec, client(1), at(now)) as usize, before);
            match hit(&window, &spec, client(1), at(now)) {
                Ok(count) => {
                    model.counted.push(now);
                    prop_assert_eq!(count as usize, model.in_slots(&spec, now));
                    prop_assert_eq!(count as usize, before + 1);
                    prop_assert!(model.exact(&spec, now) <= limit as usize, "more than the limit in a period");
                    wait = None;
                }
                Err(millis) => {
                    prop_assert_eq!(before, limit as usize, "refused though there was room");
                    let stretched = WindowSpec { period: period + spec.step - 1, ..spec };
                    prop_assert!(model.exact(&stretched, now) >= limit as usize, "an event stayed more than a step");
                    prop_assert!((1..=period + 1).contains(&millis));
                    wait = Some(millis);
                }
            }
        }
    }

    #[test]
    fn window_with_times_out_of_order_expires_no_event_early(
        limit in 1..20_u32,
        period in 1..3000_u64,
        steps in proptest::collection::vec((0..200_u64, 0..20_u64), 1..300),
    ) {
        let (window, spec) = (Window::new(100), spec(limit, period));
        let mut model = Model::default();
        let mut latest = 1000;
        for (ahead, behind) in steps {
            latest += ahead;
            let now = latest - behind;
            if hit(&window, &spec, client(1), at(now)).is_ok() {
                model.counted.push(now);
                prop_assert!(model.exact(&spec, latest) <= limit as usize);
            }
        }
    }

    #[test]
    fn shards_stay_sound_after_any_hits(
        capacity in 1..40_usize,
        hits in proptest::collection::vec((0..60_u32, 0..30_u64, 1..100_u64), 1..600),
    ) {
        let window = Window::new(capacity);
        let mut now = 0;
        for (number, ahead, period) in hits {
            now += ahead;
            let _ = hit(&window, &spec(3, period), client(number), at(now));
            prop_assert!(window.len() <= capacity);
        }
        window.keys.each_shard(|shard, hasher| shard.check(hasher));
    }
}
