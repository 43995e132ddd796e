//! The breaker of a plugin: calls are skipped while it keeps failing, until a probe succeeds.
//!
//! It is a circuit breaker (Nygard, "Release It!", 2007) with the usual three states:
//!
//! ```text
//! closed ── so many failures in a row ──▶ open ── cooldown over ──▶ one probe ── ok ──▶ closed
//!                                          ▲                           │
//!                                          └──── twice the cooldown ◀──┘ failed
//! ```
//!
//! Time is a parameter: milliseconds since some moment.

use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::Mutex;

/// The breaker of one generation of a plugin, shared by all workers.
pub(super) struct Breaker {
    settings: pace_config::Breaker,
    /// Failures without a success between them. The breaker is closed while this is below the threshold; a call looks at
    /// nothing else then.
    in_a_row: AtomicU32,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    /// The time from which a probe may pass.
    until: u64,
    /// The length of this cooldown; 0 while closed.
    cooldown: u64,
}

/// The breaker's decision on a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// The call is made.
    Pass,
    /// The call is made, and its outcome decides about the breaker.
    Probe,
    /// The call is not made.
    Skip,
}

/// The state of a breaker, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// Calls are made.
    Closed,
    /// Calls are skipped for so many more milliseconds.
    Open(u64),
    /// The cooldown is over, and the outcome of a probe decides.
    HalfOpen,
}

/// The time after which a probe that has not reported back is given up, in milliseconds. Its thread must have panicked:
/// no call takes longer than a second.
const PROBE_TIMEOUT: u64 = 2000;

impl Breaker {
    pub(super) fn new(settings: pace_config::Breaker) -> Breaker {
        Breaker {
            settings,
            in_a_row: AtomicU32::new(0),
            open: Mutex::default(),
        }
    }

    /// Whether a call may go through.
    pub(super) fn admit(&self, now: impl FnOnce() -> u64) -> Admission {
        if self.is_closed() {
            return Admission::Pass;
        }
        let mut open = self.open.lock();
        if self.is_closed() {
            // Another thread has closed it since.
            return Admission::Pass;
        }
        let now = now();
        if now < open.until {
            return Admission::Skip;
        }
        // This call is the probe. Others are skipped until it has reported back or is given up.
        open.until = now + PROBE_TIMEOUT;
        Admission::Probe
    }

    /// Records a call that came to a result. Returns whether that closed the breaker.
    pub(super) fn succeeded(&self, admission: Admission) -> bool {
        // Nearly every call ends here, without a write to memory that all workers share.
        if self.in_a_row.load(Ordering::Relaxed) == 0 {
            return false;
        }
        let mut open = self.open.lock();
        if !self.is_closed() && admission != Admission::Probe {
            // The call began before the breaker opened.
            return false;
        }
        self.in_a_row.store(0, Ordering::Relaxed);
        std::mem::take(&mut *open).cooldown != 0
    }

    /// Records a failed call. Returns for how many milliseconds that opened the breaker, if it did.
    pub(super) fn failed(&self, admission: Admission, now: u64) -> Option<u64> {
        let mut open = self.open.lock();
        if !self.is_closed() && admission != Admission::Probe {
            // The call began before the breaker opened.
            return None;
        }
        let in_a_row = self.in_a_row.load(Ordering::Relaxed).saturating_add(1);
        self.in_a_row.store(in_a_row, Ordering::Relaxed);
        if self.is_closed() {
            return None;
        }
        open.cooldown = match open.cooldown {
            0 => millis(self.settings.cooldown),
            cooldown => (cooldown * 2).min(millis(self.settings.max_cooldown)),
        };
        open.until = now + open.cooldown;
        Some(open.cooldown)
    }

    pub(super) fn state(&self, now: u64) -> BreakerState {
        if self.is_closed() {
            return BreakerState::Closed;
        }
        match self.open.lock().until.saturating_sub(now) {
            0 => BreakerState::HalfOpen,
            left => BreakerState::Open(left),
        }
    }

    fn is_closed(&self) -> bool {
        self.settings.failures == 0 || self.in_a_row.load(Ordering::Relaxed) < self.settings.failures
    }
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX / 4)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Admission::{Pass, Probe, Skip};
    use super::*;

    fn breaker() -> Breaker {
        Breaker::new(pace_config::Breaker {
            failures: 3,
            cooldown: Duration::from_secs(1),
            max_cooldown: Duration::from_secs(3),
        })
    }

    /// Opens a closed breaker at the time `now`.
    fn open(breaker: &Breaker, now: u64) {
        assert_eq!(
            [breaker.failed(Pass, now), breaker.failed(Pass, now)],
            [None, None]
        );
        assert_eq!(breaker.failed(Pass, now), Some(1000));
    }

    #[test]
    fn breaker_with_a_success_between_failures_stays_closed() {
        let breaker = breaker();
        breaker.failed(Pass, 0);
        breaker.failed(Pass, 0);
        breaker.succeeded(Pass);
        assert_eq!(breaker.failed(Pass, 0), None);
        assert_eq!(breaker.state(0), BreakerState::Closed);
        assert_eq!(breaker.admit(|| 0), Pass);
    }

    #[test]
    fn open_breaker_after_cooldown_lets_one_probe_through() {
        let breaker = breaker();
        open(&breaker, 0);
        assert_eq!(breaker.state(400), BreakerState::Open(600));
        assert_eq!(breaker.admit(|| 999), Skip);
        assert_eq!(breaker.admit(|| 1000), Probe);
        assert_eq!(breaker.admit(|| 1001), Skip);
        breaker.succeeded(Probe);
        assert_eq!(breaker.state(1002), BreakerState::Closed);
        assert_eq!(breaker.admit(|| 1002), Pass);
    }

    #[test]
    fn cooldown_doubles_up_to_its_bound_and_restarts_after_a_success() {
        let breaker = breaker();
        open(&breaker, 0);
        let mut now = 1000;
        for expected in [2000, 3000, 3000] {
            assert_eq!(breaker.admit(|| now), Probe);
            assert_eq!(breaker.failed(Probe, now + 1), Some(expected));
            now += 1 + expected;
        }
        assert_eq!(breaker.admit(|| now), Probe);
        breaker.succeeded(Probe);
        open(&breaker, now);
    }

    #[test]
    fn failure_of_call_begun_before_opening_does_not_lengthen_cooldown() {
        let breaker = breaker();
        open(&breaker, 0);
        assert_eq!(breaker.failed(Pass, 5), None);
        assert_eq!(breaker.state(5), BreakerState::Open(995));
    }

    #[test]
    fn success_of_call_begun_before_opening_does_not_close_breaker() {
        let breaker = breaker();
        open(&breaker, 0);
        assert!(!breaker.succeeded(Pass));
        assert_eq!(breaker.state(5), BreakerState::Open(995));
    }

    #[test]
    fn probe_that_never_reports_is_followed_by_another() {
        let breaker = breaker();
        open(&breaker, 0);
        assert_eq!(breaker.admit(|| 1000), Probe);
        assert_eq!(breaker.admit(|| 1000 + PROBE_TIMEOUT - 1), Skip);
        assert_eq!(breaker.admit(|| 1000 + PROBE_TIMEOUT), Probe);
    }

    #[test]
    fn breaker_with_threshold_zero_never_opens() {
        let never = Breaker::new(pace_config::Breaker {
            failures: 0,
            ..pace_config::Breaker::default()
        });
        for _ in 0..100 {
            assert_eq!(never.failed(Pass, 0), None);
        }
        assert_eq!(never.admit(|| 0), Pass);
    }
}
