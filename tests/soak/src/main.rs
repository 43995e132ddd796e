//! `cargo xtask soak`: plugins are swapped under load for as long as one likes.
//!
//! ```text
//! clients ──▶ proxy ──▶ backends       every request has a number; a ledger compares what its
//!    │          ▲          │           client got with what the backends received
//!    └─ ledger ─┼──────────┘
//!       journal ┘ swapper              which versions served when, compared with what responses say
//! ```
//!
//! | phase | |
//! |---|---|
//! | capacity | a closed loop measures how many requests the machine can answer, and a paced one what they cost it |
//! | warm-up | some swaps at 70 % of the capacity, so that everything that is built once is built |
//! | before | the same load without swaps, and the memory that is resident |
//! | swaps | the same load in blocks: a swap every 300 ms, and bad files after nine of them; then a moment without |
//! | after | as before |
//!
//! A version that served before is compiled already. Some swaps are to such a version, and more of them where
//! there is no time to compile one every 300 ms.
//!
//! The load is measured in slices of the same length. A slow moment of the machine spoils a slice, which is
//! as likely to be one with swaps as one without, so medians of the two can be compared.
//!
//! Downloads and uploads that last for several swaps, by slow clients and backends, upgraded connections, and
//! requests that make plugins misbehave on routes of their own, go on all the time.

mod admin;
mod backends;
mod bad;
mod client;
mod digest;
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
mod phases;
mod place;
mod plan;
mod processors;
mod random;
mod report;
mod setting;
mod spoil;
mod swap;
mod traffic;
mod tunnel;
mod versions;

use anyhow::{Context, Error, Result, ensure};
use clap::Parser;
use exchange::World;
use fleet::Fleet;
use journal::Journal;
use ledger::Ledger;
use pace_kit::{Exit, Pace, Profile, Setup, ask_within};
use plan::Plan;
use report::{Report, THOROUGH};
use setting::SWAPPED;
use std::fs;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use swap::Swapper;

/// How long the proxy may take until it serves, which includes compiling its plugins.
const START_LIMIT: Duration = Duration::from_secs(60);

/// More than the proxy gives its requests to finish, with its default grace period of 10 s.
const END_LIMIT: Duration = Duration::from_secs(15);

/// Swap plugins under load, and check that nothing is lost
///
/// Good and bad files, by every way of replacing one, while clients ask for 70 % of what the machine can do and other
/// plugins misbehave. Prints a Markdown table; fails if a request was lost, doubled or served by a mixture of
/// versions, if a limit was not exact, if a bad file was taken or not all kinds were tried, or if files, sockets or
/// memory leaked. A run shorter than a minute does not judge what needs time: the kinds of bad files and memory.
#[derive(Parser)]
#[command(name = "cargo xtask soak", bin_name = "cargo xtask soak")]
struct Args {
    /// The duration, without what is built and compiled before
    #[arg(long, value_name = "N", default_value_t = 60, conflicts_with = "hours", value_parser = clap::value_parser!(u64).range(5..=604_800))]
    seconds: u64,

    /// The duration in hours
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=168))]
    hours: Option<u64>,

    /// The profile of the proxy: dev, release, or another one of cargo's
    #[arg(long, value_name = "PROFILE", default_value_t = Profile::release())]
    profile: Profile,

    /// A number that determines requests and bad files, which are the same in every run with it
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,

    /// Print the programs to build, and do nothing else
    #[arg(long, hide = true)]
    needs: bool,
}

impl Args {
    fn total(&self) -> Duration {
        Duration::from_secs(self.hours.map_or(self.seconds, |hours| hours * 3600))
    }
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Puts the proxy under load and prints the report; an error unless everything holds.
fn run(args: &Args) -> Result<()> {
    if args.needs {
        println!("{}", args.profile.need("pace", "--bin pace"));
        return Ok(());
    }
    let seconds = args.total().as_secs();
    println!(
        "cargo xtask soak --seconds {seconds} --profile {} --seed {}",
        args.profile, args.seed
    );
    let program = args.profile.program("pace").map_err(Error::msg)?;
    let ledger = Arc::new(Ledger::new());
    let backends = [backends::start(&ledger), backends::start(&ledger)];
    let echo = tunnel::start(&ledger)?;
    let setup = Setup::of(&program);
    let fleet = Fleet::prepare(setup.directory())?;
    let urls = [backends[0].url(), backends[1].url()];
    let pace = setup
        .args(["run"])
        .config(&setting::configuration(urls, echo, &fleet.pinned.version.sha256))
        .start_within(START_LIMIT)
        .map_err(Error::msg)?;
    let report = soak(args, &pace, ledger, fleet);
    let exit = pace.end_within(END_LIMIT);
    let holds = report.map(|report| {
        let report = Report {
            end: (exit.code != Some(0)).then(|| format!("{:?}", exit.code)),
            ..report
        };
        println!("\n{report}");
        report.holds()
    });
    if !matches!(holds, Ok(true)) {
        keep_log(&exit)?;
    }
    ensure!(holds?, "not everything holds");
    Ok(())
}

/// Runs every phase but the end of the proxy.
fn soak(args: &Args, pace: &Pace, ledger: Arc<Ledger>, fleet: Fleet) -> Result<Report> {
    // A compiled plugin keeps the initial content of its memory in an open file, and each plugin's previous
    // version is kept.
    let allowed = descriptors(pace)? + SWAPPED.len();
    let (generations, stamps) = fleet.generations();
    let world = World {
        address: pace.address(),
        ledger,
        journal: Journal::new(generations, stamps, Instant::now()),
    };
    let mut swapper = Swapper::new(pace, &world.journal, fleet, args.seed)?;
    let stop = AtomicBool::new(false);
    let found = thread::scope(|scope| {
        scope.spawn(|| traffic::downloads(&world, &stop));
        scope.spawn(|| traffic::uploads(&world, &stop));
        scope.spawn(|| tunnel::tunnels(&world, &stop, args.seed));
        scope.spawn(|| traffic::misbehaviour(&world, &stop));
        let plan = Plan::of(args.total());
        let found = phases::run(&plan, args.seed, &world, pace, &mut swapper);
        stop.store(true, Ordering::Relaxed);
        found
    })?;
    let left_open = left_open(pace, allowed)?;
    Ok(Report {
        tally: world.ledger.close(),
        generations: world.journal.close(),
        limiter: found.limiter,
        swaps: found.swaps,
        slices: found.slices,
        memory: found.memory,
        descriptors: [allowed, left_open],
        end: None,
        thorough: args.total() >= THOROUGH,
    })
}

/// Counts files and sockets that are still open without requests, after idle connections have timed out.
fn left_open(pace: &Pace, allowed: usize) -> Result<usize> {
    let mut open = descriptors(pace)?;
    ask_within(5 * setting::IDLE_TIMEOUT, || match descriptors(pace) {
        Ok(now) => {
            open = now;
            (now <= allowed).then_some(Ok(()))
        }
        Err(error) => Some(Err(error)),
    })
    .unwrap_or(Ok(()))?;
    Ok(open)
}

fn descriptors(pace: &Pace) -> Result<usize> {
    pace.process().descriptors().context("the proxy has ended")
}

/// Keeps the proxy's log for the analysis of a failure.
fn keep_log(exit: &Exit) -> Result<()> {
    let file = tempfile::Builder::new()
        .prefix("pace-soak-")
        .suffix(".log")
        .tempfile()?;
    fs::write(file.path(), &exit.stderr)?;
    let (_, kept) = file.keep()?;
    eprintln!("the proxy's log is {}", kept.display());
    Ok(())
}
