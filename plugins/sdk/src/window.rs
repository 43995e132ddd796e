//! Sliding windows: the number of recent events of a key.
//!
//! An event is whatever is limited: a request, a token, a byte.

use std::fmt;
use std::time::Duration;

use crate::OpenError;
use crate::bindings::imports::pace::plugin::windows as host;

/// Events per key in a period that slides with time, for rate limits and budgets.
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

    /// Count one event if the key has room.
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
    ///     Ok(standing) => pace_plugin::debug!("{} in the window", standing.count),
    ///     Err(full) => pace_plugin::info!("full for {:?}", full.wait),
    /// }
    /// # }
    /// ```
    pub fn hit(&self, key: Key<'_>) -> Result<Standing, Full> {
        self.0
            .hit(key.into())
            .map(Into::into)
            .map_err(|denial| match denial {
                host::Denial::Wait(milliseconds) => Full::after(milliseconds),
                host::Denial::Never | host::Denial::TooMany => {
                    unreachable!("one event is within every limit, and reserves nothing")
                }
            })
    }

    /// Count so many events at once if the key has room for all of them, and else none. 0 counts nothing and says
    /// where the key stands.
    ///
    /// # Errors
    ///
    /// [`Denial::Wait`], or [`Denial::Never`] if the amount is larger than the limit.
    ///
    /// # Panics
    ///
    /// As [`hit`](Window::hit).
    ///
    /// ```no_run
    /// # use pace_plugin::{Denial, Key, Reply, Verdict, Window};
    /// fn limit(window: &Window, price: u32) -> Verdict {
    ///     match window.take(Key::ClientAddress, price) {
    ///         Ok(_) => Verdict::Next,
    ///         Err(Denial::Wait(full)) => Reply::new(429).header("retry-after", full.retry_after().to_string()).into(),
    ///         Err(_) => Reply::new(400).into(),
    ///     }
    /// }
    /// ```
    pub fn take(&self, key: Key<'_>, amount: u32) -> Result<Standing, Denial> {
        Ok(self.0.take(key.into(), amount)?.into())
    }

    /// Take so many of the key's youngest events back, as if they had never been. Returns their number: fewer if some
    /// have left the window since, or were never there.
    ///
    /// # Panics
    ///
    /// As [`hit`](Window::hit).
    ///
    /// ```no_run
    /// # fn example(window: &pace_plugin::Window) {
    /// window.refund(pace_plugin::Key::ClientAddress, 1);
    /// # }
    /// ```
    pub fn refund(&self, key: Key<'_>, amount: u32) -> u32 {
        self.0.refund(key.into(), amount)
    }

    /// Count so many events now, for something whose real amount will be known later in this request, and then
    /// [`settle`](Window::settle) it, from any hook.
    ///
    /// If nothing settles it, because the request ends or a plugin fails, all of it stays counted. Reserving again for
    /// the same key adds to it.
    ///
    /// # Errors
    ///
    /// As [`take`](Window::take), and [`Denial::TooMany`] if the request holds 16 reservations.
    ///
    /// # Panics
    ///
    /// Traps in [`configure`](crate::Plugin::configure), where there is no request.
    ///
    /// ```no_run
    /// # use pace_plugin::{Key, Reply, Verdict, Window};
    /// fn before(window: &Window) -> Verdict {
    ///     match window.reserve(Key::ClientAddress, 1024) {
    ///         Ok(_) => Verdict::Next,
    ///         Err(_) => Reply::new(429).into(),
    ///     }
    /// }
    ///
    /// fn after(window: &Window, tokens: u32) {
    ///     window.settle(Key::ClientAddress, tokens);
    /// }
    /// ```
    pub fn reserve(&self, key: Key<'_>, amount: u32) -> Result<Standing, Denial> {
        Ok(self.0.reserve(key.into(), amount)?.into())
    }

    /// Say how much of this request's reservation was really needed. The rest is refunded; a larger amount is counted,
    /// even beyond the limit. `None`, and nothing is done, if the request holds no reservation of this window for this
    /// key.
    ///
    /// # Panics
    ///
    /// As [`reserve`](Window::reserve).
    ///
    /// ```no_run
    /// # fn example(window: &pace_plugin::Window, tokens: u32) {
    /// if let Some(standing) = window.settle(pace_plugin::Key::ClientAddress, tokens) {
    ///     pace_plugin::debug!("{} tokens in the window", standing.count);
    /// }
    /// # }
    /// ```
    pub fn settle(&self, key: Key<'_>, amount: u32) -> Option<Standing> {
        self.0.settle(key.into(), amount).map(Into::into)
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

/// The state of a key after its events were counted.
///
/// ```
/// use std::time::Duration;
/// use pace_plugin::Standing;
///
/// let standing = Standing { count: 7, oldest_leaves: Duration::from_secs(3) };
/// let left = 10_u32.saturating_sub(standing.count);
/// # assert_eq!(left, 3);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The key's events in the window now. More than the limit after a [`settle`](Window::settle) that was dear, or if
    /// the limit was higher when they were counted.
    pub count: u32,
    /// The time after which its oldest event will have left, and there is more room; zero without events.
    pub oldest_leaves: Duration,
}

impl From<host::Standing> for Standing {
    fn from(standing: host::Standing) -> Self {
        Self {
            count: standing.count,
            oldest_leaves: Duration::from_millis(standing.oldest_leaves_ms),
        }
    }
}

/// The reason why events were not counted.
///
/// ```
/// use pace_plugin::Denial;
///
/// assert_eq!(Denial::Never.to_string(), "the amount is larger than the limit");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// The key has no room now.
    Wait(Full),
    /// The key never will have room: the amount is larger than the limit.
    Never,
    /// The request holds 16 reservations.
    TooMany,
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wait(full) => full.fmt(f),
            Self::Never => f.write_str("the amount is larger than the limit"),
            Self::TooMany => f.write_str("the request holds as many reservations as it may"),
        }
    }
}

impl std::error::Error for Denial {}

impl From<host::Denial> for Denial {
    fn from(denial: host::Denial) -> Self {
        match denial {
            host::Denial::Wait(milliseconds) => Self::Wait(Full::after(milliseconds)),
            host::Denial::Never => Self::Never,
            host::Denial::TooMany => Self::TooMany,
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
    /// The time after which there will be room, unless others take it; at least a millisecond.
    pub wait: Duration,
}

impl Full {
    fn after(milliseconds: u64) -> Self {
        Self {
            wait: Duration::from_millis(milliseconds),
        }
    }

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
