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
//! | capacity | a closed loop shows how many requests the machine can answer, and a paced one what they cost it |
//! | warm-up | some swaps at 70 % of what it can do, so that what is built once is built |
//! | before | the same load without swaps, and the memory that is resident |
//! | swaps | the same load in blocks: a swap every 300 ms, and bad files after nine of them; then a moment without |
//! | after | as before |
//!
//! A version that was there before is compiled already. Some swaps are to such a one, and more of them where there is not
//! the time to compile one every 300 ms.
//!
//! The load is looked at in slices of the same length. A slow moment of the machine spoils a slice, and it is as likely
//! to be one with swaps as one without, so medians of the two can be compared.
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
mod memory;
mod modules;
mod operator;
mod origin;
mod place;
mod plan;
mod processors;
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
use journal::Journal;
use ledger::Ledger;
use memory::Samples;
use plan::Plan;
use processors::Times;
use report::{Report, THOROUGH};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use subject::{SWAPPED, Subject};
use swap::{Swapper, Swaps};
use traffic::Drive;

/// How much of the capacity is used: at most this share of the requests that a closed loop gets answered, and of the
/// machine's processors. Requests that come by themselves find more threads asleep than those of a closed loop, which
/// makes each of them dearer: 70 % of the requests can be 90 % of the work.
const LOAD: f64 = 0.7;

/// How often the load is measured and changed, at most, before it is taken as it is.
const TRIES: u32 = 3;

/// How close to [`LOAD`] is close enough.
const CLOSE: f64 = 0.02;

/// At least so much of the capacity is used, also if others use the machine.
const LEAST_LOAD: f64 = 0.2;

/// How exact the times are.
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
    let (generations, stamps) = fleet.generations();
    let world = World {
        address: subject.listen,
        ledger,
        journal: Journal::new(generations, stamps, Instant::now()),
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
        slices: found.slices,
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
    slices: Slices,
    limiter: limiter::Counts,
    swaps: Swaps,
    /// Before and after the swaps.
    memory: [Samples; 2],
}

/// The p99 of each slice.
#[derive(Default)]
pub(crate) struct Slices {
    pub(crate) steady: Vec<Duration>,
    pub(crate) swapping: Vec<Duration>,
    /// The share of their time for which processors were busy in the first of `steady`.
    pub(crate) busy: f64,
}

fn phases(
    plan: &Plan,
    seed: u64,
    world: &World,
    subject: &Subject,
    swapper: &mut Swapper<'_>,
) -> Result<Found> {
    let (capacity, rate) = rate(world, plan, seed)?;
    println!("capacity {capacity:.0} requests/s; from now on {rate:.0}");
    let mut run = Run {
        plan,
        world,
        subject,
        drive: Drive::Paced(rate),
        seed,
        slices: Slices::default(),
    };
    let mut swaps = Swaps::default();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let limiter = scope.spawn(|| limiter::watch(world, &stop));
        let found = run.all(swapper, &mut swaps);
        stop.store(true, Ordering::Relaxed);
        let limiter = limiter
            .join()
            .map_err(|_| anyhow!("the limiter's watcher failed"))?;
        Ok(Found {
            memory: found?,
            slices: run.slices,
            limiter,
            swaps,
        })
    })
}

/// How many requests there can be in a second, and how many there shall be.
fn rate(world: &World, plan: &Plan, seed: u64) -> Result<(f64, f64)> {
    let time = plan.capacity / (1 + TRIES);
    let capacity = traffic::mixed(world, Drive::Closed, time, seed).per_second();
    let mut rate = capacity * LOAD;
    if rate < 1.0 {
        bail!(
            "the proxy answers next to nothing: {:?}",
            world.ledger.close().remarks
        );
    }
    // With fewer requests each is dearer again, and others may use the machine for a moment, so once is not enough.
    for _ in 0..TRIES {
        let before = Times::now()?;
        traffic::mixed(world, Drive::Paced(rate), time, seed);
        let busy = Times::now()?.busy_since(before);
        println!(
            "{rate:.0} requests/s keep processors busy for {:.0} % of the time",
            busy * 100.0
        );
        if (busy - LOAD).abs() < CLOSE {
            break;
        }
        rate = (rate * LOAD / busy).clamp(capacity * LEAST_LOAD, capacity * LOAD);
    }
    Ok((capacity, rate))
}

/// The load, slice by slice.
struct Run<'a> {
    plan: &'a Plan,
    world: &'a World,
    subject: &'a Subject,
    drive: Drive,
    /// Of the last slice.
    seed: u64,
    slices: Slices,
}

impl Run<'_> {
    /// From the warm-up to the end. What was resident before and after.
    fn all(&mut self, swapper: &mut Swapper<'_>, swaps: &mut Swaps) -> Result<[Samples; 2]> {
        self.swapping(swapper, swaps, self.plan.warm_up)?;
        self.slices = Slices::default();
        let since = Times::now()?;
        let before = self.measured()?;
        self.slices.busy = Times::now()?.busy_since(since);
        println!("{} times swapping and not", self.plan.blocks);
        for _ in 0..self.plan.blocks {
            self.swapping(swapper, swaps, self.plan.swapping * self.plan.slice)?;
            self.steady();
        }
        Ok([before, self.measured()?])
    }

    /// Nothing but load, and what is resident meanwhile.
    fn measured(&mut self) -> Result<Samples> {
        for _ in 0..self.plan.settle {
            self.steady();
        }
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let samples = scope.spawn(|| memory::watch(self.subject, &stop));
            let slices: Vec<Duration> = (1..=self.plan.measured)
                .map(|number| self.slice(number))
                .collect();
            stop.store(true, Ordering::Relaxed);
            self.seed += u64::from(self.plan.measured);
            self.slices.steady.extend(slices);
            samples
                .join()
                .map_err(|_| anyhow!("the memory's watcher failed"))?
        })
    }

    fn steady(&mut self) {
        let p99 = self.slice(1);
        self.seed += 1;
        self.slices.steady.push(p99);
    }

    /// Load and swaps at the same time. The load lasts until the last file that is bad is mended, which is not
    /// looked at any more.
    fn swapping(&mut self, swapper: &mut Swapper<'_>, swaps: &mut Swaps, duration: Duration) -> Result<()> {
        let deadline = Instant::now() + duration;
        thread::scope(|scope| {
            let swapper = scope.spawn(move || swapper.run(deadline, swaps));
            let mut number = 0;
            while !swapper.is_finished() {
                let whole = Instant::now() + self.plan.slice <= deadline + A_MOMENT;
                number += 1;
                let p99 = self.slice(number);
                if whole {
                    self.slices.swapping.push(p99);
                }
            }
            self.seed += u64::from(number);
            swapper.join().map_err(|_| anyhow!("the swapper failed"))
        })
    }

    fn slice(&self, number: u32) -> Duration {
        let seed = self.seed + u64::from(number);
        let load = traffic::mixed(self.world, self.drive, self.plan.slice, seed);
        load.latencies.quantile(0.99)
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
