//! Pace with the policies of its default plugins as native code, with which `cargo xtask bench` compares the
//! sandbox.
//!
//! Everything else is Pace's own: the server, the proxy, the chain, counters and windows. The policies are
//! those of the plugins' crates, compiled for the host. Argument: a configuration with no other plugins than
//! the builtin ones. Changes of the file are not followed.

mod balancer;
mod headers;
mod limiter;

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use balancing::Random;
use least_request::policy::LeastRequest;
use pace_base::logging::{Setup, Writing};
use pace_config::{BodyLimits, Config, Limits, OnFailure, Overrides, Source};
use pace_hook::{Failure, FailureReason, Hook, Plugin};
use pace_proxy::certificates::Frontends;
use pace_proxy::chain::{Chain, Step, failures_of};
use pace_proxy::reload::{Manager, Origin};
use pace_proxy::route::Route;
use pace_proxy::router::Router;
use pace_proxy::server::{Parts, Process, Server};
use pace_proxy::snapshot::{DEFAULT_BALANCER, Shared, Snapshot};
use pace_proxy::telemetry::Sinks;
use pace_proxy::upstream::{Answers, Lookup, Pool, system_lookup};
use pace_sandbox::Runtime;
use pace_state::Scope;
use peak_ewma::policy::PeakEwma;
use serde_json::{Map, Value};

use balancer::{Balancer, Keyed, Timed};

/// The allocator of `pace`: the comparison is of policies, not of allocators.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // `pace` does this too.
    let _not_supported = rustix::thread::disable_transparent_huge_pages(true);
    let log = Setup::from_env("warn,pace::access=off").and_then(|setup| setup.start(Writing::Later));
    let path = std::env::args_os().nth(1);
    let (Ok(log), Some(path)) = (log, path) else {
        eprintln!("usage: native-policies CONFIG");
        return ExitCode::FAILURE;
    };
    match run(Path::new(&path)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log.print(format_args!("native-policies: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn run(path: &Path) -> Result<(), Box<dyn Error>> {
    let overrides = Overrides::default();
    let mut process = Process::begin()?;
    let config = Config::load(path, &overrides)?;
    let server = Server::bind(&config, process.take_inherited())?;
    let runtime = Runtime::new(None, config.server.workers)?;
    let shared = Arc::new(Shared::new(runtime, &config.server));
    let origin = Origin {
        path: Some(path.to_owned()),
        overrides,
    };
    let (manager, snapshot, reloader) = Manager::start(
        origin,
        config.clone(),
        Frontends::default(),
        Sinks::default(),
        Arc::clone(&shared),
        None,
    )?;
    // A manager that follows files would put the sandboxed plugins back.
    drop(manager);
    let mut snapshot = Arc::into_inner(snapshot)
        .and_then(|swap| Arc::into_inner(swap.into_inner()))
        .ok_or("somebody else holds the snapshot")?;
    snapshot.set_router(routes(&config, &shared)?);
    let snapshot: Arc<ArcSwap<Snapshot>> = Arc::new(ArcSwap::from_pointee(snapshot));
    let parts = Parts {
        snapshot,
        shared,
        reloader,
        ordering: None,
    };
    server.run(process, parts)?;
    Ok(())
}

/// The routes of a configuration, with native plugins.
fn routes(config: &Config, shared: &Shared) -> Result<Router<Arc<Route>>, Failure> {
    let lookup: Lookup = Arc::new(system_lookup);
    let answers = Answers::look_up(config.pools.iter().flat_map(|pool| &pool.backends), &lookup);
    let pool = |pool| Pool::new(pool, None, &shared.metrics, &shared.changes, None, &answers);
    let pools: Vec<Arc<Pool>> = config.pools.iter().map(|it| Arc::new(pool(it))).collect();
    let mut routes = Vec::new();
    for route in &config.routes {
        let mut plugins = Vec::new();
        for used in &route.plugins {
            let entry = &config.plugins[used.plugin];
            plugins.push(native(entry, &used.config, shared)?);
        }
        if !plugins
            .iter()
            .any(|plugin| plugin.hooks().contains(Hook::SelectUpstream))
        {
            let scope = scope(DEFAULT_BALANCER, pace_config::Limits::default(), shared);
            plugins.push(Arc::new(balancer::RoundRobin::new(DEFAULT_BALANCER, scope)));
        }
        let step = |plugin: Arc<dyn Plugin>| Step {
            name: plugin.name().into(),
            metrics: shared.metrics.plugin(plugin.name(), plugin.hooks()),
            log: failures_of(plugin.name(), &route.name),
            plugin,
            route: route.name.as_str().into(),
            on_failure: OnFailure::Closed,
            index: 0,
            body: BodyLimits::of(&Limits::default()),
        };
        let chain = Chain::new(plugins.into_iter().map(step).collect());
        let runtime = Route::new(route, chain, &pools, None, shared.metrics.route(&route.name));
        routes.push((route.matching.clone(), Arc::new(runtime)));
    }
    Ok(Router::new(routes))
}

/// The native counterpart of a plugin of the binary.
fn native(
    entry: &pace_config::Plugin,
    config: &Map<String, Value>,
    shared: &Shared,
) -> Result<Arc<dyn Plugin>, Failure> {
    let scope = || scope(&entry.name, entry.limits, shared);
    let plugin: Arc<dyn Plugin> = match &entry.source {
        Source::Builtin(name) if name == "rate-limiter" => {
            Arc::new(limiter::RateLimiter::new(entry, read(config)?, &scope())?)
        }
        Source::Builtin(name) if name == "round-robin" => {
            Arc::new(balancer::RoundRobin::new(&entry.name, scope()))
        }
        Source::Builtin(name) if name == "least-request" => {
            Arc::new(Balancer::new(&entry.name, LeastRequest::new(random())))
        }
        Source::Builtin(name) if name == "peak-ewma" => {
            let timed = Timed {
                policy: PeakEwma::new(&read(config)?, random()),
                begin: Instant::now(),
            };
            Arc::new(Balancer::new(&entry.name, timed))
        }
        Source::Builtin(name) if name == "consistent-hash" => {
            Arc::new(Balancer::new(&entry.name, Keyed::new(read(config)?)?))
        }
        Source::Builtin(name) if name == "header-injection" => {
            Arc::new(headers::HeaderInjection::new(&entry.name, read(config)?)?)
        }
        other => return Err(refused(format!("{other:?} has no native counterpart"))),
    };
    Ok(plugin)
}

/// Random numbers that begin elsewhere in each process.
fn random() -> Random {
    Random::new(std::process::id().into())
}

fn scope(name: &str, limits: pace_config::Limits, shared: &Shared) -> Arc<Scope> {
    let limits = pace_state::ScopeLimits {
        windows: limits.windows,
        keys_per_window: limits.window_keys,
        bytes: limits.state,
        ..pace_state::ScopeLimits::default()
    };
    shared.store.scope(name, name, limits)
}

fn read<C: serde::de::DeserializeOwned>(config: &Map<String, Value>) -> Result<C, Failure> {
    serde_json::from_value(Value::Object(config.clone())).map_err(refused)
}

/// A failure for a configuration that `configure` of a plugin in the sandbox would refuse.
fn refused(reason: impl ToString) -> Failure {
    Failure {
        reason: FailureReason::Configure,
        detail: reason.to_string(),
    }
}
