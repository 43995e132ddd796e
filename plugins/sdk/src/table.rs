//! Tables: values under keys, for as long as they may be good.

use std::fmt;
use std::time::Duration;

use crate::OpenError;
use crate::bindings::imports::pace::plugin::tables as host;

/// Values under keys, for facts that a plugin has learnt and need not learn again: answers, sessions, signatures that
/// were seen.
///
/// Shared by all workers, kept over a swap, private to the plugin, gone when Pace ends. Every value has a time after
/// which it is gone. Memory is bounded: when the plugin's state has as many bytes as the operator allows, what was quiet
/// for longest is forgotten. So a value may be gone early, and a plugin must be right without it; what must be right is
/// a [`Counter`](crate::Counter).
///
/// Keys are any bytes, 0 to 256 of them; longer ones are hashed by Pace to 256 bits. Times are in whole milliseconds, 1
/// to 30 days.
///
/// ```no_run
/// # use std::time::Duration;
/// # use pace_plugin::{Table, TableError};
/// # fn work_out(token: &[u8]) -> Vec<u8> { Vec::new() }
/// fn known(table: &Table, token: &[u8]) -> Result<Vec<u8>, TableError> {
///     if let Some(value) = table.get(token) {
///         return Ok(value);
///     }
///     let value = work_out(token);
///     table.set(token, &value, Duration::from_secs(60))?;
///     Ok(value)
/// }
/// ```
#[derive(Debug)]
pub struct Table(host::Table);

impl Table {
    /// Open the table of this name, in [`configure`](crate::Plugin::configure), and keep it.
    ///
    /// # Errors
    ///
    /// See [`OpenError`].
    ///
    /// ```no_run
    /// # fn example() -> Result<(), pace_plugin::OpenError> {
    /// let sessions = pace_plugin::Table::open("sessions")?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn open(name: &str) -> Result<Self, OpenError> {
        Ok(Self(host::Table::open(name)?))
    }

    /// The value of a key. `None` if there is none, or its time is over.
    ///
    /// ```no_run
    /// # fn example(sessions: &pace_plugin::Table) -> Option<Vec<u8>> {
    /// sessions.get("user:7")
    /// # }
    /// ```
    pub fn get(&self, key: impl AsRef<[u8]>) -> Option<Vec<u8>> {
        self.0.get(key.as_ref())
    }

    /// Put a value, in place of any that is there, for this time.
    ///
    /// # Errors
    ///
    /// See [`TableError`]. The value that was there is unchanged then.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # fn example(sessions: &pace_plugin::Table) -> Result<(), pace_plugin::TableError> {
    /// sessions.set("user:7", b"blue", Duration::from_secs(3600))
    /// # }
    /// ```
    pub fn set(
        &self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        time: Duration,
    ) -> Result<(), TableError> {
        Ok(self.0.set(key.as_ref(), value.as_ref(), milliseconds(time))?)
    }

    /// Put a value if there is none. `None`: it is there now. `Some`: the value that was there and still is. Atomic over
    /// all workers: of many callers one puts, and the others see what it has put.
    ///
    /// # Errors
    ///
    /// See [`TableError`].
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # use pace_plugin::{Table, TableError};
    /// fn is_replayed(seen: &Table, signature: &[u8]) -> Result<bool, TableError> {
    ///     let there = seen.add(signature, b"", Duration::from_secs(300))?;
    ///     Ok(there.is_some())
    /// }
    /// ```
    pub fn add(
        &self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        time: Duration,
    ) -> Result<Option<Vec<u8>>, TableError> {
        Ok(self.0.add(key.as_ref(), value.as_ref(), milliseconds(time))?)
    }

    /// Put a value if the one that is there is `before`, or if there is none and `before` is `None`. Atomic, so a value
    /// that was read and changed can be put back without losing what another worker did meanwhile.
    ///
    /// # Errors
    ///
    /// See [`TableError`].
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # use pace_plugin::{Swapped, Table, TableError};
    /// fn append(table: &Table, key: &str, byte: u8) -> Result<(), TableError> {
    ///     let mut before = table.get(key);
    ///     loop {
    ///         let mut value = before.clone().unwrap_or_default();
    ///         value.push(byte);
    ///         match table.swap(key, before.as_deref(), &value, Duration::from_secs(60))? {
    ///             Swapped::Done => return Ok(()),
    ///             Swapped::Other(there) => before = there,
    ///         }
    ///     }
    /// }
    /// ```
    pub fn swap(
        &self,
        key: impl AsRef<[u8]>,
        before: Option<&[u8]>,
        value: impl AsRef<[u8]>,
        time: Duration,
    ) -> Result<Swapped, TableError> {
        let swapped = self
            .0
            .swap(key.as_ref(), before, value.as_ref(), milliseconds(time))?;
        Ok(match swapped {
            host::Swapped::Done => Swapped::Done,
            host::Swapped::Other(there) => Swapped::Other(there),
        })
    }

    /// Remove a value, and the claim of this request if it has one. Returns whether there was a value.
    ///
    /// ```no_run
    /// # fn example(sessions: &pace_plugin::Table) {
    /// sessions.remove("user:7");
    /// # }
    /// ```
    pub fn remove(&self, key: impl AsRef<[u8]>) -> bool {
        self.0.remove(key.as_ref())
    }

    /// Get a value, or the task to make it: of all requests that ask for a missing value at the same time, one is told
    /// [`Claimed::Yours`] and the others [`Claimed::Others`].
    ///
    /// The claim belongs to the request, not to the instance. It ends when a value is put, when this request removes it,
    /// when its time is over, or when the request is, whatever has become of it.
    ///
    /// # Errors
    ///
    /// See [`TableError`].
    ///
    /// # Panics
    ///
    /// Traps in [`configure`](crate::Plugin::configure), where there is no request.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # use pace_plugin::{Claimed, Reply, Table, Verdict};
    /// fn once(answers: &Table, key: &[u8]) -> Verdict {
    ///     match answers.claim(key, Duration::from_secs(60)) {
    ///         Ok(Claimed::Yours) => Verdict::Next,
    ///         Ok(Claimed::Others) => Reply::new(409).header("retry-after", "1").into(),
    ///         Ok(Claimed::Value(answer)) => Reply::new(200).body(answer).into(),
    ///         Err(_) => Reply::new(503).into(),
    ///     }
    /// }
    /// ```
    pub fn claim(&self, key: impl AsRef<[u8]>, time: Duration) -> Result<Claimed, TableError> {
        Ok(match self.0.claim(key.as_ref(), milliseconds(time))? {
            host::Claimed::Yours => Claimed::Yours,
            host::Claimed::Others => Claimed::Others,
            host::Claimed::Value(value) => Claimed::Value(value),
        })
    }
}

/// A time that does not fit into 64 bits is out of range in any case.
fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The result of [`Table::swap`].
///
/// ```
/// # use pace_plugin::Swapped;
/// let lost = Swapped::Other(Some(b"theirs".to_vec()));
/// # assert_ne!(lost, Swapped::Done);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Swapped {
    /// The new value is there.
    Done,
    /// Another value was there, or none, and still is.
    Other(Option<Vec<u8>>),
}

/// The result of [`Table::claim`].
///
/// ```
/// # use pace_plugin::Claimed;
/// let known = Claimed::Value(b"an answer".to_vec());
/// # assert_ne!(known, Claimed::Yours);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claimed {
    /// There is no value, and this request is the one that should make it.
    Yours,
    /// There is no value, and another request is making it.
    Others,
    /// There is a value.
    Value(Vec<u8>),
}

/// The reason why a value was not put.
///
/// ```
/// use pace_plugin::TableError;
///
/// assert!(TableError::TooLarge.to_string().contains("limits.value_kb"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableError {
    /// The value has more than `limits.value_kb`.
    TooLarge,
    /// The time is zero or longer than 30 days.
    InvalidArgument,
    /// There is no room, not even after everything that could be was forgotten; or the request holds 8 claims.
    TooMany,
}

impl fmt::Display for TableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLarge => "the value is larger than `limits.value_kb` of the plugin",
            Self::InvalidArgument => "the time of a value must be 1 ms to 30 days",
            Self::TooMany => {
                "there is no room within `limits.state_mb`, or the request holds as many claims as it may"
            }
        })
    }
}

impl std::error::Error for TableError {}

impl From<TableError> for String {
    fn from(error: TableError) -> Self {
        error.to_string()
    }
}

impl From<host::TableError> for TableError {
    fn from(error: host::TableError) -> Self {
        match error {
            host::TableError::TooLarge => Self::TooLarge,
            host::TableError::InvalidArgument => Self::InvalidArgument,
            host::TableError::TooMany => Self::TooMany,
        }
    }
}
