//! A configuration brought to life, which a request pins when it begins and uses to its end.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU32};

use pace_tls::acme::Challenges;
use pace_tls::server::Frontend;
use pace_wire::request::Rules;
use serde_json::{Map, Value};

use crate::certificates::Frontends;
use crate::chain::{Chain, Step, failures_of};
use crate::client::TrustedProxies;
use crate::listeners::{ListenerId, Listeners};
use crate::route::{Mirror, Route};
use crate::router::Router;
use crate::telemetry::{Metrics, Sinks};
use crate::upstream::{Answers, Changes, Lookup, Pool, system_lookup};
use crate::via::Via;
use pace_config::listener::ForwardedCertificates;
use pace_config::route::{Action, Match};
use pace_config::telemetry::Secret;
use pace_config::{
    BodyLimits, ClientLimits, Config, ConnectionLimits, HeaderName, Limits, OnFailure, Problem, Server,
};
use pace_content::budget::Budget;
use pace_hook::{Failure, FailureReason, Hook, Plugin};
use pace_sandbox::{Generation, Runtime, WasmPlugin, state_limits};
use pace_state::{Scope, Store};

/// The complete state that a request is served with.
pub struct Snapshot {
    /// The configuration.
    pub config: Arc<Config>,
    fronts: Vec<Option<Front>>,
    /// The TLS of each listener.
    pub frontends: Arc<Frontends>,
    /// Where requests are told of.
    pub sinks: Arc<Sinks>,
    /// The answers for an authority that is to issue a certificate, if one is ordered.
    pub challenges: Option<Arc<Challenges>>,
    /// The path of the metrics on the public listener.
    pub metrics_endpoint: Option<String>,
    /// The peers whose word is taken for a client's address.
    pub trusted_proxies: TrustedProxies,
    /// The rules by which bytes are read as a request.
    pub rules: Rules,
    /// The value that is added to `Via`, if one is.
    pub via: Option<Via>,
    /// The field of a request that has its id, if requests are given one.
    pub request_id: Option<HeaderName>,
    /// The limits of time and size for clients.
    pub client: ClientLimits,
    /// The limits of the number of connections.
    pub connections: ConnectionLimits,
    /// What requests to the admin listener have to have, if they have to.
    pub admin_token: Option<Secret>,
    /// The header by which a request asks for the generations that serve it.
    pub debug_header: Option<HeaderName>,
    parts: Parts,
}

/// A listener as its connections see it.
pub struct Front {
    /// The way from a request to its route.
    pub router: Router<Arc<Route>>,
    /// The TLS of the listener, if it has any.
    pub frontend: Option<Arc<Frontend>>,
    /// The port to which requests are redirected, with TLS.
    pub redirects_to: Option<Arc<AtomicU16>>,
    /// How much of a client's certificate is forwarded to backends.
    pub forwards: ForwardedCertificates,
}

/// The state that outlives a configuration.
pub struct Shared {
    /// The compiler.
    pub runtime: Runtime,
    /// Counters and windows.
    pub store: Arc<Store>,
    /// The memory of bodies that are collected for plugins.
    pub bodies: Arc<Budget>,
    /// Metrics.
    pub metrics: Metrics,
    /// Listeners, by their addresses.
    pub listeners: Listeners,
    /// The signal by which pools wake their keeper.
    pub changes: Arc<Changes>,
    /// The resolver of backends' names; `None`: no name is looked up, and its backends have no address.
    pub lookup: Option<Lookup>,
}

impl Shared {
    /// The state of a process that begins, with the memory that the configuration of the server allows. Names are looked up as the
    /// system is set up.
    pub fn new(runtime: Runtime, server: &Server) -> Shared {
        Shared {
            runtime,
            store: Store::new(server.state),
            bodies: Budget::new(server.bodies),
            metrics: Metrics::new(),
            listeners: Listeners::default(),
            changes: Arc::default(),
            lookup: Some(Arc::new(system_lookup)),
        }
    }
}

impl AsRef<Metrics> for Shared {
    fn as_ref(&self) -> &Metrics {
        &self.metrics
    }
}

/// The parts that the next snapshot takes over unchanged: plugins keep their instances, pools their measurements of
/// backends.
#[derive(Default)]
struct Parts {
    plugins: HashMap<UseKey, Arc<WasmPlugin>>,
    pools: HashMap<String, (pace_config::Pool, Arc<Pool>)>,
    /// How many copies of a route's requests are on their way, by its name.
    mirrors: HashMap<String, Arc<AtomicU32>>,
    /// The scopes of plugins' counters and windows, with their limits.
    scopes: Vec<(Arc<Scope>, pace_state::ScopeLimits)>,
}

/// A use of a plugin, identified by its configuration and by the scope of its counters.
#[derive(PartialEq, Eq, Hash)]
struct UseKey {
    scope: String,
    generation: u64,
    config: String,
}

/// The plugin that chooses backends on routes whose plugins do not. No plugin of a configuration can have its name.
pub const DEFAULT_BALANCER: &str = "builtin:round-robin";

/// The name of the plugin whose counters and windows a scope has.
pub fn plugin_of_scope(scope: &str) -> &str {
    scope.split_once(OWN_SCOPE).map_or(scope, |(plugin, _)| plugin)
}

/// The mark between plugin and route in the name of a scope that a route has for itself. No plugin has it in its
/// name.
const OWN_SCOPE: char = '@';

/// A plugin that does not take a configuration.
#[derive(Clone, Debug)]
pub struct Misconfigured {
    /// The plugin.
    pub plugin: String,
    /// The route whose own configuration it is, if it is one's.
    pub route: Option<String>,
    /// The plugin's reason.
    pub failure: Failure,
}

impl Misconfigured {
    /// The reason, with the place in the file if the plugin has said why.
    pub fn problem(&self, config: &Config) -> Option<Problem> {
        let is_refusal = self.failure.reason == FailureReason::Configure;
        is_refusal
            .then(|| config.refused_by_plugin(&self.plugin, self.route.as_deref(), &self.failure.detail))
            .flatten()
    }

    /// The failure, whose detail names the route.
    pub fn into_failure(self) -> Failure {
        let Misconfigured { route, failure, .. } = self;
        match route {
            None => failure,
            Some(route) => {
                let detail = format!("with the configuration of route `{route}`: {}", failure.detail);
                Failure { detail, ..failure }
            }
        }
    }
}

/// The generation of each plugin of a configuration, and of [`DEFAULT_BALANCER`].
pub type Generations = HashMap<String, Arc<Generation>>;

impl Snapshot {
    /// Joins a configuration with the generations of its plugins. Every plugin is tried with every
    /// configuration that is new to it. The error names the plugin that refused. `answers` has the addresses of names, as far as
    /// they have been looked up.
    pub fn build(
        config: &Config,
        generations: &Generations,
        (frontends, sinks): (Arc<Frontends>, Arc<Sinks>),
        shared: &Shared,
        before: Option<&Snapshot>,
        answers: &Answers,
    ) -> Result<Snapshot, Misconfigured> {
        let mut builder = Builder {
            config,
            generations,
            shared,
            frontends: &frontends,
            before,
            answers,
            parts: Parts::default(),
        };
        let pools: Vec<Arc<Pool>> = config.pools.iter().map(|pool| builder.pool(pool)).collect();
        let mut routes = Vec::with_capacity(config.routes.len());
        for route in &config.routes {
            let (chain, mirror) = (builder.chain(route)?, builder.mirror(route, &pools)?);
            let metrics = shared.metrics.route(&route.name);
            let runtime = Route::new(route, chain, &pools, mirror, metrics);
            routes.push((route.matching.clone(), Arc::new(runtime)));
        }
        // Plugins that no route uses are checked too: a mistake is an error wherever it is written.
        for plugin in &config.plugins {
            builder.use_of(&plugin.name, plugin.name.clone(), &plugin.config)?;
        }
        let Builder { parts, .. } = builder;
        Ok(Snapshot {
            config: Arc::new(config.clone()),
            fronts: fronts(config, &routes, &frontends, shared),
            frontends,
            sinks,
            challenges: config
                .acme
                .is_some()
                .then(|| Arc::clone(shared.listeners.challenges())),
            metrics_endpoint: config.metrics.as_ref().map(|metrics| metrics.endpoint.clone()),
            trusted_proxies: config.server.trusted_proxies.iter().copied().collect(),
            rules: config.server.rules,
            via: config.server.via.as_deref().map(Via::new),
            request_id: config.server.request_id.clone(),
            client: config.server.client,
            connections: config.server.connections,
            admin_token: config.admin.as_ref().and_then(|admin| admin.token.clone()),
            debug_header: config.admin.as_ref().and_then(|admin| admin.debug_header.clone()),
            parts,
        })
    }

    /// Makes the only listener lead to other routes, as the bench needs it.
    pub fn set_router(&mut self, router: Router<Arc<Route>>) {
        if let Some(front) = self.fronts.iter_mut().flatten().next() {
            front.router = router;
        }
    }

    /// A listener; `None` if it has been removed.
    pub fn front(&self, listener: ListenerId) -> Option<&Front> {
        self.fronts.get(listener.index())?.as_ref()
    }

    /// Applies the limits to counts that plugins have already made, and to requests that are under way at backends. The caller does
    /// this once the snapshot serves: a refused one must not change anything.
    pub fn apply_limits(&self) {
        for (scope, limits) in &self.parts.scopes {
            scope.set_limits(*limits);
        }
        for pool in self.pools() {
            pool.take_over();
        }
    }

    /// The pools, in any order.
    pub fn pools(&self) -> impl Iterator<Item = &Arc<Pool>> {
        self.parts.pools.values().map(|(_, pool)| pool)
    }

    /// The pool of this name.
    pub fn pool(&self, name: &str) -> Option<&Arc<Pool>> {
        self.parts.pools.get(name).map(|(_, pool)| pool)
    }

    /// Whether a pool of this name has a backend with this label.
    pub fn has_backend(&self, pool: &str, label: &str) -> bool {
        self.pool(pool).is_some_and(|pool| pool.has(label))
    }

    /// The names of the scopes whose counters and windows the snapshot uses.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        self.parts.plugins.keys().map(|used| used.scope.as_str())
    }
}

/// The listeners, each at the index that is its number.
fn fronts(
    config: &Config,
    routes: &[(Match, Arc<Route>)],
    frontends: &Frontends,
    shared: &Shared,
) -> Vec<Option<Front>> {
    let encrypted = config.listeners.iter().find(|listener| listener.tls.is_some());
    let mut fronts = Vec::new();
    for listener in &config.listeners {
        let id = shared.listeners.id(&listener.listen);
        let numbered = routes.iter().enumerate();
        let served = numbered.filter(|(index, _)| listener.serves(*index));
        let front = Front {
            router: Router::new(served.map(|(_, route)| route.clone())),
            frontend: frontends.of(&listener.listen).map(Arc::clone),
            redirects_to: encrypted
                .filter(|_| listener.redirect_to_https)
                .map(|encrypted| shared.listeners.port(shared.listeners.id(&encrypted.listen))),
            forwards: listener
                .tls
                .as_ref()
                .map_or(ForwardedCertificates::None, |tls| tls.forward_client_certificates),
        };
        if fronts.len() <= id.index() {
            fronts.resize_with(id.index() + 1, || None);
        }
        fronts[id.index()] = Some(front);
    }
    fronts
}

struct Builder<'a> {
    config: &'a Config,
    generations: &'a Generations,
    shared: &'a Shared,
    frontends: &'a Frontends,
    before: Option<&'a Snapshot>,
    answers: &'a Answers,
    parts: Parts,
}

impl Builder<'_> {
    /// A pool that did not change stays the same. In one that did, remaining backends keep all that is known of them.
    fn pool(&mut self, pool: &pace_config::Pool) -> Arc<Pool> {
        let before = self.before.and_then(|before| before.parts.pools.get(&pool.name));
        let connector = self.frontends.connector_of(&pool.name);
        let made = match before {
            Some((config, same)) if config == pool && same.connects_with(connector.as_ref()) => {
                Arc::clone(same)
            }
            changed => Arc::new(Pool::new(
                pool,
                connector,
                &self.shared.metrics,
                &self.shared.changes,
                changed.map(|(_, before)| &**before),
                self.answers,
            )),
        };
        self.parts
            .pools
            .insert(pool.name.clone(), (pool.clone(), Arc::clone(&made)));
        made
    }

    fn chain(&mut self, route: &pace_config::route::Route) -> Result<Chain, Misconfigured> {
        let mut steps = Vec::with_capacity(route.plugins.len() + 1);
        for used in &route.plugins {
            let name = &self.config.plugins[used.plugin].name;
            // A plugin with configuration of its own on a route has state of its own too: a limit of 10 on this route
            // is not used up by the 100 of another.
            let scope = if used.own_config {
                format!("{name}{OWN_SCOPE}{}", route.name)
            } else {
                name.clone()
            };
            let plugin = self
                .use_of(name, scope, &used.config)
                .map_err(|refused| Misconfigured {
                    route: used.own_config.then(|| route.name.clone()),
                    ..refused
                })?;
            steps.push(self.step(route, plugin, used.on_failure, used.body));
        }
        let chooses = |step: &Step| step.plugin.hooks().contains(Hook::SelectUpstream);
        if route.pools().next().is_some() && !steps.iter().any(chooses) {
            steps.push(self.default_balancer(route)?);
        }
        Ok(Chain::new(steps))
    }

    fn default_balancer(&mut self, route: &pace_config::route::Route) -> Result<Step, Misconfigured> {
        let balancer = self.use_of(DEFAULT_BALANCER, DEFAULT_BALANCER.to_owned(), &Map::new())?;
        Ok(self.step(
            route,
            balancer,
            OnFailure::Closed,
            BodyLimits::of(&Limits::default()),
        ))
    }

    /// The mirror of a route, if it has one.
    fn mirror(
        &mut self,
        route: &pace_config::route::Route,
        pools: &[Arc<Pool>],
    ) -> Result<Option<Mirror>, Misconfigured> {
        let Action::Forward(forward) = &route.action else {
            return Ok(None);
        };
        let Some(mirror) = &forward.mirror else {
            return Ok(None);
        };
        let pool = &pools[mirror.pool];
        let before = self
            .before
            .and_then(|before| before.parts.mirrors.get(&route.name));
        let in_flight = before.map(Arc::clone).unwrap_or_default();
        self.parts
            .mirrors
            .insert(route.name.clone(), Arc::clone(&in_flight));
        let chain = Chain::new(vec![self.default_balancer(route)?]);
        let metrics = self.shared.metrics.mirror(&pool.name);
        let mirror = Mirror::new(route, mirror, forward.timeouts, chain, pool, metrics, in_flight);
        Ok(Some(mirror))
    }

    fn step(
        &self,
        route: &pace_config::route::Route,
        plugin: Arc<WasmPlugin>,
        on_failure: OnFailure,
        body: BodyLimits,
    ) -> Step {
        let metrics = self.shared.metrics.plugin(plugin.name(), plugin.hooks());
        let log = failures_of(plugin.name(), &route.name);
        Step {
            name: plugin.name().into(),
            plugin,
            route: route.name.as_str().into(),
            on_failure,
            metrics,
            log,
            // The chain sets it.
            index: 0,
            body,
        }
    }

    fn use_of(
        &mut self,
        plugin: &str,
        scope: String,
        config: &Map<String, Value>,
    ) -> Result<Arc<WasmPlugin>, Misconfigured> {
        let generation = &self.generations[plugin];
        let config = serde_json::to_string(config).expect("a map of JSON values is JSON");
        let limits = state_limits(&generation.settings().limits);
        let counted = self.shared.store.scope(plugin, &scope, limits);
        self.parts.scopes.push((Arc::clone(&counted), limits));
        let key = UseKey {
            scope,
            generation: generation.number,
            config,
        };
        let known = self.parts.plugins.get(&key);
        let known = known.or_else(|| self.before.and_then(|before| before.parts.plugins.get(&key)));
        // A number is used once per name, but a plugin that was removed and added again begins anew.
        if let Some(same) = known.filter(|known| Arc::ptr_eq(known.generation(), generation)) {
            let same = Arc::clone(same);
            self.parts.plugins.insert(key, Arc::clone(&same));
            return Ok(same);
        }
        let runtime = &self.shared.runtime;
        let made = WasmPlugin::new(runtime, Arc::clone(generation), key.config.clone(), counted).map_err(
            |failure| Misconfigured {
                plugin: plugin.to_owned(),
                route: None,
                failure,
            },
        )?;
        if let Some(narrow) = made.narrow_limits() {
            log::warn!(target: "pace::plugin", "plugin {plugin}: {narrow}");
        }
        let made = Arc::new(made);
        self.parts.plugins.insert(key, Arc::clone(&made));
        Ok(made)
    }
}
