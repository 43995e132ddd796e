//! Measures the cost of a request.
//!
//! Each proxy has one core to itself; the load and the backends share another. The cases take turns, in an
//! order that changes from round to round, so that a machine that gets slower or faster meanwhile affects all
//! of them. Every turn starts a new process.

use super::Stage;
use crate::proxies::backend::Backends;
use crate::proxies::generator::{Driver, Generator, Load, Until};
use crate::proxies::http::{Shape, Traffic};
use crate::proxies::result::{Conditions, Latency, LoadRow, LoadScene, Round, Scene};
use crate::proxies::subject::{self, Running, Setting, Subject};
use crate::proxies::table::grouped;
use anyhow::{Context, Result};
use std::path::Path;
use std::time::Duration;

/// The time after which connections to backends are open, caches filled and lazy parts built.
const WARM_UP: Duration = Duration::from_secs(1);

/// The part of bare Pingora's capacity at which latencies are measured.
const CALM: f64 = 0.6;

/// A proxy under certain conditions.
pub(super) struct Case {
    subject: Subject,
    key: String,
    name: String,
    pub(super) setting: Setting,
    pub(super) shape: Shape,
    /// The index of the case that it is compared with.
    pub(super) base: usize,
}

impl Case {
    pub(super) fn new(subject: Subject, setting: &Setting) -> Case {
        Case {
            subject,
            key: subject.key.to_owned(),
            name: subject.label(),
            setting: setting.clone(),
            shape: Shape::SMALL,
            base: 0,
        }
    }

    /// Adds the kind of traffic to the case's name.
    pub(super) fn with_traffic(&mut self, key: &str, name: &str) {
        self.key += &format!("-{key}");
        self.name = format!("{name}: {}", self.name);
    }

    /// Adds a number of things to the case's name.
    pub(super) fn called(&mut self, count: usize, one: &str, several: &str) {
        self.key += &format!("-{count}");
        let things = if count == 1 { one } else { several };
        self.name += &format!(", {} {things}", grouped(count as f64));
    }
}

/// Measures the cases in turns.
pub(super) fn play(
    stage: &Stage<'_>,
    cases: &[Case],
    backends: &mut Backends,
    with_latency: bool,
) -> Result<Scene> {
    let directory = tempfile::tempdir()?;
    let ceiling = ceiling(&cases[0], stage, backends)?;
    let rate = match with_latency {
        true => Some(calm_rate(stage, &cases[0].setting, directory.path(), backends)?),
        false => None,
    };
    let floor = match rate {
        Some(rate) => Some(floor(&cases[0], stage, backends, rate)?),
        None => None,
    };
    let rounds = stage.args.rounds;
    let mut rows: Vec<LoadRow> = cases.iter().map(row).collect();
    for round in 0..rounds {
        for index in order(cases.len(), round) {
            let case = &cases[index];
            let measured =
                measure(stage, case, rate, directory.path(), backends).with_context(|| case.name.clone())?;
            eprintln!(
                "round {} of {rounds}, {}: {}",
                round + 1,
                case.name,
                brief(&measured)
            );
            rows[index].rounds.push(measured);
        }
    }
    Ok(Scene::Load(LoadScene {
        conditions: Conditions {
            rounds,
            seconds: stage.args.seconds,
            connections: stage.args.connections,
            rate,
        },
        ceiling,
        floor,
        rows,
    }))
}

/// The order of the turns in a round.
pub(super) fn order(turns: usize, round: u32) -> Vec<usize> {
    match round % 2 {
        0 => (0..turns).collect(),
        _ => (0..turns).rev().collect(),
    }
}

fn row(case: &Case) -> LoadRow {
    LoadRow {
        key: case.key.clone(),
        name: case.name.clone(),
        base: case.base,
        rounds: Vec::new(),
    }
}

/// The requests per second that load and backends alone make of their core. A proxy that comes near this
/// number may be faster than it looks.
pub(super) fn ceiling(case: &Case, stage: &Stage<'_>, backends: &mut Backends) -> Result<f64> {
    let mut generator = directly(case, stage, backends)?;
    generator.drive(Until::Elapsed(WARM_UP))?;
    Ok(generator.drive(Until::Elapsed(WARM_UP))?.succeeded()?.rate())
}

/// The latencies without a proxy: those of the load, the backends, and the machine.
fn floor(case: &Case, stage: &Stage<'_>, backends: &mut Backends, rate: f64) -> Result<Latency> {
    let mut generator = directly(case, stage, backends)?;
    let duration = Duration::from_secs(stage.args.seconds);
    Ok(Latency::new(generator.drive_at(rate, duration)?.succeeded()?))
}

/// Connections to a backend, with no proxy between.
fn directly<'b>(case: &Case, stage: &Stage<'_>, backends: &'b mut Backends) -> Result<Generator<'b>> {
    let shape = Shape {
        // The backends speak no TLS, and never close a connection.
        traffic: Traffic::Requests,
        tls: None,
        ..case.shape.clone()
    };
    let connections = stage.args.connections.into();
    Generator::connect(case.setting.backends[0], connections, &shape, Some(backends))
}

/// A rate that leaves bare Pingora some rest. It is the same for all, so that latencies can be compared.
fn calm_rate(stage: &Stage<'_>, setting: &Setting, directory: &Path, backends: &mut Backends) -> Result<f64> {
    let bare = Case::new(subject::BARE, setting);
    let measured =
        measure(stage, &bare, None, directory, backends).context("bare Pingora, to choose a rate")?;
    Ok((CALM * measured.requests_per_second).round())
}

/// Measures one turn.
pub(super) fn measure(
    stage: &Stage<'_>,
    case: &Case,
    rate: Option<f64>,
    directory: &Path,
    backends: &mut Backends,
) -> Result<Round> {
    let mut tries = if case.subject.is_pace() { 1 } else { TRIES };
    loop {
        let running = case
            .subject
            .start(stage.programs, &case.setting, directory, stage.cores)?;
        let measured = turn(stage, case, rate, &running, backends)
            .map_err(|error| error.context(format!("it was measured in vain{}", running.last_words())));
        tries -= 1;
        match measured {
            Err(error) if tries > 0 => eprintln!("{}: once more: {error:#}", case.subject.label()),
            measured => return measured,
        }
    }
}

/// How often a proxy of others is measured until it has answered every request. Of Pace one missing answer is a fault.
const TRIES: u32 = 3;

fn turn(
    stage: &Stage<'_>,
    case: &Case,
    rate: Option<f64>,
    running: &Running,
    backends: &mut Backends,
) -> Result<Round> {
    let args = stage.args;
    let duration = Duration::from_secs(args.seconds);
    let mut driver = Driver::connect(
        running.listen,
        args.connections.into(),
        &case.shape,
        Some(backends),
    )?;
    // The first answers may wait for plugins to be compiled, which is no part of the warm-up.
    driver.drive(Until::Sent(1)).and_then(Load::succeeded)?;
    if let Some(clients) = case.shape.clients {
        // Every client has sent a request before the measurement begins.
        driver
            .drive(Until::Sent(clients.into()))
            .and_then(Load::succeeded)?;
    }
    driver.drive(Until::Elapsed(WARM_UP)).and_then(Load::succeeded)?;

    let cpu_before = running.process.cpu_time()?;
    let load = driver.drive(Until::Elapsed(duration))?.succeeded()?;
    let cpu_time = running.process.cpu_time()? - cpu_before;
    let latency = match rate {
        Some(rate) => Some(Latency::new(driver.drive_at(rate, duration)?.succeeded()?)),
        None => None,
    };
    Ok(Round::new(
        &load,
        cpu_time,
        running.process.peak_resident()?,
        latency,
    ))
}

/// A line for a person who watches.
pub(super) fn brief(round: &Round) -> String {
    let Round {
        requests_per_second,
        cpu_microseconds_per_request,
        latency,
        ..
    } = round;
    let latency = latency.map_or(String::new(), |latency| {
        format!(", p99 {:.2} ms", latency.p99_milliseconds)
    });
    format!(
        "{requests_per_second:.0} requests/s, {cpu_microseconds_per_request:.2} µs CPU per request{latency}"
    )
}
