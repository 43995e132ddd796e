//! Finds settings that are allowed and probably not meant.

use std::fmt;

use ipnet::IpNet;

use super::address::ListenAddress;
use super::types::Config;

/// A remark for the operator about a configuration that is used all the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Warning {
    /// Other machines can reach the admin API.
    AdminReachable(ListenAddress),
    /// Every client can claim any address.
    TrustsEverybody(IpNet),
    /// No route uses this pool.
    UnusedPool(String),
    /// No route uses this plugin.
    UnusedPlugin(String),
    /// Every backend of this pool has weight 0.
    DrainedPool(String),
    /// The backends of this pool do not prove who they are.
    Unverified(String),
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Warning::AdminReachable(listen) => write!(
                f,
                "[admin] listens on {listen}, where other machines can reach it; whoever does can change this proxy. \
                 Use 127.0.0.1 unless a firewall stands before it"
            ),
            Warning::TrustsEverybody(network) => write!(
                f,
                "`trusted_proxies` in [server] has {network}: every client can claim to be any address"
            ),
            Warning::UnusedPool(name) => write!(f, "no route uses the pool `{name}`"),
            Warning::UnusedPlugin(name) => write!(f, "no route uses the plugin `{name}`"),
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
        .map(|admin| admin.listen.clone())
        .filter(|listen| !listen.host.is_loopback());
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
    let served = |index| routes.iter().any(|route| route.pool == index);
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
    warnings.extend(everybody.map(|network| Warning::TrustsEverybody(*network)));
    warnings.extend(unused_plugins.map(|(_, plugin)| Warning::UnusedPlugin(plugin.name.clone())));
    warnings.extend(unused_pools.map(|(_, pool)| Warning::UnusedPool(pool.name.clone())));
    warnings.extend(drained.map(|pool| Warning::DrainedPool(pool.name.clone())));
    let unverified = config.pools.iter().filter(|pool| !pool.settings.tls.verify);
    warnings.extend(unverified.map(|pool| Warning::Unverified(pool.name.clone())));
    warnings
}
