//! Finds settings that are allowed and probably not meant.

use std::fmt;

use ipnet::IpNet;

use super::address::{AdminAddress, ListenAddress};
use super::types::listener::Listener;
use super::types::pool::Endpoint;
use super::types::route::{PathMatch, Route};
use super::types::{Admin, Backend, Config, Metrics, Plugin};

/// A remark for the operator about a configuration that is used all the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Warning {
    /// Other machines can reach the admin API.
    AdminReachable(ListenAddress),
    /// Other machines can reach the admin API, and its token is sent to it without encryption.
    TokenInClear(ListenAddress),
    /// Every client can claim any address.
    TrustsEverybody(IpNet),
    /// This network has bits behind its prefix, which are no part of it.
    HostBits(IpNet),
    /// A path that is written as a pattern, and is none.
    NoPattern {
        /// The path.
        path: String,
        /// Its line.
        line: usize,
    },
    /// The metrics take the place of the page at `/`.
    MetricsAtRoot,
    /// Instances of this plugin fail before they would be replaced.
    NeverRecycled(String),
    /// The first wait of this plugin's breaker is longer than the longest.
    CooldownAboveMaximum(String),
    /// No route uses this pool.
    UnusedPool(String),
    /// No route uses this plugin.
    UnusedPlugin(String),
    /// The expression of this route is found anywhere in a path.
    LooseExpression(String),
    /// No listener serves this route.
    UnservedRoute(String),
    /// Another route takes all requests that this one is for.
    UnreachableRoute {
        /// The route.
        route: String,
        /// The other one.
        taken_by: String,
    },
    /// The metrics are the answer to all requests that this route is for.
    RouteOfMetrics(String),
    /// Every backend of this pool has weight 0.
    DrainedPool(String),
    /// The backends of this pool do not prove who they are.
    Unverified(String),
    /// A backend of this pool is a listener.
    OwnBackend {
        /// The pool.
        pool: String,
        /// The backend.
        backend: String,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Warning::AdminReachable(listen) => write!(
                f,
                "[admin] listens on {listen}, where other machines can reach it; whoever does can change this proxy. \
                 Use 127.0.0.1 unless a firewall stands before it"
            ),
            Warning::TokenInClear(listen) => write!(
                f,
                "[admin] listens on {listen}, where other machines can reach it, without `cert` and `key`: its token crosses \
                 the network in the clear"
            ),
            Warning::TrustsEverybody(network) => write!(
                f,
                "`trusted_proxies` in [server] has {network}: every client can claim to be any address"
            ),
            Warning::HostBits(written) => write!(
                f,
                "{written} in `trusted_proxies` is taken for {}: it has bits behind its prefix",
                written.trunc()
            ),
            Warning::NoPattern { path, line } => write!(
                f,
                "the path {path:?} on line {line} is no pattern: each character stands for itself. `path_prefix` has everything \
                 below a path, and regular expressions are for `path_regex`"
            ),
            Warning::MetricsAtRoot => write!(
                f,
                "`endpoint = \"/\"` in [metrics]: whoever asks for / gets the metrics, and no backend does"
            ),
            Warning::NeverRecycled(plugin) => write!(
                f,
                "`recycle_memory_mb` of the plugin `{plugin}` is not below its `memory_mb`: a call fails before its instance is \
                 replaced"
            ),
            Warning::CooldownAboveMaximum(plugin) => write!(
                f,
                "`cooldown_ms` of the plugin `{plugin}` is above its `max_cooldown_ms`, which is raised to it"
            ),
            Warning::OwnBackend { pool, backend } => write!(
                f,
                "the backend {backend} of the pool `{pool}` is this Pace itself: requests would come back, and get 508"
            ),
            Warning::UnusedPool(name) => write!(f, "no route uses the pool `{name}`"),
            Warning::UnusedPlugin(name) => write!(f, "no route uses the plugin `{name}`"),
            Warning::LooseExpression(name) => write!(
                f,
                "`path_regex` of the route `{name}` is found anywhere in a path: begin it with `^` if it is for the \
                 beginning"
            ),
            Warning::UnservedRoute(name) => write!(
                f,
                "the route `{name}` is never taken: no entry of [[listeners]] names it in `routes`"
            ),
            Warning::UnreachableRoute { route, taken_by } => write!(
                f,
                "the route `{route}` is never taken: `{taken_by}`, which is tried before it, takes all its requests"
            ),
            Warning::RouteOfMetrics(name) => write!(
                f,
                "the route `{name}` is never taken: [metrics] answers requests for its path"
            ),
            Warning::Unverified(name) => write!(
                f,
                "`verify = false` in the pool `{name}`: whoever can answer in place of a backend reads and changes \
                 everything"
            ),
            Warning::DrainedPool(name) => {
                write!(
                    f,
                    "every backend of the pool `{name}` has weight 0, so none should get requests"
                )
            }
        }
    }
}

pub(super) fn find(config: &Config) -> Vec<Warning> {
    let routes = &config.routes;
    let admin = config
        .admin
        .as_ref()
        // Whoever has the token may change this proxy from anywhere.
        .filter(|admin| admin.token.is_none())
        .and_then(reachable);
    let in_clear = config
        .admin
        .as_ref()
        .filter(|admin| admin.token.is_some() && admin.identity.is_none())
        .and_then(reachable);
    let everybody = config
        .server
        .trusted_proxies
        .iter()
        .filter(|network| network.prefix_len() == 0);
    let used = |index| {
        routes
            .iter()
            .any(|route| route.plugins.iter().any(|entry| entry.plugin == index))
    };
    let unused_plugins = config
        .plugins
        .iter()
        .enumerate()
        .filter(|(index, _)| !used(*index));
    let served = |index| {
        let mirrored = |route: &Route| route.mirror().map(|mirror| mirror.pool);
        routes
            .iter()
            .any(|route| route.pools().chain(mirrored(route)).any(|pool| pool == index))
    };
    let unused_pools = config
        .pools
        .iter()
        .enumerate()
        .filter(|(index, _)| !served(*index));
    let drained = config
        .pools
        .iter()
        .filter(|pool| pool.backends.iter().all(|backend| backend.weight == 0));

    let mut warnings: Vec<_> = admin.into_iter().map(Warning::AdminReachable).collect();
    warnings.extend(in_clear.map(Warning::TokenInClear));
    warnings.extend(everybody.map(|network| Warning::TrustsEverybody(*network)));
    warnings.extend(config.written.remarks.iter().cloned());
    let is_root = |metrics: &&Metrics| metrics.endpoint == "/";
    warnings.extend(
        config
            .metrics
            .iter()
            .find(is_root)
            .map(|_| Warning::MetricsAtRoot),
    );
    let never_recycled = |plugin: &&Plugin| {
        (plugin.limits.recycle_memory).is_some_and(|growth| growth >= plugin.limits.memory)
    };
    let never_recycled = config.plugins.iter().filter(never_recycled);
    warnings.extend(never_recycled.map(|plugin| Warning::NeverRecycled(plugin.name.clone())));
    warnings.extend(unused_plugins.map(|(_, plugin)| Warning::UnusedPlugin(plugin.name.clone())));
    warnings.extend(unused_pools.map(|(_, pool)| Warning::UnusedPool(pool.name.clone())));
    warnings.extend(drained.map(|pool| Warning::DrainedPool(pool.name.clone())));
    warnings.extend(routes_not_meant(config));
    let unverified = config.pools.iter().filter(|pool| !pool.settings.tls.verify);
    warnings.extend(unverified.map(|pool| Warning::Unverified(pool.name.clone())));
    warnings.extend(own_backends(config));
    warnings
}

/// The address of an admin listener that other machines can reach.
fn reachable(admin: &Admin) -> Option<ListenAddress> {
    match &admin.listen {
        AdminAddress::Tcp(listen) if !listen.host.is_loopback() => Some(listen.clone()),
        AdminAddress::Tcp(_) | AdminAddress::Unix(_) => None,
    }
}

/// The backends that are listeners of this Pace. An address of the machine that is not loopback may be another's.
fn own_backends(config: &Config) -> impl Iterator<Item = Warning> + '_ {
    let is_listener = |backend: &Backend| {
        let Endpoint::Tcp { host, port } = &backend.endpoint else {
            return false;
        };
        let address = ListenAddress {
            host: host.clone(),
            port: *port,
        };
        let listens = |listener: &Listener| {
            let at = &listener.listen;
            at.covers(&address) && (at.host == address.host || address.host.is_loopback())
        };
        config.listeners.iter().any(listens)
    };
    let backends = config
        .pools
        .iter()
        .flat_map(|pool| pool.backends.iter().map(move |backend| (pool, backend)));
    let own = backends.filter(move |(_, backend)| is_listener(backend));
    own.map(|(pool, backend)| Warning::OwnBackend {
        pool: pool.name.clone(),
        backend: backend.label.clone(),
    })
}

/// Routes that no request takes, and expressions that may take more than is meant.
fn routes_not_meant(config: &Config) -> Vec<Warning> {
    let name = |index: usize| config.routes[index].name.clone();
    let matching = |index: usize| &config.routes[index].matching;
    let metrics = config.metrics.as_ref().map(|metrics| &metrics.endpoint);
    // Of the routes that are tried before another, only these can take all its requests.
    let takes_every_path = |index: &usize| matches!(&matching(*index).path, PathMatch::Regex(regex) if regex.matches_every_path());
    let mut before = Vec::new();
    let mut warnings = Vec::new();
    for index in config.routes_in_order() {
        let served_by: Vec<_> = config
            .listeners
            .iter()
            .filter(|listener| listener.serves(index))
            .collect();
        let is_taken_at = |listener: &&Listener| {
            let mut others = before.iter().copied();
            others.find(|other| listener.serves(*other) && matching(*other).covers(matching(index)))
        };
        let taken_by: Option<Vec<usize>> = served_by.iter().map(is_taken_at).collect();
        match (&matching(index).path, taken_by.as_deref()) {
            (_, Some([])) => warnings.push(Warning::UnservedRoute(name(index))),
            (_, Some([first, ..])) => warnings.push(Warning::UnreachableRoute {
                route: name(index),
                taken_by: name(*first),
            }),
            (PathMatch::Exact(path), None) if metrics == Some(path) => {
                warnings.push(Warning::RouteOfMetrics(name(index)));
            }
            (PathMatch::Regex(regex), None) if !regex.is_anchored() => {
                warnings.push(Warning::LooseExpression(name(index)));
            }
            _ => {}
        }
        before.extend(Some(index).filter(takes_every_path));
    }
    warnings
}
