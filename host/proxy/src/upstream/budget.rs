//! The retry budget: how many further attempts a pool may have.

use std::sync::atomic::{AtomicI64, Ordering};

/// Bounds the further attempts of a pool by a share of the first ones, as the retry budgets of Finagle and linkerd do. When
/// all backends fail, the attempts configured for each request would multiply the load just when it cannot be borne.
///
/// Each first attempt adds a share of an attempt, each further one takes a whole. The budget starts with a reserve, so that
/// a pool with few requests has its attempts. An attempt that follows one without a connection takes nothing: no backend has
/// had the request before, so the load is not multiplied, and all requests of a backend that is down can be served by others.
#[derive(Debug)]
pub struct RetryBudget {
    /// The share that a first attempt adds, in hundredths of an attempt.
    percent: i64,
    /// The further attempts left, in hundredths of an attempt.
    left: AtomicI64,
}

/// The attempt before a further one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Before {
    /// The backend may have got some of the request.
    Reached,
    /// There was no connection to the backend.
    NotReached,
}

/// The attempts that the budget starts with. Once used, they come back with the shares of first attempts.
const RESERVE: i64 = 10;

/// The most attempts that can be saved up.
const MOST: i64 = 1000;

const WHOLE: i64 = 100;

impl RetryBudget {
    /// A budget of so many further attempts for each hundred first ones; none for 0.
    pub fn new(percent: u32) -> RetryBudget {
        let reserve = match percent {
            0 => 0,
            _ => RESERVE * WHOLE,
        };
        RetryBudget {
            percent: percent.into(),
            left: AtomicI64::new(reserve),
        }
    }

    /// A budget with another share, which has as many attempts left as this one. One that had no share begins with its reserve.
    pub fn with_percent(&self, percent: u32) -> RetryBudget {
        let budget = RetryBudget::new(percent);
        if percent > 0 && self.percent > 0 {
            budget
                .left
                .store(self.left.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        budget
    }

    /// Adds the share of a first attempt.
    pub fn first(&self) {
        // Workers that add at once may exceed the limit by one share each.
        if self.left.load(Ordering::Relaxed) < MOST * WHOLE {
            self.left.fetch_add(self.percent, Ordering::Relaxed);
        }
    }

    /// Takes a further attempt. Returns whether there was one left.
    pub fn take(&self, after: Before) -> bool {
        match after {
            Before::Reached => self.take_whole(),
            Before::NotReached => self.percent > 0,
        }
    }

    fn take_whole(&self) -> bool {
        let taken = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                (left >= WHOLE).then_some(left - WHOLE)
            });
        taken.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(budget: &RetryBudget) -> usize {
        (0..).take_while(|_| budget.take(Before::Reached)).count()
    }

    #[test]
    fn budget_grants_a_share_of_the_first_attempts() {
        let budget = RetryBudget::new(20);
        assert_eq!(taken(&budget), 10, "the reserve");
        for _ in 0..100 {
            budget.first();
        }
        assert_eq!(taken(&budget), 20);
        for _ in 0..1_000_000 {
            budget.first();
        }
        assert_eq!(taken(&budget), 1000, "no more can be saved up");
    }

    #[test]
    fn budget_outlives_a_change_of_its_share() {
        let budget = RetryBudget::new(20);
        for _ in 0..100 {
            budget.first();
        }
        assert_eq!(taken(&budget.with_percent(10)), 10 + 20);
        assert_eq!(taken(&budget.with_percent(0)), 0);
        assert_eq!(taken(&RetryBudget::new(0).with_percent(20)), 10, "the reserve");
        assert_eq!(taken(&budget), 10 + 20);
        assert_eq!(
            taken(&budget.with_percent(20)),
            0,
            "no reload gives another reserve"
        );
    }

    #[test]
    fn attempt_after_one_without_connection_takes_nothing() {
        let budget = RetryBudget::new(20);
        assert_eq!(taken(&budget), 10);
        assert!((0..1000).all(|_| budget.take(Before::NotReached)));
        assert_eq!(taken(&budget), 0);
    }

    #[test]
    fn budget_of_zero_percent_grants_no_further_attempt() {
        let budget = RetryBudget::new(0);
        budget.first();
        assert_eq!(taken(&budget), 0);
        assert!(!budget.take(Before::NotReached));
    }
}
