//! How one generation of a plugin fares: its breaker, and its first calls.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{LazyLock, OnceLock};
use std::time::Instant;

use super::breaker::{Admission, Breaker, BreakerState};
use pace_hook::{Failure, FailureReason, Hook};

/// What the workers know about a generation together.
pub struct Health {
    breaker: Breaker,
    trial: Trial,
    unfit: OnceLock<Unfit>,
}

/// Why a generation is unfit: how many of its first calls failed, and how the last of them did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfit {
    /// Its calls so far.
    pub called: u32,
    /// Those that failed.
    pub failed: u32,
    /// Whether it was for so many failures in a row, and not for so many in all.
    pub breaker_opened: bool,
    /// In which hook the last one failed.
    pub hook: Hook,
    /// Why, in a line.
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

/// What became of a call, as far as the rest of Pace has to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Aftermath {
    /// The breaker opened, for so many milliseconds.
    pub(super) opened: Option<u64>,
    /// Too many of the first calls failed.
    pub(super) unfit: bool,
}

impl Health {
    /// A generation that nobody has called yet.
    pub fn new(breaker: pace_config::Breaker, rollback: pace_config::Rollback) -> Health {
        Health {
            breaker: Breaker::new(breaker),
            trial: Trial::new(rollback),
            unfit: OnceLock::new(),
        }
    }

    /// Whether too many of its first calls failed. Once it is so, it stays so.
    pub fn is_unfit(&self) -> bool {
        self.unfit().is_some()
    }

    /// Why it is unfit, if it is.
    pub fn unfit(&self) -> Option<&Unfit> {
        self.unfit.get()
    }

    /// Whether its first calls are over and went well enough.
    pub(super) fn is_proven(&self) -> bool {
        self.trial.over.load(Ordering::Relaxed) && !self.is_unfit()
    }

    /// Its first calls are calls like any others from now on.
    pub(super) fn end_trial(&self) {
        self.trial.end();
    }

    /// Whether a call may go through.
    pub(super) fn admit(&self) -> Admission {
        self.breaker.admit(now)
    }

    /// A call came to a result. Says whether that closed the breaker.
    pub(super) fn succeeded(&self, admission: Admission) -> bool {
        self.trial.called(false);
        self.breaker.succeeded(admission)
    }

    /// A call of this hook failed.
    pub(super) fn failed(&self, admission: Admission, hook: Hook, failure: &Failure) -> Aftermath {
        let opened = self.breaker.failed(admission, now());
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
        Aftermath { opened, unfit }
    }

    /// The breaker's state.
    pub fn breaker(&self) -> BreakerState {
        self.breaker.state(now())
    }
}

/// The line that says most. That of the log about the call has the whole of it.
fn in_a_line(failure: &Failure) -> String {
    const MAX_CHARACTERS: usize = 200;
    let mut lines = failure
        .detail
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty());
    let line = match failure.reason {
        // A backtrace ends with the cause of all.
        FailureReason::Trap | FailureReason::Memory => lines.next_back(),
        FailureReason::Deadline
        | FailureReason::IllegalOutput
        | FailureReason::Configure
        | FailureReason::BreakerOpen => lines.next(),
    };
    let line = line.unwrap_or_default();
    let (line, rest) = match line.char_indices().nth(MAX_CHARACTERS) {
        Some((end, _)) => (&line[..end], "…"),
        None => (line, ""),
    };
    format!("{}: {line}{rest}", failure.reason.name())
}

/// Milliseconds since the process began to ask.
fn now() -> u64 {
    static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);
    u64::try_from(EPOCH.elapsed().as_millis()).unwrap_or(u64::MAX / 4)
}

/// Counts the first calls of a generation, until there have been enough of them or too many have failed.
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

    /// Takes a call into account. True for exactly one caller, if more failed than may.
    fn called(&self, failed: bool) -> bool {
        if self.over.load(Ordering::Relaxed) {
            return false;
        }
        let unfit = failed && self.failed.fetch_add(1, Ordering::Relaxed) + 1 > self.failures_allowed;
        let done = self.called.fetch_add(1, Ordering::Relaxed) + 1 >= self.calls;
        if !unfit && !done {
            return false;
        }
        // Whoever ends the trial says how it ended.
        self.end() && unfit
    }

    /// Calls so far, and those of them that failed.
    fn counts(&self) -> (u32, u32) {
        let failed = self.failed.load(Ordering::Relaxed);
        // Another thread may have counted its failure and not yet its call.
        (self.called.load(Ordering::Relaxed).max(failed), failed)
    }

    /// Ends the trial. True for exactly one caller.
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
    fn too_many_failures_among_the_first_calls_are_told_once() {
        let trial = trial(10, 20);
        let told: Vec<bool> = (0..10).map(|_| trial.called(true)).collect();
        assert_eq!(told.iter().filter(|told| **told).count(), 1);
        assert!(told[2], "the third failure of ten calls is more than 20 %");
    }

    #[test]
    fn failures_after_the_first_calls_do_not_count() {
        let trial = trial(10, 20);
        for _ in 0..10 {
            assert!(!trial.called(false));
        }
        assert!((0..100).all(|_| !trial.called(true)));
    }

    #[test]
    fn as_many_failures_as_are_allowed_are_allowed() {
        let trial = trial(10, 20);
        assert!((0..10).all(|call| !trial.called(call < 2)));
    }

    #[test]
    fn only_who_stood_the_trial_is_proven() {
        let health = |failures| {
            let health = Health::new(
                pace_config::Breaker {
                    failures,
                    ..pace_config::Breaker::default()
                },
                pace_config::Rollback {
                    calls: 2,
                    failures_percent: 50,
                },
            );
            assert!(!health.is_proven() && !health.is_unfit());
            health
        };
        let good = health(0);
        good.succeeded(Admission::Pass);
        good.failed(Admission::Pass, Hook::RequestFilter, &trap());
        assert!(good.is_proven() && !good.is_unfit());
        let bad = health(1);
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
    fn it_is_said_how_many_failed_and_how_the_last_one_did() {
        let rollback = pace_config::Rollback {
            calls: 10,
            failures_percent: 20,
        };
        let breaker = |failures| pace_config::Breaker {
            failures,
            ..pace_config::Breaker::default()
        };
        let fail = |health: &Health| {
            health
                .failed(Admission::Pass, Hook::ResponseFilter, &trap())
                .unfit
        };

        let many = Health::new(breaker(0), rollback);
        many.succeeded(Admission::Pass);
        assert_eq!([fail(&many), fail(&many), fail(&many)], [false, false, true]);
        // What comes later is not its reason.
        assert!(!many.failed(Admission::Pass, Hook::RequestFilter, &trap()).unfit);
        assert_eq!(
            many.unfit().expect("it is").to_string(),
            "too many of its first calls failed: 3 of 4, the last in response-filter: trap: it broke"
        );

        let in_a_row = Health::new(breaker(2), rollback);
        assert_eq!([fail(&in_a_row), fail(&in_a_row)], [false, true]);
        let said = in_a_row.unfit().expect("it is").to_string();
        assert!(
            said.contains("failed: 2 of 2 and the breaker opened, the last in"),
            "{said}"
        );
    }

    #[test]
    fn a_long_failure_is_cut() {
        let long = Failure {
            reason: FailureReason::Configure,
            detail: "ä".repeat(1000) + "\nand more",
        };
        assert_eq!(in_a_line(&long), format!("configure: {}…", "ä".repeat(200)));
    }

    #[test]
    fn a_trial_of_no_calls_never_ends_badly() {
        assert!(!trial(0, 20).called(true));
    }
}
