//! Pace: a programmable reverse proxy. Sockets, HTTP, pools, limits and counters are here; what is done to
//! a request is decided by plugins, WebAssembly components that can touch nothing but what they are lent.
//!
//! ```text
//!            ┌────────── server: accepts, one runtime per worker, drains ──────────┐
//! client ──▶ │ proxy: the life of a request ──▶ router ──▶ chain ──▶ upstream      │ ──▶ backends
//!            │   (http1, io)                                 │ hook                │
//!            └───────────────────────────────────────────────┼─────────────────────┘
//!                        config ──▶ snapshot ──▶ plugin (wasmtime) ──▶ state: counters, windows
//! ```
//!
//! | module | what it does |
//! |---|---|
//! | [`cli`] | the command line |
//! | [`config`] | the TOML file, from text to something that cannot be wrong |
//! | [`snapshot`] | a configuration brought to life; a request keeps the one that it began with |
//! | [`reload`] | plugins and configuration replaced while requests are served |
//! | [`server`] | listeners, worker threads, shutdown |
//! | [`proxy`] | **the request path, top to bottom** |
//! | [`http1`], [`io`] | connections of clients and to backends; sockets, memory, timers |
//! | [`router`] | host and path to route |
//! | [`chain`] | the plugins of a route: order, first answer, failure policy |
//! | [`hook`] | what passes between the request path and plugins |
//! | [`plugin`] | plugins in wasm: loading, instances, limits, what they are lent |
//! | [`builtin`] | the default plugins, embedded |
//! | [`state`] | counters and sliding windows, shared by all workers |
//! | [`upstream`] | pools and backends |
//! | [`client`], [`proxy_protocol`], [`via`] | who is asking, and through whom |
//! | `embedded` | sources that the binary carries |
//! | [`logging`] | the log: lines that never hold anything up |
//! | [`limiter`] | so many log lines per second and no more |
//! | [`file`] | reading files that may be anything |
//! | [`field`] | which headers a plugin may set |
//! | [`escape`] | text from outside, made fit for a log, a terminal and a page |
//! | [`harness`] | a plugin without a proxy: called by hand, in a time that is moved by hand |
//! | [`author`] | `pace plugin`: what those who write plugins need |
//! | [`allocator`] | what becomes of a process that gets no more memory |
//! | [`admin`], [`telemetry`] | the admin API, metrics and log lines |
//!
//! Walls, held by a test: wasmtime is named in [`plugin`] only, and no policy is decided here.

pub mod admin;
pub mod allocator;
pub mod author;
pub mod builtin;
pub mod chain;
pub mod cli;
pub mod client;
pub mod config;
mod embedded;
pub mod escape;
pub mod field;
pub mod file;
pub mod harness;
pub mod hook;
pub mod http1;
pub mod io;
pub mod limiter;
pub mod logging;
pub mod plugin;
pub mod proxy;
pub mod proxy_protocol;
pub mod reload;
pub mod router;
pub mod server;
pub mod snapshot;
pub mod state;
pub mod telemetry;
pub mod upstream;
pub mod via;

/// The contract that plugins are built for: the package in `wit/`.
pub const CONTRACT: &str = "pace:plugin@0.1.0";
