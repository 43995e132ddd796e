//! A campaign: many cases, several at once, each reproducible by its number.

use std::env;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use parking_lot::Mutex;

use super::judge::Wrong;
use super::report::report;

/// The cases to run.
pub(crate) struct Campaign {
    pub(crate) seed: u64,
    cases: usize,
    only: Option<usize>,
}

/// A finished case.
pub(crate) struct Outcome {
    /// The messages sent and received, in lines for people.
    pub(crate) story: String,
    pub(crate) judged: Result<(), Wrong>,
}

/// Runs cases one after the other.
pub(crate) trait Lane {
    /// Runs the case of a number.
    fn run(&mut self, number: usize) -> Outcome;

    /// Checks what must hold when there are no more cases.
    fn end(self);
}

/// The number of lanes, each of which waits most of the time.
const LANES: usize = 6;

/// The number of cases of either kind, unless the environment has another.
const CASES: usize = 1000;

/// Any seed will do; it has to be the same each time.
const SEED: u64 = 14;

impl Campaign {
    /// Reads `PACE_WIRE_SEED`, `PACE_WIRE_CASES` and `PACE_WIRE_CASE`, which replace the defaults.
    pub(crate) fn from_environment() -> Campaign {
        Campaign {
            seed: variable("PACE_WIRE_SEED").unwrap_or(SEED),
            cases: variable("PACE_WIRE_CASES").map_or(CASES, |cases| cases as usize),
            only: variable("PACE_WIRE_CASE").map(|number| number as usize),
        }
    }

    /// Runs all cases. `test` is the path of the calling test.
    ///
    /// # Panics
    ///
    /// If a case fails, with one example of each kind of failure and the command that runs it alone.
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
