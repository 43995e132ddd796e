//! The configuration as the rest of the program uses it, valid by construction.
//!
//! Types whose parts depend on each other are `non_exhaustive`: only this crate makes them, from a file or by
//! the functions below. Types that are numbers with defaults, such as [`Limits`], can be made anywhere.

pub mod listener;
pub mod pool;
pub mod route;
mod secrets;
pub mod telemetry;

use std::fmt;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use pace_wire::request::Rules;
use serde_json::{Map, Value};

use self::listener::{Acme, Listener};
use self::pool::{Endpoint, Upkeep};
use self::route::Route;
pub use self::secrets::Secrets;
use self::telemetry::{AccessLog, Secret, Tracing};
use super::address::AdminAddress;
pub use super::scalar::HeaderName;
use super::written::Written;

/// A complete configuration.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Config {
    /// The text that it was read from.
    pub written: Written,
    /// Whether clients are limited because nothing is said about it: in the short form without `[rate_limit]`.
    pub has_default_rate_limit: bool,
    /// `[server]`: the process, and its rules for connections.
    pub server: Server,
    /// The listeners, in the order of the file. At least one.
    pub listeners: Vec<Listener>,
    /// The certificate that is ordered for listeners with TLS.
    pub acme: Option<Acme>,
    /// `[admin]`; without the table there is no admin listener.
    pub admin: Option<Admin>,
    /// `[metrics]`; `None` without the table and with `enabled = false`.
    pub metrics: Option<Metrics>,
    /// `[access_log]`; `None` without the table and with `enabled = false`.
    pub access_log: Option<AccessLog>,
    /// `[tracing]`; `None` without the table.
    pub tracing: Option<Tracing>,
    /// Plugins in the order of the file. Names are unique.
    pub plugins: Vec<Plugin>,
    /// Pools in the order of the file; none if no route has one. Names are unique.
    pub pools: Vec<Pool>,
    /// Routes in the order of the file; at least one. No two that one listener serves have the same match.
    pub routes: Vec<Route>,
}

impl Config {
    /// The indices of the routes in the order in which they are tried: the first whose match holds is the one.
    pub fn routes_in_order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.routes.len()).collect();
        // The sort is stable, so the order of the file decides between equals.
        order.sort_by(|one, other| {
            let precedence = |index: &usize| self.routes[*index].matching.precedence();
            precedence(one).cmp(&precedence(other))
        });
        order
    }

    /// The pools that copies of requests go to; a pool may be there several times.
    pub fn mirrors(&self) -> impl Iterator<Item = &Pool> {
        let mirror = |route: &Route| route.mirror().map(|mirror| &self.pools[mirror.pool]);
        self.routes.iter().filter_map(mirror)
    }

    /// The same configuration with `plugin` as the only one, on every route.
    #[must_use]
    pub fn with_only(mut self, plugin: Plugin) -> Config {
        for route in &mut self.routes {
            route.plugins = vec![PluginUse {
                plugin: 0,
                on_failure: plugin.on_failure,
                config: plugin.config.clone(),
                own_config: false,
                body: BodyLimits::of(&plugin.limits),
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
    /// Worker threads, 1 to 1024.
    pub workers: usize,
    /// How long connections are still accepted after SIGTERM, while `/readyz` fails, up to an hour.
    pub shutdown_delay: Duration,
    /// How long requests in flight may take to finish after that, up to an hour.
    pub grace_period: Duration,
    /// Peers whose statements about the client are believed; may be empty.
    pub trusted_proxies: Vec<IpNet>,
    /// Whether trusted peers begin each connection with a PROXY protocol header. Only with
    /// `trusted_proxies`.
    pub proxy_protocol: bool,
    /// The rules by which requests are read.
    pub rules: Rules,
    /// Pace's name in `Via`, a token; `None`: the field is not written.
    pub via: Option<String>,
    /// The field of a request that has its id, in lower case; `None`: requests are given none.
    pub request_id: Option<HeaderName>,
    /// Limits of time and size for a client.
    pub client: ClientLimits,
    /// Limits of connections.
    pub connections: ConnectionLimits,
    /// The directory that keeps compiled plugins over a restart, if any.
    pub cache_dir: Option<PathBuf>,
    /// Bytes of the state of all plugins, 1 MiB to 1 TiB.
    pub state: usize,
    /// Bytes of memory for all bodies that are collected for plugins at one time.
    pub bodies: usize,
}

/// Limits of time and size for a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientLimits {
    /// Time for a whole head, from its first byte on.
    pub head: Duration,
    /// Time for which a body may be silent. Bytes that arrive add to it, at [`ClientLimits::body_rate`].
    pub body: Duration,
    /// Bytes of a body that add a second.
    pub body_rate: u32,
    /// Time for the client to take any of the response.
    pub send: Duration,
    /// Time until the next request.
    pub keepalive: Duration,
    /// Requests on one connection; `None`: any number.
    pub requests: Option<NonZeroU32>,
    /// Time without a byte in either direction after an upgrade.
    pub upgraded: Duration,
    /// Most bytes of a head.
    pub head_bytes: usize,
}

/// Limits of connections, and the probing of idle ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Most client connections; `None`: any number.
    pub max: Option<NonZeroU32>,
    /// Most client connections from one address; `None`: any number.
    pub max_per_client: Option<NonZeroU32>,
    /// Time without a byte after which TCP probes the other end; `None`: never.
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
    /// The address of the admin API, which differs from that of the public listener.
    pub listen: AdminAddress,
    /// The permissions of its socket, if that is one of this machine: up to 0o777.
    pub mode: u32,
    /// The files of the certificate that is shown, and of its key, if connections are encrypted.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// A request with this header learns which generation of each plugin serves it.
    pub debug_header: Option<HeaderName>,
    /// What requests have to have in `Authorization`, if they have to.
    pub token: Option<Secret>,
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
    /// The name in routes, logs and metrics: 1 to 48 characters out of `a-z`, `0-9`, `.`, `_`, `-`.
    pub name: String,
    /// The plugin's code.
    pub source: Source,
    /// The required hash of the code; `None`: any.
    pub sha256: Option<Sha256>,
    /// The outcome of a request when the plugin fails; a route may override it.
    pub on_failure: OnFailure,
    /// How long an instance lives.
    pub isolation: Isolation,
    /// Limits of one call of a hook, and of its results.
    pub limits: Limits,
    /// When a plugin that keeps failing is no longer called.
    pub breaker: Breaker,
    /// When a new version is rolled back to the previous one.
    pub rollback: Rollback,
    /// What it may use without seeing it.
    pub secrets: Secrets,
    /// The configuration passed to `configure`.
    pub config: Map<String, Value>,
}

impl Plugin {
    /// A plugin with every default. It comes from no configuration, so its name is not checked.
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
            secrets: Secrets::default(),
            config: Map::new(),
        }
    }
}

/// The source of a plugin's code.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Source {
    /// Code in the binary, under one of the names of [`BUILTINS`](super::BUILTINS).
    Builtin(String),
    /// Code in a file. A relative path is joined to the configuration's directory.
    File(PathBuf),
}

impl fmt::Display for Source {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Builtin(name) => write!(out, "builtin:{name}"),
            Source::File(path) => path.display().fmt(out),
        }
    }
}

/// The outcome of a request when a plugin fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnFailure {
    /// The request is answered with 503.
    #[default]
    Closed,
    /// The request goes on as if the plugin were not there.
    Open,
}

/// The life of an instance of a plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum Isolation {
    /// One instance per worker thread, used for many requests in turn.
    #[default]
    Worker,
    /// One instance for every call of a hook. The call's memory is freed with it: no other request sees it,
    /// nor a later hook of the same request.
    Request,
}

/// A SHA-256 digest.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sha256([u8; 32]);

impl Sha256 {
    /// The digest of some bytes.
    pub fn of(bytes: &[u8]) -> Sha256 {
        use sha2::Digest;
        Sha256(sha2::Sha256::digest(bytes).into())
    }

    /// Parses 64 hexadecimal digits in either case.
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

/// Limits of one call of a plugin's hook and of its results, and when an instance is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Time for a call, 1 ms to 1 s.
    pub time: Duration,
    /// Linear memory in bytes, 1 MiB to 1 GiB.
    pub memory: usize,
    /// Headers that a call may add to a message, and of a reply that it makes.
    pub headers: usize,
    /// Bytes of these headers, names and values.
    pub header_bytes: usize,
    /// Bytes of the body of a reply.
    pub body_bytes: usize,
    /// Bytes of the largest body that a body filter is shown, as sent and decoded.
    pub read_body_bytes: usize,
    /// The longest time that such a body may take.
    pub read_body_time: Duration,
    /// Bytes of the longest line or event that a stream filter is shown.
    pub unit_bytes: usize,
    /// Messages that the stream filters of the plugin may have open: in each worker, or in all of them if each has an
    /// instance of its own.
    pub streams: u32,
    /// Counters, windows, tables and metrics that an instance may hold open.
    pub handles: usize,
    /// Windows of a plugin, over all instances; and again for each route with a configuration of its own.
    pub windows: usize,
    /// Keys in each window.
    pub window_keys: usize,
    /// Tables of a plugin, over all instances; and again for each route with a configuration of its own.
    pub tables: usize,
    /// Bytes of a value in a table.
    pub value_bytes: usize,
    /// Metrics of a plugin, over all instances and routes.
    pub metrics: usize,
    /// Bytes of the plugin's state, over all instances and routes, 1 MiB to 1 TiB.
    pub state: usize,
    /// Log lines per second, over all workers; further lines are dropped and counted.
    pub log_lines_per_second: u32,
    /// An instance that has grown by more bytes since it was configured is replaced after the call; `None`: by more than
    /// three quarters of what `memory` leaves it.
    pub recycle_memory: Option<usize>,
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
            read_body_bytes: 8 << 20,
            read_body_time: Duration::from_secs(30),
            unit_bytes: 256 << 10,
            streams: 1024,
            handles: 1024,
            windows: 64,
            window_keys: 1_000_000,
            tables: 16,
            value_bytes: 64 << 10,
            metrics: 32,
            state: 64 << 20,
            log_lines_per_second: 100,
            recycle_memory: None,
            recycle_uses: 0,
        }
    }
}

impl Limits {
    /// The bytes by which an instance may grow that has so many when it is configured. Runtimes of languages take most of
    /// their memory at once, and a bound of the whole would replace such an instance after every call.
    pub fn growth(&self, configured: usize) -> usize {
        let room = self.memory.saturating_sub(configured);
        self.recycle_memory.unwrap_or(room / 4 * 3)
    }
}

/// When a plugin that keeps failing is no longer called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Breaker {
    /// Failures in a row that open the breaker; 0: it never opens.
    pub failures: u32,
    /// How long the breaker is open the first time; each further time doubles it.
    pub cooldown: Duration,
    /// The longest time that the breaker is open.
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

/// When a new version of a plugin is rolled back to the previous one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rollback {
    /// How many first calls of a version are judged; 0: none.
    pub calls: u32,
    /// The share of these calls that may fail, in percent, 1 to 100.
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

/// One entry of `[[pools]]`: backends that serve the same thing.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Pool {
    /// 1 to 48 characters out of `a-z`, `0-9`, `.`, `_`, `-`.
    pub name: String,
    /// 1 to 65535 backends, none twice.
    pub backends: Vec<Backend>,
    /// How requests are sent to the backends.
    pub settings: PoolSettings,
}

/// How requests are sent to the backends of a pool, and how long that may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolSettings {
    /// When a further attempt is made.
    pub retry: Retry,
    /// How many bytes of a request's body are kept for further attempts.
    pub retry_body: usize,
    /// How many bytes of a request's body are read before a backend is chosen; 0: none.
    pub buffer_request: usize,
    /// The longest wait for a connection, 1 ms to a day.
    pub connect_timeout: Duration,
    /// The longest wait for the response's head after the request has been sent, 1 ms to a day.
    pub first_byte_timeout: Duration,
    /// The longest wait for the next bytes of the response, and for the backend to take any of the request, 1 ms to a day.
    pub response_timeout: Duration,
    /// The longest time from a request's head to the end of its response, up to a day; `None`: no limit.
    pub total_timeout: Option<Duration>,
    /// How long an idle connection is kept, 1 ms to a day.
    pub idle_timeout: Duration,
    /// How many idle connections each worker keeps, 1 to 65535.
    pub idle_connections: usize,
    /// The protocol that is spoken with the backends.
    pub protocol: Protocol,
    /// How connections to backends with `https` are encrypted.
    pub tls: BackendTls,
    /// How the backends are looked after.
    pub upkeep: Upkeep,
}

/// The protocol that is spoken with the backends of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    /// HTTP/2 or HTTP/1.1, as a backend with `https` chooses; HTTP/1.1 with one without.
    #[default]
    Auto,
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

/// How connections to the backends of a pool are encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackendTls {
    /// The file with the authorities that vouch for backends; the system's if there is none.
    pub ca: Option<PathBuf>,
    /// The name that backends prove to have, and are asked for; each its own host if there is none. In lower case.
    pub server_name: Option<String>,
    /// The files of the certificate that backends are shown, and of its key.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// Whether backends have to prove their name. If not, anybody who can answer in place of one reads and writes everything.
    pub verify: bool,
}

impl Default for BackendTls {
    fn default() -> BackendTls {
        BackendTls {
            ca: None,
            server_name: None,
            identity: None,
            verify: true,
        }
    }
}

/// When a failed attempt is followed by another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retry {
    /// The most attempts of a request, 1 to 11.
    pub attempts: u32,
    /// The outcomes of an attempt after which another is made.
    pub on: Vec<RetryOn>,
    /// The most further attempts, in percent of first attempts, 0 to 100.
    pub budget_percent: u32,
    /// The longest time of one attempt up to the response's head; `None`: only the other limits apply.
    pub per_try: Option<Duration>,
    /// The mean wait before the first further attempt; it doubles each time.
    pub backoff: Duration,
}

/// An outcome of an attempt after which another may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryOn {
    /// No connection could be made.
    Connect,
    /// The connection was closed before the response, or its bytes were not HTTP.
    Closed,
    /// The response did not come in time.
    Timeout,
    /// A response with this status, 400 to 599.
    Status(u16),
}

impl Default for PoolSettings {
    fn default() -> PoolSettings {
        PoolSettings {
            retry: Retry::default(),
            retry_body: 64 << 10,
            buffer_request: 0,
            connect_timeout: Duration::from_secs(3),
            first_byte_timeout: Duration::from_secs(60),
            response_timeout: Duration::from_secs(60),
            total_timeout: None,
            idle_timeout: Duration::from_secs(60),
            idle_connections: 128,
            protocol: Protocol::default(),
            tls: BackendTls::default(),
            upkeep: Upkeep::default(),
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

/// A server behind Pace, by address or by name.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Backend {
    /// Host and port as the configuration spells them, without scheme, or `unix:` and a path; the value of `X-Backend`.
    pub label: String,
    /// The place where it listens.
    pub endpoint: Endpoint,
    /// The share of requests relative to the others, 0 to 65535; 0 means no new requests.
    pub weight: u32,
    /// Whether it gets requests only while no other backend is healthy.
    pub is_backup: bool,
    /// Whether connections to it are encrypted.
    pub is_encrypted: bool,
}

/// A plugin in a route's list.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct PluginUse {
    /// Index into [`Config::plugins`].
    pub plugin: usize,
    /// The route's choice, or else the plugin's.
    pub on_failure: OnFailure,
    /// The plugin's configuration with the route's merged into it, key by key, in nested tables too.
    pub config: Map<String, Value>,
    /// Whether the route has a configuration of its own, so that an instance for another route cannot serve
    /// it.
    pub own_config: bool,
    /// The limits of bodies that it is shown: the route's, or else the plugin's.
    pub body: BodyLimits,
}

/// The limits of bodies that a plugin is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyLimits {
    /// Bytes of the largest body that a body filter is shown, as sent and decoded.
    pub whole: usize,
    /// The longest time that such a body may take.
    pub time: Duration,
    /// Bytes of the longest line or event that a stream filter is shown.
    pub unit: usize,
}

impl BodyLimits {
    /// The limits of a plugin.
    pub fn of(limits: &Limits) -> BodyLimits {
        BodyLimits {
            whole: limits.read_body_bytes,
            time: limits.read_body_time,
            unit: limits.unit_bytes,
        }
    }

    /// Whether one of them is more than in `most`.
    pub fn exceeds(&self, most: &BodyLimits) -> bool {
        self.whole > most.whole || self.time > most.time || self.unit > most.unit
    }
}
