//! Metrics that plugins keep themselves, read from the store at each scrape.

use std::sync::Arc;

use prometheus::proto::{self, Metric, MetricFamily, MetricType};

use super::histogram::{family, pair};
use pace_state::{Kind, MetricSnapshot, Sample, Store};

/// The metrics of all plugins: `tokens_total` of the plugin `usage` is `plugin_tokens_total{plugin="usage"}`.
pub(super) fn families(store: &Store) -> Vec<MetricFamily> {
    let all = store.metrics();
    // Those of one name have one meaning, and lie together.
    let families = all.chunk_by(|a, b| Arc::ptr_eq(&a.definition, &b.definition));
    let families = families.filter_map(|of_one_name| {
        let definition = &of_one_name.first()?.definition;
        let series: Vec<Metric> = of_one_name.iter().flat_map(series).collect();
        let kind = match definition.kind() {
            Kind::Counter => MetricType::COUNTER,
            Kind::Gauge => MetricType::GAUGE,
            Kind::Histogram(_) => MetricType::HISTOGRAM,
        };
        let name = format!("plugin_{}", definition.name());
        (!series.is_empty()).then(|| family(&name, definition.help(), kind, series))
    });
    families.collect()
}

/// The series of one plugin's metric.
fn series(metric: &MetricSnapshot) -> impl Iterator<Item = Metric> {
    let definition = &metric.definition;
    metric.series.iter().map(move |(values, sample)| {
        let labels = definition
            .labels()
            .iter()
            .zip(values)
            .map(|(name, value)| pair(name, value));
        let labels = std::iter::once(pair("plugin", &metric.plugin)).chain(labels);
        let mut series = Metric::from_label(labels.collect());
        match sample {
            Sample::Counter(sum) => {
                let mut counter = proto::Counter::default();
                counter.set_value(*sum as f64);
                series.set_counter(counter);
            }
            Sample::Gauge(level) => {
                let mut gauge = proto::Gauge::default();
                gauge.set_value(*level);
                series.set_gauge(gauge);
            }
            Sample::Histogram { counts, sum } => {
                let bounds = match definition.kind() {
                    Kind::Histogram(bounds) => &bounds[..],
                    Kind::Counter | Kind::Gauge => &[],
                };
                series.set_histogram(histogram(bounds, counts, *sum));
            }
        }
        series
    })
}

fn histogram(bounds: &[f64], counts: &[u64], sum: f64) -> proto::Histogram {
    let mut below = 0;
    let buckets = bounds.iter().zip(counts).map(|(bound, count)| {
        below += count;
        let mut bucket = proto::Bucket::default();
        bucket.set_upper_bound(*bound);
        bucket.set_cumulative_count(below);
        bucket
    });
    let mut histogram = proto::Histogram::default();
    histogram.set_bucket(buckets.collect());
    histogram.set_sample_count(counts.iter().sum());
    histogram.set_sample_sum(sum);
    histogram
}

#[cfg(test)]
mod tests {
    use pace_state::ScopeLimits;
    use prometheus::{Encoder, TextEncoder};

    use super::*;

    fn text(store: &Store) -> String {
        let mut text = Vec::new();
        TextEncoder::new()
            .encode(&families(store), &mut text)
            .expect("every family has series");
        String::from_utf8(text).expect("it is text")
    }

    #[test]
    fn metrics_of_plugins_are_exported_by_family() {
        let store = Store::new(usize::MAX);
        let open = |plugin: &str| store.scope(plugin, plugin, ScopeLimits::default());
        let scopes = ["b", "a"].map(open);
        for scope in &scopes {
            let tokens = scope
                .metrics()
                .counter("tokens_total", "Tokens.", &["model"])
                .unwrap();
            tokens.add(&["say \"x\"\n"], 3).unwrap();
        }
        let metrics = scopes[0].metrics();
        metrics
            .gauge("open", "", &["none"])
            .expect("it has no series, and is not exported");
        metrics
            .gauge("level", "", &[""; 0])
            .unwrap()
            .set(&[""; 0], 0.5)
            .unwrap();
        let seconds = metrics
            .histogram("seconds", "Time.", &["pool"], &[0.5, 2.0])
            .unwrap();
        for value in [0.5, 1.0, 7.0] {
            seconds.observe(&["x"], value).unwrap();
        }
        assert_eq!(
            text(&store),
            r#"# TYPE plugin_level gauge
plugin_level{plugin="b"} 0.5
# HELP plugin_seconds Time.
# TYPE plugin_seconds histogram
plugin_seconds_bucket{plugin="b",pool="x",le="0.5"} 1
plugin_seconds_bucket{plugin="b",pool="x",le="2"} 2
plugin_seconds_bucket{plugin="b",pool="x",le="+Inf"} 3
plugin_seconds_sum{plugin="b",pool="x"} 8.5
plugin_seconds_count{plugin="b",pool="x"} 3
# HELP plugin_tokens_total Tokens.
# TYPE plugin_tokens_total counter
plugin_tokens_total{plugin="a",model="say \"x\"\n"} 3
plugin_tokens_total{plugin="b",model="say \"x\"\n"} 3
"#
        );
    }
}
