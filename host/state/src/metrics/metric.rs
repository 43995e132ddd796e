use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use foldhash::quality::RandomState;
use hashbrown::HashTable;
use parking_lot::RwLock;
use thiserror::Error;

use super::definition::Definition;
use super::labels::{self, Labels, cut, hash};
use super::value::{Distribution, Level, Sample, Sum, Value};
use crate::Time;
use crate::budget::Budget;

/// The most series of a metric, `other` apart.
pub const MAX_SERIES: usize = 200;

/// The value of every label of the series that has what belongs to no other.
const OTHER: &str = "other";

/// How long a series keeps its place without a change, in milliseconds.
const IDLE: u64 = 3600 * 1000;

/// The milliseconds between two looks for idle series while a metric is full.
const BETWEEN_SWEEPS: u64 = 10_000;

/// A power of two, more than there are threads that write to one metric at the same time.
const SHARDS: usize = 16;

/// A metric of a plugin: a series for each combination of label values.
///
/// There are at most [`MAX_SERIES`], and fewer if the plugin's budget is used up. A new combination is counted
/// under `other` in every label then. A series that was not written to for an hour gives up its place.
pub struct Metric<V> {
    definition: Arc<Definition>,
    budget: Arc<Budget>,
    /// The bytes admitted to the budget for it.
    charged: AtomicUsize,
    time: Time,
    hasher: RandomState,
    shards: [Shard<V>; SHARDS],
    /// The series in all shards, and those that are about to be put there.
    count: AtomicUsize,
    /// When idle series were last looked for, in milliseconds.
    swept: AtomicU64,
    /// The only series of a metric without labels; of others the one named `other`.
    rest: Series<V>,
}

/// A part of the series, on its own cache lines (which processors fetch in pairs). The lock is held for a
/// moment, and exclusively only to add and to remove a series, so that a change of one cannot be lost.
#[repr(align(128))]
struct Shard<V>(RwLock<HashTable<Box<Series<V>>>>);

/// One series. Aligned, so that threads that write to different ones do not slow each other down.
#[repr(align(128))]
struct Series<V> {
    value: V,
    /// Whether it was written to since the last sweep.
    touched: AtomicBool,
    /// The sweep after its last change, in milliseconds. Read and written by sweeps only.
    seen: AtomicU64,
    labels: Labels,
}

/// The number of label values is not that of the metric's labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{given} label values were given to a metric that has {wanted}")]
pub struct WrongLabels {
    /// Values that the plugin has given.
    pub given: usize,
    /// Labels of the metric.
    pub wanted: usize,
}

impl Metric<Sum> {
    /// Adds to a series.
    pub fn add(&self, labels: &[impl AsRef<str>], delta: u64) -> Result<(), WrongLabels> {
        self.write(labels, |sum| sum.add(delta))
    }
}

impl Metric<Level> {
    /// Sets a series to this number.
    pub fn set(&self, labels: &[impl AsRef<str>], value: f64) -> Result<(), WrongLabels> {
        self.write(labels, |level| level.set(value))
    }

    /// Adds to a series; a negative number subtracts.
    pub fn add(&self, labels: &[impl AsRef<str>], delta: f64) -> Result<(), WrongLabels> {
        self.write(labels, |level| level.add(delta))
    }
}

impl Metric<Distribution> {
    /// Counts a value. NaN is not counted.
    pub fn observe(&self, labels: &[impl AsRef<str>], value: f64) -> Result<(), WrongLabels> {
        let bounds = self.definition.bounds();
        self.write(labels, |distribution| distribution.observe(bounds, value))
    }
}

impl<V> Metric<V> {
    /// Kind, name, help and labels.
    pub fn definition(&self) -> &Definition {
        &self.definition
    }
}

impl<V: Value> Metric<V> {
    /// A metric without series; `None` if the budget has no room for it.
    pub(super) fn within(
        budget: &Arc<Budget>,
        definition: Arc<Definition>,
        time: &Time,
    ) -> Option<Metric<V>> {
        let fixed = size_of::<Metric<V>>() + V::heap(&definition);
        budget.admit(fixed).then(|| Metric {
            budget: Arc::clone(budget),
            charged: AtomicUsize::new(fixed),
            time: time.clone(),
            hasher: RandomState::default(),
            shards: std::array::from_fn(|_| Shard(RwLock::new(HashTable::new()))),
            count: AtomicUsize::new(0),
            swept: AtomicU64::new(0),
            rest: Series::new(&definition, Labels::new([].into_iter())),
            definition,
        })
    }

    fn write(&self, labels: &[impl AsRef<str>], change: impl Fn(&V)) -> Result<(), WrongLabels> {
        let wanted = self.definition.labels().len();
        if labels.len() != wanted {
            return Err(WrongLabels {
                given: labels.len(),
                wanted,
            });
        }
        if wanted == 0 {
            self.rest.write(change);
            return Ok(());
        }
        let values = cut(labels);
        let hash = hash(&self.hasher, values.clone());
        let shard = &self.shards[(hash >> 48) as usize % SHARDS].0;
        let is_it = |known: &Series<V>| known.labels.values(wanted).eq(values.clone());
        if let Some(known) = shard.read().find(hash, |known| is_it(known)) {
            known.write(change);
            return Ok(());
        }
        let bytes = self.bytes(values.clone().map(str::len).sum());
        if values.clone().all(|value| value == OTHER) || !self.take_place(bytes) {
            self.rest.write(change);
            return Ok(());
        }
        let new = Box::new(Series::new(&self.definition, Labels::new(values.clone())));
        let mut all = shard.write();
        // Another thread may have come first.
        if let Some(known) = all.find(hash, |known| is_it(known)) {
            known.write(change);
            self.give_place_back(bytes);
            return Ok(());
        }
        new.write(change);
        all.insert_unique(hash, new, |series| {
            labels::hash(&self.hasher, series.labels.values(wanted))
        });
        Ok(())
    }

    /// Bytes of a series whose label values have so many.
    fn bytes(&self, values: usize) -> usize {
        // The table has a pointer and a byte, and up to twice as many places as series.
        let place = 2 * (size_of::<Box<Series<V>>>() + 1);
        size_of::<Series<V>>() + V::heap(&self.definition) + values + place
    }

    /// Takes a place for a series of so many bytes, if there is one.
    fn take_place(&self, bytes: usize) -> bool {
        let take = || {
            let one_more = |count| (count < MAX_SERIES).then_some(count + 1);
            let taken = self
                .count
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more);
            taken.is_ok()
        };
        let has_place = take() || self.sweep_if_due() && take();
        if !has_place {
            return false;
        }
        if self.budget.admit(bytes) {
            self.charged.fetch_add(bytes, Ordering::Relaxed);
            return true;
        }
        self.count.fetch_sub(1, Ordering::Relaxed);
        false
    }

    fn give_place_back(&self, bytes: usize) {
        self.count.fetch_sub(1, Ordering::Relaxed);
        self.charged.fetch_sub(bytes, Ordering::Relaxed);
        self.budget.release_fixed(bytes);
    }

    /// Looks for idle series, unless somebody has done so just now.
    fn sweep_if_due(&self) -> bool {
        let now = self.time.now().as_millis();
        let before = self.swept.load(Ordering::Relaxed);
        let is_due = now.saturating_sub(before) >= BETWEEN_SWEEPS;
        let is_mine = || {
            let swap = self
                .swept
                .compare_exchange(before, now, Ordering::Relaxed, Ordering::Relaxed);
            swap.is_ok()
        };
        if !is_due || !is_mine() {
            return false;
        }
        self.sweep(now);
        true
    }

    /// Gives up the series that were not written to for an hour.
    fn sweep(&self, now: u64) {
        for shard in &self.shards {
            shard.0.write().retain(|series| {
                let keep = series.is_in_use(now);
                if !keep {
                    self.give_place_back(self.bytes(series.labels.heap()));
                }
                keep
            });
        }
    }

    /// The present values.
    pub(super) fn snapshot(&self) -> (Arc<Definition>, Vec<(Vec<String>, Sample)>) {
        let now = self.time.now().as_millis();
        self.swept.store(now, Ordering::Relaxed);
        self.sweep(now);
        let labels = self.definition.labels();
        let mut all = Vec::with_capacity(self.count.load(Ordering::Relaxed) + 1);
        for shard in &self.shards {
            let series = shard.0.read();
            all.extend(series.iter().map(|series| {
                let values = series.labels.values(labels.len()).map(str::to_owned);
                (values.collect(), series.value.sample())
            }));
        }
        all.sort_unstable_by(|(a, _), (b, _): &(Vec<String>, _)| a.cmp(b));
        if labels.is_empty() || self.rest.touched.load(Ordering::Relaxed) {
            let others = labels.iter().map(|_| OTHER.to_owned());
            all.push((others.collect(), self.rest.value.sample()));
        }
        (Arc::clone(&self.definition), all)
    }
}

impl<V> Drop for Metric<V> {
    fn drop(&mut self) {
        self.budget.release_fixed(*self.charged.get_mut());
    }
}

impl<V: Value> Series<V> {
    fn new(definition: &Definition, labels: Labels) -> Series<V> {
        Series {
            value: V::new(definition),
            touched: AtomicBool::new(false),
            seen: AtomicU64::new(0),
            labels,
        }
    }

    fn write(&self, change: impl Fn(&V)) {
        change(&self.value);
        // Most often it is set, and then the line is not written to for this.
        if !self.touched.load(Ordering::Relaxed) {
            self.touched.store(true, Ordering::Relaxed);
        }
    }

    /// Whether it was written to within the last hour. Called with the shard's lock held exclusively.
    fn is_in_use(&self, now: u64) -> bool {
        if self.touched.swap(false, Ordering::Relaxed) {
            self.seen.store(now, Ordering::Relaxed);
        }
        now.saturating_sub(self.seen.load(Ordering::Relaxed)) < IDLE
    }
}
