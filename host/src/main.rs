//! The `pace` binary: reads the command line, and turns errors into one message and exit code 1.

use std::error::Error;
use std::ffi::OsStr;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;

use clap::Parser;
use log::warn;
use pace::allocator::OrEnd;
use pace::author;
use pace::cli::{Cli, Command, ConfigArgs, PluginCommand};
use pace::config::Config;
use pace::plugin::{Compiler, Runtime, compile_for_parent};
use pace::reload::{Manager, Origin, PluginStatus};
use pace::server::Server;
use pace::snapshot::Environment;
use pace::state::Store;
use pace::telemetry::Metrics;

/// Chosen by measurement: see docs/performance.md.
#[global_allocator]
static ALLOCATOR: OrEnd<mimalloc::MiMalloc> = OrEnd(mimalloc::MiMalloc);

/// Without RUST_LOG: what happens to the process, not what happens to each request.
const DEFAULT_LOG: &str = "info,pace::access=off";

fn main() -> ExitCode {
    // mimalloc asks the kernel for huge pages, of which little more than half is used: with them 64 to 80 MB
    // are resident under load, without them 37, and requests cost the same.
    let _not_supported = rustix::thread::disable_transparent_huge_pages(true);
    let cli = Cli::parse();
    let mut logger = env_logger::Builder::from_env(env_logger::Env::default().default_filter_or(DEFAULT_LOG));
    if let Some(Command::Plugin(PluginCommand::Run(_))) = &cli.command {
        author::prepare_log(&mut logger);
    }
    logger.init();
    let result = match &cli.command {
        Some(Command::Check(args)) => check(args),
        Some(Command::CompilePlugin(args)) => return compile_for_parent(args),
        Some(Command::Plugin(command)) => author::run(command),
        Some(Command::Run(args)) => run(args),
        None => run(&cli.run),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("pace: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &ConfigArgs) -> Result<(), Box<dyn Error>> {
    let config = load(args)?;
    // Before the plugins are compiled: a port in use is the more likely mistake, and is known at once.
    let server = Server::bind(&config)?;
    let environment = Arc::new(environment(&config)?);
    let started = Manager::start(origin(args), config, Arc::clone(&environment), Some(compiler()));
    let (manager, snapshot, reloader) = started?;
    thread::Builder::new()
        .name("pace-reload".to_owned())
        .spawn(|| manager.run())?;
    server.run(snapshot, environment, reloader)?;
    Ok(())
}

/// Also when another version has been installed in its place meanwhile, that is this one.
fn compiler() -> Compiler {
    Compiler::new("/proc/self/exe")
}

fn check(args: &ConfigArgs) -> Result<(), Box<dyn Error>> {
    let config = load(args)?;
    let counts = (config.routes.len(), config.pools.len());
    let environment = Arc::new(environment(&config)?);
    let (_, _, reloader) = Manager::start(origin(args), config, environment, Some(compiler()))?;
    match report(counts, &reloader.status().list()) {
        // Who reads this may have seen enough: `pace check | head -1`.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

fn report((routes, pools): (usize, usize), plugins: &[PluginStatus]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "ok: {routes} routes, {pools} pools, {} plugins",
        plugins.len()
    )?;
    for plugin in plugins {
        writeln!(out, "  plugin {} ({})", plugin.name, plugin.file)?;
        writeln!(out, "    sha256:  {}", plugin.sha256)?;
        writeln!(out, "    hooks:   {}", plugin.hooks.join(", "))?;
        writeln!(out, "    imports: {}", plugin.imports.join(", "))?;
        writeln!(out, "    runs:    {}", plugin.runs)?;
    }
    Ok(())
}

fn origin(args: &ConfigArgs) -> Origin {
    Origin {
        path: args.config.clone(),
        overrides: args.overrides(),
    }
}

fn load(args: &ConfigArgs) -> Result<Config, Box<dyn Error>> {
    let overrides = args.overrides();
    let config = match &args.config {
        Some(path) => Config::load(path, &overrides)?,
        None => Config::from_overrides(&overrides)?,
    };
    for warning in config.warnings() {
        warn!("{warning}");
    }
    Ok(config)
}

fn environment(config: &Config) -> Result<Environment, Box<dyn Error>> {
    let cache_dir = config.server.cache_dir.clone().or_else(systemd_cache);
    Ok(Environment {
        runtime: Runtime::new(cache_dir.as_deref(), config.server.workers)?,
        store: Store::new(config.server.state),
        metrics: Metrics::new(),
    })
}

/// The directory that systemd made for the service, or the first if the unit wants several.
fn systemd_cache() -> Option<PathBuf> {
    let directories = std::env::var_os("CACHE_DIRECTORY")?;
    let first = directories.as_bytes().split(|byte| *byte == b':').next()?;
    (!first.is_empty()).then(|| OsStr::from_bytes(first).into())
}
