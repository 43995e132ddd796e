//! What Pace says about itself: metrics and log lines.

mod access_log;
mod metrics;

pub use access_log::{Access, access_log};
pub use metrics::{METRICS_CONTENT_TYPE, Metrics, PluginMetrics};
