//! The settings by which a pool looks after its backends.

use std::path::PathBuf;
use std::time::Duration;

use crate::address::Host;

/// The place where a backend listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// A port of a machine, which may have several addresses.
    Tcp {
        /// The machine.
        host: Host,
        /// The port.
        port: u16,
    },
    /// A Unix socket on this machine: an absolute path of at most 107 bytes.
    Unix(PathBuf),
}

/// The settings by which a pool looks after its backends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upkeep {
    /// The time between look-ups of names, up to a day; `None`: they are looked up when the configuration is read.
    pub resolve_every: Option<Duration>,
    /// How backends are asked whether they are well; `None`: they are not.
    pub health_check: Option<HealthCheck>,
    /// When a backend gets no requests for a while; `None`: never.
    pub ejection: Option<Ejection>,
    /// How long a backend that begins to take requests gets fewer than its share, up to an hour; zero: not at all.
    pub slow_start: Duration,
    /// How many requests a backend may have at once; `None`: any number.
    pub in_flight: Option<InFlightLimit>,
    /// How clients are kept at the backend that they had; `None`: they are not.
    pub stickiness: Option<Stickiness>,
}

/// `health_check`: the checks by which Pace finds out whether a backend is well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// The question.
    pub kind: CheckKind,
    /// The time from the beginning of one check to that of the next, 1 ms to a day.
    pub interval: Duration,
    /// The longest time of a check, 1 ms to a day.
    pub timeout: Duration,
    /// How many checks in a row must pass until an unhealthy backend is healthy, 1 to 1000.
    pub healthy_after: u32,
    /// How many checks in a row must fail until a healthy backend is unhealthy, 1 to 1000.
    pub unhealthy_after: u32,
}

/// The question that a check asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckKind {
    /// A connection, with its handshake where the backend has TLS.
    Tcp,
    /// A response to GET.
    Http {
        /// The path, with its leading `/`, and the query.
        path: String,
        /// The statuses that a healthy backend answers with.
        expect: Statuses,
    },
    /// The answer of the gRPC health service about the whole server, over HTTP/2.
    Grpc,
}

/// A set of statuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statuses(pub(crate) Vec<(u16, u16)>);

impl Statuses {
    /// Whether a status is in the set.
    pub fn contains(&self, status: u16) -> bool {
        let Statuses(ranges) = self;
        ranges
            .iter()
            .any(|(first, last)| (*first..=*last).contains(&status))
    }
}

/// `ejection`: when a backend that fails gets no requests for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ejection {
    /// How many attempts in a row must fail, 1 to 10,000.
    pub failures: u32,
    /// The time without requests, 1 ms to an hour. Twice as long each further time, up to eight times.
    pub time: Duration,
    /// The share of the pool's backends that may be ejected at once, 1 to 100. One may be in any case.
    pub max_percent: u32,
}

/// `max_in_flight`: how many requests a backend may have at once, and how further ones wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InFlightLimit {
    /// The most requests of each backend, 1 or more.
    pub most: u32,
    /// The most requests of the pool that wait; 0: none waits.
    pub queued: u32,
    /// The longest time that a request waits, 1 ms to a day.
    pub wait: Duration,
}

/// `stickiness`: how clients are kept at the backend that they had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stickiness {
    /// The name of the cookie, a token.
    pub cookie: String,
    /// How long a client keeps the cookie, 1 s to a year; `None`: until it ends.
    pub ttl: Option<Duration>,
}

impl Default for Upkeep {
    fn default() -> Upkeep {
        Upkeep {
            resolve_every: Some(Duration::from_secs(10)),
            health_check: None,
            ejection: None,
            slow_start: Duration::ZERO,
            in_flight: None,
            stickiness: None,
        }
    }
}

impl Default for HealthCheck {
    fn default() -> HealthCheck {
        HealthCheck {
            kind: CheckKind::Http {
                path: "/".to_owned(),
                expect: Statuses::default(),
            },
            interval: Duration::from_secs(2),
            timeout: Duration::from_secs(1),
            healthy_after: 2,
            unhealthy_after: 3,
        }
    }
}

impl Default for Statuses {
    fn default() -> Statuses {
        Statuses(vec![(200, 299)])
    }
}

impl Default for Ejection {
    fn default() -> Ejection {
        Ejection {
            failures: 5,
            time: Duration::from_secs(10),
            max_percent: 50,
        }
    }
}

impl Default for Stickiness {
    fn default() -> Stickiness {
        Stickiness {
            cookie: "pace".to_owned(),
            ttl: Some(Duration::from_secs(3600)),
        }
    }
}
