//! Measures the everyday traffic of proxies: bodies of several sizes both ways, connections for one request,
//! and idle connections.
//!
//! All proxies take turns with all kinds of traffic, as in `load`. Their latencies are not measured.

use super::Stage;
use super::load::{self, Case};
use crate::proxies::backend::Backends;
use crate::proxies::generator::{Generator, Load};
use crate::proxies::http::{FEWEST_HEADERS, SMALL_BODY, Shape, response};
use crate::proxies::result::{Conditions, Scene, TrafficRow, TrafficScene};
use crate::proxies::subject::{Setting, Subject};
use anyhow::{Context, Result};
use std::path::Path;

/// The number of idle connections: enough that the process's fixed memory does not matter.
const IDLE_CONNECTIONS: usize = 2000;

struct Kind {
    key: &'static str,
    name: &'static str,
    /// The body of the request, in bytes.
    request: usize,
    /// The body of the response, in bytes.
    response: usize,
    /// Whether each request has a connection of its own.
    last: bool,
}

const SMALL: Kind = Kind {
    key: "get-100",
    name: "GET, 100 bytes",
    request: 0,
    response: SMALL_BODY,
    last: false,
};

const KINDS: [Kind; 6] = [
    SMALL,
    Kind {
        key: "post-1k",
        name: "POST, 1 KiB",
        request: 1 << 10,
        ..SMALL
    },
    Kind {
        key: "post-64k",
        name: "POST, 64 KiB",
        request: 64 << 10,
        ..SMALL
    },
    Kind {
        key: "get-64k",
        name: "GET, 64 KiB",
        response: 64 << 10,
        ..SMALL
    },
    Kind {
        key: "get-1m",
        name: "GET, 1 MiB",
        response: 1 << 20,
        ..SMALL
    },
    Kind {
        key: "connection",
        name: "GET, 100 bytes, a connection for each",
        last: true,
        ..SMALL
    },
];

pub(super) fn play(stage: &Stage<'_>, subjects: &[Subject]) -> Result<Scene> {
    let mut backends = Backends::new()?;
    let mut cases = Vec::new();
    let mut rows = Vec::new();
    for kind in &KINDS {
        let addresses = backends.add(2, response(FEWEST_HEADERS, kind.response))?;
        let case = |subject: &Subject| kind.case(*subject, &Setting::plain(&addresses));
        let of_kind: Vec<Case> = subjects.iter().map(case).collect();
        rows.push(TrafficRow {
            key: kind.key.to_owned(),
            name: kind.name.to_owned(),
            ceiling: load::ceiling(&of_kind[0], stage, &mut backends)?,
            cells: vec![Vec::new(); subjects.len()],
        });
        cases.push(of_kind);
    }
    let mut idle_bytes = vec![Vec::new(); subjects.len()];
    let directory = tempfile::tempdir()?;
    let rounds = stage.args.rounds;
    for round in 0..rounds {
        // One more than the kinds: the idle connections.
        for turn in load::order((KINDS.len() + 1) * subjects.len(), round) {
            let (row, proxy) = (turn / subjects.len(), turn % subjects.len());
            let name = subjects[proxy].label();
            let done = match rows.get_mut(row) {
                Some(kind) => {
                    let case = &cases[row][proxy];
                    let measured = load::measure(stage, case, None, directory.path(), &mut backends);
                    let measured = measured.with_context(|| format!("{name}, {}", kind.name))?;
                    kind.cells[proxy].push(measured);
                    format!("{}: {}", kind.name, load::brief(&measured))
                }
                None => {
                    let setting = &cases[0][proxy].setting;
                    let bytes = idle(stage, &subjects[proxy], setting, directory.path(), &mut backends);
                    let bytes = bytes.with_context(|| format!("{name}, idle connections"))?;
                    idle_bytes[proxy].push(bytes);
                    format!("an idle connection: {bytes:.0} bytes")
                }
            };
            eprintln!("round {} of {rounds}, {name}, {done}", round + 1);
        }
    }
    Ok(Scene::Traffic(TrafficScene {
        conditions: Conditions {
            rounds,
            seconds: stage.args.seconds,
            connections: stage.args.connections,
            rate: None,
        },
        proxies: subjects.iter().map(Subject::label).collect(),
        rows,
        idle_connections: IDLE_CONNECTIONS,
        idle_bytes,
    }))
}

impl Kind {
    fn case(&self, subject: Subject, setting: &Setting) -> Case {
        let mut case = Case::new(subject, setting);
        case.shape = Shape {
            body: self.request,
            last: self.last,
            ..Shape::SMALL
        };
        case
    }
}

/// The resident memory for each connection that has had one answer and waits for the next request, in bytes.
fn idle(
    stage: &Stage<'_>,
    subject: &Subject,
    setting: &Setting,
    directory: &Path,
    backends: &mut Backends,
) -> Result<f64> {
    let running = subject.start(stage.programs, setting, directory, stage.cores)?;
    let mut resident = |connections| -> Result<u64> {
        let mut generator =
            Generator::connect(running.listen, connections, &Shape::SMALL, Some(&mut *backends))?;
        generator.once_each().and_then(Load::succeeded)?;
        Ok(running.process.resident()?)
    };
    let before = resident(1)?;
    let after = resident(IDLE_CONNECTIONS)?;
    Ok(after.saturating_sub(before) as f64 / IDLE_CONNECTIONS as f64)
}
