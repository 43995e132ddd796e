//! Many cases, several at once, each reproducible by its number.

use std::env;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use parking_lot::Mutex;

use super::judge::Wrong;
use super::report::report;

/// Which cases are run.
pub(crate) struct Campaign {
    pub(crate) seed: u64,
    cases: usize,
    only: Option<usize>,
}

/// A case that was run.
pub(crate) struct Outcome {
    /// What was sent and what came of it, in lines for people.
    pub(crate) story: String,
    pub(crate) judged: Result<(), Wrong>,
}

/// Runs cases one after the other.
pub(crate) trait Lane {
    /// Runs the case of a number.
    fn run(&mut self, number: usize) -> Outcome;

    /// What must hold when there is nothing more to run.
    fn end(self);
}

/// How many lanes there are. Most of the time each waits.
const LANES: usize = 6;

/// How many cases are run of either kind, if the environment does not say.
const CASES: usize = 1000;

/// Any will do; it has to be the same each time.
const SEED: u64 = 14;

impl Campaign {
    /// `PACE_WIRE_SEED`, `PACE_WIRE_CASES` and `PACE_WIRE_CASE` in place of what is run otherwise.
    pub(crate) fn from_environment() -> Campaign {
        Campaign {
            seed: variable("PACE_WIRE_SEED").unwrap_or(SEED),
            cases: variable("PACE_WIRE_CASES").map_or(CASES, |cases| cases as usize),
            only: variable("PACE_WIRE_CASE").map(|number| number as usize),
        }
    }

    /// Runs all cases. `test` is the test that does, by its path.
    ///
    /// # Panics
    ///
    /// If one went wrong, with one example of each kind and how to run it alone.
    pub(crate) fn run<L: Lane>(&self, test: &str, lane: impl Fn() -> L + Sync) {
        let (first, end) = self.only.map_or((0, self.cases), |number| (number, number + 1));
        let next = AtomicUsize::new(first);
        let failures = Mutex::new(Vec::new());
        thread::scope(|scope| {
            for _ in 0..LANES.min(end - first) {
                scope.spawn(|| {
                    let mut lane = lane();
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= end {
                            return lane.end();
                        }
                        let outcome = lane.run(number);
                        if self.only.is_some() {
                            println!("case {number}:\n{}", outcome.story);
                        }
                        if let Err(wrong) = outcome.judged {
                            failures.lock().push((number, outcome.story, wrong));
                        }
                    }
                });
            }
        });
        let failures = failures.into_inner();
        let alone = format!(
            "PACE_WIRE_SEED={} PACE_WIRE_CASE=NUMBER cargo test -p pace-tests --test all {test}",
            self.seed
        );
        assert!(failures.is_empty(), "{}", report(failures, &alone));
    }
}

fn variable(name: &str) -> Option<u64> {
    let value = env::var(name).ok()?;
    let number = value.parse();
    Some(number.unwrap_or_else(|_| panic!("{name} is a number, not {value:?}")))
}
