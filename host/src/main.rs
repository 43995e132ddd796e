//! The `pace` binary: reads the command line, and turns errors into one message and exit code 1.

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;

use arc_swap::ArcSwap;
use clap::Parser;
use log::warn;
use pace::cli::{Cli, Command, ConfigArgs};
use pace::config::Config;
use pace::plugin::Runtime;
use pace::server::Server;
use pace::snapshot::{Environment, Snapshot};
use pace::state::Store;
use pace::telemetry::Metrics;

/// Chosen by measurement: see the README, "How fast it is".
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Without RUST_LOG: what happens to the process, not what happens to each request.
const DEFAULT_LOG: &str = "info,pace::access=off";

fn main() -> ExitCode {
    let cli = Cli::parse();
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or(DEFAULT_LOG)).init();
    let result = match &cli.command {
        Some(Command::Check(args)) => check(args),
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
    let environment = Arc::new(environment()?);
    let snapshot = Snapshot::build(&config, &environment)?;
    server.run(Arc::new(ArcSwap::from_pointee(snapshot)), environment)?;
    Ok(())
}

fn check(args: &ConfigArgs) -> Result<(), Box<dyn Error>> {
    let config = load(args)?;
    let snapshot = Snapshot::build(&config, &environment()?)?;
    match report(&config, &snapshot) {
        // Who reads this may have seen enough: `pace check | head -1`.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

fn report(config: &Config, snapshot: &Snapshot) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let counts = (config.routes.len(), config.pools.len(), snapshot.plugins.len());
    writeln!(
        out,
        "ok: {} routes, {} pools, {} plugins",
        counts.0, counts.1, counts.2
    )?;
    for plugin in &snapshot.plugins {
        writeln!(out, "  plugin {} ({})", plugin.name, plugin.file)?;
        writeln!(out, "    hooks:   {}", plugin.hooks.join(", "))?;
        writeln!(out, "    imports: {}", plugin.imports.join(", "))?;
    }
    Ok(())
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

fn environment() -> Result<Environment, Box<dyn Error>> {
    Ok(Environment {
        runtime: Runtime::new()?,
        store: Store::new(),
        metrics: Metrics::new(),
    })
}
