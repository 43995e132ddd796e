//! Metrics of requests: in all, by route and by pool.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::Version;
use prometheus::{IntCounter, IntCounterVec, Opts, Registry};

use super::access_log::protocol;
use super::histogram::{Bounds, Family, Histogram};
use super::methods::METHODS;
use super::metrics::{register, retain};
use super::notes::End;
use super::routes::{RouteMetrics, Routes};

/// The upper bounds of buckets for requests. The proxy itself takes tens of microseconds, a backend usually milliseconds.
const REQUESTS: Bounds = millis([
    0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1_000.0, 2_500.0, 5_000.0, 10_000.0, 30_000.0,
]);

/// The upper bounds of buckets for calls of hooks.
pub(super) const HOOKS: Bounds = millis([
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 50.0, 250.0,
]);

const fn millis(bounds: [f64; 15]) -> Bounds {
    let mut nanos = [0; 15];
    let mut at = 0;
    while at < bounds.len() {
        nanos[at] = (bounds[at] * 1e6) as u64;
        at += 1;
    }
    nanos
}

/// The label of methods that have none of their own.
const OTHER: &str = "other";

/// The lowest status that is counted by itself, and the number of them.
const STATUS_MIN: u16 = 100;
const STATUS_COUNT: usize = 500;

/// The versions that are told apart.
const VERSIONS: [Version; 3] = [Version::HTTP_10, Version::HTTP_11, Version::HTTP_2];

/// The metrics of requests.
pub(super) struct Traffic {
    durations: Family,
    /// The histograms by method and status, each made when first needed.
    by_method_and_status: Box<[OnceLock<Arc<Histogram>>]>,
    protocols: [IntCounter; VERSIONS.len()],
    cut: [IntCounter; End::CUT.len()],
    routes: Routes,
    pool_durations: Family,
    pool_retries: IntCounterVec,
}

/// The metrics of a pool, looked up.
#[derive(Clone)]
pub struct PoolMetrics {
    /// The times from an attempt's start to the head of its response.
    pub duration: Arc<Histogram>,
    /// Attempts behind the first.
    pub retries: IntCounter,
}

impl Traffic {
    pub(super) fn new(registry: &Registry) -> Traffic {
        let counter = |name: &str, help: &str, labels: &[&str]| {
            register(registry, IntCounterVec::new(Opts::new(name, help), labels))
        };
        let protocols = counter(
            "pace_http_requests_total",
            "Requests by the version of HTTP that the client spoke.",
            &["protocol"],
        );
        let cut = counter(
            "pace_responses_cut_total",
            "Responses that were begun and did not get to their end, by whoever ended them.",
            &["by"],
        );
        let family = |family: Family| {
            registry
                .register(Box::new(family.clone()))
                .expect("every metric is registered once in a new registry");
            family
        };
        let routes = Routes::new(family(Family::new(
            "pace_route_duration_seconds",
            "Time of a route's requests, from the head to the end of the response.",
            &["route"],
            &REQUESTS,
        )));
        registry
            .register(Box::new(routes.clone()))
            .expect("every metric is registered once in a new registry");
        let traffic = Traffic {
            durations: family(Family::new(
                "http_requests_duration_seconds",
                "Time from the request's head to the end of its response. Status 499: the client left first.",
                &["method", "status"],
                &REQUESTS,
            )),
            by_method_and_status: (0..(METHODS.len() + 1) * STATUS_COUNT)
                .map(|_| OnceLock::new())
                .collect(),
            protocols: VERSIONS.map(|version| protocols.with_label_values(&[protocol(version)])),
            cut: End::CUT.map(|end| cut.with_label_values(&[end.name()])),
            routes,
            pool_durations: family(Family::new(
                "pace_upstream_duration_seconds",
                "Time from the start of an attempt to the head of its response.",
                &["pool"],
                &REQUESTS,
            )),
            pool_retries: counter(
                "pace_upstream_retries_total",
                "Attempts behind the first one of a request.",
                &["pool"],
            ),
        };
        // This makes the histogram part of the first scrape.
        traffic.duration("GET", 200);
        traffic
    }

    /// Counts a request that is over.
    pub(super) fn finished(&self, method: &str, status: u16, duration: Duration) {
        self.duration(method, status).observe(duration);
    }

    /// Counts the version of a request.
    pub(super) fn spoken(&self, version: Version) {
        let index = VERSIONS.iter().position(|known| *known == version);
        // Requests of no other version are read.
        self.protocols[index.unwrap_or(1)].inc();
    }

    /// Counts a response that was cut.
    pub(super) fn cut(&self, end: End) {
        if let Some(index) = End::CUT.iter().position(|cut| *cut == end) {
            self.cut[index].inc();
        }
    }

    fn duration(&self, method: &str, status: u16) -> &Histogram {
        let method_index = METHODS
            .iter()
            .position(|known| *known == method)
            .unwrap_or(METHODS.len());
        let status_index = usize::from(status.saturating_sub(STATUS_MIN)).min(STATUS_COUNT - 1);
        self.by_method_and_status[method_index * STATUS_COUNT + status_index].get_or_init(|| {
            let method = METHODS.get(method_index).unwrap_or(&OTHER);
            let status = STATUS_MIN as usize + status_index;
            self.durations.with(&[method, &status.to_string()])
        })
    }

    /// The metrics of a route. Its series all exist from this call on, at zero.
    pub(super) fn route(&self, route: &str) -> Arc<RouteMetrics> {
        self.routes.of(route)
    }

    /// The metrics of a pool. Its series all exist from this call on, at zero.
    pub(super) fn pool(&self, pool: &str) -> PoolMetrics {
        PoolMetrics {
            duration: self.pool_durations.with(&[pool]),
            retries: self.pool_retries.with_label_values(&[pool]),
        }
    }

    pub(super) fn retain_routes(&self, keep: impl Fn(&str) -> bool) {
        self.routes.retain(keep);
    }

    pub(super) fn retain_pools(&self, keep: impl Fn(&str) -> bool) {
        retain(&self.pool_retries, |labels| {
            labels.get("pool").is_some_and(|pool| keep(pool))
        });
        self.pool_durations.retain(|values| keep(&values[0]));
    }
}
