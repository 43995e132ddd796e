//! Tests of many threads on one window.
//!
//! The threads are real, not loom's: the shared parts of a window lie in one mutex per shard, a thread holds
//! one of them at a time, and waits for none while it does. So there are no interleavings inside for a model
//! checker to find, and loom could not see them: `parking_lot` is not one of its locks. The possible fault is
//! that something which has to happen under one lock happens under two, and these tests fail then.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use super::tests::{at, client, hit, spec};
use super::*;

const THREADS: u32 = 8;

/// Runs `run` in each thread at the same time, and collects the results.
fn in_threads<T: Send>(run: impl Fn(u32) -> T + Sync) -> Vec<T> {
    thread::scope(|scope| {
        let run = &run;
        let workers: Vec<_> = (0..THREADS)
            .map(|thread| scope.spawn(move || run(thread)))
            .collect();
        workers
            .into_iter()
            .map(|worker| worker.join().expect("no thread panics"))
            .collect()
    })
}

/// Every number up to the limit is given out exactly once.
#[test]
fn hits_of_threads_together_get_exactly_the_limit() {
    const LIMIT: u32 = 1000;
    const KEYS: u32 = 5;
    let (window, spec) = (Window::new(MAX_KEYS), spec(LIMIT, 60_000));

    let counted = in_threads(|_| {
        let hits = (0..KEYS * 400).map(|n| (n % KEYS, hit(&window, &spec, client(n % KEYS), at(7))));
        let counted = hits.filter_map(|(key, hit)| Some((key, hit.ok()?)));
        counted.collect::<Vec<_>>()
    });

    let mut counted = counted.concat();
    counted.sort_unstable();
    let expected = (0..KEYS).flat_map(|key| (1..=LIMIT).map(move |count| (key, count)));
    assert!(
        counted.into_iter().eq(expected),
        "a number was given out twice, or not at all"
    );
    assert_eq!(window.len(), KEYS as usize);
    for number in 0..KEYS {
        assert_eq!(window.count(&spec, client(number), at(7)), LIMIT);
    }
}

/// One thread gets the last event for which there is room, again and again. Two ask for it at the same
/// moment: they spin until then, because waking up takes longer than a hit.
#[test]
fn last_event_is_given_to_one_of_two_threads() {
    const KEYS: u32 = 20_000;
    let (window, spec) = (Window::new(MAX_KEYS), spec(1, 60_000));
    let arrived = AtomicU64::new(0);
    let counted = in_threads(|thread| {
        // More than two threads would have to take turns on the smallest machine.
        if thread >= 2 {
            return 0;
        }
        let mine = (0..KEYS).filter(|key| {
            arrived.fetch_add(1, Ordering::SeqCst);
            let mut turns = 0_u32;
            while arrived.load(Ordering::SeqCst) < 2 * (u64::from(*key) + 1) {
                turns = turns.wrapping_add(1);
                if turns.is_multiple_of(1000) {
                    thread::yield_now();
                }
                std::hint::spin_loop();
            }
            hit(&window, &spec, client(*key), at(7)).is_ok()
        });
        mine.count()
    });
    assert_eq!(counted.iter().sum::<usize>(), KEYS as usize);
}

#[test]
fn threads_evicting_each_others_keys_leave_the_window_sound() {
    let (window, spec) = (Window::new(5000), spec(3, 50));
    in_threads(|thread| {
        for n in 0..20_000_u32 {
            let number = n.wrapping_mul(2_654_435_761).wrapping_add(thread) % 9_000;
            let _ = hit(&window, &spec, client(number), at(u64::from(n / 16)));
            // An operator changes the configuration in the middle.
            if thread == 0 && n % 2000 == 0 {
                window.set_max_keys(if n % 4000 == 0 { 500 } else { 5000 });
            }
        }
    });
    assert!(window.len() <= 5000);
    window.keys.each_shard(|shard, hasher| shard.check(hasher));
}

/// A hit, with the time before and after it: the window used one between these.
#[derive(Clone, Copy)]
struct TimedHit {
    key: u32,
    counted: bool,
    after: u64,
    before: u64,
}

/// Time passes while threads count, and each thread sees it a little late.
#[test]
fn sliding_window_is_exact_for_every_thread() {
    const LIMIT: u32 = 5;
    const PERIOD: u64 = 50;
    const KEYS: u32 = 3;
    let (window, spec) = (Window::new(10), spec(LIMIT, PERIOD));
    let clock = AtomicU64::new(1000);
    let seen = in_threads(|thread| {
        let hits = (0..10_000_u32).map(|n| {
            if (n + thread) % 8 == 0 {
                clock.fetch_add(1, Ordering::SeqCst);
            }
            let key = (n + thread) % KEYS;
            let after = clock.load(Ordering::SeqCst);
            let counted = hit(&window, &spec, client(key), at(after)).is_ok();
            let before = clock.load(Ordering::SeqCst);
            TimedHit {
                key,
                counted,
                after,
                before,
            }
        });
        hits.collect::<Vec<_>>()
    });

    let seen = seen.concat();
    for key in 0..KEYS {
        let of_key = || seen.iter().filter(move |seen| seen.key == key);
        let mut counted: Vec<_> = of_key().filter(|seen| seen.counted).collect();
        counted.sort_unstable_by_key(|seen| seen.after);
        for (place, first) in counted.iter().enumerate() {
            let end = first.after + PERIOD;
            let stretch = counted[place..].iter().take_while(|seen| seen.after <= end);
            let inside = stretch.filter(|seen| seen.before <= end).count();
            assert!(
                inside <= LIMIT as usize,
                "{inside} events from {} to {end}",
                first.after
            );
        }
        for refused in of_key().filter(|seen| !seen.counted) {
            // One step more, as time is kept in steps.
            let begin = refused.after.saturating_sub(PERIOD + spec.step);
            let reaching = counted
                .iter()
                .filter(|seen| seen.before >= begin && seen.after <= refused.before);
            assert!(
                reaching.count() >= LIMIT as usize,
                "refused at {} though there was room",
                refused.after
            );
        }
    }
}

/// Counting changes nothing, and sees only complete states.
#[test]
fn count_never_exceeds_the_limit() {
    let (window, spec) = (Window::new(10), spec(3, 5));
    let done = AtomicBool::new(false);
    in_threads(|thread| {
        if thread == 0 {
            for now in 0..20_000 {
                let _ = hit(&window, &spec, client(1), at(now));
            }
            done.store(true, Ordering::SeqCst);
        } else {
            while !done.load(Ordering::SeqCst) {
                let count = window.count(&spec, client(1), at(0));
                assert!(count <= 3, "{count}");
                assert!(window.len() <= 1);
            }
        }
    });
}
