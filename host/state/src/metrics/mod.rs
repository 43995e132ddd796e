//! Metrics of plugins: families of series, one for each combination of label values.
//!
//! ```text
//! Definitions    name ─ kind, help, labels, bounds      one for all plugins: a family has one meaning
//! Metrics        of one plugin, by name
//!   Metric ─┬─ shard ─┬─ ("gpt", "in")  ─ value         at most 200 series, and `other`
//!           │         └─ ("gpt", "out") ─ value
//!           └─ rest                                     of a metric without labels, or beyond 200
//! ```
//!
//! A known series costs a lookup under a shared lock of its shard, and an addition. No clock is read: a series
//! remembers only that it was written to, and a sweep, at each export, asks when that was last so.
//!
//! | file | what it holds |
//! |---|---|
//! | `definition.rs` | names, help, labels and bounds, and which of them there are |
//! | `labels.rs` | the values of labels |
//! | `metric.rs` | the series of one metric |
//! | `value.rs` | sums, levels and distributions |

mod definition;
mod labels;
mod metric;
#[cfg(test)]
mod tests;
mod value;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

pub(super) use definition::Definitions;
pub use definition::{Definition, Kind, MAX_BOUNDS, MAX_LABELS};
pub use metric::{MAX_SERIES, Metric, WrongLabels};
use value::OfKind;
pub use value::{Distribution, Level, Sample, Sum, Value};

use crate::budget::Budget;
use crate::{OpenError, Time};

/// The metrics of one plugin, by name. All scopes of an owner have the same.
pub struct Metrics {
    plugin: Box<str>,
    definitions: Arc<Definitions>,
    open: Mutex<BTreeMap<Box<str>, AnyMetric>>,
    max: AtomicUsize,
    budget: Arc<Budget>,
    time: Time,
}

impl Metrics {
    pub(super) fn new(
        plugin: &str,
        max: usize,
        definitions: &Arc<Definitions>,
        budget: &Arc<Budget>,
        time: &Time,
    ) -> Arc<Metrics> {
        Arc::new(Metrics {
            plugin: plugin.into(),
            definitions: Arc::clone(definitions),
            open: Mutex::default(),
            max: AtomicUsize::new(max),
            budget: Arc::clone(budget),
            time: time.clone(),
        })
    }

    /// Changes the number of metrics. Those above a lowered limit stay open.
    pub(super) fn set_max(&self, max: usize) {
        self.max.store(max, Ordering::Relaxed);
    }

    /// Opens a sum that only grows, made if there is none.
    ///
    /// # Errors
    ///
    /// These and those of the other two are [`OpenError::Conflict`], if there is a metric of this name with
    /// another meaning, here or of another plugin, and [`OpenError::TooMany`].
    pub fn counter(
        &self,
        name: &str,
        help: &str,
        labels: &[impl AsRef<str>],
    ) -> Result<Arc<Metric<Sum>>, OpenError> {
        self.open(Definition::new(name, help, labels, Kind::Counter)?)
    }

    /// Opens a number that goes up and down, made if there is none.
    pub fn gauge(
        &self,
        name: &str,
        help: &str,
        labels: &[impl AsRef<str>],
    ) -> Result<Arc<Metric<Level>>, OpenError> {
        self.open(Definition::new(name, help, labels, Kind::Gauge)?)
    }

    /// Opens the numbers of values in ranges with these upper bounds, made if there are none.
    pub fn histogram(
        &self,
        name: &str,
        help: &str,
        labels: &[impl AsRef<str>],
        bounds: &[f64],
    ) -> Result<Arc<Metric<Distribution>>, OpenError> {
        self.open(Definition::new(
            name,
            help,
            labels,
            Kind::Histogram(bounds.into()),
        )?)
    }

    fn open<V: OfKind>(&self, definition: Definition) -> Result<Arc<Metric<V>>, OpenError> {
        let mut open = self.open.lock();
        if let Some(there) = open.get(definition.name()) {
            return match V::among(there) {
                Some(metric) if *metric.definition() == definition => Ok(Arc::clone(metric)),
                _ => Err(OpenError::Conflict),
            };
        }
        if open.len() >= self.max.load(Ordering::Relaxed) {
            return Err(OpenError::TooMany);
        }
        let definition = self.definitions.enter(definition)?;
        let metric = Metric::within(&self.budget, definition, &self.time).ok_or(OpenError::TooMany)?;
        let metric = Arc::new(metric);
        open.insert(metric.definition().name().into(), V::any(Arc::clone(&metric)));
        Ok(metric)
    }

    /// The present values of all metrics, by name. Series that have not changed for an hour are given up here.
    pub(super) fn snapshot(&self) -> Vec<MetricSnapshot> {
        let open: Vec<AnyMetric> = self.open.lock().values().cloned().collect();
        let snapshot = open.into_iter().map(|metric| {
            let (definition, series) = match metric {
                AnyMetric::Counter(metric) => metric.snapshot(),
                AnyMetric::Gauge(metric) => metric.snapshot(),
                AnyMetric::Histogram(metric) => metric.snapshot(),
            };
            MetricSnapshot {
                plugin: self.plugin.to_string(),
                definition,
                series,
            }
        });
        snapshot.collect()
    }
}

/// A metric of one plugin with its present values.
#[derive(Debug)]
pub struct MetricSnapshot {
    /// The plugin's name.
    pub plugin: String,
    /// Kind, name, help and labels.
    pub definition: Arc<Definition>,
    /// Label values, in the order of the labels, with what was measured.
    pub series: Vec<(Vec<String>, Sample)>,
}

/// A metric of any kind.
#[derive(Clone)]
enum AnyMetric {
    Counter(Arc<Metric<Sum>>),
    Gauge(Arc<Metric<Level>>),
    Histogram(Arc<Metric<Distribution>>),
}
