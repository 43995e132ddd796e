use std::time::Duration;

use crate::OpenError;

/// The most slots that a period is divided into.
pub(super) const STEPS: u32 = 1024;

const LONGEST: Duration = Duration::from_hours(7 * 24);

/// The limit of events that a key may have in a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowSpec {
    pub(super) limit: u32,
    /// In milliseconds.
    pub(super) period: u64,
    /// In milliseconds: events closer together than this share a slot.
    pub(super) step: u64,
}

impl WindowSpec {
    /// A limit of at least 1, and a period of 1 ms to 7 days, in which a fraction of a millisecond counts as
    /// a whole one; else [`OpenError::InvalidArgument`].
    pub fn new(limit: u32, period: Duration) -> Result<WindowSpec, OpenError> {
        if limit == 0 || !(Duration::from_millis(1)..=LONGEST).contains(&period) {
            return Err(OpenError::InvalidArgument);
        }
        let period = period.as_nanos().div_ceil(1_000_000) as u64; // at most 604,800,000
        Ok(WindowSpec {
            limit,
            period,
            step: period.div_ceil(u64::from(STEPS)),
        })
    }

    /// The most events of a key in a period.
    pub fn limit(&self) -> u32 {
        self.limit
    }

    /// The time for which an event counts.
    pub fn period(&self) -> Duration {
        Duration::from_millis(self.period)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn spec_out_of_bounds_is_refused() {
        for (limit, period) in [(1, MS), (u32::MAX, LONGEST), (1, MS + Duration::from_nanos(1))] {
            assert!(WindowSpec::new(limit, period).is_ok(), "{limit} in {period:?}");
        }
        for (limit, period) in [
            (0, MS),
            (1, Duration::ZERO),
            (1, Duration::from_micros(999)),
            (1, LONGEST + Duration::from_nanos(1)),
        ] {
            assert_eq!(
                WindowSpec::new(limit, period),
                Err(OpenError::InvalidArgument),
                "{limit} in {period:?}"
            );
        }
    }

    #[test]
    fn spec_period_rounds_up_and_has_at_most_1024_steps() {
        for (period, whole, step) in [
            (MS, 1, 1),
            (Duration::from_micros(1_001), 2, 1),
            (Duration::from_millis(1024), 1024, 1),
            (Duration::from_millis(1025), 1025, 2),
            (Duration::from_secs(60), 60_000, 59),
            (LONGEST, 604_800_000, 590_625),
        ] {
            let spec = WindowSpec::new(1, period).unwrap();
            assert_eq!((spec.period, spec.step), (whole, step), "{period:?}");
        }
    }
}
