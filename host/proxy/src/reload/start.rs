//! The first generations and the first snapshot.

use std::collections::BTreeMap;
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
use super::serving::{Serving, generations};
use super::status::{Managed, Status, file_name};
use super::{Command, Origin, Reloader};
use crate::snapshot::{DEFAULT_BALANCER, Environment, Snapshot};
use pace_config::{Config, Source};
use pace_follow::Follower;
use pace_sandbox::{Compiler, CpuTime, Generation, LoadError};

/// What a plugin starts with.
type First = Result<Arc<Generation>, StartError>;

/// A plugin that cannot be used when Pace starts.
#[derive(Debug, thiserror::Error)]
#[error("plugin `{plugin}` ({file}): {reason}")]
pub struct StartError {
    /// Its name in the configuration.
    pub plugin: String,
    /// Its file, or `builtin:NAME`.
    pub file: String,
    /// What is wrong.
    pub reason: LoadError,
}

impl Manager {
    /// Loads every plugin of the configuration and builds the first snapshot. Files are compiled by the compiler,
    /// if there is one: then none of them can take this process along.
    pub fn start(
        origin: Origin,
        config: Config,
        environment: Arc<Environment>,
        compiler: Option<Compiler>,
    ) -> Result<(Manager, Arc<ArcSwap<Snapshot>>, Reloader), StartError> {
        environment.metrics.watch_state(&environment.store);
        let (sender, commands) = mpsc::channel();
        let (back, returns) = mpsc::channel();
        let programs = Programs::new(Arc::clone(&environment), back.clone(), compiler);
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
            plugins.insert(entry.name.clone(), Managed::new(entry.clone(), generation?));
        }
        let balancer = made.next().expect("its entry is the last")?;
        let snapshot = Snapshot::build(&config, &generations(&plugins, &balancer), &environment, None)
            .map_err(|(plugin, failure)| {
                let entry = plugins
                    .get(&plugin)
                    .map_or(&balancer_entry, |managed| &managed.entry);
                StartError::new(entry, LoadError::Configure(failure))
            })?;
        for (name, managed) in &plugins {
            managed.current.serve();
            environment.metrics.generation(name, managed.current.number);
        }
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
            Arc::clone(&environment),
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
            Configuration::new(origin, environment, Arc::clone(&serving), Arc::clone(&programs)),
            Plugins::new(Arc::clone(&serving), programs),
            Rollbacks::new(serving, returns),
        );
        Ok((manager, snapshot, reloader))
    }
}

impl StartError {
    fn new(entry: &pace_config::Plugin, reason: LoadError) -> StartError {
        StartError {
            plugin: entry.name.clone(),
            file: file_name(&entry.source),
            reason,
        }
    }
}

/// How many cores compile each file, when as many files are compiled at once as there are cores.
fn cores_for_each(config: &Config) -> usize {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let is_file = |plugin: &&pace_config::Plugin| matches!(plugin.source, Source::File(_));
    let files = config.plugins.iter().filter(is_file).count();
    cores.div_ceil(files.max(1))
}

/// The first generation of each of these, in their order. Nobody is served yet, so all cores can compile.
fn on_all_cores(
    entries: &[&pace_config::Plugin],
    first: impl Fn(&pace_config::Plugin) -> First + Sync,
) -> Vec<First> {
    match rayon::ThreadPoolBuilder::new().build() {
        Ok(pool) => pool.install(|| entries.par_iter().map(|entry| first(entry)).collect()),
        // No more threads than there are; what they would have done can be done here.
        Err(_) => entries.iter().map(|entry| first(entry)).collect(),
    }
}

fn default_balancer() -> pace_config::Plugin {
    pace_config::Plugin::new(DEFAULT_BALANCER, Source::Builtin("round-robin".to_owned()))
}
