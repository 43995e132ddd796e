//! The `pace` binary: reads the command line, and turns errors into one message and exit code 1.

mod check;
mod cli;
mod ctl;
mod manual;
mod request;
mod route;
mod routes;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;

use crate::cli::{CheckArgs, Cli, Command, ConfigArgs, RouteArgs, ServeArgs};
use clap::Parser;
use log::{info, warn};
use pace_author::{BuildFailed, CommandError, PluginCommand};
use pace_base::allocator::OutOfMemoryExit;
use pace_base::logging::{Log, LogError, Setup, Writing};
use pace_config::Config;
use pace_proxy::certificates::Frontends;
use pace_proxy::ordering::Ordering;
use pace_proxy::reload::{Manager, Origin};
use pace_proxy::server::{self, Inherited, Parts, Process, Server};
use pace_proxy::snapshot::Shared;
use pace_proxy::telemetry::Sinks;
use pace_sandbox::{Compiler, Runtime, compile_for_parent};

/// Chosen by measurement: see docs/performance.md.
#[global_allocator]
static ALLOCATOR: OutOfMemoryExit<mimalloc::MiMalloc> = OutOfMemoryExit(mimalloc::MiMalloc);

/// The filter without RUST_LOG: events of the process, but not of each request.
const DEFAULT_LOG: &str = "info,pace::access=off";

fn main() -> ExitCode {
    // mimalloc asks the kernel for huge pages, of which little more than half is used: with them 64 to 80 MB
    // are resident under load, without them 37, and requests cost the same.
    let _not_supported = rustix::thread::disable_transparent_huge_pages(true);
    let cli = Cli::parse();
    let log = match start_log(cli.command.as_ref()) {
        Ok(log) => log,
        Err(error) => {
            eprintln!("pace: cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let result = match &cli.command {
        Some(Command::Check(args)) => check(args),
        Some(Command::Route(args)) => route(args),
        Some(Command::Ctl(args)) => ctl::run(args),
        Some(Command::CompilePlugin(args)) => return compile_for_parent(args),
        Some(Command::Plugin(command)) => pace_author::run(command),
        Some(Command::Completions { shell }) => manual::print_completions(*shell),
        Some(Command::Man { directory }) => manual::write_pages(directory),
        Some(Command::Run(args)) => run(args),
        None => run(&cli.run),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // These have been said.
        Err(error) if error.is::<BuildFailed>() || error.is::<route::NoRoute>() => ExitCode::FAILURE,
        Err(error) => {
            log.print(format_args!("pace: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn start_log(command: Option<&Command>) -> Result<Log, LogError> {
    match command {
        None | Some(Command::Run(_)) => Setup::from_env(DEFAULT_LOG)?.start(Writing::Later),
        Some(Command::Plugin(PluginCommand::Run(_))) => pace_author::log_for_run()?.start(Writing::Later),
        Some(
            Command::Check(_)
            | Command::CompilePlugin(_)
            | Command::Completions { .. }
            | Command::Ctl(_)
            | Command::Man { .. }
            | Command::Plugin(_)
            | Command::Route(_),
        ) => Setup::from_env(DEFAULT_LOG)?.start(Writing::AtOnce),
    }
}

/// The parts of a server that is ready to run.
struct Ready {
    server: Server,
    parts: Parts,
}

fn run(args: &ServeArgs) -> Result<(), CommandError> {
    let mut process = Process::begin()?;
    let inherited = process.take_inherited();
    let args = args.clone();
    let Some(ready) = process.prepare(move || prepare(&args, inherited))? else {
        return Ok(());
    };
    let Ready { server, parts } = ready?;
    Ok(server.run(process, parts)?)
}

fn prepare(args: &ServeArgs, inherited: Inherited) -> Result<Ready, CommandError> {
    let file = args.config.config.as_deref();
    info!(
        target: "pace::server",
        "Pace {} with {}, process {}",
        env!("CARGO_PKG_VERSION"),
        file.map_or("no configuration file".into(), |file| file.display().to_string()),
        std::process::id(),
    );
    let config = load(&args.config)?;
    // The socket is bound before plugins are compiled: a port in use is the more likely mistake, and is known
    // at once.
    let mut server = Server::bind(&config, inherited)?;
    if let Some(path) = &args.ready_file {
        server = server.with_ready_file(path)?;
    }
    let shared = Arc::new(shared(&config)?);
    let ordering = Ordering::open(&config, &shared.listeners)?;
    let frontends = Frontends::load(&config, &shared.listeners, None)?;
    let sinks = Sinks::open(&config, None)?;
    let started = Manager::start(
        origin(&args.config),
        config,
        frontends,
        sinks,
        Arc::clone(&shared),
        Some(compiler()),
    );
    let (manager, snapshot, reloader) = started?;
    thread::Builder::new()
        .name("pace-reload".to_owned())
        .spawn(|| manager.run())?;
    let parts = Parts {
        snapshot,
        shared,
        reloader,
        ordering,
    };
    Ok(Ready { server, parts })
}

/// The compiler process runs this very program, even if its file has been replaced by another version.
fn compiler() -> Compiler {
    Compiler::new("/proc/self/exe")
}

fn check(args: &CheckArgs) -> Result<(), CommandError> {
    let config = load(&args.config)?;
    let shared = match args.offline {
        true => Shared {
            lookup: None,
            ..shared(&config)?
        },
        false => {
            server::find_addresses(&config)?;
            shared(&config)?
        }
    };
    let shared = Arc::new(shared);
    let frontends = Frontends::load(&config, &shared.listeners, None)?;
    Sinks::check(&config)?;
    let mut report = check::configuration(&config, &frontends);
    let (_, _, reloader) = Manager::start(
        origin(&args.config),
        config,
        frontends,
        Sinks::default(),
        shared,
        Some(compiler()),
    )?;
    report += &check::plugins(&reloader.status().list());
    pace_author::print(&report)?;
    Ok(())
}

fn route(args: &RouteArgs) -> Result<(), CommandError> {
    let config = load(&args.config)?;
    let request = request::Request::new(args, &config.server.rules)?;
    let answer = route::answer(&config, args, &request);
    pace_author::print(&answer.text)?;
    match answer.is_routed {
        true => Ok(()),
        false => Err(route::NoRoute.into()),
    }
}

fn origin(args: &ConfigArgs) -> Origin {
    Origin {
        path: args.config.clone(),
        overrides: args.overrides(),
    }
}

fn load(args: &ConfigArgs) -> Result<Config, CommandError> {
    let overrides = args.overrides();
    let config = match &args.config {
        Some(path) => Config::load(path, &overrides)?,
        None => Config::from_overrides(&overrides)?,
    };
    for warning in config.warnings() {
        warn!("{warning}");
    }
    if config.has_default_rate_limit {
        info!(
            target: "pace::server",
            "there is no [rate_limit]: each client has 100 requests in 60 seconds; `enabled = false` in it takes that away"
        );
    }
    Ok(config)
}

fn shared(config: &Config) -> Result<Shared, CommandError> {
    let cache_dir = config.server.cache_dir.clone().or_else(systemd_cache);
    let runtime = Runtime::new(cache_dir.as_deref(), config.server.workers)?;
    Ok(Shared::new(runtime, &config.server))
}

/// The directory that systemd made for the service, or the first if the unit wants several.
fn systemd_cache() -> Option<PathBuf> {
    let directories = std::env::var_os("CACHE_DIRECTORY")?;
    let first = directories.as_bytes().split(|byte| *byte == b':').next()?;
    (!first.is_empty()).then(|| OsStr::from_bytes(first).into())
}
