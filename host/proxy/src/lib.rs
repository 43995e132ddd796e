//! The proxy: sockets, HTTP, routes, pools, reload, the admin API and metrics. What is done to a request is decided by
//! plugins, WebAssembly components that can touch nothing but what they are lent.
//!
//! ```text
//!            ┌────────── server: accepts, one runtime per worker, drains ──────────┐
//! client ──▶ │ proxy: the life of a request ──▶ router ──▶ chain ──▶ upstream      │ ──▶ backends
//!            │   (http1, io)                                 │ pace-hook           │
//!            └───────────────────────────────────────────────┼─────────────────────┘
//!                pace-config ──▶ snapshot ──▶ pace-sandbox (wasmtime) ──▶ pace-state: counters, windows
//! ```
//!
//! | module | what it does |
//! |---|---|
//! | [`proxy`] | **the request path, top to bottom** |
//! | [`http1`], [`io`] | connections of clients and to backends; sockets, memory, timers |
//! | [`router`] | host and path to route |
//! | [`chain`] | the plugins of a route: order, first answer, failure policy |
//! | [`upstream`] | pools and backends |
//! | [`client`], [`proxy_protocol`], [`via`] | who is asking, and through whom |
//! | [`snapshot`] | a configuration brought to life; a request keeps the one that it began with |
//! | [`reload`] | plugins and configuration replaced while requests are served |
//! | [`server`] | listeners, worker threads, shutdown |
//! | [`admin`], [`telemetry`] | the admin API, metrics and log lines |
//!
//! Walls: no policy is decided here, and `proxy` knows of plugins what `pace-hook` says, not how they are run. A test
//! holds both.

pub mod admin;
pub mod chain;
pub mod client;
pub mod http1;
pub mod io;
pub mod proxy;
pub mod proxy_protocol;
pub mod reload;
pub mod router;
pub mod server;
pub mod snapshot;
pub mod telemetry;
pub mod upstream;
pub mod via;
