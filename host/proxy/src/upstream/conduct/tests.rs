use proptest::prelude::*;

use super::*;

const REFUSED: AttemptFailure = AttemptFailure::ConnectionRefused;

fn settings(failures: u32) -> Ejection {
    Ejection {
        failures,
        time: Duration::from_secs(10),
        max_percent: 50,
    }
}

#[test]
fn failures_in_a_row_eject_and_an_answer_between_them_does_not() {
    let (conduct, settings) = (Conduct::new(), settings(3));
    for _ in 0..10 {
        assert_eq!(conduct.failed(REFUSED, false, &settings), None);
        assert_eq!(conduct.failed(REFUSED, false, &settings), None);
        assert!(!conduct.answered());
    }
    conduct.failed(REFUSED, false, &settings);
    conduct.failed(REFUSED, false, &settings);
    assert_eq!(
        conduct.failed(REFUSED, false, &settings),
        Some(Cause::Failures(3, REFUSED))
    );
}

#[tokio::test(start_paused = true)]
async fn ejection_ends_in_a_trial_of_one_request_at_a_time_and_takes_twice_as_long_after_each_that_fails() {
    let (conduct, settings) = (Conduct::new(), settings(1));
    let cause = conduct.failed(REFUSED, false, &settings).expect("one is enough");
    let mut now = Instant::now();
    for seconds in [10, 20, 40, 80, 80] {
        assert_eq!(conduct.eject(cause, &settings, now), Duration::from_secs(seconds));
        assert!(conduct.is_ejected());
        assert!(!conduct.answered(), "an answer to an earlier request");
        assert!(!conduct.advance(now + Duration::from_secs(seconds - 1)));
        now += Duration::from_secs(seconds);
        assert!(conduct.advance(now) && conduct.is_on_trial());
        let first = conduct.begin_trial().expect("there is no other");
        assert!(conduct.is_being_tried());
        assert!(conduct.begin_trial().is_none(), "one at a time");
        conduct.end_trial(first);
        assert!(
            conduct.begin_trial().is_some(),
            "the client of the first has left"
        );
        assert_eq!(conduct.failed(REFUSED, false, &settings), None, "it began before");
        assert!(conduct.failed(REFUSED, true, &settings).is_some());
    }
    conduct.eject(cause, &settings, now);
    conduct.advance(now + Duration::from_secs(80));
    assert!(conduct.answered());
    conduct.reinstate();
    assert_eq!(
        conduct.eject(cause, &settings, now),
        Duration::from_secs(10),
        "it begins anew"
    );
}

#[tokio::test(start_paused = true)]
async fn silence_counts_from_the_first_unanswered_attempt_and_needs_as_many_as_failures() {
    let (conduct, settings) = (Conduct::new(), settings(3));
    let start = Instant::now();
    let after = |millis| start + Duration::from_millis(millis);
    conduct.begun(start);
    conduct.begun(start);
    conduct.begun(after(200));
    assert_eq!(
        conduct.silence(&settings, after(10_000), || None),
        None,
        "it may be as slow as that"
    );
    conduct.took(Duration::from_millis(1));
    assert_eq!(conduct.silence(&settings, after(249), || None), None);
    let silence = conduct
        .silence(&settings, after(250), || None)
        .expect("it is silent");
    conduct.eject(Cause::Silence(silence), &settings, after(250));
    assert!(conduct.answered(), "an answer ends it at once");
    conduct.reinstate();
    conduct.begun(after(300));
    conduct.begun(after(300));
    assert_eq!(
        conduct.silence(&settings, after(10_000), || None),
        None,
        "too few"
    );
}

#[tokio::test(start_paused = true)]
async fn count_of_unanswered_attempts_has_a_bound_and_keeps_the_time_of_the_first() {
    let (conduct, settings) = (Conduct::new(), settings(1));
    conduct.took(Duration::from_millis(1));
    tokio::time::advance(Duration::from_secs(7)).await;
    let start = Instant::now();
    conduct.begun(start);
    conduct.unanswered.fetch_or(MOST_COUNTED, Ordering::Relaxed);
    let later = start + Duration::from_secs(3);
    conduct.begun(later);
    assert_eq!(u64::from(conduct.unanswered().count()), MOST_COUNTED);
    let silence = conduct.silence(&settings, later, || None).expect("it is silent");
    assert_eq!(silence.as_secs(), 3);
    assert!(!conduct.answered());
    assert_eq!(conduct.silent_for(later), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn attempts_that_are_withdrawn_do_not_count() {
    let (conduct, settings) = (Conduct::new(), settings(2));
    conduct.took(Duration::from_millis(1));
    let start = Instant::now();
    for _ in 0..10 {
        conduct.begun(start);
        conduct.withdrawn();
    }
    conduct.withdrawn();
    conduct.begun(start);
    let later = start + Duration::from_secs(10);
    assert_eq!(conduct.silence(&settings, later, || None), None, "one is left");
    conduct.begun(start);
    assert!(conduct.silence(&settings, later, || None).is_some());
}

#[tokio::test(start_paused = true)]
async fn silence_of_many_attempts_is_believed_sooner() {
    let (conduct, settings) = (Conduct::new(), settings(3));
    conduct.took(Duration::from_millis(1));
    let start = Instant::now();
    let after = |millis| {
        conduct
            .silence(&settings, start + Duration::from_millis(millis), || None)
            .is_some()
    };
    for (attempts, millis) in [(3, 250), (2, 150), (1, 125), (20, 100), (1000, 100)] {
        for _ in 0..attempts {
            conduct.begun(start);
        }
        assert!(
            !after(millis - 1) && after(millis),
            "{attempts} more, {millis} ms"
        );
    }
    conduct.took(Duration::from_millis(200));
    assert!(!after(599) && after(600), "it is as slow as that");
}

#[test]
fn patience_is_as_long_as_the_slowest_recent_answers_demand() {
    let conduct = Conduct::new();
    let millis = Duration::from_millis;
    let patience = || conduct.patience(|| None);
    assert_eq!(patience(), LEAST_SILENCE_OF_NEW);
    conduct.took(millis(5));
    assert_eq!(patience(), LEAST_SILENCE);
    conduct.took(millis(2000));
    assert_eq!(patience(), millis(6000));
    for _ in 0..100 {
        conduct.took(millis(5));
    }
    assert!(patience() > millis(3000), "it may be slow again");
    for _ in 0..1000 {
        conduct.took(millis(5));
    }
    assert_eq!(patience(), LEAST_SILENCE);
}

#[tokio::test(start_paused = true)]
async fn backend_that_has_never_answered_is_judged_by_the_others() {
    let (conduct, settings) = (Conduct::new(), settings(3));
    let (start, millis) = (Instant::now(), Duration::from_millis);
    for _ in 0..100 {
        conduct.begun(start);
    }
    // The beginning is kept in whole milliseconds.
    let after = |waited, others| {
        let silence = conduct.silence(&settings, start + millis(waited), || others);
        silence.map(|silence| silence.as_millis())
    };
    assert_eq!(after(10_000, None), None, "nobody's speed is known");
    assert_eq!(after(999, Some(millis(3))), None);
    assert_eq!(after(1000, Some(millis(3))), Some(1000));
    assert_eq!(after(5999, Some(millis(6000))), None, "others are slower");
    assert_eq!(conduct.patience(|| Some(millis(3))), LEAST_SILENCE_OF_NEW);
    assert_eq!(conduct.patience(|| Some(millis(6000))), millis(6000));
    conduct.took(millis(1));
    assert_eq!(after(250, Some(millis(6000))), Some(250), "its own speed counts");
}

/// An event in the life of a backend.
#[derive(Clone, Copy, Debug)]
enum Event {
    Begin,
    Answer,
    Fail,
    Look,
    Wait(u64),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => Just(Event::Begin),
        2 => Just(Event::Answer),
        4 => Just(Event::Fail),
        1 => Just(Event::Look),
        1 => (1u64..30_000).prop_map(Event::Wait),
    ]
}

proptest! {
    /// Failures in a row and silence are the only causes of an ejection, and each ejection ends.
    #[test]
    fn backend_is_ejected_for_a_reason_and_for_no_longer_than_eight_times_the_first(
        most in 1u32..5,
        events in prop::collection::vec(event(), 1..200),
    ) {
        let (conduct, settings) = (Conduct::new(), settings(most));
        conduct.took(Duration::from_millis(1));
        let mut now = Instant::now();
        let (mut failures, mut unanswered) = (0, 0);
        for event in events {
            let before = conduct.phase();
            match event {
                Event::Begin => {
                    conduct.begun(now);
                    unanswered += 1;
                }
                Event::Answer => {
                    (failures, unanswered) = (0, 0);
                    if conduct.answered() {
                        prop_assert!(matches!(before, Phase::Silent | Phase::Trial));
                        conduct.reinstate();
                    }
                }
                Event::Fail => {
                    failures += 1;
                    if let Some(cause) = conduct.failed(REFUSED, before == Phase::Trial, &settings) {
                        prop_assert!(before == Phase::Trial || (before == Phase::Taking && failures >= most));
                        let time = conduct.eject(cause, &settings, now);
                        prop_assert!(settings.time <= time && time <= 8 * settings.time);
                        (failures, unanswered) = (0, 0);
                    }
                }
                Event::Look => {
                    if let Some(silence) = conduct.silence(&settings, now, || None) {
                        prop_assert!(unanswered >= most && silence >= LEAST_SILENCE_OF_MANY);
                        conduct.eject(Cause::Silence(silence), &settings, now);
                        (failures, unanswered) = (0, 0);
                    }
                }
                Event::Wait(millis) => {
                    now += Duration::from_millis(millis);
                    if conduct.advance(now) {
                        prop_assert!(conduct.is_on_trial());
                        (failures, unanswered) = (0, 0);
                    }
                }
            }
            if let Some(ends) = conduct.ends() {
                prop_assert!(ends <= now + 8 * settings.time);
            }
        }
    }
}
