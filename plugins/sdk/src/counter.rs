//! Counters that all workers share.

use std::fmt;

use crate::bindings::imports::pace::plugin::counters as host;

/// A number that all workers share, 0 when it is opened for the first time.
///
/// The number is kept when the plugin is swapped for a new version, and lost when Pace ends. Two plugins
/// cannot see each other's. Open it in [`configure`](crate::Plugin::configure) and keep it: opening looks the
/// name up, the other functions do not.
///
/// ```no_run
/// # use pace_plugin::{Counter, OpenError};
/// # fn example() -> Result<(), OpenError> {
/// let served = Counter::open("served")?;
/// let ticket = served.add(1);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Counter(host::Counter);

impl Counter {
    /// Open the counter of this name: 1 to 64 characters out of `a-z`, `0-9`, `.`, `_` and `-`.
    ///
    /// # Errors
    ///
    /// [`OpenError::InvalidName`], or [`OpenError::TooMany`] if the plugin has as many as the operator
    /// allows.
    ///
    /// ```no_run
    /// # fn example() -> Result<(), pace_plugin::OpenError> {
    /// let counter = pace_plugin::Counter::open("logins.failed")?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn open(name: &str) -> Result<Self, OpenError> {
        Ok(Self(host::Counter::open(name)?))
    }

    /// Add, and return the sum. Atomic over all workers: every caller that adds 1 gets a different number.
    /// Wraps around at 2^64.
    ///
    /// ```no_run
    /// # fn example(tickets: &pace_plugin::Counter) -> u64 {
    /// tickets.add(1)
    /// # }
    /// ```
    pub fn add(&self, delta: u64) -> u64 {
        self.0.add(delta)
    }

    /// The present number.
    ///
    /// ```no_run
    /// # fn example(failures: &pace_plugin::Counter) -> bool {
    /// failures.value() > 1_000
    /// # }
    /// ```
    pub fn value(&self) -> u64 {
        self.0.value()
    }

    /// Replace the number, and return the previous one.
    ///
    /// ```no_run
    /// # fn example(since_last_report: &pace_plugin::Counter) -> u64 {
    /// since_last_report.swap(0)
    /// # }
    /// ```
    pub fn swap(&self, value: u64) -> u64 {
        self.0.swap(value)
    }
}

/// The reason why a [`Counter`], a [`Window`](crate::Window) or one of the [`metrics`](crate::metrics) could not be
/// opened.
///
/// It converts into a `String`, so that [`configure`](crate::Plugin::configure) can use `?`:
///
/// ```no_run
/// # use pace_plugin::Counter;
/// fn configure() -> Result<Counter, String> {
///     Ok(Counter::open("served")?)
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// Names have 1 to 64 characters out of `a-z`, `0-9`, `.`, `_` and `-`; those of metrics and labels only `a-z`
    /// first and then `a-z`, `0-9` and `_`.
    InvalidName,
    /// An argument is outside the range of the function: a limit, a period, labels, bounds.
    InvalidArgument,
    /// The plugin has as many as the operator allows.
    TooMany,
    /// The operator has not granted this name to the plugin.
    NotGranted,
    /// The name has another meaning already: a metric of another kind, or with other help or labels.
    Conflict,
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InvalidName => {
                "the name must be 1 to 64 of a-z, 0-9, '.', '_' and '-'; that of a metric or label a-z first, then \
                 a-z, 0-9 and '_', and no label is called `plugin` or `le`"
            }
            Self::InvalidArgument => {
                "an argument is out of range: a window has 1 to 4294967295 events in 1 ms to 7 days, a metric up to \
                 256 bytes of help and 8 different labels, a histogram 1 to 32 bounds that ascend"
            }
            Self::TooMany => {
                "the plugin has as many as it may have: open each once, in `configure`, or allow more with \
                 `limits.handles`, `limits.windows`, `limits.metrics` and `limits.state_mb`"
            }
            Self::NotGranted => "the operator has not granted this name: have the configuration of this plugin name it",
            Self::Conflict => {
                "a metric of this name is there with another kind, help or labels, maybe by the version before or by \
                 another plugin: take another name"
            }
        })
    }
}

impl std::error::Error for OpenError {}

impl From<OpenError> for String {
    fn from(error: OpenError) -> Self {
        error.to_string()
    }
}

impl From<host::OpenError> for OpenError {
    fn from(error: host::OpenError) -> Self {
        match error {
            host::OpenError::InvalidName => Self::InvalidName,
            host::OpenError::InvalidArgument => Self::InvalidArgument,
            host::OpenError::TooMany => Self::TooMany,
            host::OpenError::NotGranted => Self::NotGranted,
            host::OpenError::Conflict => Self::Conflict,
        }
    }
}
