//! What Pace says about itself: metrics and log lines.

mod access_log;
mod asked;
mod hook_log;
mod metrics;
mod state;

pub use access_log::{Access, access_log};
pub use asked::Asked;
pub use hook_log::{HOOKS_TARGET, HookCalls};
pub(crate) use hook_log::{selection, verdict};
pub use metrics::{METRICS_CONTENT_TYPE, Metrics, PluginMetrics, RefusedConnection};
