//! The configuration as written, key by key. Keys with a default are optional here; the defaults are in
//! `resolve`, `plugins` and `pools`.

pub(crate) mod listeners;
pub(crate) mod pools;
pub(crate) mod routes;
pub(crate) mod telemetry;

use serde::Deserialize;

use self::routes::Route;

use super::address::{AdminAddress, BackendAddress, ListenAddress};
use super::json::JsonTable;
use super::scalar::tls::Protocol;
use super::scalar::{
    EncodedSlashes, Int, Isolation, KeyExtractor, MatchHost, Mode, Name, Network, OnFailure,
    OptionalHeaderName, RetryOn, Sha256, Underscores, UrlPath, Via, Wasm,
};
use super::shape::{Entries, OrText, Placed, Shorthand, Table};

/// The whole file. It uses either `upstreams`, `rate_limit` and `headers`, or `plugins`, `pools` and
/// `routes`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    #[serde(default)]
    pub server: Table<Server>,
    pub listeners: Option<Placed<Vec<Table<listeners::Listener>>>>,
    pub acme: Option<Table<listeners::Acme>>,
    pub admin: Option<Table<Admin>>,
    pub metrics: Option<Table<Metrics>>,
    pub access_log: Option<Table<telemetry::AccessLog>>,
    pub tracing: Option<Table<telemetry::Tracing>>,

    pub upstreams: Option<Table<Upstreams>>,
    pub rate_limit: Option<Table<RateLimit>>,
    pub headers: Option<Table<Headers>>,

    pub plugins: Option<Placed<Vec<Table<Plugin>>>>,
    pub pools: Option<Placed<Vec<Table<Pool>>>>,
    pub routes: Option<Placed<Vec<Table<Route>>>>,
}

/// The three lists that both forms are reduced to.
#[derive(Debug, Default)]
pub(super) struct Full {
    pub plugins: Vec<Table<Plugin>>,
    pub pools: Vec<Table<Pool>>,
    pub routes: Vec<Table<Route>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Server {
    pub listen: Option<Placed<ListenAddress>>,
    pub workers: Option<Int<1, 1024>>,
    pub shutdown_delay_ms: Option<Int<0, 3_600_000>>,
    pub grace_period_seconds: Option<Int<0, 3600>>,
    pub trusted_proxies: Option<Vec<Network>>,
    pub proxy_protocol: Option<Placed<bool>>,
    pub encoded_slashes: Option<EncodedSlashes>,
    pub underscores: Option<Underscores>,
    pub via: Option<Via>,
    pub request_id: Option<Placed<OptionalHeaderName>>,
    pub max_head_kb: Option<Int<1, 1024>>,
    pub max_fields: Option<Int<1, 1024>>,
    pub head_timeout_ms: Option<Millis>,
    pub body_timeout_ms: Option<Millis>,
    pub body_bytes_per_second: Option<Int<1, { u32::MAX }>>,
    pub send_timeout_ms: Option<Millis>,
    pub keepalive_timeout_ms: Option<Millis>,
    pub keepalive_requests: Option<Int<0, { u32::MAX }>>,
    pub upgrade_timeout_ms: Option<Millis>,
    pub tcp_keepalive_seconds: Option<Int<0, 32_767>>,
    pub max_connections: Option<Int<0, { u32::MAX }>>,
    pub max_connections_per_client: Option<Int<0, { u32::MAX }>>,
    pub cache_dir: Option<String>,
    pub state_mb: Option<Int<1, 1_048_576>>,
    pub body_mb: Option<Int<1, 1_048_576>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Admin {
    pub listen: Option<Placed<AdminAddress>>,
    pub mode: Option<Placed<Mode>>,
    pub cert: Option<Placed<String>>,
    pub key: Option<Placed<String>>,
    pub debug_header: Option<OptionalHeaderName>,
    pub token: Option<Table<telemetry::Secret>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Metrics {
    pub enabled: Option<bool>,
    pub endpoint: Option<UrlPath>,
}

/// Makes `[upstreams]` and `[[pools]]`, which share all keys of a pool.
macro_rules! pool_keys {
    ($($key:ident: $type:ty,)*) => {
        #[derive(Debug, Default, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub(super) struct Upstreams {
            pub backends: Option<Backends>,
            $(pub $key: Option<$type>,)*
        }

        /// `[upstreams]` with a name.
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub(super) struct Pool {
            pub name: Placed<Name>,
            pub backends: Backends,
            $(pub $key: Option<$type>,)*
        }

        impl Upstreams {
            /// The same pool in the full form.
            pub(super) fn named(self, name: Placed<Name>, backends: Backends) -> Pool {
                Pool {
                    name,
                    backends,
                    $($key: self.$key,)*
                }
            }
        }
    };
}

pool_keys! {
    max_retries: Placed<Int<0, 10>>,
    retry: Table<Retry>,
    retry_body_kb: Int<0, 65_536>,
    buffer_request_kb: Int<0, 65_536>,
    connect_timeout_ms: Millis,
    first_byte_timeout_ms: Millis,
    response_timeout_ms: Millis,
    total_timeout_ms: Int<0, 86_400_000>,
    idle_timeout_ms: Millis,
    idle_connections: Int<1, 65535>,
    protocol: Protocol,
    tls: Table<PoolTls>,
    resolve_every_seconds: Int<0, 86_400>,
    health_check: Table<pools::HealthCheck>,
    ejection: Table<pools::Ejection>,
    slow_start_ms: Int<0, 3_600_000>,
    max_in_flight: Int<1, { u32::MAX }>,
    max_queued: Placed<Int<0, 1_000_000>>,
    queue_ms: Placed<Millis>,
    stickiness: Table<pools::Stickiness>,
}

/// `tls` of a pool.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PoolTls {
    pub ca: Option<Placed<String>>,
    pub server_name: Option<MatchHost>,
    pub cert: Option<Placed<String>>,
    pub key: Option<Placed<String>>,
    pub verify: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Retry {
    pub attempts: Option<Int<1, 11>>,
    pub on: Option<Vec<RetryOn>>,
    pub budget_percent: Option<Int<0, 100>>,
    pub per_try_ms: Option<Int<0, 86_400_000>>,
    pub backoff_ms: Option<Int<0, 60_000>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RateLimit {
    pub enabled: Option<bool>,
    pub max_requests: Option<Int<1, { u32::MAX }>>,
    pub window_seconds: Option<Int<1, 604_800>>,
    pub key_extractor: Option<Placed<KeyExtractor>>,
    pub ipv4_prefix: Option<Int<0, 32>>,
    pub ipv6_prefix: Option<Int<0, 128>>,
}

/// The tables are checked by the plugin `header-injection`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Headers {
    pub identify: Option<bool>,
    pub request: Option<JsonTable>,
    pub response: Option<JsonTable>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Plugin {
    pub name: Placed<Name>,
    pub wasm: Wasm,
    pub sha256: Option<Sha256>,
    pub on_failure: Option<OnFailure>,
    pub isolation: Option<Isolation>,
    pub limits: Option<Table<Limits>>,
    pub breaker: Option<Table<Breaker>>,
    pub rollback: Option<Table<Rollback>>,
    #[serde(default)]
    pub secrets: Entries<Name, Table<telemetry::Secret>>,
    #[serde(default)]
    pub config: JsonTable,
}

/// `limits` of a plugin.
#[allow(missing_docs, reason = "docs/configuration.md has every key")]
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    pub time_ms: Option<Int<1, 1000>>,
    pub memory_mb: Option<Int<1, 1024>>,
    pub headers: Option<Int<0, 1024>>,
    pub header_kb: Option<Int<1, 1024>>,
    pub body_kb: Option<Int<0, 65_536>>,
    pub read_body_kb: Option<Int<1, 1_048_576>>,
    pub read_body_ms: Option<Millis>,
    pub unit_kb: Option<Int<1, 65_536>>,
    pub streams: Option<Int<1, 65_536>>,
    pub handles: Option<Int<1, 65_536>>,
    pub windows: Option<Int<0, 64>>,
    pub window_keys: Option<Int<1, 16_777_216>>,
    pub tables: Option<Int<0, 64>>,
    pub value_kb: Option<Int<1, 65_536>>,
    pub metrics: Option<Int<0, 256>>,
    pub state_mb: Option<Int<1, 1_048_576>>,
    pub log_lines_per_second: Option<Int<0, 1_000_000>>,
    pub recycle_memory_mb: Option<Int<1, 1024>>,
    pub recycle_uses: Option<Int<0, { u32::MAX }>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Breaker {
    pub failures: Option<Int<0, 10_000>>,
    pub cooldown_ms: Option<Int<1, 3_600_000>>,
    pub max_cooldown_ms: Option<Int<1, 3_600_000>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rollback {
    pub calls: Option<Int<0, 1_000_000>>,
    pub failures_percent: Option<Int<1, 100>>,
}

pub(super) type Backends = Placed<Vec<Placed<OrText<Backend>>>>;

/// Milliseconds, up to a day.
pub(super) type Millis = Int<1, 86_400_000>;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Backend {
    pub address: BackendAddress,
    pub weight: Option<Int<0, 65535>>,
    pub backup: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PluginUse {
    #[serde(rename = "use")]
    pub plugin: String,
    pub config: Option<JsonTable>,
    pub on_failure: Option<OnFailure>,
    pub limits: Option<Table<UseLimits>>,
}

/// `limits` of a plugin in the list of a route.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UseLimits {
    pub read_body_kb: Option<Int<1, 1_048_576>>,
    pub read_body_ms: Option<Millis>,
    pub unit_kb: Option<Int<1, 65_536>>,
}

impl Shorthand for Backend {
    const EXPECTED: &'static str =
        "an address such as \"127.0.0.1:8000\" or { address = \"...\", weight = 2 }";

    fn from_text(text: &str) -> Result<Self, String> {
        Ok(Backend {
            address: BackendAddress::parse(text)?,
            weight: None,
            backup: None,
        })
    }
}

impl Shorthand for PluginUse {
    const EXPECTED: &'static str = "the name of a plugin or { use = \"name\", config = { ... } }";

    fn from_text(name: &str) -> Result<Self, String> {
        Ok(PluginUse {
            plugin: name.to_owned(),
            config: None,
            on_failure: None,
            limits: None,
        })
    }
}

impl PoolTls {
    /// Whether nothing is said.
    pub(super) fn is_empty(&self) -> bool {
        let PoolTls {
            ca,
            server_name,
            cert,
            key,
            verify,
        } = self;
        ca.is_none() && server_name.is_none() && cert.is_none() && key.is_none() && verify.is_none()
    }
}
