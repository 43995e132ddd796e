//! How one generation of a plugin fares: its breaker, and its first calls.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Instant;

use super::breaker::{Admission, Breaker, BreakerState};
use crate::config;

/// What the workers know about a generation together.
pub struct Health {
    breaker: Breaker,
    trial: Trial,
    unfit: AtomicBool,
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
    pub fn new(breaker: config::Breaker, rollback: config::Rollback) -> Health {
        Health {
            breaker: Breaker::new(breaker),
            trial: Trial::new(rollback),
            unfit: AtomicBool::new(false),
        }
    }

    /// Whether too many of its first calls failed. Once it is so, it stays so.
    pub fn is_unfit(&self) -> bool {
        self.unfit.load(Ordering::Relaxed)
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

    /// A call failed.
    pub(super) fn failed(&self, admission: Admission) -> Aftermath {
        let opened = self.breaker.failed(admission, now());
        // A generation whose breaker opens while it is on trial has failed the trial.
        let unfit = self.trial.called(true) || (opened.is_some() && self.trial.end());
        if unfit {
            self.unfit.store(true, Ordering::Relaxed);
        }
        Aftermath { opened, unfit }
    }

    /// The breaker's state.
    pub fn breaker(&self) -> BreakerState {
        self.breaker.state(now())
    }
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
    fn new(rollback: config::Rollback) -> Trial {
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

    /// Ends the trial. True for exactly one caller.
    fn end(&self) -> bool {
        !self.over.load(Ordering::Relaxed) && !self.over.swap(true, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial(calls: u32, failures_percent: u32) -> Trial {
        Trial::new(config::Rollback {
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
                config::Breaker {
                    failures,
                    ..config::Breaker::default()
                },
                config::Rollback {
                    calls: 2,
                    failures_percent: 50,
                },
            );
            assert!(!health.is_proven() && !health.is_unfit());
            health
        };
        let good = health(0);
        good.succeeded(Admission::Pass);
        good.failed(Admission::Pass);
        assert!(good.is_proven() && !good.is_unfit());
        let bad = health(1);
        assert!(bad.failed(Admission::Pass).unfit);
        assert!(!bad.is_proven() && bad.is_unfit());
    }

    #[test]
    fn a_trial_of_no_calls_never_ends_badly() {
        assert!(!trial(0, 20).called(true));
    }
}
