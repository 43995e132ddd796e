//! When a certificate is ordered: policy without clocks or sockets.

use std::time::{Duration, SystemTime};

/// How attempts are spaced. The default is for authorities that are shared with everybody; tests have one of their own.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    /// The pause after the first failure; each further one doubles it.
    pub first_retry: Duration,
    /// The longest pause.
    pub longest_retry: Duration,
    /// The shortest time between an order that went well and the next. A clock that is wrong, or an authority whose
    /// certificates are due as soon as they are issued, must not make orders without end.
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

/// What has happened so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Past {
    /// The life of the certificate that is held, if it has all the names.
    pub held: Option<Span>,
    /// When the authority suggests to renew it.
    pub suggested: Option<Span>,
    /// When it was ordered, if this process has done that.
    pub ordered: Option<SystemTime>,
    /// Failures since then.
    pub failures: u32,
    /// When the last of them was.
    pub failed: Option<SystemTime>,
    /// For how long the authority asked to be left alone then.
    pub retry_after: Duration,
}

impl Schedule {
    /// When the next attempt is due; in the past if it is due at once. `chance` is from 0 to 1, the same until something has
    /// happened: it keeps all those who started together from coming together.
    pub fn next_attempt(&self, past: &Past, now: SystemTime, chance: f64) -> SystemTime {
        if let (1.., Some(failed)) = (past.failures, past.failed) {
            // A clock that was set back must not make a pause of years.
            return failed.min(now) + self.pause(past.failures, chance).max(past.retry_after);
        }
        let due = past
            .held
            .map_or(now, |held| renewal(held, past.suggested, chance));
        match past.ordered {
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

/// After two thirds of the life, or a little later; where the authority suggests a window, somewhere in it (RFC 9773 section
/// 4.2), but early enough to try again a few times.
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

    fn held(start: u32, end: u32) -> Past {
        Past {
            held: Some(Span {
                start: day(start),
                end: day(end),
            }),
            ..Past::default()
        }
    }

    #[test]
    fn first_certificate_is_ordered_at_once() {
        assert_eq!(
            Schedule::default().next_attempt(&Past::default(), day(5), 0.9),
            day(5)
        );
    }

    #[test]
    fn certificate_is_renewed_after_two_thirds_of_its_life() {
        let schedule = Schedule::default();
        assert_eq!(schedule.next_attempt(&held(10, 100), day(11), 0.0), day(70));
        let latest = schedule.next_attempt(&held(10, 100), day(11), 1.0);
        assert!(latest > day(70) && latest < day(72), "{latest:?}");
        // Long overdue: in the past.
        assert!(schedule.next_attempt(&held(10, 100), day(99), 0.5) < day(99));
    }

    #[test]
    fn suggestion_of_the_authority_goes_first_but_not_to_the_end() {
        let schedule = Schedule::default();
        let with = |start, end| Past {
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
            let past = Past {
                failures,
                failed: Some(day(50)),
                ..held(10, 100)
            };
            schedule
                .next_attempt(&past, day(50), 0.5)
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
        let past = Past {
            failures: 1,
            failed: Some(day(50)),
            retry_after: DAY,
            ..held(10, 100)
        };
        assert_eq!(Schedule::default().next_attempt(&past, day(50), 0.5), day(51));
    }

    #[test]
    fn clock_that_was_set_back_does_not_lengthen_the_pause() {
        let past = Past {
            failures: 1,
            failed: Some(day(5000)),
            ..Past::default()
        };
        assert_eq!(
            Schedule::default().next_attempt(&past, day(50), 0.5),
            day(50) + Duration::from_secs(60)
        );
    }

    #[test]
    fn certificate_that_is_due_when_it_is_issued_is_not_ordered_at_once_again() {
        let past = Past {
            ordered: Some(day(99)),
            ..held(10, 100)
        };
        assert_eq!(
            Schedule::default().next_attempt(&past, day(99), 0.0),
            day(99) + Duration::from_secs(60)
        );
    }

    proptest! {
        #[test]
        fn renewal_comes_within_the_life_of_the_certificate(
            start in 0_u32..20_000, life in 1_u32..20_000, from in 0_u32..60_000, length in 0_u32..1000, ari: bool, chance in 0.0..1.0,
        ) {
            let mut past = held(start, start + life);
            past.suggested = ari.then(|| Span { start: day(from), end: day(from + length) });
            let due = Schedule::default().next_attempt(&past, day(start), chance);
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
