//! Many cases, several at once, each reproducible by its number.

use std::collections::BTreeMap;
use std::env;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use parking_lot::Mutex;

use super::judge::Wrong;

/// Which cases are run. The environment has the last word.
pub(crate) struct Campaign {
    pub(crate) seed: u64,
    cases: usize,
    only: Option<usize>,
}

/// A case that went wrong.
pub(crate) struct Failure {
    pub(crate) wrong: Wrong,
    /// What was sent, and how, for people.
    pub(crate) story: String,
}

/// Runs cases one after the other.
pub(crate) trait Lane {
    /// Runs the case of a number.
    fn run(&mut self, number: usize) -> Result<(), Failure>;

    /// What must hold when there is nothing more to run.
    fn end(self);
}

/// How many lanes there are. Most of the time each waits.
const LANES: usize = 6;

/// How many cases are run of either kind.
const CASES: usize = 1000;

const SEED: u64 = 14;

impl Campaign {
    /// `PACE_WIRE_SEED`, `PACE_WIRE_CASES` and `PACE_WIRE_CASE` in place of what is run otherwise.
    pub(crate) fn from_environment() -> Campaign {
        let number = |name: &str| {
            let value = env::var(name).ok()?;
            Some(
                value
                    .parse()
                    .unwrap_or_else(|_| panic!("{name} is a number, not {value:?}")),
            )
        };
        Campaign {
            seed: number("PACE_WIRE_SEED").map_or(SEED, |seed: usize| seed as u64),
            cases: number("PACE_WIRE_CASES").unwrap_or(CASES),
            only: number("PACE_WIRE_CASE"),
        }
    }

    /// Runs all cases. `test` is the test that does, by its path.
    ///
    /// # Panics
    ///
    /// If one went wrong, with one example of each kind and how to run it alone.
    pub(crate) fn run<L: Lane>(&self, test: &str, lane: impl Fn() -> L + Sync) {
        let (next, end) = match self.only {
            Some(number) => (number, number + 1),
            None => (0, self.cases),
        };
        let next = AtomicUsize::new(next);
        let failures = Mutex::new(Vec::new());
        thread::scope(|scope| {
            for _ in 0..LANES.min(end) {
                scope.spawn(|| {
                    let mut lane = lane();
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= end {
                            break;
                        }
                        if let Err(failure) = lane.run(number) {
                            failures.lock().push((number, failure));
                        }
                    }
                    lane.end();
                });
            }
        });
        let failures = failures.into_inner();
        assert!(failures.is_empty(), "{}", self.report(test, failures));
    }

    fn report(&self, test: &str, mut failures: Vec<(usize, Failure)>) -> String {
        failures.sort_by_key(|(number, _)| *number);
        let count = failures.len();
        let mut kinds: BTreeMap<String, Vec<(usize, Failure)>> = BTreeMap::new();
        for (number, failure) in failures {
            kinds
                .entry(failure.wrong.kind.clone())
                .or_default()
                .push((number, failure));
        }
        let mut report = format!("{count} cases went wrong in {} ways\n", kinds.len());
        for (kind, failures) in &kinds {
            let _ = writeln!(report, "{:6} {kind}", failures.len());
        }
        for (kind, failures) in kinds {
            // The shortest example shows the most.
            let shortest = failures.iter().min_by_key(|(_, failure)| failure.story.len());
            let Some((number, failure)) = shortest else {
                continue;
            };
            let seed = self.seed;
            let numbers: Vec<String> = failures
                .iter()
                .take(12)
                .map(|(number, _)| number.to_string())
                .collect();
            let _ = write!(
                report,
                "\n== {kind}\n   {} cases: {}\n{}   seen: {}\n   alone: PACE_WIRE_SEED={seed} PACE_WIRE_CASE={number} \
                 cargo test -p pace-tests --test all {test}\n",
                failures.len(),
                numbers.join(" "),
                failure.story,
                failure.wrong.detail,
            );
        }
        report
    }
}

/// Bytes as text, with their escapes. What is repeated is counted.
pub(crate) fn shown(bytes: &[u8]) -> String {
    let mut text = String::new();
    for run in bytes.chunk_by(|a, b| a == b) {
        match run {
            [byte, ..] if run.len() > 24 => {
                let _ = write!(text, "{}<{} times>", [*byte].escape_ascii(), run.len());
            }
            run => {
                let _ = write!(text, "{}", run.escape_ascii());
            }
        }
    }
    text
}
