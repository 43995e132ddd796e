//! The proxy: sockets, HTTP, routes, pools, reload, the admin API and metrics. Plugins decide what is done to a request;
//! they are WebAssembly components that can touch nothing but what they are lent.
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
//! | [`http1`], [`http2`], [`io`] | connections of clients and to backends; sockets, memory, timers |
//! | [`listeners`] | the addresses where clients connect |
//! | [`certificates`] | what listeners show, and what backends are measured by |
//! | [`ordering`] | certificates from an authority |
//! | [`router`], [`route`] | finds the route for a request; the fate of requests there |
//! | [`chain`] | the plugins of a route: order, first answer, failure policy |
//! | [`upstream`] | pools and backends |
//! | [`client`], [`proxy_protocol`], [`via`] | identify the client, and the proxies on the way |
//! | [`snapshot`] | a configuration in use; a request keeps the one that it began with |
//! | [`reload`] | replaces plugins and configuration while requests are served |
//! | [`server`] | listeners, worker threads, shutdown |
//! | [`admin`], [`telemetry`] | the admin API, metrics and log lines |
//!
//! Walls: this crate decides no policy, and `proxy` knows plugins only by the traits of `pace-hook`, not how they are run.
//! A test holds both.

pub mod admin;
pub mod certificates;
pub mod chain;
pub mod client;
pub mod http1;
pub mod http2;
pub mod io;
pub mod listeners;
pub mod ordering;
pub mod proxy;
pub mod proxy_protocol;
pub mod reload;
pub mod route;
pub mod router;
pub mod server;
pub mod snapshot;
pub mod telemetry;
pub mod upstream;
pub mod via;
