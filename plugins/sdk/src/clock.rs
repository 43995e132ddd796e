//! The time.
//!
//! ```no_run
//! use pace_plugin::{clock, info};
//!
//! let start = clock::monotonic();
//! // ... work ...
//! info!("at {} it took {:?}", clock::since_1970().as_secs(), clock::monotonic() - start);
//! ```

use std::time::{Duration, SystemTime};

use crate::bindings::imports::pace::plugin::clock as host;

/// The time since some fixed moment, which never goes back. Use it for durations.
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

/// The date, by the machine's clock.
///
/// `SystemTime::now()` is not available in the sandbox; this function is.
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

/// The date as the time since 1970-01-01T00:00:00Z, without leap seconds, as in tokens, cookies and ids.
///
/// ```no_run
/// use pace_plugin::clock;
///
/// let has_expired = |expires: u64| clock::since_1970().as_secs() >= expires;
/// ```
pub fn since_1970() -> Duration {
    Duration::from_nanos(host::wall())
}
