//! `pace plugin run`: a proxy with a plugin under development.
//!
//! ```text
//! save a source ──▶ builder: pace plugin build ──▶ plugin.wasm ──▶ reload: tried, swapped ──▶ requests
//! save [defaults] ─────────────▶ defaults ───────────────────────▶ as in every Pace          a line for each (lines)
//! ```

mod builder;
mod defaults;
mod input;
mod lines;
mod sources;

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use arc_swap::ArcSwap;
use log::info;

use self::builder::{Builder, FirstBuild, ProjectFiles};
use self::defaults::Defaults;
use self::input::RunInput;
use crate::cli::{CommandError, RunArgs};
use pace_config::{Config, Overrides, Plugin, Source};
use pace_proxy::certificates::Frontends;
use pace_proxy::reload::{Manager, Origin, Reloader, StartError};
use pace_proxy::server::{Inherited, Parts, Process, Server};
use pace_proxy::snapshot::{Shared, Snapshot};
use pace_proxy::telemetry::Sinks;
use pace_sandbox::{Compiler, LoadError, Runtime};

pub use builder::BuildFailed;
pub use lines::log_for_run;

/// How long requests in flight may take after Ctrl-C.
const GRACE_PERIOD: Duration = Duration::from_secs(1);

/// The plugin refuses its configuration.
#[derive(Debug, thiserror::Error)]
#[error("{refusal}\n{advice}")]
struct Refused {
    refusal: StartError,
    advice: String,
}

pub(super) fn run(args: &RunArgs) -> Result<(), CommandError> {
    let mut process = Process::begin()?;
    let inherited = process.take_inherited();
    let first_build = FirstBuild::default();
    let prepared = process.prepare({
        let (args, first_build) = (args.clone(), first_build.clone());
        move || prepare(&args, &first_build, inherited)
    })?;
    let Some(ready) = prepared else {
        first_build.give_up();
        return Ok(());
    };
    let Ready {
        server,
        snapshot,
        shared,
        reloader,
        followed,
    } = ready?;
    let builder = Builder::start(followed)?;
    let parts = Parts {
        snapshot,
        shared,
        reloader,
        ordering: None,
    };
    server.run(process, parts)?;
    drop(builder);
    Ok(())
}

/// The parts of a server that is ready to run, and the files followed meanwhile.
struct Ready {
    server: Server,
    snapshot: Arc<ArcSwap<Snapshot>>,
    shared: Arc<Shared>,
    reloader: Reloader,
    followed: ProjectFiles,
}

fn prepare(args: &RunArgs, first_build: &FirstBuild, inherited: Inherited) -> Result<Ready, CommandError> {
    let input = RunInput::new(&args.file, &args.set)?;
    let config = configuration(&input, args)?;
    // The socket is bound before anything is built: a port in use is known at once.
    let mut server = Server::bind(&config, inherited)?;
    if let Some(path) = &args.ready_file {
        server = server.with_ready_file(path)?;
    }
    let followed = ProjectFiles::new(input.project.clone());
    if let Some(project) = &input.project {
        first_build.run(project)?;
    }
    let runtime = Runtime::new(None, config.server.workers)?;
    let shared = Arc::new(Shared::new(runtime, &config.server));
    let origin = Origin {
        path: None,
        overrides: Overrides::default(),
    };
    let started = Manager::start(
        origin,
        config.clone(),
        Frontends::default(),
        Sinks::open(&config, None)?,
        Arc::clone(&shared),
        Some(Compiler::new("/proc/self/exe")),
    );
    let (manager, snapshot, reloader) = started.map_err(|refusal| -> CommandError {
        match refusal.reason {
            LoadError::Configure(_) => Refused {
                advice: input.advice(),
                refusal,
            }
            .into(),
            _ => refusal.into(),
        }
    })?;
    thread::Builder::new()
        .name("pace-reload".to_owned())
        .spawn(|| manager.run())?;
    info!(target: "pace::author", "{}", when_saved(&input));
    info!(target: "pace::author", "{}", input.advice());
    let args = args.clone();
    let defaults = input.cases.map(|file| {
        let read = move || {
            let input = RunInput::new(&args.file, &args.set).map_err(|error| error.to_string())?;
            configuration(&input, &args).map_err(|error| error.to_string())
        };
        Defaults::new(file, config, reloader.clone(), read)
    });
    Ok(Ready {
        server,
        snapshot,
        shared,
        reloader,
        followed: followed.with_defaults(defaults),
    })
}

/// A configuration with the backends, and only this plugin before them.
fn configuration(input: &RunInput, args: &RunArgs) -> Result<Config, CommandError> {
    let mut config = Config::from_overrides(&Overrides {
        listen: Some(args.listen.clone()),
        backends: args.backends.clone(),
    })?;
    config.server.grace_period = GRACE_PERIOD;
    let mut plugin = Plugin::new(&input.name, input.source.clone());
    plugin.isolation = input.setup.isolation;
    plugin.limits = input.setup.limits;
    // The author wants to see the plugin act, however often it fails.
    plugin.breaker.failures = 0;
    plugin.rollback.calls = 0;
    plugin.config = input.setup.config.clone();
    Ok(config.with_only(plugin))
}

/// Tells what happens when a file is saved.
fn when_saved(input: &RunInput) -> String {
    match (&input.project, &input.source) {
        (Some(project), _) => format!("{} is built again when a source is saved", project.display()),
        (None, Source::File(file)) => {
            format!(
                "{} is swapped when it changes; nothing builds it, because it is no project's plugin.wasm",
                file.display()
            )
        }
        (None, Source::Builtin(_)) => format!("{} is part of Pace, and does not change", input.name),
    }
}
