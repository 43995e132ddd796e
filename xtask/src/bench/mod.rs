//! `cargo xtask bench`: what a request costs in each of several proxies.
//!
//! Each proxy has one worker and one core to itself; the load and the backends share another. The
//! proxies take turns, in an order that changes from round to round, so that a machine that gets
//! slower or faster meanwhile does so for all. Every turn starts a new process.
//!
//! The load is a closed loop: each connection sends its next request when the answer is complete.
//! The proxy is therefore always busy, and requests per second and CPU time per request say the same
//! from two sides; CPU time is the steadier of the two.

mod backend;
mod cores;
mod generator;
mod http;
mod report;
mod subject;

use crate::cargo::Profile;
use crate::plugins::{self, Which};
use crate::prerequisites;
use anyhow::{Context, Result, ensure};
use cores::Cores;
use generator::Generator;
use report::{Measurement, Report};
use std::net::SocketAddr;
use std::time::Duration;
use subject::Subject;

/// Long enough that connections to backends are open, caches filled and lazy parts built.
const WARM_UP: Duration = Duration::from_secs(1);

#[derive(clap::Args)]
pub(crate) struct Args {
    /// How often each proxy is measured
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,

    /// How long one measurement takes, in seconds
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,

    /// How many connections ask at the same time
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=1024))]
    connections: u16,

    /// How the proxies are built; anything but release says nothing about speed
    #[arg(long, value_enum, default_value_t = Profile::Release)]
    profile: Profile,
}

/// Builds the proxies, measures them in turn and prints the table.
pub(crate) fn run(args: &Args) -> Result<()> {
    prerequisites::ensure()?;
    plugins::build(Which::Defaults)?;
    let directory = tempfile::tempdir()?;

    let cores = Cores::choose()?;
    cores.load.pin()?;
    let backends = [backend::start()?, backend::start()?];
    // The first is what the others are compared with.
    let subjects = [
        subject::bare_pingora(args.profile, backends)?,
        subject::pace(args.profile, backends, directory.path())?,
    ];

    let ceiling = ceiling(backends[0], args.connections)?;
    let mut report = Report::new(subjects.iter().map(|subject| subject.name));
    for round in 0..args.rounds {
        let mut turns: Vec<usize> = (0..subjects.len()).collect();
        if round % 2 == 1 {
            turns.reverse();
        }
        for index in turns {
            let subject = &subjects[index];
            let measurement = measure(subject, &cores, args).with_context(|| subject.name.to_owned())?;
            eprintln!(
                "round {} of {}, {}: {measurement}",
                round + 1,
                args.rounds,
                subject.name
            );
            report.add(index, measurement);
        }
    }
    println!("\n{report}");
    println!("The load alone, without a proxy: {ceiling:.0} requests/s.\n");
    println!(
        "{} rounds of {} s, {} connections, {}",
        args.rounds,
        args.seconds,
        args.connections,
        cores::describe()?
    );
    Ok(())
}

/// How many requests per second load and backend alone can make of their core. A proxy that comes
/// near this number may be faster than it looks.
fn ceiling(backend: SocketAddr, connections: u16) -> Result<f64> {
    let mut generator = Generator::connect(backend, connections)?;
    generator.drive(WARM_UP)?;
    let load = generator.drive(WARM_UP)?;
    Ok(load.latencies.len() as f64 / load.elapsed.as_secs_f64())
}

/// One proxy's turn.
fn measure(subject: &Subject, cores: &Cores, args: &Args) -> Result<Measurement> {
    let running = subject.start(cores)?;
    let mut generator = Generator::connect(subject.listen, args.connections)?;
    // The first answers may wait for plugins to be compiled, which is no part of the warm-up.
    generator.drive(Duration::ZERO)?;
    generator.drive(WARM_UP)?;

    let cpu_before = running.cpu_time()?;
    let load = generator.drive(Duration::from_secs(args.seconds))?;
    let cpu_time = running.cpu_time()? - cpu_before;

    let strange = load.statuses.iter().filter(|(status, _)| **status != 200);
    let strange: Vec<String> = strange
        .map(|(status, count)| format!("{count} × {status}"))
        .collect();
    ensure!(
        strange.is_empty(),
        "answers that are not 200: {}",
        strange.join(", ")
    );
    Measurement::new(load, cpu_time, running.peak_memory()?)
}
