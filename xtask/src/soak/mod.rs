//! `cargo xtask soak`: plugins are swapped under load for as long as one likes.
//!
//! ```text
//! clients ──▶ proxy ──▶ origins        every request has a number; a ledger holds against each other
//!    │          ▲          │           what its client got and what the origins saw
//!    └─ ledger ─┼──────────┘
//!       journal ┘ swapper              which versions served when, held against what responses say
//! ```
//!
//! | phase | |
//! |---|---|
//! | capacity | a closed loop shows how much the machine can do |
//! | warm-up | some swaps at 70 % of that, so that what is built once is built |
//! | steady state | the same load without swaps: latency and memory to compare with |
//! | swaps | the same load, a swap every 300 ms, one in ten of them to bad files |
//!
//! Downloads that last for several swaps, and requests that make plugins misbehave on routes of their own,
//! go on all the time.

mod admin;
mod bad;
mod client;
mod exchange;
mod fleet;
mod histogram;
mod journal;
mod kinds;
mod ledger;
mod limiter;
mod modules;
mod operator;
mod origin;
mod place;
mod random;
mod report;
mod spoil;
mod subject;
mod swap;
mod traffic;
mod versions;

use crate::cargo::{self, Profile};
use crate::plugins::{self, Which};
use crate::prerequisites;
use anyhow::{Result, anyhow, bail};
use exchange::World;
use fleet::Fleet;
use histogram::Histogram;
use journal::Journal;
use ledger::Ledger;
use report::{MEMORY_BOUND, Report, THOROUGH};
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use subject::{SWAPPED, Subject};
use swap::{Swapper, Swaps};
use traffic::Drive;

/// How much of the capacity is used.
const LOAD: f64 = 0.7;

/// Enough for one swap to begin.
const A_MOMENT: Duration = Duration::from_millis(10);

#[derive(clap::Args)]
pub(crate) struct Args {
    /// How long it takes, without what is built and compiled before
    #[arg(long, value_name = "N", default_value_t = 60, conflicts_with = "hours", value_parser = clap::value_parser!(u64).range(5..=604_800))]
    seconds: u64,

    /// The same in hours
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=168))]
    hours: Option<u64>,

    /// How the proxy is built
    #[arg(long, value_enum, default_value_t = Profile::Release)]
    profile: Profile,

    /// What makes requests and bad files the same from run to run
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
}

impl Args {
    /// Some seconds of a proxy that the tests have built: whether anything is lost or mixed up.
    pub(crate) fn short() -> Args {
        Args {
            seconds: 12,
            hours: None,
            profile: Profile::Dev,
            seed: 1,
        }
    }

    /// What one types for it, apart from the seed.
    pub(crate) fn command(&self) -> String {
        let profile = match self.profile {
            Profile::Dev => "dev",
            Profile::Release => "release",
        };
        format!(
            "cargo xtask soak --seconds {} --profile {profile}",
            self.total().as_secs()
        )
    }

    fn total(&self) -> Duration {
        Duration::from_secs(self.hours.map_or(self.seconds, |hours| hours * 3600))
    }
}

/// How long each phase takes.
#[derive(Debug, PartialEq, Eq)]
struct Plan {
    capacity: Duration,
    warm_up: Duration,
    steady: Duration,
    swapping: Duration,
    /// At most, for memory that is no longer needed to be given back; nothing where nobody judges it.
    settle: Duration,
}

impl Plan {
    fn of(total: Duration) -> Plan {
        let part = |divisor, [least, most]: [u64; 2]| {
            (total / divisor).clamp(Duration::from_secs(least), Duration::from_secs(most))
        };
        let (capacity, warm_up) = (part(20, [1, 5]), part(8, [2, 30]));
        let steady = part(5, [1, 60]);
        Plan {
            capacity,
            warm_up,
            steady,
            swapping: total.saturating_sub(capacity + warm_up + steady),
            settle: match total < THOROUGH {
                true => Duration::ZERO,
                false => Duration::from_secs(60),
            },
        }
    }
}

/// Builds the proxy, puts it under load and prints what was found.
pub(crate) fn run(args: &Args) -> Result<()> {
    prerequisites::ensure()?;
    plugins::build(Which::All)?;
    let program = cargo::build_pace(args.profile)?;
    let directory = tempfile::tempdir()?;
    let outcome = soak(args, &program, directory.path());
    if !matches!(outcome, Ok(true)) {
        let kept = subject::log(&directory.keep());
        eprintln!("the proxy's log is {}", kept.display());
    }
    match outcome? {
        true => Ok(()),
        false => bail!("not everything holds"),
    }
}

/// True if everything holds.
fn soak(args: &Args, program: &Path, directory: &Path) -> Result<bool> {
    println!("{} --seed {}", args.command(), args.seed);
    let plan = Plan::of(args.total());

    let ledger = Arc::new(Ledger::new());
    let origins = [origin::start(&ledger)?, origin::start(&ledger)?];
    let fleet = Fleet::prepare(directory)?;
    let subject = Subject::start(program, directory, origins, &fleet.pinned.version.sha256)?;
    // A program has the first content of its memory as a file, and the version before is kept.
    let allowed = subject.descriptors()? + SWAPPED.len();
    let (generations, stamp) = fleet.generations();
    let world = World {
        address: subject.listen,
        ledger,
        journal: Journal::new(generations, stamp, Instant::now()),
    };
    let mut swapper = Swapper::new(&subject, &world.journal, fleet, args.seed)?;

    let stop = AtomicBool::new(false);
    let found = thread::scope(|scope| {
        scope.spawn(|| traffic::downloads(&world, &stop));
        scope.spawn(|| traffic::misbehaviour(&world, &stop));
        let found = phases(&plan, args.seed, &world, &subject, &mut swapper);
        stop.store(true, Ordering::Relaxed);
        found
    })?;
    let descriptors = [allowed, left_open(&subject, allowed)?];
    let report = Report {
        tally: world.ledger.close(),
        generations: world.journal.close(),
        limiter: found.limiter,
        swaps: found.swaps,
        steady: found.steady,
        swapping: found.swapping,
        memory: found.memory,
        descriptors,
        end: subject.end().err().map(|error| format!("{error:#}")),
        thorough: args.total() >= THOROUGH,
    };
    println!("\n{report}");
    Ok(report.holds())
}

/// What the phases leave for the report.
struct Found {
    steady: Histogram,
    swapping: Histogram,
    limiter: limiter::Counts,
    swaps: Swaps,
    /// In bytes, before and after the swaps.
    memory: [u64; 2],
}

fn phases(
    plan: &Plan,
    seed: u64,
    world: &World,
    subject: &Subject,
    swapper: &mut Swapper<'_>,
) -> Result<Found> {
    let capacity = traffic::mixed(world, Drive::Closed, plan.capacity, seed).per_second();
    let rate = capacity * LOAD;
    println!("capacity {capacity:.0} requests/s; from now on {rate:.0}");
    if rate < 1.0 {
        bail!(
            "the proxy answers next to nothing: {:?}",
            world.ledger.close().remarks
        );
    }
    let drive = Drive::Paced(rate);

    let mut swaps = Swaps::default();
    swapping(world, swapper, &mut swaps, drive, plan.warm_up, seed + 1)?;
    let steady = traffic::mixed(world, drive, plan.steady, seed + 2).latencies;
    let before = *resident(subject)?.end();
    println!("steady for {} s; now swapping", plan.steady.as_secs());

    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let limiter = scope.spawn(|| limiter::watch(world, &stop));
        let swapped = swapping(world, swapper, &mut swaps, drive, plan.swapping, seed + 3);
        stop.store(true, Ordering::Relaxed);
        let limiter = limiter
            .join()
            .map_err(|_| anyhow!("the limiter's watcher failed"))?;
        let swapping = swapped?;
        let after = settled(subject, swapper, &mut swaps, before, plan.settle)?;
        Ok(Found {
            steady,
            swapping,
            limiter,
            swaps,
            memory: [before, after],
        })
    })
}

/// Load and swaps at the same time.
fn swapping(
    world: &World,
    swapper: &mut Swapper<'_>,
    swaps: &mut Swaps,
    drive: Drive,
    duration: Duration,
    seed: u64,
) -> Result<Histogram> {
    thread::scope(|scope| {
        let deadline = Instant::now() + duration;
        let swapper = scope.spawn(move || swapper.run(deadline, swaps));
        let load = traffic::mixed(world, drive, duration, seed);
        swapper.join().map_err(|_| anyhow!("the swapper failed"))?;
        Ok(load.latencies)
    })
}

/// The least and the most memory that is resident within a second. The allocator gives back and takes again
/// all the time, up to a third of it while plugins are compiled.
fn resident(subject: &Subject) -> Result<RangeInclusive<u64>> {
    let (mut least, mut most) = (u64::MAX, 0);
    for _ in 0..10 {
        let now = subject.resident()?;
        (least, most) = (least.min(now), most.max(now));
        thread::sleep(Duration::from_millis(100));
    }
    Ok(least..=most)
}

/// The least memory that was resident after the swaps, if it takes so long to come below the bound. An
/// allocator gives back while it is used, so downloads and misbehaviour go on meanwhile, and now and then
/// there is a swap. What leaks stays above the bound, however long one waits.
fn settled(
    subject: &Subject,
    swapper: &mut Swapper<'_>,
    swaps: &mut Swaps,
    before: u64,
    limit: Duration,
) -> Result<u64> {
    let deadline = Instant::now() + limit;
    let mut least = u64::MAX;
    loop {
        least = least.min(*resident(subject)?.start());
        if least as f64 <= before as f64 * MEMORY_BOUND || Instant::now() >= deadline {
            return Ok(least);
        }
        swapper.run(Instant::now() + A_MOMENT, swaps);
    }
}

/// Files and sockets that are still open when nobody asks for anything, once idle connections have had their
/// time.
fn left_open(subject: &Subject, allowed: usize) -> Result<usize> {
    let deadline = Instant::now() + 5 * subject::IDLE_TIMEOUT;
    loop {
        let open = subject.descriptors()?;
        if open <= allowed || Instant::now() >= deadline {
            return Ok(open);
        }
        thread::sleep(A_MOMENT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn most_of_the_time_is_for_swaps() {
        let seconds = Duration::from_secs;
        let plan = Plan::of(seconds(60));
        assert_eq!(
            plan.capacity + plan.warm_up + plan.steady,
            Duration::from_millis(3000 + 7500 + 12_000)
        );
        assert_eq!(plan.swapping, Duration::from_millis(37_500));
        assert_eq!(Plan::of(seconds(3600)).swapping, seconds(3600 - 5 - 30 - 60));
        assert_eq!(Plan::of(seconds(5)).swapping, seconds(1));
        assert_eq!(Plan::of(seconds(12)).settle, Duration::ZERO);
    }
}
