//! Measures the time from starting a process to its first answer.
//!
//! The process may use all cores, as compiling does. Its files are in the kernel's cache, as after a restart.

use super::Stage;
use crate::proxies::backend::Backends;
use crate::proxies::http::{FEWEST_HEADERS, Incoming, Requests, SMALL_BODY, Shape, response};
use crate::proxies::result::{Scene, StartupRow};
use crate::proxies::subject::{self, Running, Setting, Subject, free_address};
use anyhow::{Context, Result, bail, ensure};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

/// A start that takes longer has failed.
const LIMIT: Duration = Duration::from_secs(30);

/// How many ports are tried if other processes take them.
const PORTS: usize = 5;

/// Starts are short, so there can be more of them in a round.
const STARTS_PER_ROUND: u32 = 3;

struct Case {
    subject: Subject,
    key: String,
    name: String,
    setting: Setting,
    directory: PathBuf,
    milliseconds: Vec<f64>,
}

pub(super) fn play(stage: &Stage<'_>, subjects: &[Subject]) -> Result<Scene> {
    let mut apart = Backends::new()?;
    let backends = apart.add(2, response(FEWEST_HEADERS, SMALL_BODY))?;
    apart.apart()?;
    let directory = tempfile::tempdir()?;
    let case = |subject: Subject, cache| -> Result<Case> {
        let suffix = if cache { "-cached" } else { "" };
        let key = format!("{}{suffix}", subject.key);
        let own = directory.path().join(&key);
        std::fs::create_dir(&own)?;
        Ok(Case {
            name: subject.label() + if cache { ", compiled before" } else { "" },
            setting: Setting {
                cache,
                ..Setting::plain(&backends)
            },
            subject,
            key,
            directory: own,
            milliseconds: Vec::new(),
        })
    };
    let mut cases = Vec::new();
    for subject in subjects {
        cases.push(case(*subject, false)?);
        if subject.key == subject::DEFAULTS.key {
            let cached = case(*subject, true)?;
            // This start fills the cache.
            first_answer(stage, &cached)?;
            cases.push(cached);
        }
    }
    for _ in 0..stage.args.rounds * STARTS_PER_ROUND {
        for case in &mut cases {
            let took = first_answer(stage, case).with_context(|| case.name.clone())?;
            case.milliseconds.push(took.as_secs_f64() * 1e3);
        }
    }
    let row = |case: Case| StartupRow {
        key: case.key,
        name: case.name,
        milliseconds: case.milliseconds,
    };
    Ok(Scene::Startup {
        rows: cases.into_iter().map(row).collect(),
    })
}

fn first_answer(stage: &Stage<'_>, case: &Case) -> Result<Duration> {
    for _ in 0..PORTS {
        let listen = free_address()?;
        let begun = Instant::now();
        let running = case.subject.spawn(
            stage.programs,
            &case.setting,
            &case.directory,
            listen,
            &stage.cores.all,
            stage.cores,
        )?;
        if let Some(stream) = connect(running, begun)? {
            answer(&stream.1)?;
            return Ok(begun.elapsed());
        }
    }
    bail!("all of {PORTS} free ports were taken by somebody else before the proxy could bind them")
}

/// Connects to a proxy that has just been started; `None` if the proxy ended because another process has its
/// port.
fn connect(mut running: Running, begun: Instant) -> Result<Option<(Running, TcpStream)>> {
    loop {
        if let Ok(stream) = TcpStream::connect(running.listen) {
            stream.set_read_timeout(Some(LIMIT))?;
            return Ok(Some((running, stream)));
        }
        if running.process.try_wait().is_some() {
            return match running.has_lost_its_port() {
                true => Ok(None),
                false => bail!("ended before it listened{}", running.last_words()),
            };
        }
        if begun.elapsed() > LIMIT {
            bail!("accepts no connections{}", running.last_words());
        }
        // The pause is short compared with any start.
        thread::sleep(Duration::from_micros(100));
    }
}

fn answer(mut stream: &TcpStream) -> Result<()> {
    stream.write_all(Requests::new(&Shape::SMALL).next())?;
    let mut incoming = Incoming::default();
    let mut buffer = [0; 4096];
    loop {
        let length = stream.read(&mut buffer).context("no answer")?;
        ensure!(length > 0, "the connection was closed");
        if let Some(answer) = incoming.take(&buffer[..length])? {
            ensure!(
                answer.status == Some(200),
                "the first answer was {:?}",
                answer.status
            );
            return Ok(());
        }
    }
}
