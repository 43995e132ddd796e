//! Tests of events that are counted by amounts, taken back, and reserved.

use std::sync::Arc;

use proptest::prelude::*;

use super::tests::{at, client, spec};
use super::*;

fn take(window: &Window, spec: &WindowSpec, amount: u32, now: u64) -> Result<Standing, Denial> {
    window.take(spec, client(1), amount, at(now))
}

fn standing(count: u32, oldest_leaves_ms: u64) -> Standing {
    Standing {
        count,
        oldest_leaves_ms,
    }
}

#[test]
fn take_counts_all_or_nothing() {
    let (window, spec) = (Window::new(10), spec(10, 1000));
    assert_eq!(take(&window, &spec, 4, 100), Ok(standing(4, 1001)));
    assert_eq!(take(&window, &spec, 4, 300), Ok(standing(8, 801)));
    assert_eq!(take(&window, &spec, 3, 400), Err(Denial::Wait(701)));
    assert_eq!(take(&window, &spec, 2, 400), Ok(standing(10, 701)));
    assert_eq!(
        take(&window, &spec, 5, 400),
        Err(Denial::Wait(901)),
        "4 are not enough"
    );
    assert_eq!(
        take(&window, &spec, 10, 400),
        Err(Denial::Wait(1001)),
        "all have to leave"
    );
    assert_eq!(take(&window, &spec, 11, 400), Err(Denial::Never));
    assert_eq!(take(&window, &spec, 4, 1101), Ok(standing(10, 200)));
}

#[test]
fn take_of_nothing_says_where_the_key_stands_and_makes_none() {
    let (window, spec) = (Window::new(2), spec(3, 1000));
    assert_eq!(take(&window, &spec, 0, 0), Ok(standing(0, 0)));
    assert_eq!(take(&window, &spec, 4, 0), Err(Denial::Never));
    assert!(window.is_empty());
    take(&window, &spec, 3, 0).expect("there is room");
    assert_eq!(take(&window, &spec, 0, 400), Ok(standing(3, 601)));
    assert_eq!(
        take(&window, &super::tests::spec(1, 1000), 0, 400),
        Ok(standing(3, 601))
    );
    // It was used, so another is the quietest.
    window.take(&spec, client(2), 1, at(500)).expect("there is room");
    take(&window, &spec, 0, 600).expect("0 always has room");
    window
        .take(&spec, client(3), 1, at(700))
        .expect("another is forgotten");
    assert_eq!(window.count(&spec, client(1), at(700)), 3);
}

#[test]
fn amounts_up_to_the_largest_do_not_overflow() {
    let (window, spec) = (Window::new(10), spec(u32::MAX, 1000));
    take(&window, &spec, u32::MAX - 1, 0).expect("there is room");
    assert_eq!(take(&window, &spec, 2, 5), Err(Denial::Wait(996)));
    assert_eq!(take(&window, &spec, 1, 5).map(|it| it.count), Ok(u32::MAX));
    assert_eq!(take(&window, &spec, u32::MAX, 5), Err(Denial::Wait(1001)));
    let mut held = Reservations::default();
    let window = Arc::new(window);
    held.reserve(&window, &spec, client(2), 5, at(5))
        .expect("there is room");
    let settled = held.settle(&window, &spec, client(2), u32::MAX, at(6));
    assert_eq!(settled, Some(standing(u32::MAX, 1000)));
    held.reserve(&window, &spec, client(2), 0, at(6))
        .expect("nothing has room");
    let settled = held.settle(&window, &spec, client(2), 9, at(6));
    assert_eq!(
        settled,
        Some(standing(u32::MAX, 1000)),
        "as many as can be counted"
    );
}

#[test]
fn refund_takes_the_youngest_events_that_are_there() {
    let (window, spec) = (Window::new(10), spec(100, 1000));
    for (amount, now) in [(10, 0), (5, 100), (3, 200)] {
        take(&window, &spec, amount, now).expect("there is room");
    }
    assert_eq!(window.refund(&spec, client(1), 4, at(300)), 4);
    assert_eq!(take(&window, &spec, 0, 300), Ok(standing(14, 701)));
    assert_eq!(
        window.refund(&spec, client(1), 100, at(1001)),
        4,
        "the first 10 have left"
    );
    assert_eq!(take(&window, &spec, 0, 1001), Ok(standing(0, 0)));
    assert_eq!(window.refund(&spec, client(1), 1, at(1001)), 0);
    assert_eq!(window.refund(&spec, client(2), 1, at(1001)), 0);
    assert_eq!(take(&window, &spec, 1, 1002), Ok(standing(1, 1001)));
    assert_eq!(window.len(), 1, "no key was made");
}

#[test]
fn settle_gives_back_what_was_not_needed_and_counts_what_was_missing() {
    let (window, spec) = (Arc::new(Window::new(10)), spec(10, 1000));
    let mut held = Reservations::default();
    assert_eq!(held.settle(&window, &spec, client(1), 3, at(0)), None);
    assert_eq!(window.len(), 0, "nothing is done without a reservation");

    held.reserve(&window, &spec, client(1), 6, at(0))
        .expect("there is room");
    take(&window, &spec, 4, 100).expect("there is room");
    // Of its own events, which are the older ones.
    assert_eq!(
        held.settle(&window, &spec, client(1), 2, at(200)),
        Some(standing(6, 801))
    );
    assert_eq!(
        held.settle(&window, &spec, client(1), 2, at(200)),
        None,
        "it is over"
    );
    assert_eq!(take(&window, &spec, 0, 1001), Ok(standing(4, 100)));

    held.reserve(&window, &spec, client(1), 6, at(1001))
        .expect("there is room");
    assert_eq!(
        held.settle(&window, &spec, client(1), 9, at(1002)),
        Some(standing(13, 99))
    );
    assert_eq!(take(&window, &spec, 2, 1002), Err(Denial::Wait(1000)));
}

#[test]
fn reservations_of_one_key_add_up() {
    let (window, other) = (Arc::new(Window::new(10)), Arc::new(Window::new(10)));
    let spec = spec(100, 1000);
    let mut held = Reservations::default();
    for now in [0, 10, 20] {
        held.reserve(&window, &spec, client(1), 5, at(now))
            .expect("there is room");
    }
    held.reserve(&window, &spec, client(2), 5, at(20))
        .expect("there is room");
    held.reserve(&other, &spec, client(1), 5, at(20))
        .expect("there is room");
    assert_eq!(
        held.settle(&window, &spec, client(1), 7, at(30)),
        Some(standing(7, 971))
    );
    assert_eq!(other.count(&spec, client(1), at(30)), 5);
    assert_eq!(
        held.settle(&other, &spec, client(1), 0, at(30)),
        Some(standing(0, 0))
    );
    assert_eq!(window.count(&spec, client(2), at(30)), 5);
    drop(held);
    assert_eq!(
        window.count(&spec, client(2), at(30)),
        5,
        "what was not settled stays"
    );
}

#[test]
fn settle_after_the_period_takes_no_event_of_another() {
    let (window, spec) = (Arc::new(Window::new(10)), spec(10, 1000));
    let mut held = Reservations::default();
    held.reserve(&window, &spec, client(1), 10, at(0))
        .expect("there is room");
    take(&window, &spec, 8, 1500).expect("all others have left");
    assert_eq!(
        held.settle(&window, &spec, client(1), 0, at(1600)),
        Some(standing(8, 901))
    );
}

#[test]
fn request_holds_so_many_reservations() {
    let (window, spec) = (Arc::new(Window::new(100)), spec(10, 1000));
    let mut held = Reservations::default();
    for number in 0..Reservations::MAX as u32 {
        held.reserve(&window, &spec, client(number), 1, at(0))
            .expect("there is room");
    }
    let refused = held.reserve(&window, &spec, client(99), 1, at(0));
    assert_eq!(refused, Err(Denial::TooMany));
    assert_eq!(window.count(&spec, client(99), at(0)), 0, "nothing was counted");
    held.settle(&window, &spec, client(3), 1, at(0))
        .expect("it was reserved");
    assert!(held.reserve(&window, &spec, client(99), 1, at(0)).is_ok());
}

#[derive(Clone, Debug)]
enum Step {
    Take(u32),
    Refund(u32),
    Reserve(u32),
    Settle(u32),
}

/// Steps, each after so much of the period, in 1/4096.
fn steps(second: fn(u32) -> Step, third: fn(u32) -> Step) -> impl Strategy<Value = Vec<(u64, Step)>> {
    let step = prop_oneof![
        3 => (0..30_u32).prop_map(Step::Take),
        2 => (0..30_u32).prop_map(second),
        2 => (0..30_u32).prop_map(third),
    ];
    let ahead = prop_oneof![3 => 0..3_u64, 3 => 0..300_u64, 1 => 0..5000_u64];
    proptest::collection::vec((ahead, step), 1..100)
}

/// Every event, by its time. A window may keep one a step too long, and never too short.
#[derive(Default)]
struct Model(Vec<u64>);

impl Model {
    fn within(&self, period: u64, now: u64) -> u32 {
        self.0.iter().filter(|&&time| time + period >= now).count() as u32
    }

    fn check(&self, spec: &WindowSpec, now: u64, count: u32) -> Result<(), TestCaseError> {
        let least = self.within(spec.period, now);
        let most = self.within(spec.period + spec.step - 1, now);
        prop_assert!((least..=most).contains(&count), "{count}, not {least} to {most}");
        Ok(())
    }

    fn add(&mut self, amount: u32, now: u64) {
        self.0.extend((0..amount).map(|_| now));
    }
}

fn run(limit: u32, period: u64, start: u64, steps: Vec<(u64, Step)>) -> Result<(), TestCaseError> {
    let (window, spec) = (Arc::new(Window::new(100)), spec(limit, period));
    let mut held = Reservations::default();
    let mut reserved: Vec<(u64, u32)> = Vec::new();
    let (mut model, mut now) = (Model::default(), start);
    for (ahead, step) in steps {
        now += ahead * period / 4096;
        let before = window.count(&spec, client(1), at(now));
        model.check(&spec, now, before)?;
        let taken = match step {
            Step::Take(amount) => Some((amount, take(&window, &spec, amount, now))),
            Step::Reserve(amount) => {
                let reserve = held.reserve(&window, &spec, client(1), amount, at(now));
                if reserve.is_ok() {
                    reserved.push((now, amount));
                }
                Some((amount, reserve))
            }
            Step::Refund(amount) => {
                let refunded = window.refund(&spec, client(1), amount, at(now));
                prop_assert_eq!(refunded, amount.min(before));
                model.0.truncate(model.0.len() - refunded as usize);
                None
            }
            Step::Settle(needed) => {
                let settled = held.settle(&window, &spec, client(1), needed, at(now));
                prop_assert_eq!(settled.is_some(), !reserved.is_empty());
                let mut missing = needed;
                for (time, amount) in reserved.drain(..) {
                    let unused = amount.saturating_sub(missing);
                    missing -= amount - unused;
                    if time + period >= now {
                        let first = model.0.partition_point(|&known| known < time);
                        model.0.drain(first..first + unused as usize);
                    }
                }
                if settled.is_some() {
                    model.add(missing, now);
                }
                None
            }
        };
        match taken {
            Some((amount, Ok(after))) => {
                prop_assert!(amount == 0 || before + amount <= limit);
                prop_assert_eq!(after.count, before + amount);
                model.add(amount, now);
                if after.count > 0 {
                    let leaves = now + after.oldest_leaves_ms;
                    prop_assert_eq!(window.count(&spec, client(1), at(leaves - 1)), after.count);
                    prop_assert!(window.count(&spec, client(1), at(leaves)) < after.count);
                }
            }
            Some((amount, Err(Denial::Wait(wait)))) => {
                prop_assert!(amount > 0 && amount <= limit && before + amount > limit);
                let free = |at_time: u64| window.count(&spec, client(1), at(at_time)) + amount <= limit;
                prop_assert!(free(now + wait) && !free(now + wait - 1));
            }
            Some((amount, Err(Denial::Never))) => prop_assert!(amount > limit),
            Some((_, Err(Denial::TooMany))) => prop_assert_eq!(reserved.len(), Reservations::MAX),
            None => model.check(&spec, now, window.count(&spec, client(1), at(now)))?,
        }
    }
    window.keys.each_shard(|shard, hasher| shard.check(hasher));
    Ok(())
}

fn starts() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), (u64::from(u32::MAX) - 5000)..(1 << 33)]
}

proptest! {
    #[test]
    fn refunds_agree_with_the_list_of_all_events(
        limit in 1..60_u32,
        period in prop_oneof![1..20_u64, 1..5000_u64, Just(60_000), 1..=604_800_000_u64],
        start in starts(),
        steps in steps(Step::Refund, Step::Take),
    ) {
        run(limit, period, start, steps)?;
    }

    #[test]
    fn reservations_agree_with_the_list_of_all_events(
        limit in 1..60_u32,
        period in prop_oneof![1..20_u64, 1..5000_u64, Just(60_000), 1..=604_800_000_u64],
        start in starts(),
        steps in steps(Step::Reserve, Step::Settle),
    ) {
        run(limit, period, start, steps)?;
    }
}

/// Refunds begin new slots, which must not become more than the period has room for.
#[test]
fn key_with_refunds_has_at_most_1025_slots() {
    let spec = spec(u32::MAX, 1024);
    let mut log = Log::default();
    let mut heap = 0;
    for now in 0..20_000 {
        log.take(&spec, 3, now, &mut heap).expect("there is room");
        if now % 3 > 0 {
            log.refund(&spec, if now % 2 == 0 { 3 } else { 7 }, now, &mut heap);
        }
        assert!(log.slots() <= 1025, "{}", log.slots());
    }
}
