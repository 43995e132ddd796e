//! Sliding windows: the number of recent events of a key.

use std::fmt;
use std::time::Duration;

use crate::OpenError;
use crate::bindings::imports::pace::plugin::windows as host;

/// Events per key in a period that slides with time, for rate limits.
///
/// Exact in count: in no stretch of the period are there ever more counted events than the limit, however
/// many workers count at the same time. Shared by all workers, kept over a swap, private to the plugin.
/// Memory is bounded: when a window holds as many keys as the operator allows, the key that was quiet for
/// longest is forgotten.
///
/// ```no_run
/// # use pace_plugin::{Key, Reply, Verdict, Window};
/// fn limit(window: &Window) -> Verdict {
///     match window.hit(Key::ClientAddress) {
///         Ok(_) => Verdict::Next,
///         Err(_) => Reply::new(429).into(),
///     }
/// }
/// ```
#[derive(Debug)]
pub struct Window(host::Window);

impl Window {
    /// Open the window of this name, in [`configure`](crate::Plugin::configure), and keep it.
    ///
    /// `limit` is how many events a key may have, at least 1; `period` for how long an event counts, 1 ms to
    /// a week, in whole milliseconds. Both belong to this handle: opened again with other values, the same
    /// events are measured by them, except for those that the shorter period has already dropped.
    ///
    /// # Errors
    ///
    /// See [`OpenError`].
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # fn example() -> Result<(), pace_plugin::OpenError> {
    /// let logins = pace_plugin::Window::open("logins", 5, Duration::from_secs(60))?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn open(name: &str, limit: u32, period: Duration) -> Result<Self, OpenError> {
        // A period that does not fit into 64 bits is out of range in any case.
        let period = u64::try_from(period.as_millis()).unwrap_or(u64::MAX);
        Ok(Self(host::Window::open(name, limit, period)?))
    }

    /// Count one event if the key has room, and return the number of the key's events in the window,
    /// including this one.
    ///
    /// # Errors
    ///
    /// [`Full`] if the key already has as many events as the limit allows. The event is not counted then.
    ///
    /// # Panics
    ///
    /// Traps in [`configure`](crate::Plugin::configure) for a key that needs a request.
    ///
    /// ```no_run
    /// # fn example(window: &pace_plugin::Window, user: &[u8]) {
    /// match window.hit(pace_plugin::Key::Bytes(user)) {
    ///     Ok(count) => pace_plugin::debug!("{count} in the window"),
    ///     Err(full) => pace_plugin::info!("full for {:?}", full.wait),
    /// }
    /// # }
    /// ```
    pub fn hit(&self, key: Key<'_>) -> Result<u32, Full> {
        self.0.hit(key.into()).map_err(|milliseconds| Full {
            wait: Duration::from_millis(milliseconds),
        })
    }

    /// The present number of the key's events. Counts nothing.
    ///
    /// # Panics
    ///
    /// As [`hit`](Window::hit).
    ///
    /// ```no_run
    /// # fn example(window: &pace_plugin::Window) -> bool {
    /// window.count(pace_plugin::Key::ClientAddress) > 90
    /// # }
    /// ```
    pub fn count(&self, key: Key<'_>) -> u32 {
        self.0.count(key.into())
    }
}

/// The key whose events are counted together. Keys of different kinds never meet.
///
/// ```
/// use pace_plugin::Key;
///
/// let site = Key::ClientNetwork { ipv4: 24, ipv6: 48 };
/// let user = Key::Bytes(b"user:7");
/// # assert_ne!(site, user);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key<'a> {
    /// The client's whole address. Costs no copy.
    ClientAddress,
    /// The client's network: the address cut to its leading bits. Costs no copy.
    ClientNetwork {
        /// The number of leading bits of an IPv4 address that count; more than 32 mean all.
        ipv4: u8,
        /// The number of leading bits of an IPv6 address that count; more than 128 mean all.
        ipv6: u8,
    },
    /// Any bytes, 0 to 256 of them; longer ones are hashed by Pace to 256 bits.
    Bytes(&'a [u8]),
}

impl<'a> From<Key<'a>> for host::Key<'a> {
    fn from(key: Key<'a>) -> Self {
        match key {
            Key::ClientAddress => Self::ClientAddress,
            Key::ClientNetwork { ipv4, ipv6 } => Self::ClientNetwork(host::Prefixes { ipv4, ipv6 }),
            Key::Bytes(bytes) => Self::Bytes(bytes),
        }
    }
}

/// The key has no room in the window now.
///
/// ```
/// use std::time::Duration;
/// use pace_plugin::Full;
///
/// let full = Full { wait: Duration::from_millis(2500) };
/// assert_eq!(full.to_string(), "no room for another 2.5s");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full {
    /// The time after which the oldest event will have left; at least a millisecond.
    pub wait: Duration,
}

impl Full {
    /// The wait in whole seconds, for `Retry-After`: rounded up, so that a client that waits for it is
    /// admitted. At least 1.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use pace_plugin::{Full, Reply};
    /// let full = Full { wait: Duration::from_millis(2001) };
    /// let reply = Reply::new(429).header("retry-after", full.retry_after().to_string());
    /// assert_eq!(reply.headers()[0].value, b"3");
    /// ```
    pub fn retry_after(&self) -> u64 {
        let begun = u64::from(self.wait.subsec_nanos() > 0);
        self.wait.as_secs().saturating_add(begun).max(1)
    }
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no room for another {:?}", self.wait)
    }
}

impl std::error::Error for Full {}
