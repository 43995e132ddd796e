//! Histograms of times, without memory that threads share.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::Mutex;
use prometheus::core::{Collector, Desc};
use prometheus::proto::{self, LabelPair, Metric, MetricFamily, MetricType};

use super::cells::Cells;

/// A histogram of times.
pub struct Histogram {
    bounds: &'static Bounds,
    /// The buckets, and behind them the sum of all times in nanoseconds.
    cells: Cells<{ BUCKETS + 1 }>,
}

/// The upper bounds of buckets, in nanoseconds; the last bucket has none.
pub(super) type Bounds = [u64; BUCKETS - 1];

/// The number of buckets.
const BUCKETS: usize = 16;
const SUM: usize = BUCKETS;

impl Histogram {
    fn new(bounds: &'static Bounds) -> Histogram {
        Histogram {
            bounds,
            cells: Cells::new(),
        }
    }

    /// Counts a time.
    pub fn observe(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let bucket = self.bounds.iter().position(|bound| nanos <= *bound);
        let mine = self.cells.mine();
        mine[bucket.unwrap_or(BUCKETS - 1)].fetch_add(1, Ordering::Relaxed);
        mine[SUM].fetch_add(nanos, Ordering::Relaxed);
    }

    fn metric(&self) -> (proto::Histogram, u64) {
        let sums = self.cells.sums();
        let (counts, sum) = (&sums[..BUCKETS], sums[SUM]);
        let mut below = 0;
        let mut buckets = Vec::with_capacity(BUCKETS);
        for (bound, count) in self.bounds.iter().zip(counts) {
            below += count;
            let mut bucket = proto::Bucket::default();
            bucket.set_upper_bound(*bound as f64 / 1e9);
            bucket.set_cumulative_count(below);
            buckets.push(bucket);
        }
        let all = counts.iter().sum();
        let mut histogram = proto::Histogram::default();
        histogram.set_bucket(buckets);
        histogram.set_sample_count(all);
        histogram.set_sample_sum(sum as f64 / 1e9);
        (histogram, all)
    }
}

/// Histograms of one name, by the values of their labels.
#[derive(Clone)]
pub(super) struct Family(Arc<Inner>);

struct Inner {
    name: &'static str,
    help: &'static str,
    labels: &'static [&'static str],
    bounds: &'static Bounds,
    desc: Desc,
    /// A counter with the number of times, for those who know it by this name: name and help.
    counter: Option<(&'static str, &'static str)>,
    series: Mutex<HashMap<Box<[String]>, Arc<Histogram>>>,
}

impl Family {
    pub(super) fn new(
        name: &'static str,
        help: &'static str,
        labels: &'static [&'static str],
        bounds: &'static Bounds,
    ) -> Family {
        Family(Arc::new(Inner {
            name,
            help,
            labels,
            bounds,
            desc: desc(name, help, labels),
            counter: None,
            series: Mutex::default(),
        }))
    }

    /// The same family, whose numbers of times are told as a counter, too.
    pub(super) fn and_counter(self, name: &'static str, help: &'static str) -> Family {
        let inner = Arc::into_inner(self.0).expect("it is new");
        Family(Arc::new(Inner {
            counter: Some((name, help)),
            ..inner
        }))
    }

    /// The histogram with these values of the labels.
    pub(super) fn with(&self, values: &[&str]) -> Arc<Histogram> {
        debug_assert_eq!(values.len(), self.0.labels.len());
        let key = values.iter().map(|value| (*value).to_owned()).collect();
        let mut series = self.0.series.lock();
        Arc::clone(
            series
                .entry(key)
                .or_insert_with(|| Arc::new(Histogram::new(self.0.bounds))),
        )
    }

    /// Drops the series for whose values `keep` is false.
    pub(super) fn retain(&self, keep: impl Fn(&[String]) -> bool) {
        self.0.series.lock().retain(|values, _| keep(values));
    }
}

impl Collector for Family {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.0.desc]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let Inner {
            name,
            help,
            labels,
            counter,
            series,
            ..
        } = &*self.0;
        let mut histograms = Vec::new();
        let mut counters = Vec::new();
        for (values, histogram) in &*series.lock() {
            let pairs: Vec<LabelPair> = labels
                .iter()
                .zip(values)
                .map(|(name, value)| pair(name, value))
                .collect();
            let (histogram, all) = histogram.metric();
            if counter.is_some() {
                let mut number = proto::Counter::default();
                number.set_value(all as f64);
                let mut metric = Metric::from_label(pairs.clone());
                metric.set_counter(number);
                counters.push(metric);
            }
            let mut metric = Metric::from_label(pairs);
            metric.set_histogram(histogram);
            histograms.push(metric);
        }
        let mut families = Vec::new();
        if let Some((name, help)) = counter.filter(|_| !counters.is_empty()) {
            families.push(family(name, help, MetricType::COUNTER, counters));
        }
        if !histograms.is_empty() {
            families.push(family(name, help, MetricType::HISTOGRAM, histograms));
        }
        families
    }
}

pub(super) fn desc(name: &str, help: &str, labels: &[&str]) -> Desc {
    let labels = labels.iter().map(|label| (*label).to_owned()).collect();
    Desc::new(name.to_owned(), help.to_owned(), labels, HashMap::new())
        .expect("metric names and labels are constants that are valid")
}

pub(super) fn pair(name: &str, value: &str) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(name.to_owned());
    pair.set_value(value.to_owned());
    pair
}

pub(super) fn family(name: &str, help: &str, kind: MetricType, metrics: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(metrics);
    family
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 20, 30, 40, 50, 60];

    #[test]
    fn times_are_in_the_first_bucket_that_has_room_for_them() {
        let histogram = Histogram::new(&BOUNDS);
        for nanos in [0, 1, 2, 60, 61, 1_000_000_000] {
            histogram.observe(Duration::from_nanos(nanos));
        }
        let sums = histogram.cells.sums();
        assert_eq!((sums[0], sums[1], sums[14], sums[15]), (2, 1, 1, 2));
        let (metric, all) = histogram.metric();
        assert_eq!((all, metric.get_sample_count()), (6, 6));
        assert!((metric.get_sample_sum() - 1.000_000_124).abs() < 1e-9);
        assert_eq!(metric.get_bucket()[14].cumulative_count(), 4);
    }

    #[test]
    fn series_that_are_not_kept_are_gone() {
        let family = Family::new("a", "b", &["c"], &BOUNDS).and_counter("d", "e");
        family.with(&["x"]).observe(Duration::ZERO);
        family.with(&["y"]);
        family.retain(|values| values == ["x"]);
        let families = family.collect();
        assert_eq!(families.len(), 2);
        assert_eq!(families[0].get_metric()[0].get_counter().get_value(), 1.0);
        assert_eq!(families[1].get_metric().len(), 1);
    }
}
