//! The fitness of one generation of a plugin: its breaker, and its trial, which is its first calls.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Instant;

use super::breaker::{Admission, Breaker, BreakerState};
use pace_hook::{Failure, FailureReason, Hook};

/// Judges a generation by the outcomes of its calls on all workers.
pub struct Fitness {
    /// The breaker's time is counted from here.
    epoch: Instant,
    breaker: Breaker,
    trial: Trial,
    unfit: OnceLock<Unfit>,
}

/// The reason why a generation is unfit: how many of its first calls failed, and how the last of them did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfit {
    /// Its calls so far.
    pub called: u32,
    /// Its calls that failed.
    pub failed: u32,
    /// True if it failed so often in a row that the breaker opened, false if it failed too often in all.
    pub breaker_opened: bool,
    /// The hook of the last failure.
    pub hook: Hook,
    /// The last failure in one line.
    pub last: String,
}

impl fmt::Display for Unfit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Unfit {
            called,
            failed,
            hook,
            last,
            ..
        } = self;
        let opened = if self.breaker_opened {
            " and the breaker opened"
        } else {
            ""
        };
        write!(
            out,
            "too many of its first calls failed: {failed} of {called}{opened}, the last in {}: {last}",
            hook.name()
        )
    }
}

/// The consequences of a failed call that the rest of Pace has to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FailureEffect {
    /// The breaker opened, for so many milliseconds.
    pub(super) opened: Option<u64>,
    /// Too many of the first calls failed.
    pub(super) unfit: bool,
}

impl Fitness {
    /// The fitness of a generation that has not been called yet.
    pub fn new(breaker: pace_config::Breaker, rollback: pace_config::Rollback) -> Fitness {
        Fitness {
            epoch: Instant::now(),
            breaker: Breaker::new(breaker),
            trial: Trial::new(rollback),
            unfit: OnceLock::new(),
        }
    }

    /// Whether too many of the first calls failed. An unfit generation stays unfit.
    pub fn is_unfit(&self) -> bool {
        self.unfit().is_some()
    }

    /// The reason why the generation is unfit, if it is.
    pub fn unfit(&self) -> Option<&Unfit> {
        self.unfit.get()
    }

    /// Whether the trial is over and was passed.
    pub(super) fn is_proven(&self) -> bool {
        self.trial.over.load(Ordering::Relaxed) && !self.is_unfit()
    }

    /// Ends the trial: further calls do not make the generation unfit.
    pub(super) fn end_trial(&self) {
        self.trial.end();
    }

    /// Whether a call may go through.
    pub(super) fn admit(&self) -> Admission {
        self.breaker.admit(|| self.now())
    }

    /// Records a call that came to a result. Returns whether that closed the breaker.
    pub(super) fn succeeded(&self, admission: Admission) -> bool {
        self.trial.called(false);
        self.breaker.succeeded(admission)
    }

    /// Records a failed call of `hook`.
    pub(super) fn failed(&self, admission: Admission, hook: Hook, failure: &Failure) -> FailureEffect {
        let opened = self.breaker.failed(admission, self.now());
        let too_many = self.trial.called(true);
        // A generation whose breaker opens while it is on trial has failed the trial.
        let unfit = too_many || (opened.is_some() && self.trial.end());
        if unfit {
            let (called, failed) = self.trial.counts();
            let told_before = self.unfit.set(Unfit {
                called,
                failed,
                breaker_opened: !too_many,
                hook,
                last: in_a_line(failure),
            });
            debug_assert!(told_before.is_ok(), "a trial ends once");
        }
        FailureEffect { opened, unfit }
    }

    /// The breaker's state.
    pub fn breaker(&self) -> BreakerState {
        self.breaker.state(self.now())
    }

    /// Milliseconds since the generation was made.
    fn now(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX / 4)
    }
}

/// The most telling line of a failure. The log has the whole failure, in its line about the call.
fn in_a_line(failure: &Failure) -> String {
    const MAX_CHARACTERS: usize = 200;
    let mut lines = failure
        .detail
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty());
    let line = match failure.reason {
        // A backtrace ends with the root cause.
        FailureReason::Trap | FailureReason::Memory => lines.next_back(),
        FailureReason::Deadline
        | FailureReason::IllegalOutput
        | FailureReason::Configure
        | FailureReason::BreakerOpen
        | FailureReason::InstanceLost
        | FailureReason::TooManyStreams
        | FailureReason::UnitTooLarge
        | FailureReason::BodyTooLarge
        | FailureReason::BodyTimeout
        | FailureReason::BodyBudget
        | FailureReason::BodyEncoding
        | FailureReason::BodyPartial => lines.next(),
    };
    let line = line.unwrap_or_default();
    let (line, rest) = match line.char_indices().nth(MAX_CHARACTERS) {
        Some((end, _)) => (&line[..end], "…"),
        None => (line, ""),
    };
    format!("{}: {line}{rest}", failure.reason.name())
}

/// The trial of a generation: counts its first calls until there have been enough of them or too many have failed.
struct Trial {
    calls: u32,
    failures_allowed: u32,
    over: AtomicBool,
    called: AtomicU32,
    failed: AtomicU32,
}

impl Trial {
    fn new(rollback: pace_config::Rollback) -> Trial {
        let allowed = u64::from(rollback.calls) * u64::from(rollback.failures_percent) / 100;
        Trial {
            calls: rollback.calls,
            failures_allowed: u32::try_from(allowed).expect("a share of a u32 is one"),
            over: AtomicBool::new(rollback.calls == 0),
            called: AtomicU32::new(0),
            failed: AtomicU32::new(0),
        }
    }

    /// Counts a call. Returns true to exactly one caller, if more calls failed than are allowed.
    fn called(&self, failed: bool) -> bool {
        if self.over.load(Ordering::Relaxed) {
            return false;
        }
        let unfit = failed && self.failed.fetch_add(1, Ordering::Relaxed) + 1 > self.failures_allowed;
        let done = self.called.fetch_add(1, Ordering::Relaxed) + 1 >= self.calls;
        if !unfit && !done {
            return false;
        }
        // The caller that ends the trial reports how it ended.
        self.end() && unfit
    }

    /// The number of calls so far, and of failed ones among them.
    fn counts(&self) -> (u32, u32) {
        let failed = self.failed.load(Ordering::Relaxed);
        // Another thread may have counted its failure but not its call yet.
        (self.called.load(Ordering::Relaxed).max(failed), failed)
    }

    /// Ends the trial. Returns true to exactly one caller.
    fn end(&self) -> bool {
        !self.over.load(Ordering::Relaxed) && !self.over.swap(true, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial(calls: u32, failures_percent: u32) -> Trial {
        Trial::new(pace_config::Rollback {
            calls,
            failures_percent,
        })
    }

    #[test]
    fn trial_with_too_many_failures_is_reported_once() {
        let trial = trial(10, 20);
        let told: Vec<bool> = (0..10).map(|_| trial.called(true)).collect();
        assert_eq!(told.iter().filter(|told| **told).count(), 1);
        assert!(told[2], "the third failure of ten calls is more than 20 %");
    }

    #[test]
    fn failures_after_trial_do_not_count() {
        let trial = trial(10, 20);
        for _ in 0..10 {
            assert!(!trial.called(false));
        }
        assert!((0..100).all(|_| !trial.called(true)));
    }

    #[test]
    fn trial_with_as_many_failures_as_allowed_is_passed() {
        let trial = trial(10, 20);
        assert!((0..10).all(|call| !trial.called(call < 2)));
    }

    #[test]
    fn generation_is_proven_only_after_passing_its_trial() {
        let fitness = |failures| {
            let fitness = Fitness::new(
                pace_config::Breaker {
                    failures,
                    ..pace_config::Breaker::default()
                },
                pace_config::Rollback {
                    calls: 2,
                    failures_percent: 50,
                },
            );
            assert!(!fitness.is_proven() && !fitness.is_unfit());
            fitness
        };
        let good = fitness(0);
        good.succeeded(Admission::Pass);
        good.failed(Admission::Pass, Hook::RequestFilter, &trap());
        assert!(good.is_proven() && !good.is_unfit());
        let bad = fitness(1);
        assert!(bad.failed(Admission::Pass, Hook::RequestFilter, &trap()).unfit);
        assert!(!bad.is_proven() && bad.is_unfit());
    }

    fn trap() -> Failure {
        Failure {
            reason: FailureReason::Trap,
            detail: "error while executing\n  0: a function\n\nCaused by:\n  it broke\n".to_owned(),
        }
    }

    #[test]
    fn unfit_generation_tells_failure_counts_and_last_failure() {
        let rollback = pace_config::Rollback {
            calls: 10,
            failures_percent: 20,
        };
        let breaker = |failures| pace_config::Breaker {
            failures,
            ..pace_config::Breaker::default()
        };
        let fail = |fitness: &Fitness| {
            fitness
                .failed(Admission::Pass, Hook::ResponseFilter, &trap())
                .unfit
        };

        let many = Fitness::new(breaker(0), rollback);
        many.succeeded(Admission::Pass);
        assert_eq!([fail(&many), fail(&many), fail(&many)], [false, false, true]);
        // Later failures do not change the reason.
        assert!(!many.failed(Admission::Pass, Hook::RequestFilter, &trap()).unfit);
        assert_eq!(
            many.unfit().expect("it is").to_string(),
            "too many of its first calls failed: 3 of 4, the last in response-filter: trap: it broke"
        );

        let in_a_row = Fitness::new(breaker(2), rollback);
        assert_eq!([fail(&in_a_row), fail(&in_a_row)], [false, true]);
        let said = in_a_row.unfit().expect("it is").to_string();
        assert!(
            said.contains("failed: 2 of 2 and the breaker opened, the last in"),
            "{said}"
        );
    }

    #[test]
    fn long_failure_is_cut() {
        let long = Failure {
            reason: FailureReason::Configure,
            detail: "ä".repeat(1000) + "\nand more",
        };
        assert_eq!(in_a_line(&long), format!("configure: {}…", "ä".repeat(200)));
    }

    #[test]
    fn trial_of_zero_calls_never_fails() {
        assert!(!trial(0, 20).called(true));
    }
}
