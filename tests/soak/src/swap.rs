//! Swaps plugins while the proxy serves, and checks the effect.

use super::fleet::Fleet;
use super::journal::Journal;
use super::operator::{Means, Operator};
use super::place::Way;
use super::spoil::{Spoiler, Spoils};
use anyhow::{Context, Result};
use pace_kit::Pace;
use std::thread;
use std::time::{Duration, Instant};

/// The average time from one swap to the next.
const INTERVAL: Duration = Duration::from_millis(300);

/// The most delay that is made up for: more would bring many swaps at once.
const MAX_BEHIND: Duration = INTERVAL.saturating_mul(5);

/// One in this many swaps is replaced by bad files, which take as long as they take.
const BAD: u64 = 10;

/// The means of swapping, which each plugin goes through in turn.
const MEANS: [Means; 10] = [
    Means::File(Way::InPlace),
    Means::File(Way::Rename),
    Means::PutBack,
    Means::Post,
    Means::File(Way::Symlink),
    Means::RollBack,
    // The first swap may make the link into the directory; the second only changes the directory.
    Means::File(Way::Directory),
    Means::File(Way::Directory),
    Means::HangUp,
    Means::PutBack,
];

/// The results of the swaps.
#[derive(Default)]
pub(crate) struct Swaps {
    pub(crate) good: u64,
    /// Swaps to a version that had not served before.
    pub(crate) new: u64,
    /// The time that all swaps took, with the rest after each.
    pub(crate) took: Duration,
    /// The longest time from the beginning of a swap until its version was seen to serve.
    pub(crate) slowest: Duration,
    pub(crate) bad: Spoils,
    /// The reason why swapping ended early.
    pub(crate) unexpected: Option<String>,
}

impl Swaps {
    /// The mean time from one swap to the next, without the intervals that had bad files.
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
    /// The time spent on swaps so far.
    spent: Duration,
    /// The delay compared with [`INTERVAL`]. Swaps that take less reduce it.
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

    /// Swaps until `deadline`, and then mends what is broken. Ends early, and does nothing from then on, if
    /// the proxy does not do what it should.
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
            // Where the proxy has no time to compile so many versions, compiled ones make up for it.
            _ if *behind >= INTERVAL / 2 => [Means::PutBack, Means::RollBack][step as usize % 2],
            other => other,
        };
        let means = match means {
            // A rollback would leave the bad file in place.
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
