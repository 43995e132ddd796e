//! The start: makes the first generations and the first snapshot.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZero;
use std::sync::{Arc, mpsc};
use std::thread;

use arc_swap::ArcSwap;
use rayon::prelude::*;

use super::configuration::Configuration;
use super::manager::{Manager, RESCAN};
use super::plugins::Plugins;
use super::programs::{Content, Programs};
use super::rollback::Rollbacks;
use super::serving::{Serving, generations, look_up};
use super::status::{PluginRecord, Status, file_name};
use super::{Command, Origin, Reloader};
use crate::certificates::Frontends;
use crate::snapshot::{DEFAULT_BALANCER, Shared, Snapshot};
use crate::telemetry::Sinks;
use pace_config::{Config, Problem, Source};
use pace_follow::Follower;
use pace_sandbox::{Compiler, CpuTime, Generation, LoadError};

/// The first generation of a plugin.
type First = Result<Arc<Generation>, StartError>;

/// An error of a plugin that keeps Pace from starting.
#[derive(Debug, thiserror::Error)]
pub struct StartError {
    /// The plugin's name in the configuration.
    pub plugin: Box<str>,
    /// The plugin's file, or `builtin:NAME`.
    pub file: Box<str>,
    /// The reason why it cannot be used.
    pub reason: LoadError,
    /// The place of its configuration, if the plugin has refused that.
    pub problem: Option<Box<Problem>>,
}

impl fmt::Display for StartError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let StartError {
            plugin,
            file,
            reason,
            problem,
        } = self;
        match problem {
            Some(problem) => problem.fmt(out),
            None => write!(out, "plugin `{plugin}` ({file}): {reason}"),
        }
    }
}

impl Manager {
    /// Loads every plugin of the configuration and builds the first snapshot. The compiler, if there is one, compiles files
    /// in other processes, so that none of them can take this process along.
    pub fn start(
        origin: Origin,
        config: Config,
        frontends: Frontends,
        sinks: Sinks,
        shared: Arc<Shared>,
        compiler: Option<Compiler>,
    ) -> Result<(Manager, Arc<ArcSwap<Snapshot>>, Reloader), StartError> {
        shared.metrics.watch_state(&shared.store);
        let (sender, commands) = mpsc::channel();
        let (back, returns) = mpsc::channel();
        let programs = Programs::new(Arc::clone(&shared), back.clone(), compiler);
        let time = CpuTime::Cores(cores_for_each(&config));
        let first = |entry: &pace_config::Plugin| -> First {
            Content::read(&entry.source)
                .and_then(|content| programs.code(entry, content, time))
                .map(|code| programs.generation(entry, 1, &code))
                .map_err(|reason| StartError::new(entry, reason))
        };
        let balancer_entry = default_balancer();
        let entries: Vec<_> = config.plugins.iter().chain([&balancer_entry]).collect();
        let mut made = on_all_cores(&entries, first).into_iter();
        let mut plugins = BTreeMap::new();
        for (entry, generation) in config.plugins.iter().zip(made.by_ref()) {
            plugins.insert(entry.name.clone(), PluginRecord::new(entry.clone(), generation?));
        }
        let balancer = made.next().expect("its entry is the last")?;
        let snapshot = Snapshot::build(
            &config,
            &generations(&plugins, &balancer),
            (Arc::new(frontends), Arc::new(sinks)),
            &shared,
            None,
            &look_up(&shared, config.pools.iter().flat_map(|pool| &pool.backends)),
        )
        .map_err(|refused| {
            let entry = plugins
                .get(&refused.plugin)
                .map_or(&balancer_entry, |record| &record.entry);
            StartError {
                problem: refused.problem(&config).map(Box::new),
                ..StartError::new(entry, LoadError::Configure(refused.into_failure()))
            }
        })?;
        for (name, record) in &plugins {
            record.current.serve();
            shared.metrics.generation(name, record.current.number);
        }
        snapshot.frontends.announce(&shared.metrics);
        snapshot.apply_limits();
        let snapshot = Arc::new(ArcSwap::from_pointee(snapshot));
        let status = Arc::new(Status::default());
        status.set(plugins);
        let reloader = Reloader {
            commands: sender.clone(),
            returns: back,
            status: Arc::clone(&status),
        };
        let serving = Arc::new(Serving::new(
            config,
            Arc::clone(&shared),
            Arc::clone(&snapshot),
            status,
            balancer,
        ));
        let programs = Arc::new(programs);
        let manager = Manager::new(
            commands,
            Follower::new(RESCAN, move || {
                // The manager is gone only when Pace ends.
                let _ = sender.send(Command::Scan);
            }),
            Configuration::new(origin, shared, Arc::clone(&serving), Arc::clone(&programs)),
            Plugins::new(Arc::clone(&serving), programs),
            Rollbacks::new(serving, returns),
        );
        Ok((manager, snapshot, reloader))
    }
}

impl StartError {
    fn new(entry: &pace_config::Plugin, reason: LoadError) -> StartError {
        StartError {
            plugin: entry.name.as_str().into(),
            file: file_name(&entry.source).into(),
            reason,
            problem: None,
        }
    }
}

/// The number of cores that compile each file, when all files are compiled at once.
fn cores_for_each(config: &Config) -> usize {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let is_file = |plugin: &&pace_config::Plugin| matches!(plugin.source, Source::File(_));
    let files = config.plugins.iter().filter(is_file).count();
    cores.div_ceil(files.max(1))
}

/// Makes the first generation of each entry, in their order. No request is served yet, so all cores can compile.
fn on_all_cores(
    entries: &[&pace_config::Plugin],
    first: impl Fn(&pace_config::Plugin) -> First + Sync,
) -> Vec<First> {
    match rayon::ThreadPoolBuilder::new().build() {
        Ok(pool) => pool.install(|| entries.par_iter().map(|entry| first(entry)).collect()),
        // Without more threads, this one does the work.
        Err(_) => entries.iter().map(|entry| first(entry)).collect(),
    }
}

fn default_balancer() -> pace_config::Plugin {
    pace_config::Plugin::new(DEFAULT_BALANCER, Source::Builtin("round-robin".to_owned()))
}
