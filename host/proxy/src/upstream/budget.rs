//! How many further attempts a pool may have.

use std::sync::atomic::{AtomicI64, Ordering};

/// Bounds further attempts by a share of the first ones: when all backends fail, as many attempts as are configured for each
/// request would be that many times the load, just when it cannot be borne (as in Finagle's and linkerd's retry budgets).
///
/// Each first attempt adds a share to what is left, each further one takes a whole. Some are always there, so that a pool with
/// few requests has its attempts.
#[derive(Debug)]
pub struct RetryBudget {
    /// What a first attempt adds, in hundredths of an attempt.
    percent: i64,
    /// Hundredths of an attempt.
    left: AtomicI64,
}

/// Attempts that are there without any request before, and that come back with others.
const RESERVE: i64 = 10;

/// Attempts that can be saved up.
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

    /// A first attempt is made.
    pub fn first(&self) {
        // It may be passed by as many as there are workers.
        if self.left.load(Ordering::Relaxed) < MOST * WHOLE {
            self.left.fetch_add(self.percent, Ordering::Relaxed);
        }
    }

    /// Takes a further attempt. Says whether there is one.
    pub fn take(&self) -> bool {
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
        (0..).take_while(|_| budget.take()).count()
    }

    #[test]
    fn further_attempts_are_a_share_of_the_first_ones() {
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
    fn budget_of_nothing_has_no_further_attempt() {
        let budget = RetryBudget::new(0);
        budget.first();
        assert_eq!(taken(&budget), 0);
    }
}
