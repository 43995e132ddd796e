//! Measures the everyday traffic of proxies: bodies of several sizes both ways, connections for one request,
//! and idle connections.
//!
//! All proxies take turns with all kinds of traffic, as in `load`. Their latencies are not measured.

use super::Stage;
use super::load::{self, Case};
use crate::proxies::backend::Backends;
use crate::proxies::generator::{Generator, Load};
use crate::proxies::http::{FEWEST_HEADERS, SMALL_BODY, Shape, Traffic, response};
use crate::proxies::result::{Conditions, Scene, TrafficRow, TrafficScene};
use crate::proxies::subject::{Setting, Subject};
use anyhow::{Context, Result};
use std::path::Path;

/// The number of idle connections: enough that the process's fixed memory does not matter.
const IDLE_CONNECTIONS: usize = 2000;

/// A kind of traffic.
struct Kind {
    key: &'static str,
    name: &'static str,
    /// The body of the request, in bytes.
    request: usize,
    /// The body of the response, in bytes.
    response: usize,
    traffic: Traffic,
}

const SMALL: Kind = Kind {
    key: "get-100",
    name: "GET, 100 bytes",
    request: 0,
    response: SMALL_BODY,
    traffic: Traffic::Requests,
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
        traffic: Traffic::LastRequests,
        ..SMALL
    },
];

/// The cases of a kind of traffic: one for each proxy.
pub(super) struct Row {
    /// The row without results.
    pub(super) row: TrafficRow,
    pub(super) cases: Vec<Case>,
}

impl Row {
    /// Creates a row of this key and name, in which each proxy has this setting and gets requests of this shape.
    pub(super) fn new(
        (key, name): (&str, &str),
        subjects: &[Subject],
        setting: &Setting,
        shape: &Shape,
    ) -> Row {
        let case = |subject: &Subject| {
            let mut case = Case::new(*subject, setting);
            case.shape = shape.clone();
            case
        };
        Row {
            row: TrafficRow {
                key: key.to_owned(),
                name: name.to_owned(),
                ceiling: None,
                per_second: shape.traffic == Traffic::Handshakes,
                cells: vec![Vec::new(); subjects.len()],
            },
            cases: subjects.iter().map(case).collect(),
        }
    }
}

pub(super) fn play(stage: &Stage<'_>, subjects: &[Subject]) -> Result<Scene> {
    let mut backends = Backends::new()?;
    let mut rows = Vec::new();
    for kind in &KINDS {
        let addresses = backends.add(2, response(FEWEST_HEADERS, kind.response))?;
        let shape = Shape {
            body: kind.request,
            traffic: kind.traffic,
            ..Shape::SMALL
        };
        let mut row = Row::new(
            (kind.key, kind.name),
            subjects,
            &Setting::plain(&addresses),
            &shape,
        );
        row.row.ceiling = Some(load::ceiling(&row.cases[0], stage, &mut backends)?);
        rows.push(row);
    }
    measure(stage, subjects, rows, &mut backends)
}

/// Measures all rows, and the idle connections of the first.
pub(super) fn measure(
    stage: &Stage<'_>,
    subjects: &[Subject],
    mut rows: Vec<Row>,
    backends: &mut Backends,
) -> Result<Scene> {
    let mut idle_bytes = vec![Vec::new(); subjects.len()];
    let directory = tempfile::tempdir()?;
    let rounds = stage.args.rounds;
    for round in 0..rounds {
        // One more than the rows: the idle connections.
        for turn in load::order((rows.len() + 1) * subjects.len(), round) {
            let (row, proxy) = (turn / subjects.len(), turn % subjects.len());
            let name = subjects[proxy].label();
            let done = match rows.get_mut(row) {
                Some(Row { row, cases }) => {
                    let measured = load::measure(stage, &cases[proxy], None, directory.path(), backends);
                    let measured = measured.with_context(|| format!("{name}, {}", row.name))?;
                    row.cells[proxy].push(measured);
                    format!("{}: {}", row.name, load::brief(&measured))
                }
                None => {
                    let bytes = idle(
                        stage,
                        &subjects[proxy],
                        &rows[0].cases[proxy],
                        directory.path(),
                        backends,
                    );
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
        rows: rows.into_iter().map(|row| row.row).collect(),
        idle_connections: IDLE_CONNECTIONS,
        idle_bytes,
    }))
}

/// The resident memory for each connection that has had one answer and waits for the next request, in bytes.
fn idle(
    stage: &Stage<'_>,
    subject: &Subject,
    case: &Case,
    directory: &Path,
    backends: &mut Backends,
) -> Result<f64> {
    let running = subject.start(stage.programs, &case.setting, directory, stage.cores)?;
    let mut resident = |connections| -> Result<u64> {
        let mut generator =
            Generator::connect(running.listen, connections, &case.shape, Some(&mut *backends))?;
        generator.once_each().and_then(Load::succeeded)?;
        Ok(running.process.resident()?)
    };
    let before = resident(1)?;
    let after = resident(IDLE_CONNECTIONS)?;
    Ok(after.saturating_sub(before) as f64 / IDLE_CONNECTIONS as f64)
}
