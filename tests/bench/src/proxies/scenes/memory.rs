//! Measures the resident memory, and its uses.

use super::Stage;
use super::cases::MANY_CLIENTS;
use crate::proxies::backend::Backends;
use crate::proxies::generator::{Generator, Load, Until};
use crate::proxies::http::{FEWEST_HEADERS, SMALL_BODY, Shape, response};
use crate::proxies::result::{MemoryRow, More, Scene};
use crate::proxies::subject::{self, Memory, Setting, Subject};
use crate::proxies::table::grouped;
use anyhow::{Context, Result};
use std::path::Path;

const IDLE_CONNECTIONS: usize = 10_000;

/// The conditions that tell the rows of a proxy apart.
struct State {
    name: String,
    memory: Memory,
    more: Option<More>,
}

pub(super) fn play(stage: &Stage<'_>, subjects: &[Subject]) -> Result<Scene> {
    let mut apart = Backends::new()?;
    let backends = apart.add(2, response(FEWEST_HEADERS, SMALL_BODY))?;
    apart.apart()?;
    let directory = tempfile::tempdir()?;
    let setting = Setting {
        clients_are_named: true,
        ..Setting::plain(&backends)
    };
    let mut rows = Vec::new();
    for subject in subjects {
        let name = subject.label();
        let mut states = idle(stage, subject, &setting, directory.path()).with_context(|| name.clone())?;
        if subject.key == subject::DEFAULTS.key {
            states.extend(clients(stage, subject, &setting, directory.path()).with_context(|| name.clone())?);
        }
        for state in states {
            eprintln!("{name}, {}: {} KiB", state.name, state.memory.total());
            rows.push(MemoryRow {
                key: subject.key.to_owned(),
                name: name.clone(),
                state: state.name,
                kibibytes: state.memory,
                more: state.more,
            });
        }
    }
    Ok(Scene::Memory { rows })
}

/// Measures without and with many connections that are kept alive after one request each.
fn idle(stage: &Stage<'_>, subject: &Subject, setting: &Setting, directory: &Path) -> Result<Vec<State>> {
    let running = subject.start(stage.programs, setting, directory, stage.cores)?;
    let ask = |connections| -> Result<Memory> {
        let mut generator = Generator::connect(running.listen, connections, &named(1), None)?;
        generator.once_each().and_then(Load::succeeded)?;
        running.memory()
    };
    Ok(vec![
        State {
            name: "idle, after one request".to_owned(),
            memory: ask(1)?,
            more: None,
        },
        State {
            name: format!("{} idle connections", grouped(IDLE_CONNECTIONS as f64)),
            memory: ask(IDLE_CONNECTIONS)?,
            more: Some(More {
                what: "connection".to_owned(),
                count: IDLE_CONNECTIONS as u64,
            }),
        },
    ])
}

/// Measures after the same number of requests from one client and from as many clients.
fn clients(stage: &Stage<'_>, subject: &Subject, setting: &Setting, directory: &Path) -> Result<Vec<State>> {
    let after_load = |clients| -> Result<Memory> {
        let running = subject.start(stage.programs, setting, directory, stage.cores)?;
        let connections = stage.args.connections.into();
        let mut generator = Generator::connect(running.listen, connections, &named(clients), None)?;
        let load = generator.drive(Until::Sent(MANY_CLIENTS.into()));
        load.and_then(Load::succeeded)?;
        running.memory()
    };
    let many = grouped(MANY_CLIENTS.into());
    Ok(vec![
        State {
            name: format!("after {many} requests of one client"),
            memory: after_load(1)?,
            more: None,
        },
        State {
            name: format!("after {many} requests of as many clients"),
            memory: after_load(MANY_CLIENTS)?,
            more: Some(More {
                what: "client".to_owned(),
                count: MANY_CLIENTS.into(),
            }),
        },
    ])
}

/// Requests of this many clients.
fn named(clients: u32) -> Shape {
    Shape {
        clients: Some(clients),
        ..Shape::SMALL
    }
}
