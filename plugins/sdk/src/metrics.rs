//! Metrics of the plugin, exported beside Pace's.
//!
//! A metric called `tokens_total` by the plugin `usage` is exported as `plugin_tokens_total{plugin="usage", ...}`.
//! All workers write to the same one, and it is kept when the plugin is swapped. The number of labels is part of
//! its type, so that a call with another number of values does not compile.
//!
//! A metric has a series for each combination of label values, up to 200; a new one is counted under `other` then
//! in every label. So values may come from clients: they cannot fill the memory. A series that has not changed for
//! an hour gives up its place.
//!
//! ```no_run
//! use pace_plugin::metrics::{Counter, Histogram};
//! # use pace_plugin::OpenError;
//!
//! struct Usage {
//!     tokens: Counter<2>,
//!     seconds: Histogram<0>,
//! }
//!
//! # fn example() -> Result<(), OpenError> {
//! // In `configure`:
//! let usage = Usage {
//!     tokens: Counter::open("tokens_total", "Tokens of requests and answers.", ["model", "direction"])?,
//!     seconds: Histogram::open("answer_seconds", "Time until the last token.", [], &[0.1, 1.0, 10.0])?,
//! };
//! // In a hook:
//! usage.tokens.add(["small", "in"], 7);
//! usage.seconds.observe([], 0.3);
//! # Ok(())
//! # }
//! ```

use crate::OpenError;
use crate::bindings::imports::pace::plugin::metrics as host;

/// A sum that only grows.
///
/// ```no_run
/// # fn example() -> Result<(), pace_plugin::OpenError> {
/// let tokens = pace_plugin::metrics::Counter::open("tokens_total", "tokens of answers", ["model"])?;
/// tokens.add(["large"], 12);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Counter<const LABELS: usize>(host::Counter);

impl<const LABELS: usize> Counter<LABELS> {
    /// Open the counter of this name, in [`configure`](crate::Plugin::configure), and keep it.
    ///
    /// Names of metrics and labels have 1 to 64 characters: `a-z` first, then `a-z`, `0-9` and `_`; `plugin` and `le`
    /// are no names of labels. `help` is what the export says about the metric, up to 256 bytes. It has at most 8
    /// labels.
    ///
    /// # Errors
    ///
    /// See [`OpenError`].
    ///
    /// ```no_run
    /// # use pace_plugin::metrics::Counter;
    /// # fn example() -> Result<(), pace_plugin::OpenError> {
    /// let refused = Counter::open("refused_total", "Requests that were refused.", ["reason"])?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn open(name: &str, help: &str, labels: [&str; LABELS]) -> Result<Self, OpenError> {
        Ok(Self(host::Counter::open(name, help, &labels)?))
    }

    /// Add to the series of these label values. Of a value with more than 128 bytes the beginning is taken.
    ///
    /// ```no_run
    /// # fn example(refused: &pace_plugin::metrics::Counter<1>) {
    /// refused.add(["no key"], 1);
    /// # }
    /// ```
    pub fn add(&self, labels: [&str; LABELS], delta: u64) {
        self.0.add(&labels, delta);
    }
}

/// A number that goes up and down.
#[derive(Debug)]
pub struct Gauge<const LABELS: usize>(host::Gauge);

impl<const LABELS: usize> Gauge<LABELS> {
    /// Open the gauge of this name; see [`Counter::open`].
    ///
    /// # Errors
    ///
    /// See [`OpenError`].
    ///
    /// ```no_run
    /// # use pace_plugin::metrics::Gauge;
    /// # fn example() -> Result<(), pace_plugin::OpenError> {
    /// let sessions = Gauge::open("sessions", "Sessions that are open.", ["tenant"])?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn open(name: &str, help: &str, labels: [&str; LABELS]) -> Result<Self, OpenError> {
        Ok(Self(host::Gauge::open(name, help, &labels)?))
    }

    /// Set the series of these label values to a number.
    ///
    /// ```no_run
    /// # fn example(age: &pace_plugin::metrics::Gauge<0>) {
    /// age.set([], 12.5);
    /// # }
    /// ```
    pub fn set(&self, labels: [&str; LABELS], value: f64) {
        self.0.set(&labels, value);
    }

    /// Add to the series of these label values; a negative number subtracts.
    ///
    /// ```no_run
    /// # fn example(sessions: &pace_plugin::metrics::Gauge<1>) {
    /// sessions.add(["blue"], -1.0);
    /// # }
    /// ```
    pub fn add(&self, labels: [&str; LABELS], delta: f64) {
        self.0.add(&labels, delta);
    }
}

/// The number of values in each of several ranges, and their sum.
#[derive(Debug)]
pub struct Histogram<const LABELS: usize>(host::Histogram);

impl<const LABELS: usize> Histogram<LABELS> {
    /// Open the histogram of this name; see [`Counter::open`].
    ///
    /// `bounds` are the upper bounds of the ranges, each included, ascending and finite, 1 to 32 of them; the range
    /// above the last is added by itself.
    ///
    /// # Errors
    ///
    /// See [`OpenError`].
    ///
    /// ```no_run
    /// # use pace_plugin::metrics::Histogram;
    /// # fn example() -> Result<(), pace_plugin::OpenError> {
    /// let sizes = Histogram::open("upload_bytes", "Sizes of uploads.", [], &[1e3, 1e6, 1e9])?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn open(name: &str, help: &str, labels: [&str; LABELS], bounds: &[f64]) -> Result<Self, OpenError> {
        Ok(Self(host::Histogram::open(name, help, &labels, bounds)?))
    }

    /// Count a value in the series of these label values. NaN is not counted.
    ///
    /// ```no_run
    /// # fn example(sizes: &pace_plugin::metrics::Histogram<0>, bytes: u32) {
    /// sizes.observe([], bytes.into());
    /// # }
    /// ```
    pub fn observe(&self, labels: [&str; LABELS], value: f64) {
        self.0.observe(&labels, value);
    }
}
