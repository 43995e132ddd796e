//! Lines in Pace's log.
//!
//! The macros check first whether the line would be written, and format it only then:
//!
//! ```no_run
//! # let (user, attempts) = ("ann", 3);
//! pace_plugin::warn!("{user} failed to log in {attempts} times");
//! ```

use std::fmt;

use crate::EditError;
use crate::bindings::imports::pace::plugin::log as host;

/// The importance of a line.
///
/// ```
/// use pace_plugin::log::Level;
///
/// assert!(Level::Error > Level::Info);
/// ```
// The contract's `level` is this type: the order of the cases is the contract's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Every step, for a debugging session.
    Trace,
    /// Information that helps to understand a decision.
    Debug,
    /// Information that an operator may want.
    Info,
    /// A condition that an operator should look at.
    Warn,
    /// A failure.
    Error,
}

/// Whether a line of this level would be written.
///
/// ```no_run
/// use pace_plugin::log::{self, Level};
///
/// if log::enabled(Level::Debug) {
///     // ... work that only the line needs ...
/// }
/// ```
pub fn enabled(level: Level) -> bool {
    host::enabled(level)
}

/// Write one line, marked with the plugin's name.
///
/// Control characters are escaped, and a line longer than 4 KiB is cut.
///
/// ```no_run
/// use pace_plugin::log::{self, Level};
///
/// log::write(Level::Info, "ready");
/// ```
pub fn write(level: Level, message: &str) {
    host::write(level, message);
}

/// Add a field to the request's line in the access log, among its `annotations`, and to its span. It is there as
/// `PLUGIN.KEY`; made again, the last value holds.
///
/// # Errors
///
/// [`EditError::InvalidName`] unless the key has 1 to 64 characters out of `a-z`, `0-9`, `.`, `_` and `-`;
/// [`EditError::TooLarge`] beyond 16 fields of this plugin on the request, or 256 bytes of a value.
///
/// ```no_run
/// # fn example() -> Result<(), pace_plugin::EditError> {
/// pace_plugin::log::annotate("tenant", "acme")
/// # }
/// ```
pub fn annotate(key: &str, value: &str) -> Result<(), EditError> {
    Ok(host::annotate(key, value)?)
}

/// Write the macros' arguments, if the level is enabled.
#[doc(hidden)]
pub fn __write_if_enabled(level: Level, message: fmt::Arguments<'_>) {
    if enabled(level) {
        match message.as_str() {
            Some(literal) => write(level, literal),
            None => write(level, &message.to_string()),
        }
    }
}

/// Write a line of level [`Trace`](Level::Trace), formatted as by [`format!`].
///
/// ```no_run
/// pace_plugin::trace!("looking at {} headers", 7);
/// ```
#[macro_export]
macro_rules! trace {
    ($($message:tt)+) => {
        $crate::log::__write_if_enabled($crate::log::Level::Trace, ::core::format_args!($($message)+))
    };
}

/// Write a line of level [`Debug`](Level::Debug), formatted as by [`format!`].
///
/// ```no_run
/// pace_plugin::debug!("the key is known");
/// ```
#[macro_export]
macro_rules! debug {
    ($($message:tt)+) => {
        $crate::log::__write_if_enabled($crate::log::Level::Debug, ::core::format_args!($($message)+))
    };
}

/// Write a line of level [`Info`](Level::Info), formatted as by [`format!`].
///
/// ```no_run
/// pace_plugin::info!("{} keys loaded", 12);
/// ```
#[macro_export]
macro_rules! info {
    ($($message:tt)+) => {
        $crate::log::__write_if_enabled($crate::log::Level::Info, ::core::format_args!($($message)+))
    };
}

/// Write a line of level [`Warn`](Level::Warn), formatted as by [`format!`].
///
/// ```no_run
/// pace_plugin::warn!("no key fits {:?}", "abc");
/// ```
#[macro_export]
macro_rules! warn {
    ($($message:tt)+) => {
        $crate::log::__write_if_enabled($crate::log::Level::Warn, ::core::format_args!($($message)+))
    };
}

/// Write a line of level [`Error`](Level::Error), formatted as by [`format!`].
///
/// ```no_run
/// pace_plugin::error!("the list of keys is damaged");
/// ```
#[macro_export]
macro_rules! error {
    ($($message:tt)+) => {
        $crate::log::__write_if_enabled($crate::log::Level::Error, ::core::format_args!($($message)+))
    };
}
