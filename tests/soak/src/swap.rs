//! Swaps plugins while the proxy serves, and sees what it makes of that.

use super::fleet::Fleet;
use super::journal::Journal;
use super::operator::{Means, Operator};
use super::place::Way;
use super::spoil::{Spoiler, Spoils};
use anyhow::{Context, Result};
use pace_kit::Pace;
use std::thread;
use std::time::{Duration, Instant};

/// From one swap to the next, on average.
const INTERVAL: Duration = Duration::from_millis(300);

/// More than that is not made up for: there would be many at once.
const MAX_BEHIND: Duration = INTERVAL.saturating_mul(5);

/// Instead of one swap of so many there are bad files, which take as long as they take.
const BAD: u64 = 10;

/// Each plugin's turn goes through all of them.
const MEANS: [Means; 10] = [
    Means::File(Way::InPlace),
    Means::File(Way::Rename),
    Means::PutBack,
    Means::Post,
    Means::File(Way::Symlink),
    Means::RollBack,
    // The first may make the link into the directory, the second only changes the directory.
    Means::File(Way::Directory),
    Means::File(Way::Directory),
    Means::HangUp,
    Means::PutBack,
];

/// What came of the swaps.
#[derive(Default)]
pub(crate) struct Swaps {
    pub(crate) good: u64,
    /// Those of them to a version that had not been there before.
    pub(crate) new: u64,
    /// How long these took, with the rest after each.
    pub(crate) took: Duration,
    /// From when a swap began until it was seen to serve.
    pub(crate) slowest: Duration,
    pub(crate) bad: Spoils,
    /// Why swapping ended before its time.
    pub(crate) unexpected: Option<String>,
}

impl Swaps {
    /// The mean time from one swap to the next, without those between which there were bad files.
    pub(crate) fn interval(&self) -> Duration {
        self.took
            .checked_div(u32::try_from(self.good).unwrap_or(u32::MAX))
            .unwrap_or_default()
    }
}

/// Swaps one plugin after another.
pub(crate) struct Swapper<'a> {
    operator: Operator<'a>,
    fleet: Fleet,
    spoiler: Spoiler,
    turn: u64,
    /// For how long it has swapped.
    spent: Duration,
    /// How much more time than [`INTERVAL`] swaps have taken. Those that take less make up for it.
    behind: Duration,
}

impl<'a> Swapper<'a> {
    pub(crate) fn new(pace: &'a Pace, journal: &'a Journal, fleet: Fleet, seed: u64) -> Result<Self> {
        Ok(Swapper {
            operator: Operator::new(pace, journal),
            fleet,
            spoiler: Spoiler::new(seed)?,
            turn: 0,
            spent: Duration::ZERO,
            behind: Duration::ZERO,
        })
    }

    /// Swaps until `deadline`, and then puts what is broken in order. Ends early, and does nothing any more,
    /// if the proxy does not do what it should.
    pub(crate) fn run(&mut self, deadline: Instant, swaps: &mut Swaps) {
        while swaps.unexpected.is_none() && (Instant::now() < deadline || !self.fleet.broken.is_empty()) {
            let (start, good) = (Instant::now(), swaps.good);
            if let Err(error) = self.swap(swaps) {
                swaps.unexpected = Some(format!("{error:#}"));
            }
            if swaps.good > good {
                let due = INTERVAL.saturating_sub(self.behind);
                thread::sleep(due.saturating_sub(start.elapsed()));
                let took = start.elapsed();
                self.behind = (self.behind + took).saturating_sub(INTERVAL).min(MAX_BEHIND);
                swaps.took += took;
            }
            self.spent += start.elapsed();
        }
    }

    fn swap(&mut self, swaps: &mut Swaps) -> Result<()> {
        self.turn += 1;
        let Swapper {
            operator,
            fleet,
            turn,
            behind,
            ..
        } = self;
        if turn.is_multiple_of(BAD) && fleet.broken.is_empty() {
            return self.spoiler.run(self.spent, fleet, operator, &mut swaps.bad);
        }
        let broken = fleet.broken.pop();
        let index = broken.unwrap_or(*turn as usize % fleet.swapped.len());
        let step = *turn / fleet.swapped.len() as u64 + index as u64;
        let means = match MEANS[step as usize % MEANS.len()] {
            // Where the proxy has not the time to compile so many, versions that it has compiled make up for it.
            _ if *behind >= INTERVAL / 2 => [Means::PutBack, Means::RollBack][step as usize % 2],
            other => other,
        };
        let means = match means {
            // It would leave the bad file where it is.
            Means::RollBack if broken.is_some() => Means::PutBack,
            other => other,
        };
        let start = Instant::now();
        let plugin = &mut fleet.swapped[index];
        let is_new = operator
            .replace(plugin, means)
            .with_context(|| format!("{} by {means:?}", plugin.name))?;
        swaps.new += u64::from(is_new);
        swaps.slowest = swaps.slowest.max(start.elapsed());
        swaps.good += 1;
        Ok(())
    }
}
