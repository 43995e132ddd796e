use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::AnyMetric;
use super::definition::Definition;
use super::metric::Metric;

/// What the series of a metric hold. A value publishes nothing but itself, so the order of other memory does
/// not matter.
pub trait Value: Sized + Send + Sync {
    /// A value to begin with.
    fn new(definition: &Definition) -> Self;

    /// The present value.
    fn sample(&self) -> Sample;

    /// Bytes on the heap of each value.
    fn heap(definition: &Definition) -> usize;
}

/// A kind of values, to be told from the others.
pub(super) trait OfKind: Value {
    /// The metric, if it has values of this kind.
    fn among(any: &AnyMetric) -> Option<&Arc<Metric<Self>>>;

    /// The metric as one of any kind.
    fn any(metric: Arc<Metric<Self>>) -> AnyMetric;
}

/// A value as it was at a moment.
#[derive(Clone, Debug, PartialEq)]
pub enum Sample {
    /// The sum of a counter.
    Counter(u64),
    /// The level of a gauge.
    Gauge(f64),
    /// A histogram.
    Histogram {
        /// The number of values in each range, the one above the last bound included.
        counts: Vec<u64>,
        /// The sum of all values.
        sum: f64,
    },
}

/// The value of a counter. Wraps around at 2^64.
#[derive(Default)]
pub struct Sum(AtomicU64);

impl Sum {
    pub(super) fn add(&self, delta: u64) {
        self.0.fetch_add(delta, Ordering::Relaxed);
    }
}

impl Value for Sum {
    fn new(_: &Definition) -> Sum {
        Sum::default()
    }

    fn sample(&self) -> Sample {
        Sample::Counter(self.0.load(Ordering::Relaxed))
    }

    fn heap(_: &Definition) -> usize {
        0
    }
}

impl OfKind for Sum {
    fn among(any: &AnyMetric) -> Option<&Arc<Metric<Sum>>> {
        match any {
            AnyMetric::Counter(metric) => Some(metric),
            AnyMetric::Gauge(_) | AnyMetric::Histogram(_) => None,
        }
    }

    fn any(metric: Arc<Metric<Sum>>) -> AnyMetric {
        AnyMetric::Counter(metric)
    }
}

/// The value of a gauge, as the bits of an `f64`; 0 is 0.0.
#[derive(Default)]
pub struct Level(AtomicU64);

impl Level {
    pub(super) fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Ordering::Relaxed);
    }

    pub(super) fn add(&self, delta: f64) {
        let sum = |bits| Some((f64::from_bits(bits) + delta).to_bits());
        // The function always returns a number, so the update cannot fail.
        let _before = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, sum);
    }

    fn value(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Relaxed))
    }
}

impl Value for Level {
    fn new(_: &Definition) -> Level {
        Level::default()
    }

    fn sample(&self) -> Sample {
        Sample::Gauge(self.value())
    }

    fn heap(_: &Definition) -> usize {
        0
    }
}

impl OfKind for Level {
    fn among(any: &AnyMetric) -> Option<&Arc<Metric<Level>>> {
        match any {
            AnyMetric::Gauge(metric) => Some(metric),
            AnyMetric::Counter(_) | AnyMetric::Histogram(_) => None,
        }
    }

    fn any(metric: Arc<Metric<Level>>) -> AnyMetric {
        AnyMetric::Gauge(metric)
    }
}

/// The value of a histogram.
pub struct Distribution {
    /// The values in each range; the last is above all bounds.
    counts: Box<[AtomicU64]>,
    sum: Level,
}

impl Distribution {
    pub(super) fn observe(&self, bounds: &[f64], value: f64) {
        if value.is_nan() {
            return;
        }
        let range = bounds.partition_point(|bound| *bound < value);
        self.counts[range].fetch_add(1, Ordering::Relaxed);
        self.sum.add(value);
    }
}

impl Value for Distribution {
    fn new(definition: &Definition) -> Distribution {
        let ranges = 0..=definition.bounds().len();
        Distribution {
            counts: ranges.map(|_| AtomicU64::default()).collect(),
            sum: Level::default(),
        }
    }

    fn sample(&self) -> Sample {
        Sample::Histogram {
            counts: self
                .counts
                .iter()
                .map(|count| count.load(Ordering::Relaxed))
                .collect(),
            sum: self.sum.value(),
        }
    }

    fn heap(definition: &Definition) -> usize {
        (definition.bounds().len() + 1) * size_of::<AtomicU64>()
    }
}

impl OfKind for Distribution {
    fn among(any: &AnyMetric) -> Option<&Arc<Metric<Distribution>>> {
        match any {
            AnyMetric::Histogram(metric) => Some(metric),
            AnyMetric::Counter(_) | AnyMetric::Gauge(_) => None,
        }
    }

    fn any(metric: Arc<Metric<Distribution>>) -> AnyMetric {
        AnyMetric::Histogram(metric)
    }
}
