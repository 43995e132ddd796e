//! The outcome of a request.

use std::marker::PhantomData;
use std::time::Duration;

use crate::Failure;
use crate::bindings::imports::pace::plugin::outcome as host;

/// The outcome of a request: a view that exists while [`Finished`](crate::Finished) runs.
///
/// ```no_run
/// # use pace_plugin::{Ending, Outcome};
/// fn is_the_backends_fault(outcome: &Outcome) -> bool {
///     outcome.ended() == Ending::BackendFailed
/// }
/// ```
#[derive(Debug)]
pub struct Outcome {
    /// The field keeps other crates from making a view or sending it elsewhere.
    _private: PhantomData<*const ()>,
}

impl Outcome {
    pub(crate) const fn ambient() -> Self {
        Self {
            _private: PhantomData,
        }
    }

    /// The way in which the request ended.
    ///
    /// ```no_run
    /// # fn example(outcome: &pace_plugin::Outcome) -> bool {
    /// outcome.ended() == pace_plugin::Ending::Complete
    /// # }
    /// ```
    pub fn ended(&self) -> Ending {
        host::ended().into()
    }

    /// The status that the client has been sent; `None` if it has been sent none.
    ///
    /// ```no_run
    /// # fn example(outcome: &pace_plugin::Outcome) -> bool {
    /// outcome.status().is_some_and(|status| status >= 500)
    /// # }
    /// ```
    pub fn status(&self) -> Option<u16> {
        host::status()
    }

    /// The bytes of the request's body that were taken from the client, as they were sent, without the framing of
    /// HTTP.
    ///
    /// ```no_run
    /// # fn example(outcome: &pace_plugin::Outcome) -> bool {
    /// outcome.request_bytes() > 1 << 20
    /// # }
    /// ```
    pub fn request_bytes(&self) -> u64 {
        host::request_bytes()
    }

    /// The bytes of the response's body that were given to the client's connection, without the framing of HTTP;
    /// after a switch of protocols, everything that was sent behind the head.
    ///
    /// ```no_run
    /// # fn example(outcome: &pace_plugin::Outcome) -> u64 {
    /// outcome.request_bytes() + outcome.response_bytes()
    /// # }
    /// ```
    pub fn response_bytes(&self) -> u64 {
        host::response_bytes()
    }

    /// The number of attempts that were begun; 0 if it never came so far.
    ///
    /// ```no_run
    /// # fn example(outcome: &pace_plugin::Outcome) -> bool {
    /// outcome.attempts() > 1
    /// # }
    /// ```
    pub fn attempts(&self) -> u32 {
        host::attempts()
    }

    /// The backend of the last attempt, as the configuration spells it. `None` without an attempt.
    ///
    /// ```no_run
    /// # fn example(outcome: &pace_plugin::Outcome) -> bool {
    /// outcome.backend().as_deref() == Some("10.0.0.1:8000")
    /// # }
    /// ```
    pub fn backend(&self) -> Option<String> {
        host::backend()
    }

    /// The pool of the last attempt. `None` without an attempt.
    ///
    /// ```no_run
    /// # fn example(outcome: &pace_plugin::Outcome) -> String {
    /// outcome.pool().unwrap_or_default()
    /// # }
    /// ```
    pub fn pool(&self) -> Option<String> {
        host::pool()
    }

    /// The reason why the last attempt failed. `None` if it has brought a response, and without an attempt.
    ///
    /// ```no_run
    /// # fn example(outcome: &pace_plugin::Outcome) -> bool {
    /// outcome.failure() == Some(pace_plugin::Failure::ResponseTimeout)
    /// # }
    /// ```
    pub fn failure(&self) -> Option<Failure> {
        host::failure()
    }

    /// The time from the request's complete head to the end of everything.
    ///
    /// ```no_run
    /// # fn example(outcome: &pace_plugin::Outcome) -> bool {
    /// outcome.total_time() > std::time::Duration::from_secs(1)
    /// # }
    /// ```
    pub fn total_time(&self) -> Duration {
        Duration::from_nanos(host::total_time())
    }

    /// The time from the request's complete head to the beginning of the first attempt: for filters, for a place
    /// at a backend. `None` without an attempt.
    ///
    /// ```no_run
    /// # fn example(outcome: &pace_plugin::Outcome) -> bool {
    /// outcome.queue_time().is_some_and(|time| time > std::time::Duration::from_millis(10))
    /// # }
    /// ```
    pub fn queue_time(&self) -> Option<Duration> {
        host::queue_time().map(Duration::from_nanos)
    }

    /// The time that the last attempt took to have a connection, with its TLS. `None` if it got none.
    ///
    /// ```no_run
    /// # fn example(outcome: &pace_plugin::Outcome) -> bool {
    /// outcome.connect_time().is_some_and(|time| time > std::time::Duration::from_millis(10))
    /// # }
    /// ```
    pub fn connect_time(&self) -> Option<Duration> {
        host::connect_time().map(Duration::from_nanos)
    }

    /// The time from the beginning of the last attempt to the head of its response. `None` if there was none.
    ///
    /// ```no_run
    /// # fn example(outcome: &pace_plugin::Outcome) -> bool {
    /// outcome.first_byte_time().is_some_and(|time| time > std::time::Duration::from_millis(10))
    /// # }
    /// ```
    pub fn first_byte_time(&self) -> Option<Duration> {
        host::first_byte_time().map(Duration::from_nanos)
    }
}

/// The way in which a request ended.
///
/// ```
/// use pace_plugin::Ending;
///
/// assert_eq!(Ending::ClientGone.name(), "client-gone");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ending {
    /// The client has been sent a whole response, of whatever status.
    Complete,
    /// The client left before, or did not take the response in time.
    ClientGone,
    /// The backend did not answer, not in time, or broke its response off.
    BackendFailed,
    /// The request was broken off on Pace's side.
    Cut,
    /// Pace answered the request itself: its body was malformed, it loops, no backend was to be had.
    Refused,
    /// A plugin failed, and the operator's `on_failure` is `closed`.
    PluginFailed,
}

impl Ending {
    /// The name in the contract, for metrics and log lines.
    ///
    /// ```
    /// assert_eq!(pace_plugin::Ending::BackendFailed.name(), "backend-failed");
    /// ```
    pub const fn name(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::ClientGone => "client-gone",
            Self::BackendFailed => "backend-failed",
            Self::Cut => "cut",
            Self::Refused => "refused",
            Self::PluginFailed => "plugin-failed",
        }
    }
}

impl From<host::Ending> for Ending {
    fn from(ending: host::Ending) -> Self {
        match ending {
            host::Ending::Complete => Self::Complete,
            host::Ending::ClientGone => Self::ClientGone,
            host::Ending::BackendFailed => Self::BackendFailed,
            host::Ending::Cut => Self::Cut,
            host::Ending::Refused => Self::Refused,
            host::Ending::PluginFailed => Self::PluginFailed,
        }
    }
}
