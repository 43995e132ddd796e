//! When a certificate is ordered: policy without clocks or sockets.

use std::time::{Duration, SystemTime};

/// The pauses between attempts. The default suits public authorities; tests have shorter pauses.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    /// The pause after the first failure; each further one doubles it.
    pub first_retry: Duration,
    /// The longest pause.
    pub longest_retry: Duration,
    /// The shortest time between a successful order and the next. A wrong clock, or an authority whose certificates
    /// are due as soon as they are issued, must not cause endless orders.
    pub least_between: Duration,
}

impl Default for Schedule {
    fn default() -> Schedule {
        Schedule {
            first_retry: Duration::from_secs(60),
            longest_retry: Duration::from_secs(6 * 3600),
            least_between: Duration::from_secs(60),
        }
    }
}

/// A span of time: the life of a certificate, or when the authority suggests to renew it (RFC 9773).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Its beginning.
    pub start: SystemTime,
    /// Its end.
    pub end: SystemTime,
}

/// The events so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct History {
    /// The life of the held certificate, if it has all the names.
    pub held: Option<Span>,
    /// The span in which the authority suggests to renew it.
    pub suggested: Option<Span>,
    /// The time at which it was ordered, if this process did that.
    pub ordered: Option<SystemTime>,
    /// The number of failures since then.
    pub failures: u32,
    /// The time of the last failure.
    pub failed: Option<SystemTime>,
    /// The pause that the authority asked for then.
    pub retry_after: Duration,
}

impl Schedule {
    /// The time at which the next attempt is due; in the past if it is due at once. `chance` is from 0 to 1, the same
    /// until another event: it spreads the attempts of processes that started together.
    pub fn next_attempt(&self, history: &History, now: SystemTime, chance: f64) -> SystemTime {
        if let (1.., Some(failed)) = (history.failures, history.failed) {
            // A clock that was set back must not cause a pause of years.
            return failed.min(now) + self.pause(history.failures, chance).max(history.retry_after);
        }
        let due = history
            .held
            .map_or(now, |held| renewal(held, history.suggested, chance));
        match history.ordered {
            Some(ordered) => due.max(ordered.min(now) + self.least_between),
            None => due,
        }
    }

    /// The pause after so many failures: doubled by each, and a quarter more or less.
    fn pause(&self, failures: u32, chance: f64) -> Duration {
        let doubled = 2_u32.saturating_pow(failures.saturating_sub(1));
        let pause = self.first_retry.saturating_mul(doubled).min(self.longest_retry);
        pause.mul_f64(0.75 + 0.5 * chance.clamp(0.0, 1.0))
    }
}

/// The time of renewal: after two thirds of the life, or a little later; where the authority suggests a window,
/// somewhere in it (RFC 9773 section 4.2), but early enough to try again a few times.
fn renewal(held: Span, suggested: Option<Span>, chance: f64) -> SystemTime {
    let chance = chance.clamp(0.0, 1.0);
    let life = held.end.duration_since(held.start).unwrap_or_default();
    match suggested {
        Some(window) => {
            let length = window.end.duration_since(window.start).unwrap_or_default();
            let latest = held.start + life.mul_f64(11.0 / 12.0);
            (window.start + length.mul_f64(chance)).min(latest)
        }
        None => held.start + life.mul_f64(2.0 / 3.0 + chance / 60.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::UNIX_EPOCH;

    const DAY: Duration = Duration::from_secs(86_400);

    fn day(nth: u32) -> SystemTime {
        UNIX_EPOCH + DAY * nth
    }

    fn held(start: u32, end: u32) -> History {
        History {
            held: Some(Span {
                start: day(start),
                end: day(end),
            }),
            ..History::default()
        }
    }

    #[test]
    fn first_certificate_is_ordered_at_once() {
        assert_eq!(
            Schedule::default().next_attempt(&History::default(), day(5), 0.9),
            day(5)
        );
    }

    #[test]
    fn certificate_is_renewed_after_two_thirds_of_its_life() {
        let schedule = Schedule::default();
        assert_eq!(schedule.next_attempt(&held(10, 100), day(11), 0.0), day(70));
        let latest = schedule.next_attempt(&held(10, 100), day(11), 1.0);
        assert!(latest > day(70) && latest < day(72), "{latest:?}");
        // The certificate is long overdue, so the time is in the past.
        assert!(schedule.next_attempt(&held(10, 100), day(99), 0.5) < day(99));
    }

    #[test]
    fn suggestion_of_the_authority_goes_first_but_not_to_the_end() {
        let schedule = Schedule::default();
        let with = |start, end| History {
            suggested: Some(Span {
                start: day(start),
                end: day(end),
            }),
            ..held(10, 100)
        };
        assert_eq!(schedule.next_attempt(&with(20, 30), day(11), 0.5), day(25));
        assert_eq!(schedule.next_attempt(&with(80, 84), day(11), 0.25), day(81));
        assert!(schedule.next_attempt(&with(200, 300), day(11), 0.5) < day(93));
        assert_eq!(
            schedule.next_attempt(&with(30, 20), day(11), 0.5),
            day(30),
            "a window that is none"
        );
    }

    #[test]
    fn pauses_double_from_a_minute_to_six_hours() {
        let schedule = Schedule::default();
        let minutes = |failures| {
            let history = History {
                failures,
                failed: Some(day(50)),
                ..held(10, 100)
            };
            schedule
                .next_attempt(&history, day(50), 0.5)
                .duration_since(day(50))
                .unwrap()
                .as_secs()
                / 60
        };
        let all: Vec<_> = [1, 2, 3, 4, 9, 10, 11, 40, u32::MAX].map(minutes).into();
        assert_eq!(all, [1, 2, 4, 8, 256, 360, 360, 360, 360]);
    }

    #[test]
    fn authority_that_asks_for_time_gets_it() {
        let history = History {
            failures: 1,
            failed: Some(day(50)),
            retry_after: DAY,
            ..held(10, 100)
        };
        assert_eq!(Schedule::default().next_attempt(&history, day(50), 0.5), day(51));
    }

    #[test]
    fn clock_that_was_set_back_does_not_lengthen_the_pause() {
        let history = History {
            failures: 1,
            failed: Some(day(5000)),
            ..History::default()
        };
        assert_eq!(
            Schedule::default().next_attempt(&history, day(50), 0.5),
            day(50) + Duration::from_secs(60)
        );
    }

    #[test]
    fn certificate_that_is_due_when_it_is_issued_is_not_ordered_at_once_again() {
        let history = History {
            ordered: Some(day(99)),
            ..held(10, 100)
        };
        assert_eq!(
            Schedule::default().next_attempt(&history, day(99), 0.0),
            day(99) + Duration::from_secs(60)
        );
    }

    proptest! {
        #[test]
        fn renewal_comes_within_the_life_of_the_certificate(
            start in 0_u32..20_000, life in 1_u32..20_000, from in 0_u32..60_000, length in 0_u32..1000, ari: bool, chance in 0.0..1.0,
        ) {
            let mut history = held(start, start + life);
            history.suggested = ari.then(|| Span { start: day(from), end: day(from + length) });
            let due = Schedule::default().next_attempt(&history, day(start), chance);
            prop_assert!(due < day(start + life));
        }

        #[test]
        fn pauses_stay_within_their_bounds(failures in 1_u32.., chance in 0.0..1.0) {
            let schedule = Schedule::default();
            let pause = schedule.pause(failures, chance);
            prop_assert!(pause >= schedule.first_retry.mul_f64(0.75) && pause <= schedule.longest_retry.mul_f64(1.25));
        }
    }
}
