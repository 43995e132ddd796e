//! Backends that are ejected, drain, or have no room.

use super::*;

#[tokio::test(start_paused = true)]
async fn ejections_are_bounded_by_their_share_of_the_pool_and_one_is_always_allowed() {
    let backends: Vec<_> = (1..=5).map(|n| format!("'10.0.0.{n}:80'")).collect();
    let config = |count: usize, percent: u32| {
        configured(&format!(
            "backends = [{}]\nejection = {{ failures = 3, max_percent = {percent} }}\n",
            backends[..count].join(", ")
        ))
    };
    for (count, percent, most) in [
        (5, 40, 2),
        (5, 1, 1),
        (5, 59, 2),
        (5, 100, 5),
        (2, 50, 1),
        (1, 100, 0),
    ] {
        let made = made(&config(count, percent));
        for index in 0..count {
            fail(&made, index as u32, 10);
        }
        let ejected = health(&made).iter().filter(|it| **it == Health::Ejected).count();
        assert_eq!(ejected, most, "{percent} % of {count}");
        assert!(
            weights(&made).iter().all(|weight| *weight > 0),
            "all may be asked"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn ejected_backend_comes_back_with_one_request_at_a_time_and_then_slowly() {
    let made = made(&configured(
        "backends = ['10.0.0.1:80', '10.0.0.2:80']\nejection = { failures = 2, for_ms = 1000 }\nslow_start_ms = 1000\n",
    ));
    fail(&made, 0, 2);
    assert_eq!(health(&made), [Health::Ejected, Health::Healthy]);
    let start = Instant::now();
    let ends = start + Duration::from_millis(1000);
    assert_eq!(made.advance(start), Some(ends));
    tokio::time::advance(Duration::from_millis(1000)).await;
    assert_eq!(made.advance(ends), None);
    assert_eq!(health(&made), [Health::Healthy, Health::Healthy]);
    let probe = place(&made, 0);
    let again = made.enter(made.members().backend(0), false, Instant::now);
    assert!(matches!(again, Entry::OnTrial), "one at a time");
    assert!(!made.members().backend(0).has_room() && made.members().backend(1).has_room());
    made.answered(&probe, 200, Duration::from_millis(1));
    assert!(made.members().backend(0).has_room());
    drop((place(&made, 0), probe));
    assert_eq!(weights(&made), [1, 10], "it begins slowly");
    tokio::time::advance(Duration::from_millis(500)).await;
    made.advance(Instant::now());
    assert_eq!(weights(&made), [6, 10]);
    tokio::time::advance(Duration::from_millis(500)).await;
    assert_eq!(made.advance(Instant::now()), None);
    assert_eq!(weights(&made), [1, 1]);
}

/// A request that was given up may go on, because no other backend takes it, until after the next trial has begun.
#[tokio::test(start_paused = true)]
async fn request_of_an_earlier_trial_neither_ends_nor_decides_the_present_one() {
    let made = made(&configured(
        "backends = ['10.0.0.1:80', '10.0.0.2:80']\nejection = { failures = 1, for_ms = 1000 }\n",
    ));
    let backend = Arc::clone(made.members().backend(0));
    let enter = || made.enter(&backend, false, Instant::now);
    fail(&made, 0, 1);
    tokio::time::advance(Duration::from_millis(1000)).await;
    made.advance(Instant::now());
    let earlier = place(&made, 0);
    assert!(made.is_given_up(&earlier, Instant::now()));
    assert_eq!(health(&made), [Health::Ejected, Health::Healthy]);
    tokio::time::advance(Duration::from_millis(2000)).await;
    made.advance(Instant::now());
    let present = place(&made, 0);
    assert!(!made.is_given_up(&earlier, Instant::now()));
    made.failed(&earlier, AttemptFailure::ConnectionRefused);
    assert_eq!(health(&made), [Health::Healthy, Health::Healthy]);
    drop(earlier);
    assert!(matches!(enter(), Entry::OnTrial), "the present one goes on");
    drop(present);
    assert!(matches!(enter(), Entry::Place(_)));
}

/// A request may have chosen the backend before it could see the drain. An operator who sees that it has nothing must be able to
/// rely on it.
#[test]
fn drained_backend_refuses_requests_that_chose_it_earlier() {
    let made = made(&configured("backends = ['10.0.0.1:80', '10.0.0.2:80']\n"));
    let chosen = Arc::clone(made.members().backend(0));
    let drain = |is_draining| {
        assert_eq!(
            made.drain("10.0.0.1:80", is_draining)
                .map(|changed| changed.len()),
            Some(1)
        )
    };
    let under_way = place(&made, 0);
    drain(true);
    assert!(matches!(
        made.enter(&chosen, false, Instant::now),
        Entry::Draining
    ));
    assert_eq!(chosen.in_flight(), 1, "it ends what it has");
    drop(under_way);
    assert!(InFlight::take(&chosen, false).is_none(), "nor as the last resort");
    assert!(!chosen.has_room());
    assert_eq!(chosen.in_flight(), 0);
    assert!(
        matches!(made.enter(&chosen, true, Instant::now), Entry::Place(_)),
        "a plugin may choose it all the same"
    );
    drain(false);
    assert!(matches!(
        made.enter(&chosen, false, Instant::now),
        Entry::Place(_)
    ));
}

#[test]
fn status_is_a_failure_only_if_it_says_that_the_backend_cannot_serve() {
    let made = made(&configured(
        "backends = ['10.0.0.1:80', '10.0.0.2:80']\nejection = { failures = 2 }\n",
    ));
    let answer = |statuses: &[u16]| {
        for status in statuses {
            made.answered(&place(&made, 0), *status, Duration::from_millis(1));
        }
        health(&made)[0]
    };
    assert_eq!(answer(&[500, 501, 404, 200, 505, 500]), Health::Healthy);
    assert_eq!(answer(&[502, 500, 503, 200, 504]), Health::Healthy);
    assert_eq!(answer(&[502]), Health::Ejected);
}

/// A backend that hangs is noticed as soon as enough requests are unanswered for long enough; one answer is enough to be back.
#[tokio::test(start_paused = true)]
async fn silent_backend_is_ejected_until_it_answers() {
    let made = made(&configured(
        "backends = ['10.0.0.1:80', '10.0.0.2:80']\nejection = { failures = 3 }\n",
    ));
    let backend = Arc::clone(made.members().backend(0));
    made.answered(&place(&made, 0), 200, Duration::from_millis(5));
    let mut waiting = Vec::new();
    for _ in 0..3 {
        waiting.push(place(&made, 0));
        made.begun(&backend, Instant::now());
    }
    tokio::time::advance(Duration::from_millis(249)).await;
    waiting.push(place(&made, 0));
    assert!(!made.is_given_up(&waiting[0], Instant::now()));
    tokio::time::advance(Duration::from_millis(1)).await;
    assert!(matches!(
        made.enter(&backend, false, Instant::now),
        Entry::Ejected
    ));
    assert_eq!(health(&made), [Health::Ejected, Health::Healthy]);
    assert!(
        waiting
            .iter()
            .all(|place| made.is_given_up(place, Instant::now()))
    );
    made.answered(&waiting[0], 200, Duration::from_millis(300));
    assert_eq!(health(&made), [Health::Healthy, Health::Healthy]);
    assert!(!made.is_given_up(&waiting[1], Instant::now()));
}

#[test]
fn drained_backend_gets_nothing_new_even_if_it_is_the_last() {
    let world = World::new(&[("app", &["10.0.0.1", "10.0.0.2"])]);
    let made = replacing(None, &pool(&[("app", 1), ("10.0.0.3", 1)]), &world);
    assert_eq!(made.drain("nowhere:80", true), None);
    assert_eq!(
        made.drain("app:80", true),
        Some(vec!["10.0.0.1:80".to_owned(), "10.0.0.2:80".to_owned()]),
        "a name is all of its backends"
    );
    assert_eq!(made.drain("10.0.0.1:80", true), Some(Vec::new()));
    made.drain("10.0.0.3:80", true);
    assert_eq!(weights(&made), [0, 0, 0]);
    made.drain("10.0.0.2:80", false);
    assert_eq!(weights(&made), [0, 1, 0]);
    assert_eq!(
        health(&made),
        [Health::Draining, Health::Healthy, Health::Draining]
    );
}

#[test]
fn cookie_names_the_backend_that_takes_requests() {
    let made = made(&configured(
        "backends = ['10.0.0.1:80', '10.0.0.2:80', { address = '10.0.0.3:80', weight = 0 }]\nstickiness = {}\n",
    ));
    let ids: Vec<_> = made
        .members()
        .iter()
        .map(|member| member.backend.sticky)
        .collect();
    let called = |index: usize| made.members().called(ids[index]);
    assert_eq!((called(0), called(1), called(2)), (Some(0), Some(1), None));
    made.drain("10.0.0.2:80", true);
    assert_eq!((called(0), called(1)), (Some(0), None));
}

/// The view of plugins that are asked again because the backend that they picked is full.
#[test]
fn backend_without_room_counts_as_tried_unless_the_request_has_been_offered_its_place() {
    let made = made(&configured(
        "backends = ['10.0.0.1:80', '10.0.0.2:80']\nmax_in_flight = 1\n",
    ));
    let _first = place(&made, 0);
    let members = made.members();
    let tried = |skips_full: bool, offered: Option<&Arc<Backend>>| {
        let seen = Attempts {
            pool: &made,
            members: &members,
            tried: &[],
            last_failure: None,
            last: None,
            skips_full,
            offered,
        };
        [seen.tried(0), seen.tried(1)]
    };
    assert_eq!(tried(false, None), [false, false]);
    assert_eq!(tried(true, None), [true, false]);
    assert_eq!(tried(true, Some(members.backend(0))), [false, false]);
}
