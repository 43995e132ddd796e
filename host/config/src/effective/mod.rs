//! The configuration that is in use, written out again: every default filled in, the short form expanded, and no secret in it.
//!
//! It has the keys of the file, so what it says can be looked up in the same table of the documentation, kept as a file, and
//! read back. Each type is taken apart without `..`: the compiler names a key that is not written out.
//!
//! | file | what it writes |
//! |---|---|
//! | `tree` | tables and values in the order in which they are shown |
//! | `masked` | texts without the secrets in them |
//! | `process`, `telemetry` | the tables of the process, and of what it tells |
//! | `plugins`, `pools`, `routes` | the lists |

mod masked;
mod plugins;
mod pools;
mod process;
mod routes;
mod telemetry;
mod tree;

use std::path::Path;
use std::time::Duration;

use serde::{Serialize, Serializer};

pub use self::masked::value as shown_value;
use self::tree::{Node, Table};
use crate::types::Config;

/// A configuration as it is shown.
pub struct Effective(Table);

impl Config {
    /// The configuration with all defaults and without secrets.
    pub fn effective(&self) -> Effective {
        let Config {
            written: _,
            has_default_rate_limit: _,
            server,
            listeners,
            acme,
            admin,
            metrics,
            access_log,
            tracing,
            plugins,
            pools,
            routes,
        } = self;
        let listeners = listeners.iter().map(|listener| process::listener(self, listener));
        let routes = routes.iter().map(|route| routes::route(self, route));
        Effective(
            Table::new()
                .with("server", process::server(server))
                .with("listeners", Node::list(listeners))
                .with_some("acme", acme.as_ref().map(process::acme))
                .with_some("admin", admin.as_ref().map(process::admin))
                .with_some("metrics", metrics.as_ref().map(telemetry::metrics))
                .with_some("access_log", access_log.as_ref().map(telemetry::access_log))
                .with_some("tracing", tracing.as_ref().map(telemetry::tracing))
                .with("plugins", Node::list(plugins.iter().map(plugins::plugin)))
                .with("pools", Node::list(pools.iter().map(pools::pool)))
                .with("routes", Node::list(routes)),
        )
    }
}

impl Effective {
    /// The configuration in the form of the file.
    pub fn to_toml(&self) -> String {
        toml::to_string_pretty(&self.0).expect("tables, texts and numbers are TOML")
    }
}

impl Serialize for Effective {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Milliseconds, where 0 stands for no limit.
fn millis_or_zero(time: Option<Duration>) -> u64 {
    time.map_or(0, millis)
}

/// Seconds, where 0 stands for never.
fn seconds_or_zero(time: Option<Duration>) -> u64 {
    time.map_or(0, |time| time.as_secs())
}

fn path(path: &Path) -> String {
    path.display().to_string()
}
