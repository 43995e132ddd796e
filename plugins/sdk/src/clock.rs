//! The time.

use std::time::{Duration, SystemTime};

use crate::bindings::imports::pace::plugin::clock as host;

/// The time since some fixed moment; never goes back. For durations.
///
/// ```no_run
/// use pace_plugin::clock;
///
/// let start = clock::monotonic();
/// // ... work ...
/// let took = clock::monotonic() - start;
/// ```
pub fn monotonic() -> Duration {
    Duration::from_nanos(host::monotonic())
}

/// The date, as the machine's clock has it.
///
/// `SystemTime::now()` is not available in the sandbox; this is.
///
/// ```no_run
/// use pace_plugin::clock;
/// use std::time::SystemTime;
///
/// let seconds = clock::wall().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_secs());
/// ```
pub fn wall() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_nanos(host::wall())
}
