//! Prometheus metrics.
//!
//! Label values are looked up when a configuration is built or a status is first seen, never for each
//! request: a request costs one array index and the atomic additions.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use prometheus::core::{Collector, MetricVec, MetricVecBuilder};
use prometheus::{Encoder, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder};

use http::Version;
use pace_tls::certificate::Certificate;
use pace_tls::server::{Facts, Reason};
use pace_wire::refusal::Refusal;

use super::access_log;
use super::connections::ClientConnections;
use super::histogram::{Family, Histogram};
use super::mirror::MirrorMetrics;
use super::notes::End;
use super::process::ProcessMetrics;
use super::routes::RouteMetrics;
use super::state::StateCollector;
use super::tracing::{self, Dropped};
use super::traffic::{HOOKS, PoolMetrics, Traffic};
use super::upstream::{BackendMetrics, QueueMetrics, UpstreamFamilies};
use crate::http2::Ending;
use pace_base::logging;
use pace_hook::{AttemptFailure, FailureReason, Hook, Hooks, PerHook};
use pace_state::Store;

/// The media type of [`Metrics::render`].
pub const METRICS_CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

/// The metrics of the process, which outlive configurations.
pub struct Metrics {
    registry: Registry,
    traffic: Traffic,
    /// Open client connections, by listener, and the requests on them.
    pub clients: ClientConnections,
    connections: IntGauge,
    /// Client connections accepted since the start.
    pub connections_total: IntCounter,
    /// Client connections closed before a request because their PROXY header was missing or wrong.
    pub proxy_header_errors: IntCounter,
    requests_in_flight: IntGauge,
    refused: [IntCounter; Refusal::ALL.len()],
    refused_connections: [IntCounter; RefusedConnection::ALL.len()],
    /// Handshakes by version, and by whether a session was resumed.
    handshakes: [[IntCounter; 2]; pace_tls::Version::ALL.len()],
    handshake_failures: [IntCounter; Reason::ALL.len()],
    handshakes_refused: IntCounter,
    http2_ended: [IntCounter; Ending::ALL.len()],
    certificates: IntGaugeVec,
    order_failures: IntGauge,
    /// Copies of requests that are on their way to mirrors.
    pub mirrored_in_flight: IntGauge,
    mirrored: IntCounterVec,
    upstream: UpstreamFamilies,
    attempt_failures: IntCounterVec,
    plugin_calls: Family,
    plugin_failures: IntCounterVec,
    generations: IntGaugeVec,
    breakers: IntGaugeVec,
    recycled: IntCounterVec,
    plugin_reloads: IntCounterVec,
    config_reloads: IntCounterVec,
    /// The metrics of the process itself.
    pub process: ProcessMetrics,
}

impl Metrics {
    /// All metrics at zero.
    pub fn new() -> Metrics {
        let registry = Registry::new();
        let counter = |name: &str, help: &str, labels: &[&str]| {
            register(&registry, IntCounterVec::new(Opts::new(name, help), labels))
        };
        let gauge = |name: &str, help: &str| {
            register(&registry, IntGaugeVec::new(Opts::new(name, help), &["plugin"]))
        };
        let build = IntGaugeVec::new(
            Opts::new("pace_build_info", "1, with the version as a label."),
            &["version", "contract"],
        );
        register(&registry, build)
            .with_label_values(&[env!("CARGO_PKG_VERSION"), pace_hook::CONTRACT])
            .set(1);
        let refused = counter(
            "pace_requests_refused_total",
            "Requests that were refused before anything was decided about them.",
            &["reason"],
        );
        let refused_connections = counter(
            "pace_connections_refused_total",
            "Client connections that were one too many.",
            &["reason"],
        );
        let handshakes = counter(
            "pace_tls_handshakes_total",
            "Handshakes of TLS with clients that were carried through; resumed: without a new signature.",
            &["version", "resumed"],
        );
        let handshake_failures = counter(
            "pace_tls_handshake_failures_total",
            "Handshakes of TLS with clients that came to nothing.",
            &["reason"],
        );
        let handshakes_refused = counter(
            "pace_tls_handshakes_refused_total",
            "Connections that were closed because too many handshakes were under way.",
            &[],
        );
        let http2_ended = counter(
            "pace_http2_connection_errors_total",
            "Connections of HTTP/2 that were ended because of what the client sent.",
            &["reason"],
        );
        let plugin_calls = Family::new(
            "pace_plugin_duration_seconds",
            "Time of hook calls, failed and skipped ones included.",
            &["plugin", "hook"],
            &HOOKS,
        )
        .and_counter(
            "pace_plugin_calls_total",
            "Hook calls, failed and skipped ones included.",
        );
        registry
            .register(Box::new(plugin_calls.clone()))
            .expect("every metric is registered once in a new registry");
        let metrics = Metrics {
            handshakes: pace_tls::Version::ALL.map(|version| {
                ["no", "yes"].map(|resumed| handshakes.with_label_values(&[version.name(), resumed]))
            }),
            handshake_failures: Reason::ALL
                .map(|reason| handshake_failures.with_label_values(&[reason.name()])),
            handshakes_refused: handshakes_refused.with_label_values::<&str>(&[]),
            http2_ended: Ending::ALL.map(|ending| http2_ended.with_label_values(&[ending.name()])),
            order_failures: register(
                &registry,
                IntGauge::new(
                    "pace_acme_failures",
                    "Attempts to have a certificate issued that have failed since the last that has not.",
                ),
            ),
            certificates: register(
                &registry,
                IntGaugeVec::new(
                    Opts::new(
                        "pace_certificate_expiry_timestamp_seconds",
                        "When a certificate of a listener ends.",
                    ),
                    &["listener", "name"],
                ),
            ),
            refused_connections: RefusedConnection::ALL
                .map(|reason| refused_connections.with_label_values(&[reason.name()])),
            refused: Refusal::ALL.map(|refusal| refused.with_label_values(&[refusal.name()])),
            traffic: Traffic::new(&registry),
            clients: ClientConnections::default(),
            connections: register(
                &registry,
                IntGauge::new("pace_connections_open", "Open client connections."),
            ),
            connections_total: register(
                &registry,
                IntCounter::new("pace_connections_total", "Client connections accepted."),
            ),
            proxy_header_errors: register(
                &registry,
                IntCounter::new(
                    "pace_proxy_header_errors_total",
                    "Connections from trusted proxies closed for a missing or wrong PROXY header.",
                ),
            ),
            requests_in_flight: register(
                &registry,
                IntGauge::new(
                    "pace_requests_in_flight",
                    "Requests that have begun and not ended.",
                ),
            ),
            mirrored_in_flight: register(
                &registry,
                IntGauge::new(
                    "pace_mirrored_requests_in_flight",
                    "Copies of requests on their way to mirrors.",
                ),
            ),
            mirrored: counter(
                "pace_mirrored_requests_total",
                "Requests that were chosen to be copied to a mirror.",
                &["pool", "result"],
            ),
            upstream: UpstreamFamilies::new(&registry),
            attempt_failures: counter(
                "pace_upstream_failures_total",
                "Attempts that ended without a response.",
                &["pool", "backend", "reason"],
            ),
            plugin_calls,
            plugin_failures: counter(
                "pace_plugin_failures_total",
                "Hook calls that came to no result.",
                &["plugin", "hook", "reason"],
            ),
            generations: gauge("pace_plugin_generation", "The generation that serves."),
            breakers: gauge(
                "pace_plugin_breaker_open",
                "1 while the plugin is left alone because it keeps failing.",
            ),
            recycled: counter(
                "pace_plugin_instances_recycled_total",
                "Instances that were replaced because they had grown too large or too old.",
                &["plugin", "reason"],
            ),
            plugin_reloads: counter(
                "pace_plugin_reloads_total",
                "Files of plugins that were published or refused, and returns to the generation before.",
                &["plugin", "result"],
            ),
            config_reloads: counter(
                "pace_config_reloads_total",
                "Configurations that were read again and published or refused.",
                &["result"],
            ),
            process: ProcessMetrics::new(&registry),
            registry,
        };
        // These belong to threads of the process, which are statics.
        register(&metrics.registry, Ok(logging::DROPPED.clone()));
        register(&metrics.registry, Ok(access_log::DROPPED.clone()));
        register(&metrics.registry, Ok(tracing::SENT.clone()));
        register(&metrics.registry, Ok(tracing::DROPPED.clone()));
        for reason in Dropped::ALL {
            tracing::DROPPED.with_label_values(&[reason.name()]);
        }
        metrics
    }

    /// Adds the metrics of the plugins' state. Must be called once.
    pub fn watch_state(&self, store: &Arc<Store>) {
        self.registry
            .register(Box::new(StateCollector::new(store)))
            .expect("every metric is registered once in a new registry");
    }

    /// Counts a finished request.
    pub fn request_finished(&self, method: &str, status: u16, duration: Duration) {
        self.traffic.finished(method, status, duration);
    }

    /// Counts the version of a request.
    pub fn spoken(&self, version: Version) {
        self.traffic.spoken(version);
    }

    /// Counts a response that was begun and did not get to its end.
    pub fn response_cut(&self, end: End) {
        self.traffic.cut(end);
    }

    /// The metrics of a route. Its series all exist from this call on, at zero.
    pub fn route(&self, route: &str) -> Arc<RouteMetrics> {
        self.traffic.route(route)
    }

    /// The metrics of a pool. Its series all exist from this call on, at zero.
    pub fn pool(&self, pool: &str) -> PoolMetrics {
        self.traffic.pool(pool)
    }

    /// Drops the series of routes and of pools for which `keep` is false.
    pub fn retain_routes_and_pools(&self, route: impl Fn(&str) -> bool, pool: impl Fn(&str) -> bool) {
        self.traffic.retain_routes(route);
        self.traffic.retain_pools(pool);
    }

    /// Counts a refused connection.
    pub fn connection_refused(&self, reason: RefusedConnection) {
        self.refused_connections[reason as usize].inc();
    }

    /// Counts a completed handshake.
    pub fn handshake_done(&self, facts: &Facts) {
        self.handshakes[facts.version as usize][usize::from(facts.resumed)].inc();
    }

    /// Counts a failed handshake.
    pub fn handshake_failed(&self, reason: Reason) {
        self.handshake_failures[reason as usize].inc();
    }

    /// Counts a connection that was closed because too many handshakes were under way.
    pub fn handshake_refused(&self) {
        self.handshakes_refused.inc();
    }

    /// Counts a connection of HTTP/2 that was ended because of what the client sent.
    pub fn http2_ended(&self, ending: Ending) {
        self.http2_ended[ending as usize].inc();
    }

    /// Notes how often in a row the authority has issued no certificate.
    pub fn set_order_failures(&self, failures: u32) {
        self.order_failures.set(failures.into());
    }

    /// Records when the certificates in use end, and drops the series of all others.
    pub fn set_certificates<'a>(&self, certificates: impl Iterator<Item = (String, &'a Certificate)>) {
        self.certificates.reset();
        for (listener, certificate) in certificates {
            let name = certificate.dns_names().next().unwrap_or_default();
            let end = certificate
                .not_after()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default();
            self.certificates
                .with_label_values(&[listener.as_str(), name])
                .set(end.as_secs().try_into().unwrap_or(i64::MAX));
        }
    }

    /// Counts a request that was refused because it was malformed or did not arrive in time.
    pub fn refused(&self, refusal: Refusal) {
        self.refused[refusal as usize].inc();
    }

    /// The counters of a mirror. Its series all exist from this call on, at zero.
    pub fn mirror(&self, pool: &str) -> MirrorMetrics {
        MirrorMetrics::new(|result| self.mirrored.with_label_values(&[pool, result.name()]))
    }

    /// Drops the series of mirrors for whose pools `keep` is false.
    pub fn retain_mirrors(&self, keep: impl Fn(&str) -> bool) {
        retain(&self.mirrored, |labels| {
            labels.get("pool").is_some_and(|pool| keep(pool))
        });
    }

    /// The metrics of a backend. Its series exist from this call on.
    pub fn backend(&self, pool: &str, backend: &str) -> BackendMetrics {
        self.upstream.backend(pool, backend)
    }

    /// The metrics of the queue of a pool. Its series exist from this call on.
    pub fn queue(&self, pool: &str) -> QueueMetrics {
        self.upstream.queue(pool)
    }

    /// Counts an attempt that ended without a response.
    pub fn attempt_failed(&self, pool: &str, backend: &str, failure: AttemptFailure) {
        self.attempt_failures
            .with_label_values(&[pool, backend, failure.name()])
            .inc();
    }

    /// The counters of a plugin. Its series all exist from this call on, at zero.
    pub fn plugin(&self, plugin: &str, hooks: Hooks) -> PluginMetrics {
        PluginMetrics(PerHook::from_fn(|hook| {
            hooks.contains(hook).then(|| HookMetrics {
                calls: self.plugin_calls.with(&[plugin, hook.name()]),
                failures: FailureReason::ALL.map(|reason| {
                    self.plugin_failures
                        .with_label_values(&[plugin, hook.name(), reason.name()])
                }),
            })
        }))
    }

    /// Records which generation of a plugin serves.
    pub fn generation(&self, plugin: &str, number: u64) {
        self.generations
            .with_label_values(&[plugin])
            .set(i64::try_from(number).unwrap_or(i64::MAX));
    }

    /// The gauge of a plugin's breaker: 1 while the breaker of the generation that serves is open.
    pub fn breaker(&self, plugin: &str) -> IntGauge {
        self.breakers.with_label_values(&[plugin])
    }

    /// The counters of a plugin's instances that are recycled for these reasons. Its series all exist from this call on, at
    /// zero.
    pub fn recycled(&self, plugin: &str, reasons: [&str; 2]) -> [IntCounter; 2] {
        reasons.map(|reason| self.recycled.with_label_values(&[plugin, reason]))
    }

    /// Counts the result of a reload or rollback of a plugin: `published`, `refused`, `rolled-back`, `unfit`.
    pub fn reloaded(&self, plugin: &str, result: &str) {
        self.plugin_reloads.with_label_values(&[plugin, result]).inc();
    }

    /// Drops the series of plugins for which `keep` is false: those that no configuration names any more.
    ///
    /// Requests that began with such a plugin still count in their own handles, which are no longer shown.
    pub fn retain_plugins(&self, keep_plugin: impl Fn(&str) -> bool) {
        let keep =
            |labels: &HashMap<&str, &str>| labels.get("plugin").is_some_and(|plugin| keep_plugin(plugin));
        self.plugin_calls.retain(|values| keep_plugin(&values[0]));
        retain(&self.plugin_failures, keep);
        retain(&self.plugin_reloads, keep);
        retain(&self.generations, keep);
        retain(&self.breakers, keep);
        retain(&self.recycled, keep);
    }

    /// Drops the series of backends for which `keep` is false. Its arguments are the pool and the backend.
    pub fn retain_backends(&self, keep: impl Fn(&str, &str) -> bool) {
        let keep = |labels: &HashMap<&str, &str>| match (labels.get("pool"), labels.get("backend")) {
            (Some(pool), Some(backend)) => keep(pool, backend),
            _ => true,
        };
        self.upstream.retain_backends(keep);
        retain(&self.attempt_failures, keep);
    }

    /// Drops the series of the queues of pools for which `keep` is false.
    pub fn retain_queues(&self, keep: impl Fn(&str) -> bool) {
        self.upstream.retain_queues(keep);
    }

    /// Counts the result of a reload of the configuration: `published`, `refused`.
    pub fn config_reloaded(&self, result: &str) {
        self.config_reloads.with_label_values(&[result]).inc();
    }

    /// All metrics in the Prometheus text format, version 0.0.4.
    pub fn render(&self) -> Vec<u8> {
        let clients = self.clients.total();
        let of = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        self.connections.set(of(clients.open));
        self.requests_in_flight
            .set(of(clients.http1.requests + clients.http2.requests));
        self.process.set_upgraded(of(clients.upgraded));
        let mut text = Vec::with_capacity(16 * 1024);
        TextEncoder::new()
            .encode(&self.registry.gather(), &mut text)
            .expect("writing text into memory does not fail");
        text
    }
}

/// The reason why a connection is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusedConnection {
    /// The process has as many connections as it may have.
    TooMany,
    /// The client has as many connections as it may have.
    TooManyOfClient,
}

impl RefusedConnection {
    /// Every reason.
    pub const ALL: [RefusedConnection; 2] = [RefusedConnection::TooMany, RefusedConnection::TooManyOfClient];

    /// The reason in the spelling of the metrics.
    pub fn name(self) -> &'static str {
        match self {
            RefusedConnection::TooMany => "max-connections",
            RefusedConnection::TooManyOfClient => "max-connections-per-client",
        }
    }
}

impl AsRef<Metrics> for Metrics {
    fn as_ref(&self) -> &Metrics {
        self
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Metrics::new()
    }
}

/// The counters of one plugin, looked up.
#[derive(Clone, Default)]
pub struct PluginMetrics(PerHook<Option<HookMetrics>>);

#[derive(Clone)]
struct HookMetrics {
    calls: Arc<Histogram>,
    failures: [IntCounter; FailureReason::ALL.len()],
}

impl PluginMetrics {
    /// Counts a call, and the time that it took.
    pub fn called(&self, hook: Hook, time: Duration) {
        if let Some(metrics) = &self.0[hook] {
            metrics.calls.observe(time);
        }
    }

    /// Counts a failure.
    pub fn failed(&self, hook: Hook, reason: FailureReason) {
        if let Some(metrics) = &self.0[hook] {
            metrics.failures[reason as usize].inc();
        }
    }
}

/// Drops the series for whose labels `keep` is false.
pub(super) fn retain<B: MetricVecBuilder>(
    series: &MetricVec<B>,
    keep: impl Fn(&HashMap<&str, &str>) -> bool,
) {
    for family in series.collect() {
        for metric in family.get_metric() {
            let labels: HashMap<&str, &str> = metric
                .get_label()
                .iter()
                .map(|label| (label.name(), label.value()))
                .collect();
            if !keep(&labels) {
                // Another thread may have dropped it since, with the same result.
                let _ = series.remove(&labels);
            }
        }
    }
}

pub(super) fn register<C>(registry: &Registry, collector: prometheus::Result<C>) -> C
where
    C: Collector + Clone + 'static,
{
    let collector = collector.expect("metric names and labels are constants that are valid");
    registry
        .register(Box::new(collector.clone()))
        .expect("every metric is registered once in a new registry");
    collector
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_duration_histogram_has_the_promised_name_and_labels() {
        let metrics = Metrics::new();
        metrics.request_finished("GET", 200, Duration::from_millis(3));
        metrics.request_finished("BREW", 418, Duration::ZERO);
        let text = String::from_utf8(metrics.render()).unwrap();
        assert!(text.contains("http_requests_duration_seconds_count{method=\"GET\",status=\"200\"} 1"));
        assert!(text.contains("http_requests_duration_seconds_count{method=\"other\",status=\"418\"} 1"));
    }

    #[test]
    fn retain_plugins_drops_series_of_other_plugins_only() {
        let metrics = Metrics::new();
        let hooks = Hooks::from([Hook::RequestFilter]);
        for plugin in ["goes", "stays"] {
            metrics
                .plugin(plugin, hooks)
                .called(Hook::RequestFilter, Duration::ZERO);
            metrics.generation(plugin, 1);
            metrics.breaker(plugin).set(1);
            metrics.reloaded(plugin, "published");
        }
        metrics.config_reloaded("published");
        let series = |word: &str| {
            let text = String::from_utf8(metrics.render()).unwrap();
            text.lines().filter(|line| line.contains(word)).count()
        };
        let (before, stay) = (series("{"), series("\"stays\""));
        assert_eq!(series("\"goes\""), stay);

        metrics.retain_plugins(|plugin| plugin == "stays");

        assert_eq!((series("\"goes\""), series("\"stays\"")), (0, stay));
        assert_eq!(
            series("{"),
            before - stay,
            "series that are not about plugins stay"
        );
    }

    #[test]
    fn request_with_status_out_of_range_is_counted_without_panic() {
        let metrics = Metrics::new();
        for status in [0, 99, 600, u16::MAX] {
            metrics.request_finished("GET", status, Duration::ZERO);
        }
    }
}
