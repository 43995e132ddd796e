//! Metrics of each route.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::Mutex;
use prometheus::core::{Collector, Desc};
use prometheus::proto::{self, Metric, MetricFamily, MetricType};

use super::cells::Cells;
use super::histogram::{Family, Histogram, desc, family, pair};

/// The classes of statuses.
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

const REQUESTS: &str = "pace_route_requests_total";
const REQUESTS_HELP: &str = "Requests of a route that have ended, by the class of their status.";

const IN_FLIGHT: usize = CLASSES.len();
const RECEIVED: usize = IN_FLIGHT + 1;
const SENT: usize = RECEIVED + 1;

/// The metrics of a route.
pub struct RouteMetrics {
    /// The requests that have ended by their class, those in flight, and the bytes of both bodies.
    cells: Cells<{ SENT + 1 }>,
    duration: Arc<Histogram>,
}

impl RouteMetrics {
    /// Counts a request that begins.
    pub fn begun(&self) {
        self.cells.mine()[IN_FLIGHT].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts that a request is in flight no more.
    pub fn ended(&self) {
        self.cells.mine()[IN_FLIGHT].fetch_sub(1, Ordering::Relaxed);
    }

    /// Counts a request that was answered, with the bytes of both bodies.
    pub fn finished(&self, status: u16, duration: Duration, (received, sent): (u64, u64)) {
        let class = usize::from(status / 100).clamp(1, CLASSES.len()) - 1;
        let mine = self.cells.mine();
        mine[class].fetch_add(1, Ordering::Relaxed);
        mine[RECEIVED].fetch_add(received, Ordering::Relaxed);
        mine[SENT].fetch_add(sent, Ordering::Relaxed);
        self.duration.observe(duration);
    }
}

/// The metrics of all routes, by name.
#[derive(Clone)]
pub(super) struct Routes {
    durations: Family,
    /// What the registry knows the metrics by.
    desc: Arc<Desc>,
    series: Arc<Mutex<BTreeMap<String, Arc<RouteMetrics>>>>,
}

impl Routes {
    pub(super) fn new(durations: Family) -> Routes {
        Routes {
            durations,
            desc: Arc::new(desc(REQUESTS, REQUESTS_HELP, &["route", "status"])),
            series: Arc::default(),
        }
    }

    /// The metrics of a route. Its series all exist from this call on, at zero.
    pub(super) fn of(&self, route: &str) -> Arc<RouteMetrics> {
        let mut series = self.series.lock();
        if let Some(known) = series.get(route) {
            return Arc::clone(known);
        }
        let made = Arc::new(RouteMetrics {
            cells: Cells::new(),
            duration: self.durations.with(&[route]),
        });
        series.insert(route.to_owned(), Arc::clone(&made));
        made
    }

    /// Drops the series of routes for which `keep` is false.
    pub(super) fn retain(&self, keep: impl Fn(&str) -> bool) {
        self.series.lock().retain(|route, _| keep(route));
        self.durations.retain(|values| keep(&values[0]));
    }
}

impl Collector for Routes {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.desc]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let (mut requests, mut in_flight) = (Vec::new(), Vec::new());
        let (mut received, mut sent) = (Vec::new(), Vec::new());
        for (route, metrics) in &*self.series.lock() {
            let sums = metrics.cells.sums();
            for (class, number) in CLASSES.iter().zip(sums) {
                requests.push(counter(&[("route", route), ("status", class)], number));
            }
            let mut gauge = proto::Gauge::default();
            gauge.set_value(sums[IN_FLIGHT].cast_signed() as f64);
            let mut metric = Metric::from_label(vec![pair("route", route)]);
            metric.set_gauge(gauge);
            in_flight.push(metric);
            received.push(counter(&[("route", route)], sums[RECEIVED]));
            sent.push(counter(&[("route", route)], sums[SENT]));
        }
        let families = [
            (REQUESTS, REQUESTS_HELP, MetricType::COUNTER, requests),
            (
                "pace_route_requests_in_flight",
                "Requests of a route that have begun and not ended.",
                MetricType::GAUGE,
                in_flight,
            ),
            (
                "pace_route_received_bytes_total",
                "Bytes of the bodies of a route's requests.",
                MetricType::COUNTER,
                received,
            ),
            (
                "pace_route_sent_bytes_total",
                "Bytes of the bodies of a route's responses.",
                MetricType::COUNTER,
                sent,
            ),
        ];
        let with_series = families.into_iter().filter(|(.., metrics)| !metrics.is_empty());
        with_series
            .map(|(name, help, kind, metrics)| family(name, help, kind, metrics))
            .collect()
    }
}

fn counter(labels: &[(&str, &str)], number: u64) -> Metric {
    let mut counter = proto::Counter::default();
    counter.set_value(number as f64);
    let pairs = labels.iter().map(|(name, value)| pair(name, value));
    let mut metric = Metric::from_label(pairs.collect());
    metric.set_counter(counter);
    metric
}
