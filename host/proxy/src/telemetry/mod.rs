//! Metrics, and log lines about requests.

mod access_log;
mod hook_log;
mod metrics;
mod mirror;
mod process;
mod request_summary;
mod state;
mod upstream;

pub use access_log::{Access, access_log};
pub use hook_log::{HOOKS_TARGET, HookCalls};
pub(crate) use hook_log::{selection, verdict};
pub use metrics::{METRICS_CONTENT_TYPE, Metrics, PluginMetrics, RefusedConnection};
pub use mirror::{MirrorMetrics, MirrorResult};
pub use process::ProcessMetrics;
pub use request_summary::RequestSummary;
pub use upstream::{BackendMetrics, QueueMetrics};
