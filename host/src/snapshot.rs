//! A configuration brought to life: what a request pins when it begins and uses to its end.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use serde::Serialize;

use crate::CONTRACT;
use crate::builtin;
use crate::chain::{Chain, Step};
use crate::client::TrustedProxies;
use crate::config::{self, Config, OnFailure, Source};
use crate::hook::{Failure, Hook, Plugin};
use crate::plugin::{LoadError, Program, Runtime, WasmPlugin};
use crate::router::Router;
use crate::state::Store;
use crate::telemetry::Metrics;
use crate::upstream::Pool;

/// Everything that a request is served with.
pub struct Snapshot {
    /// Where requests go.
    pub router: Router<Arc<Route>>,
    /// The path of the metrics on the public listener.
    pub metrics_endpoint: Option<String>,
    /// Who is believed about where a request came from.
    pub trusted_proxies: TrustedProxies,
    /// The plugins of the configuration, for people.
    pub plugins: Vec<PluginStatus>,
}

/// What there is to know about a plugin.
#[derive(Debug, Serialize)]
pub struct PluginStatus {
    /// Its name in the configuration.
    pub name: String,
    /// Its file, or `builtin:NAME`.
    pub file: String,
    /// The contract it was built for.
    pub contract: &'static str,
    /// The hooks that it exports.
    pub hooks: Vec<&'static str>,
    /// The interfaces that it imports.
    pub imports: Vec<String>,
}

/// A route with its plugins and its backends.
pub struct Route {
    /// The name in the configuration.
    pub name: String,
    /// Its plugins.
    pub chain: Chain,
    /// Its backends.
    pub pool: Arc<Pool>,
}

/// A plugin that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("plugin `{plugin}` ({file}): {reason}")]
pub struct PluginError {
    /// Its name in the configuration.
    pub plugin: String,
    /// Its file, or `builtin:NAME`.
    pub file: String,
    /// What is wrong.
    pub reason: LoadError,
}

/// What outlives a configuration.
pub struct Environment {
    /// The compiler.
    pub runtime: Runtime,
    /// Counters and windows.
    pub store: Arc<Store>,
    /// Metrics.
    pub metrics: Metrics,
}

/// The plugin that chooses backends where a route names none that does.
const DEFAULT_BALANCER: &str = "round-robin";

impl Snapshot {
    /// Loads every plugin and tries it with every configuration that it is used with.
    pub fn build(config: &Config, environment: &Environment) -> Result<Snapshot, PluginError> {
        let mut builder = Builder {
            config,
            environment,
            programs: HashMap::new(),
            shared: HashMap::new(),
        };
        // Also those that no route uses: a broken file is an error wherever it is named.
        let mut plugins = Vec::with_capacity(config.plugins.len());
        for plugin in &config.plugins {
            let program = builder.program(&plugin.name, &plugin.source)?;
            plugins.push(PluginStatus {
                name: plugin.name.clone(),
                file: file_name(&plugin.source),
                contract: CONTRACT,
                hooks: program.hooks().iter().map(Hook::name).collect(),
                imports: program.imports(),
            });
        }
        let pools: Vec<Arc<Pool>> = config
            .pools
            .iter()
            .map(|pool| Arc::new(Pool::new(pool, &environment.metrics)))
            .collect();
        let mut routes = Vec::with_capacity(config.routes.len());
        for route in &config.routes {
            let runtime = Arc::new(Route {
                name: route.name.clone(),
                chain: builder.chain(route)?,
                pool: Arc::clone(&pools[route.pool]),
            });
            routes.push((route.host.clone(), route.path_prefix.clone(), runtime));
        }
        Ok(Snapshot {
            router: Router::new(routes),
            metrics_endpoint: config.metrics.as_ref().map(|metrics| metrics.endpoint.clone()),
            trusted_proxies: config.server.trusted_proxies.iter().copied().collect(),
            plugins,
        })
    }
}

struct Builder<'a> {
    config: &'a Config,
    environment: &'a Environment,
    /// Compiled once, however many plugins are made of it.
    programs: HashMap<Source, Arc<Program>>,
    /// Plugins that routes use as they are, without configuration of their own.
    shared: HashMap<usize, Arc<WasmPlugin>>,
}

impl Builder<'_> {
    fn chain(&mut self, route: &config::Route) -> Result<Chain, PluginError> {
        let mut steps = Vec::with_capacity(route.plugins.len() + 1);
        for used in &route.plugins {
            let plugin = self.plugin(route, used)?;
            steps.push(self.step(plugin, used.on_failure));
        }
        if !steps.iter().any(|step| step.plugin.hooks().select_upstream) {
            let balancer = self.default_balancer()?;
            steps.push(self.step(balancer, OnFailure::Closed));
        }
        Ok(Chain::new(steps))
    }

    fn step(&self, plugin: Arc<WasmPlugin>, on_failure: OnFailure) -> Step {
        let metrics = self.environment.metrics.plugin(plugin.name(), plugin.hooks());
        Step {
            plugin,
            on_failure,
            metrics,
        }
    }

    fn plugin(
        &mut self,
        route: &config::Route,
        used: &config::PluginUse,
    ) -> Result<Arc<WasmPlugin>, PluginError> {
        let plugin = &self.config.plugins[used.plugin];
        if used.own_config {
            // State of its own too: a limit of 10 on this route is not used up by the 100 of another.
            let scope = format!("{}@{}", plugin.name, route.name);
            return self.make(plugin, &used.config, &scope);
        }
        if let Some(shared) = self.shared.get(&used.plugin) {
            return Ok(Arc::clone(shared));
        }
        let made = self.make(plugin, &plugin.config, &plugin.name)?;
        self.shared.insert(used.plugin, Arc::clone(&made));
        Ok(made)
    }

    fn default_balancer(&mut self) -> Result<Arc<WasmPlugin>, PluginError> {
        let plugin = config::Plugin {
            name: DEFAULT_BALANCER.to_owned(),
            source: Source::Builtin(DEFAULT_BALANCER.to_owned()),
            on_failure: OnFailure::Closed,
            limits: config::Limits::default(),
            config: serde_json::Map::new(),
        };
        // The name is one that an operator may have given to another plugin, whose state is not touched.
        self.make(&plugin, &plugin.config, "builtin:round-robin")
    }

    fn make(
        &mut self,
        plugin: &config::Plugin,
        config: &serde_json::Map<String, serde_json::Value>,
        scope: &str,
    ) -> Result<Arc<WasmPlugin>, PluginError> {
        let program = self.program(&plugin.name, &plugin.source)?;
        let scope = self.environment.store.scope(scope);
        WasmPlugin::new(plugin.name.as_str().into(), program, config, scope, plugin.limits)
            .map(Arc::new)
            .map_err(|failure: Failure| error(&plugin.name, &plugin.source, LoadError::Configure(failure)))
    }

    fn program(&mut self, name: &str, source: &Source) -> Result<Arc<Program>, PluginError> {
        let vacant = match self.programs.entry(source.clone()) {
            Entry::Occupied(known) => return Ok(Arc::clone(known.get())),
            Entry::Vacant(vacant) => vacant,
        };
        let runtime = &self.environment.runtime;
        let program = match source {
            Source::File(path) => Program::open(runtime, path),
            Source::Builtin(builtin) => {
                let bytes = builtin::component(builtin).expect("the configuration knows the builtins");
                Program::load(runtime, bytes)
            }
        };
        let program = program.map_err(|reason| error(name, source, reason))?;
        Ok(Arc::clone(vacant.insert(Arc::new(program))))
    }
}

fn error(name: &str, source: &Source, reason: LoadError) -> PluginError {
    PluginError {
        plugin: name.to_owned(),
        file: file_name(source),
        reason,
    }
}

fn file_name(source: &Source) -> String {
    match source {
        Source::Builtin(builtin) => format!("builtin:{builtin}"),
        Source::File(path) => path.display().to_string(),
    }
}
