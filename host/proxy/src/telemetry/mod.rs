//! What is told of Pace: metrics, a line for each request, traces.
//!
//! | file | what it does |
//! |---|---|
//! | `metrics`, `traffic`, `routes`, `state`, `plugins` | Prometheus metrics: of everything, of requests, of routes, of plugins' state, and those that plugins keep |
//! | `cells`, `histogram` | numbers without memory that threads share |
//! | `connections` | the connections of clients, by listener and protocol |
//! | `hex` | bytes as hexadecimal digits |
//! | `notes`, `text` | what is noted of a request while it is served |
//! | `access_log` | a line for each request, in a file or on standard output |
//! | `tracing` | spans for a collector |
//! | `sinks` | the two of a configuration |
//! | `hook_log` | a line of the process's log with the calls of hooks |
//! | `request_summary` | how warnings call a request |

pub mod access_log;
mod cells;
mod clock;
mod connections;
mod hex;
mod histogram;
pub mod hook_log;
mod methods;
mod metrics;
mod mirror;
pub mod notes;
mod plugins;
mod process;
mod request_summary;
mod routes;
mod sinks;
mod state;
pub mod text;
pub mod tracing;
mod traffic;
mod upstream;

pub use connections::{
    Activity, ClientConnections, ConnectionCounts, Counting, ListenerConnections, ProtocolCounts, Spoken,
};
pub use metrics::{METRICS_CONTENT_TYPE, Metrics, PluginMetrics, RefusedConnection};
pub use mirror::{MirrorMetrics, MirrorResult};
pub use notes::Notes;
pub use process::ProcessMetrics;
pub use request_summary::RequestSummary;
pub use routes::RouteMetrics;
pub use sinks::{SinkError, Sinks};
pub use traffic::PoolMetrics;
pub use upstream::{BackendMetrics, QueueMetrics};
