//! The configuration as the rest of the program uses it. Valid by construction: nothing here needs a second check.
//!
//! Types whose parts depend on each other are `non_exhaustive`: only this crate makes them, from a file or by the functions
//! below. Those that are numbers with defaults, such as [`Limits`], can be made anywhere.

use std::fmt;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use pace_wire::request::Rules;
use serde_json::{Map, Value};

use super::address::{Host, ListenAddress};
pub use super::scalar::HeaderName;

/// A complete configuration.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Config {
    /// The public listener and the process.
    pub server: Server,
    /// `[admin]`; without the table there is no such listener.
    pub admin: Option<Admin>,
    /// `[metrics]`; `None` without the table and with `enabled = false`.
    pub metrics: Option<Metrics>,
    /// In the order of the file. Names are unique.
    pub plugins: Vec<Plugin>,
    /// In the order of the file. Names are unique. At least one.
    pub pools: Vec<Pool>,
    /// In the order of the file. No two have the same host and path prefix. At least one.
    pub routes: Vec<Route>,
}

impl Config {
    /// The same with this plugin and no other, on every route.
    #[must_use]
    pub fn with_only(mut self, plugin: Plugin) -> Config {
        for route in &mut self.routes {
            route.plugins = vec![PluginUse {
                plugin: 0,
                on_failure: plugin.on_failure,
                config: plugin.config.clone(),
                own_config: false,
            }];
        }
        self.plugins = vec![plugin];
        self
    }
}

/// `[server]`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Server {
    /// Where clients connect.
    pub listen: ListenAddress,
    /// Worker threads, 1 to 1024.
    pub workers: usize,
    /// How long requests in flight may take to finish after SIGTERM, up to an hour.
    pub grace_period: Duration,
    /// The peers that are believed about where a request came from. Empty: nobody.
    pub trusted_proxies: Vec<IpNet>,
    /// Whether trusted peers begin each connection with a PROXY protocol header. Only with
    /// `trusted_proxies`.
    pub proxy_protocol: bool,
    /// What is read as a request.
    pub rules: Rules,
    /// What Pace calls itself in `Via`, a token; it writes no such field if there is none.
    pub via: Option<String>,
    /// How long a client may take, and how much it may send.
    pub client: ClientLimits,
    /// How many connections there may be.
    pub connections: ConnectionLimits,
    /// Where compiled plugins are kept over a restart; nowhere if there is none.
    pub cache_dir: Option<PathBuf>,
    /// Bytes of all counters and windows of plugins, 1 MiB to 1 TiB.
    pub state: usize,
}

/// How long a client may take, and how much it may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientLimits {
    /// For a whole head, from its first byte on.
    pub head: Duration,
    /// For a body to be silent. What it brings gives this back, at [`ClientLimits::body_rate`].
    pub body: Duration,
    /// Bytes of a body that make up for a second.
    pub body_rate: u32,
    /// To take any of what is sent.
    pub send: Duration,
    /// For the next request.
    pub keepalive: Duration,
    /// Requests on one connection; `None`: any number.
    pub requests: Option<NonZeroU32>,
    /// Without a byte in either direction after an upgrade.
    pub upgraded: Duration,
    /// Bytes of a head.
    pub head_bytes: usize,
}

/// How many connections there may be, and how their ends are looked after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Client connections; `None`: any number.
    pub max: Option<NonZeroU32>,
    /// Client connections of one address; `None`: any number.
    pub max_per_client: Option<NonZeroU32>,
    /// After how long without a byte the other end is asked by TCP whether it is there; `None`: never.
    pub tcp_keepalive: Option<Duration>,
}

impl Default for ClientLimits {
    fn default() -> ClientLimits {
        ClientLimits {
            head: Duration::from_secs(10),
            body: Duration::from_secs(10),
            body_rate: 1024,
            send: Duration::from_secs(30),
            keepalive: Duration::from_secs(75),
            requests: NonZeroU32::new(1000),
            upgraded: Duration::from_secs(600),
            head_bytes: 64 << 10,
        }
    }
}

impl Default for ConnectionLimits {
    fn default() -> ConnectionLimits {
        ConnectionLimits {
            max: None,
            max_per_client: None,
            tcp_keepalive: Some(Duration::from_secs(60)),
        }
    }
}

/// `[admin]`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Admin {
    /// Where the admin API listens; never where the public listener does.
    pub listen: ListenAddress,
    /// A request that has this header learns which generation of each plugin serves it.
    pub debug_header: Option<HeaderName>,
}

/// `[metrics]`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metrics {
    /// The path on the public listener, with its leading `/`.
    pub endpoint: String,
}

/// One entry of `[[plugins]]`.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Plugin {
    /// What routes, logs and metrics call it: 1 to 48 characters out of `a-z`, `0-9`, `.`, `_`, `-`.
    pub name: String,
    /// Where its code is.
    pub source: Source,
    /// What the file's content must hash to; any content if there is none.
    pub sha256: Option<Sha256>,
    /// What becomes of a request when the plugin fails; a route may say otherwise.
    pub on_failure: OnFailure,
    /// How long an instance lives.
    pub isolation: Isolation,
    /// What one call of a hook may use, and what it may hand back.
    pub limits: Limits,
    /// When a plugin that keeps failing is left alone.
    pub breaker: Breaker,
    /// When a new version gives way to the one before.
    pub rollback: Rollback,
    /// What `configure` is given.
    pub config: Map<String, Value>,
}

impl Plugin {
    /// A plugin with every default. No entry of a configuration has been read for it, so nothing has looked at its name.
    pub fn new(name: &str, source: Source) -> Plugin {
        Plugin {
            name: name.to_owned(),
            source,
            sha256: None,
            on_failure: OnFailure::default(),
            isolation: Isolation::default(),
            limits: Limits::default(),
            breaker: Breaker::default(),
            rollback: Rollback::default(),
            config: Map::new(),
        }
    }
}

/// Where a plugin's code is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Source {
    /// In the binary, under one of the names of [`BUILTINS`](super::BUILTINS).
    Builtin(String),
    /// In a file. What was relative in the configuration is joined to the configuration's directory.
    File(PathBuf),
}

/// What becomes of a request when a plugin fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnFailure {
    /// It is answered with 503.
    #[default]
    Closed,
    /// It goes on as if the plugin were not there.
    Open,
}

/// How long an instance of a plugin lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum Isolation {
    /// One per worker thread, used for many requests after one another.
    #[default]
    Worker,
    /// One for every call of a hook. What a call leaves in the plugin's memory is gone with it: no other
    /// request sees it, nor a later hook of the same one.
    Request,
}

/// A SHA-256 digest.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sha256([u8; 32]);

impl Sha256 {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Sha256 {
        use sha2::Digest;
        Sha256(sha2::Sha256::digest(bytes).into())
    }

    /// From 64 hexadecimal digits in either case.
    pub fn parse(text: &str) -> Option<Sha256> {
        let digits = text.as_bytes();
        let mut digest = [0; 32];
        if digits.len() != 2 * digest.len() || !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        for (byte, pair) in digest.iter_mut().zip(text.as_bytes().chunks(2)) {
            *byte = u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(Sha256(digest))
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

/// What one call of a plugin's hook may use and hand back, and when an instance is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Time for a call, 1 ms to 1 s.
    pub time: Duration,
    /// Linear memory in bytes, 1 MiB to 1 GiB.
    pub memory: usize,
    /// Headers that a call may add to a message, and of a response that it makes.
    pub headers: usize,
    /// Bytes of those headers, names and values.
    pub header_bytes: usize,
    /// Bytes of the body of a response that it makes.
    pub body_bytes: usize,
    /// Counters and windows that an instance may hold open.
    pub handles: usize,
    /// Windows of a plugin, over all instances, and of each route that has a configuration of its own.
    pub windows: usize,
    /// Keys that each of them holds.
    pub window_keys: usize,
    /// Bytes of the plugin's counters and windows, over all instances and routes, 1 MiB to 1 TiB.
    pub state: usize,
    /// Log lines per second, over all workers; what is more is dropped and counted.
    pub log_lines_per_second: u32,
    /// An instance whose memory has passed this many bytes is replaced after the call.
    pub recycle_memory: usize,
    /// An instance is replaced after so many calls; 0: never for that reason.
    pub recycle_uses: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            time: Duration::from_millis(10),
            memory: 16 << 20,
            headers: 256,
            header_bytes: 64 << 10,
            body_bytes: 4 << 20,
            handles: 1024,
            windows: 64,
            window_keys: 1_000_000,
            state: 64 << 20,
            log_lines_per_second: 100,
            recycle_memory: 12 << 20,
            recycle_uses: 0,
        }
    }
}

/// When a plugin that keeps failing is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Breaker {
    /// After so many failures in a row; 0: never.
    pub failures: u32,
    /// For so long the first time, and twice as long each further time.
    pub cooldown: Duration,
    /// For so long at most.
    pub max_cooldown: Duration,
}

impl Default for Breaker {
    fn default() -> Self {
        Breaker {
            failures: 5,
            cooldown: Duration::from_secs(1),
            max_cooldown: Duration::from_secs(60),
        }
    }
}

/// When a new version of a plugin gives way to the one before by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rollback {
    /// During its first so many calls; 0: never.
    pub calls: u32,
    /// When more than this share of those calls fails, 1 to 100.
    pub failures_percent: u32,
}

impl Default for Rollback {
    fn default() -> Self {
        Rollback {
            calls: 100,
            failures_percent: 20,
        }
    }
}

/// One entry of `[[pools]]`: backends that can stand in for each other.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Pool {
    /// 1 to 48 characters out of `a-z`, `0-9`, `.`, `_`, `-`.
    pub name: String,
    /// 1 to 65535 of them, none twice.
    pub backends: Vec<Backend>,
    /// How requests get there.
    pub settings: PoolSettings,
}

/// How requests get to the backends of a pool, and how long that may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolSettings {
    /// When an attempt is followed by another.
    pub retry: Retry,
    /// How many bytes of a request's body are kept, so that it can be sent again.
    pub retry_body: usize,
    /// The longest wait for a connection, 1 ms to a day.
    pub connect_timeout: Duration,
    /// The longest wait for the response's head, from when the request has been sent, 1 ms to a day.
    pub first_byte_timeout: Duration,
    /// The longest wait for the next bytes of the response, and for the backend to take any of the request, 1 ms to a day.
    pub response_timeout: Duration,
    /// The longest time from a request's head to the end of its response, up to a day; as long as it takes if there is none.
    pub total_timeout: Option<Duration>,
    /// How long a connection is kept without a request on it, 1 ms to a day.
    pub idle_timeout: Duration,
    /// How many connections without a request each worker keeps, 1 to 65535.
    pub idle_connections: usize,
}

/// When an attempt that failed is followed by another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retry {
    /// How many attempts a request has, 1 to 11.
    pub attempts: u32,
    /// What an attempt must come to.
    pub on: Vec<RetryOn>,
    /// How many attempts there may be besides the first ones, in percent of these, 0 to 100.
    pub budget_percent: u32,
    /// How long one attempt may take up to the response's head; as long as the other limits allow if there is none.
    pub per_try: Option<Duration>,
    /// The mean wait before the first further attempt; it doubles each time.
    pub backoff: Duration,
}

/// What an attempt comes to, for another to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryOn {
    /// No connection could be made.
    Connect,
    /// The connection was closed before the response, or what came was none.
    Closed,
    /// Nothing came in time.
    Timeout,
    /// A response with this status, 400 to 599.
    Status(u16),
}

impl Default for PoolSettings {
    fn default() -> PoolSettings {
        PoolSettings {
            retry: Retry::default(),
            retry_body: 64 << 10,
            connect_timeout: Duration::from_secs(3),
            first_byte_timeout: Duration::from_secs(60),
            response_timeout: Duration::from_secs(60),
            total_timeout: None,
            idle_timeout: Duration::from_secs(60),
            idle_connections: 128,
        }
    }
}

impl Default for Retry {
    fn default() -> Retry {
        Retry {
            attempts: 2,
            on: vec![RetryOn::Connect, RetryOn::Closed],
            budget_percent: 20,
            per_try: None,
            backoff: Duration::ZERO,
        }
    }
}

/// One server behind Pace, by address or by name.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Backend {
    /// Host and port as the configuration spells them, without scheme; what `X-Backend` shows.
    pub label: String,
    /// The server, which may have several addresses.
    pub host: Host,
    /// Its port.
    pub port: u16,
    /// Its share of requests relative to the others, 0 to 65535; 0 means no new requests.
    pub weight: u32,
}

/// One entry of `[[routes]]`.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Route {
    /// The name given, or host and path prefix: `api.example.com/v1`, `*/`. Unique.
    pub name: String,
    /// The host asked for, in lower case and without port; `None` for every host.
    pub host: Option<String>,
    /// What the path starts with, itself with a leading `/`.
    pub path_prefix: String,
    /// Index into [`Config::pools`].
    pub pool: usize,
    /// In the order in which request filters run. No plugin twice.
    pub plugins: Vec<PluginUse>,
}

/// A plugin in a route's list.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct PluginUse {
    /// Index into [`Config::plugins`].
    pub plugin: usize,
    /// The route's word on it, or else the plugin's.
    pub on_failure: OnFailure,
    /// The plugin's configuration with the route's laid over it, key by key, also in tables within.
    pub config: Map<String, Value>,
    /// Whether the route has configuration of its own, so that an instance made for another route
    /// cannot serve this one.
    pub own_config: bool,
}
