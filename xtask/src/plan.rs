//! The plan of a build: its steps, and how long they take.

use crate::cargo::{self, Profile};
use anyhow::Result;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

/// The steps of a build that are still to be done.
pub(crate) struct Plan {
    /// Each step's product, and how long it took from nothing on [`MEASURED_ON`] cores.
    steps: Vec<(&'static str, Duration)>,
    done: usize,
}

/// The number of cores on which the times were measured.
const MEASURED_ON: u32 = 2;

const PLUGINS: Duration = Duration::from_secs(70);

impl Plan {
    /// The steps until Pace can be started.
    pub(crate) fn of(profile: Profile) -> Plan {
        let (pace, minutes) = match profile {
            Profile::Dev => ("Pace, with every check", 5),
            Profile::Quick => (
                "Pace, for trying: `--release` builds what performance is measured with",
                5,
            ),
            Profile::Release => ("Pace, as users run it", 16),
        };
        Plan {
            steps: vec![
                ("the default plugins, as WebAssembly", PLUGINS),
                (pace, Duration::from_secs(60 * minutes)),
            ],
            done: 0,
        }
    }

    /// Prints the plan before anything is built.
    pub(crate) fn tell(&self) {
        println!("In {}:", cargo::root().display());
        for (number, (what, time)) in (1..).zip(&self.steps) {
            println!("  {number}. build {what}: {}", about(*time));
        }
        println!(
            "  {}. start it before two backends\n\
             These are times from nothing. What was built before is not built again.",
            self.steps.len() + 1
        );
    }

    /// Does the next step, and prints its name, how long it took, and how long the others will take.
    pub(crate) fn step<T>(&mut self, action: impl FnOnce() -> Result<T>) -> Result<T> {
        let (what, time) = self.steps[self.done];
        let (number, all) = (self.done + 1, self.steps.len());
        println!("\nStep {number} of {all}: {what}, {} from nothing.", about(time));
        let start = Instant::now();
        let made = action()?;
        self.done += 1;
        let left: Duration = self.steps[self.done..].iter().map(|(_, time)| *time).sum();
        let left = if left.is_zero() {
            String::new()
        } else {
            format!("; {} to go", about(left))
        };
        println!("Done in {} s{left}.", start.elapsed().as_secs());
        Ok(made)
    }
}

/// Estimates a measured time for this machine. More cores help only as far as crates are compiled side by
/// side.
fn about(time: Duration) -> String {
    const MOST: u32 = 8;
    let cores = available_parallelism().map_or(MEASURED_ON, |cores| cores.get() as u32);
    in_words(time * MEASURED_ON / cores.clamp(1, MOST))
}

fn in_words(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..90 => format!("about {} s", seconds.next_multiple_of(5)),
        seconds => format!("about {} min", seconds.div_ceil(60)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_shown_in_seconds_or_minutes() {
        let words = |seconds| in_words(Duration::from_secs(seconds));
        assert_eq!(words(11), "about 15 s");
        assert_eq!(words(89), "about 90 s");
        assert_eq!(words(90), "about 2 min");
        assert_eq!(words(300), "about 5 min");
    }
}
