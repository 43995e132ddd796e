//! The backends among which a plugin chooses.

use std::marker::PhantomData;
use std::time::Duration;

use crate::bindings::imports::pace::plugin::upstreams as host;

/// The pool that the attempt goes to: a view that exists while [`SelectUpstream`](crate::SelectUpstream) runs.
///
/// Backends are numbered from 0 to [`count()`](Upstreams::count) - 1 in the order of the configuration, and
/// the numbers are stable as long as [`version()`](Upstreams::version) is. An index that is out of range
/// traps.
///
/// Each function costs one call into the host, about 50 ns. A plugin that would look at every backend should
/// do so once per version and keep the result.
///
/// ```no_run
/// # use pace_plugin::{Health, Upstreams};
/// fn healthy(upstreams: &Upstreams) -> Vec<u32> {
///     (0..upstreams.count()).filter(|&index| upstreams.health(index) == Health::Healthy).collect()
/// }
/// ```
#[derive(Debug)]
pub struct Upstreams {
    /// The field keeps other crates from making a view or sending it elsewhere.
    _private: PhantomData<*const ()>,
}

impl Upstreams {
    pub(crate) const fn ambient() -> Self {
        Self {
            _private: PhantomData,
        }
    }

    /// The number of backends in the pool, at least one.
    ///
    /// ```no_run
    /// # fn example(upstreams: &pace_plugin::Upstreams) -> Option<u32> {
    /// (0..upstreams.count()).find(|&index| !upstreams.tried(index))
    /// # }
    /// ```
    pub fn count(&self) -> u32 {
        host::count()
    }

    /// A number that changes whenever the pool's backends, their weights or their health do, and that no two
    /// pools share. Requests in flight and latency do not change it.
    ///
    /// ```no_run
    /// # fn example(cached: u64, upstreams: &pace_plugin::Upstreams) -> bool {
    /// upstreams.version() == cached
    /// # }
    /// ```
    pub fn version(&self) -> u64 {
        host::version()
    }

    /// The name of the pool.
    ///
    /// ```no_run
    /// # fn example(upstreams: &pace_plugin::Upstreams) -> String {
    /// format!("requests.{}", upstreams.pool())
    /// # }
    /// ```
    pub fn pool(&self) -> String {
        host::pool()
    }

    /// The reason why the previous attempt failed. `None` on the first attempt.
    ///
    /// ```no_run
    /// # use pace_plugin::Failure;
    /// # fn example(upstreams: &pace_plugin::Upstreams) -> bool {
    /// matches!(upstreams.last_failure(), Some(Failure::Status(429)))
    /// # }
    /// ```
    pub fn last_failure(&self) -> Option<Failure> {
        host::last_failure()
    }

    /// The backend of the previous attempt. `None` on the first attempt, and if that attempt went to another pool.
    ///
    /// ```no_run
    /// # fn example(upstreams: &pace_plugin::Upstreams) -> Option<u32> {
    /// let last = upstreams.last_failed();
    /// (0..upstreams.count()).find(|&index| Some(index) != last)
    /// # }
    /// ```
    pub fn last_failed(&self) -> Option<u32> {
        host::last_failed()
    }

    /// Whether an earlier attempt of this request went to this backend, or could not because the backend has no
    /// room for another request.
    ///
    /// ```no_run
    /// # fn example(upstreams: &pace_plugin::Upstreams) -> bool {
    /// (0..upstreams.count()).all(|index| upstreams.tried(index))
    /// # }
    /// ```
    pub fn tried(&self, index: u32) -> bool {
        host::tried(index)
    }

    /// The backend's address as the configuration spells it: `10.0.0.1:8000`.
    ///
    /// ```no_run
    /// # fn example(upstreams: &pace_plugin::Upstreams) -> Option<u32> {
    /// (0..upstreams.count()).find(|&index| upstreams.address(index) == "10.0.0.1:8000")
    /// # }
    /// ```
    pub fn address(&self, index: u32) -> String {
        host::address(index)
    }

    /// The backend's share of requests relative to the others, 0 to 65535; with 0 it gets no new requests.
    ///
    /// ```no_run
    /// # fn example(upstreams: &pace_plugin::Upstreams) -> u32 {
    /// (0..upstreams.count()).map(|index| upstreams.weight(index)).sum()
    /// # }
    /// ```
    pub fn weight(&self, index: u32) -> u32 {
        host::weight(index)
    }

    /// The backend's state.
    ///
    /// ```no_run
    /// # use pace_plugin::Health;
    /// # fn example(upstreams: &pace_plugin::Upstreams) -> bool {
    /// upstreams.health(0) == Health::Healthy
    /// # }
    /// ```
    pub fn health(&self, index: u32) -> Health {
        host::health(index).into()
    }

    /// The requests that Pace has sent to the backend and whose responses are not complete, over all workers.
    ///
    /// ```no_run
    /// # fn example(upstreams: &pace_plugin::Upstreams) -> Option<u32> {
    /// (0..upstreams.count()).min_by_key(|&index| upstreams.in_flight(index))
    /// # }
    /// ```
    pub fn in_flight(&self, index: u32) -> u32 {
        host::in_flight(index)
    }

    /// The backend's recent time from sending a request to the head of its response (exponentially weighted).
    /// `None` before the first response.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # fn example(upstreams: &pace_plugin::Upstreams) -> bool {
    /// upstreams.latency(0).is_some_and(|latency| latency > Duration::from_millis(200))
    /// # }
    /// ```
    pub fn latency(&self, index: u32) -> Option<Duration> {
        host::latency(index).map(Duration::from_nanos)
    }
}

/// A backend's state, as far as Pace knows.
///
/// ```
/// use pace_plugin::Health;
///
/// fn may_get_requests(health: Health) -> bool {
///     matches!(health, Health::Healthy)
/// }
/// # assert!(!may_get_requests(Health::Draining));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Health {
    /// Nothing indicates a failure.
    Healthy,
    /// The backend's health check fails.
    Unhealthy,
    /// The backend is not used for a while because requests to it failed.
    Ejected,
    /// The backend completes its requests and should get no new ones.
    Draining,
}

impl From<host::HealthState> for Health {
    fn from(state: host::HealthState) -> Self {
        match state {
            host::HealthState::Healthy => Self::Healthy,
            host::HealthState::Unhealthy => Self::Unhealthy,
            host::HealthState::Ejected => Self::Ejected,
            host::HealthState::Draining => Self::Draining,
        }
    }
}

/// The reason why an attempt failed.
///
/// ```
/// use pace_plugin::Failure;
///
/// fn never_reached_it(failure: Failure) -> bool {
///     matches!(failure, Failure::ConnectionRefused | Failure::ConnectionTimeout | Failure::ConnectionFailed)
/// }
/// # assert!(!never_reached_it(Failure::Status(503)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Failure {
    /// Nothing listens at the address.
    ConnectionRefused,
    /// There was no connection within the time allowed.
    ConnectionTimeout,
    /// There was no connection for another reason: unreachable, no local port left.
    ConnectionFailed,
    /// The TLS handshake failed.
    Tls,
    /// The backend closed the connection before the response began.
    Closed,
    /// There was no response within the time allowed.
    ResponseTimeout,
    /// The response is not HTTP.
    Protocol,
    /// The backend answered with this status, and the route retries on it.
    Status(u16),
    /// None of the above.
    Other,
}
