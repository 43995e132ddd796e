//! Metrics of backends and of pools.

use std::collections::HashMap;

use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

use super::metrics::{register, retain};

/// The metrics of all backends and pools.
pub(super) struct UpstreamFamilies {
    attempts: IntCounterVec,
    connections: IntCounterVec,
    healthy: IntGaugeVec,
    check_failures: IntCounterVec,
    ejections: IntCounterVec,
    queued: IntGaugeVec,
    turned_away: IntCounterVec,
}

/// The metrics of a backend, looked up.
pub struct BackendMetrics {
    /// Attempts at it.
    pub attempts: IntCounter,
    /// Connections that were made to it.
    pub connections: IntCounter,
    /// 1 while the backend is healthy.
    pub healthy: IntGauge,
    /// Health checks that have failed.
    pub check_failures: IntCounter,
    /// Ejections.
    pub ejections: IntCounter,
}

/// The metrics of the queue of a pool, looked up.
#[derive(Clone)]
pub struct QueueMetrics {
    /// Requests that wait.
    pub queued: IntGauge,
    /// Requests that found the queue full.
    pub full: IntCounter,
    /// Requests whose wait was too long.
    pub late: IntCounter,
}

const BACKEND: [&str; 2] = ["pool", "backend"];

impl UpstreamFamilies {
    pub(super) fn new(registry: &Registry) -> UpstreamFamilies {
        let counter = |name: &str, help: &str, labels: &[&str]| {
            register(registry, IntCounterVec::new(Opts::new(name, help), labels))
        };
        let gauge = |name: &str, help: &str, labels: &[&str]| {
            register(registry, IntGaugeVec::new(Opts::new(name, help), labels))
        };
        UpstreamFamilies {
            attempts: counter(
                "pace_upstream_attempts_total",
                "Attempts to have a backend answer a request, retries included.",
                &BACKEND,
            ),
            connections: counter(
                "pace_upstream_connections_total",
                "Connections made to a backend, for HTTP/1.1 or as sessions of HTTP/2.",
                &BACKEND,
            ),
            healthy: gauge(
                "pace_upstream_healthy",
                "1 while a backend is neither unhealthy nor ejected, and does not drain.",
                &BACKEND,
            ),
            check_failures: counter(
                "pace_upstream_check_failures_total",
                "Health checks that have failed.",
                &BACKEND,
            ),
            ejections: counter(
                "pace_upstream_ejections_total",
                "How often a backend was taken out for a while because of what its attempts came to.",
                &BACKEND,
            ),
            queued: gauge(
                "pace_upstream_queued",
                "Requests that wait for a place at a backend.",
                &["pool"],
            ),
            turned_away: counter(
                "pace_upstream_turned_away_total",
                "Requests for which no backend had room.",
                &["pool", "reason"],
            ),
        }
    }

    pub(super) fn backend(&self, pool: &str, backend: &str) -> BackendMetrics {
        let labels = [pool, backend];
        BackendMetrics {
            attempts: self.attempts.with_label_values(&labels),
            connections: self.connections.with_label_values(&labels),
            healthy: self.healthy.with_label_values(&labels),
            check_failures: self.check_failures.with_label_values(&labels),
            ejections: self.ejections.with_label_values(&labels),
        }
    }

    pub(super) fn queue(&self, pool: &str) -> QueueMetrics {
        QueueMetrics {
            queued: self.queued.with_label_values(&[pool]),
            full: self.turned_away.with_label_values(&[pool, "queue-full"]),
            late: self.turned_away.with_label_values(&[pool, "queue-timeout"]),
        }
    }

    pub(super) fn retain_backends(&self, keep: impl Fn(&HashMap<&str, &str>) -> bool) {
        retain(&self.attempts, &keep);
        retain(&self.connections, &keep);
        retain(&self.healthy, &keep);
        retain(&self.check_failures, &keep);
        retain(&self.ejections, &keep);
    }

    pub(super) fn retain_queues(&self, keep: impl Fn(&str) -> bool) {
        let keep = |labels: &HashMap<&str, &str>| labels.get("pool").is_some_and(|pool| keep(pool));
        retain(&self.queued, keep);
        retain(&self.turned_away, keep);
    }
}
