//! The outcomes of health checks.

use log::{info, warn};
use tokio::time::Instant;

use super::{Backend, Pool};
use pace_config::pool::HealthCheck;

/// The verdict on a backend, and how many checks in a row have contradicted it.
///
/// A backend counts as healthy until its first check, which decides alone: a new backend is of use at once, and one that is down
/// gets requests no longer than its first check takes. HAProxy does the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Checks {
    verdict: Verdict,
    /// How many checks in a row said otherwise.
    against: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Verdict {
    #[default]
    Unknown,
    Healthy,
    Unhealthy,
}

impl Checks {
    /// Whether the checks say that the backend is not well.
    pub(super) fn is_unhealthy(self) -> bool {
        self.verdict == Verdict::Unhealthy
    }

    /// Whether there has been a check.
    pub(super) fn is_known(self) -> bool {
        self.verdict != Verdict::Unknown
    }

    /// Takes the outcome of a check into account. Returns whether the backend has become healthy or unhealthy.
    pub(super) fn note(&mut self, has_passed: bool, settings: &HealthCheck) -> bool {
        let (said, enough) = match has_passed {
            true => (Verdict::Healthy, settings.healthy_after),
            false => (Verdict::Unhealthy, settings.unhealthy_after),
        };
        if said == self.verdict {
            self.against = 0;
            return false;
        }
        self.against += 1;
        if self.is_known() && self.against < enough {
            return false;
        }
        let was_unhealthy = self.is_unhealthy();
        *self = Checks {
            verdict: said,
            against: 0,
        };
        self.is_unhealthy() != was_unhealthy
    }
}

impl Pool {
    /// Takes the outcome of a health check into account.
    pub(super) fn checked(&self, backend: &Backend, outcome: Result<(), String>) {
        let upkeep = &self.settings.upkeep;
        let Some(settings) = &upkeep.health_check else {
            return;
        };
        let mut roster = self.roster.lock();
        let now = Instant::now();
        let (was_known, has_changed) = backend.standing.with(|facts| {
            let was_known = facts.checks.is_known();
            let has_changed = facts.checks.note(outcome.is_ok(), settings);
            if has_changed && outcome.is_ok() && !upkeep.slow_start.is_zero() {
                facts.slow_since = Some(now);
            }
            (was_known, has_changed)
        });
        if !has_changed {
            return;
        }
        if outcome.is_ok() {
            // The record of its attempts is out of date.
            backend.conduct().reinstate();
        }
        self.refresh(&mut roster, now);
        drop(roster);
        self.changes.tell();
        let (name, label) = (&self.name, &backend.label);
        match (outcome, was_known) {
            (Ok(()), _) => info!(
                target: "pace::upstream",
                "pool `{name}`: {label} is healthy again: it has passed {} checks in a row", settings.healthy_after
            ),
            (Err(why), true) => warn!(
                target: "pace::upstream",
                "pool `{name}`: {label} is unhealthy: {} checks in a row have failed, the last with: {why}",
                settings.unhealthy_after
            ),
            (Err(why), false) => warn!(
                target: "pace::upstream",
                "pool `{name}`: {label} is unhealthy: its first check has failed with: {why}"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn settings(healthy_after: u32, unhealthy_after: u32) -> HealthCheck {
        HealthCheck {
            healthy_after,
            unhealthy_after,
            ..HealthCheck::default()
        }
    }

    #[test]
    fn first_check_decides_alone_and_later_ones_in_a_row() {
        let settings = settings(2, 3);
        let mut checks = Checks::default();
        assert!(!checks.is_unhealthy());
        assert!(checks.note(false, &settings) && checks.is_unhealthy());
        assert!(!checks.note(true, &settings));
        assert!(!checks.note(false, &settings), "the row is broken");
        assert!(!checks.note(true, &settings));
        assert!(checks.note(true, &settings) && !checks.is_unhealthy());
        for _ in 0..5 {
            assert!(!checks.note(false, &settings));
            assert!(!checks.note(false, &settings));
            assert!(!checks.note(true, &settings));
        }
        assert!(!checks.note(false, &settings));
        assert!(!checks.note(false, &settings));
        assert!(checks.note(false, &settings));

        let mut well = Checks::default();
        assert!(!well.note(true, &settings), "it was taken for healthy");
        assert!(!well.note(false, &settings), "one check is not enough any more");
    }

    proptest! {
        #[test]
        fn verdict_changes_only_after_as_many_checks_in_a_row_as_configured(
            up in 1u32..5,
            down in 1u32..5,
            outcomes in prop::collection::vec(any::<bool>(), 1..200),
        ) {
            let settings = settings(up, down);
            let mut checks = Checks::default();
            let mut row: (bool, u32) = (true, 0);
            for (index, passed) in outcomes.into_iter().enumerate() {
                row = if row.0 == passed { (passed, row.1 + 1) } else { (passed, 1) };
                let was_unhealthy = checks.is_unhealthy();
                let has_changed = checks.note(passed, &settings);
                prop_assert_eq!(has_changed, was_unhealthy != checks.is_unhealthy());
                if has_changed && index > 0 {
                    prop_assert_eq!(checks.is_unhealthy(), !passed);
                    let enough = if passed { up } else { down };
                    prop_assert!(row.1 >= enough);
                }
                // A verdict that contradicts a whole row of checks cannot stand.
                prop_assert!(row.1 < up.max(down) || checks.is_unhealthy() != passed);
            }
        }
    }
}
