//! The load: connections driven by one thread.
//!
//! | file | what it does |
//! |---|---|
//! | `mod` | the kinds of load, and their results |
//! | `closed` | a closed loop: each connection sends its next request as soon as it is answered, so the proxy is always busy |
//! | `constant` | an open loop: requests begin when they are due, however slow the answers are |
//! | `connection` | one connection of HTTP/1.1, or of a TLS handshake alone |
//! | `http2`, `frames`, `fields` | a closed loop of HTTP/2; its frames, and the heads of its requests |
//! | `reactor`, `socket`, `tls` | waits for sockets; sockets; TLS on them |

mod closed;
mod connection;
mod constant;
mod fields;
mod frames;
mod http2;
mod reactor;
mod socket;
mod tls;

pub(crate) use closed::Generator;
pub(crate) use tls::{NAME, Tls};

use super::backend::Backends;
use super::http::{Shape, Traffic};
use anyhow::{Result, bail, ensure};
use connection::Done;
use http2::Streams;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

/// The results of a load.
#[derive(Default)]
pub(crate) struct Load {
    /// The time from the first request to the last answer.
    pub(crate) elapsed: Duration,
    /// The time to the last byte of each answer: from sending the request, or from when it should have been
    /// sent. For a handshake it is the time from connecting to the connection's end.
    pub(crate) latencies: Vec<Duration>,
    /// The number of answers by status.
    statuses: BTreeMap<u16, u64>,
}

/// When a load ends.
#[derive(Clone, Copy)]
pub(crate) enum Until {
    /// This much time has passed.
    Elapsed(Duration),
    /// This many requests were sent, at least one for each connection or stream.
    Sent(u64),
}

impl Until {
    /// Whether another request is sent after this time and these requests.
    fn wants_more(self, elapsed: Duration, sent: u64) -> bool {
        match self {
            Until::Elapsed(duration) => elapsed < duration,
            Until::Sent(count) => sent < count,
        }
    }
}

/// The load of a shape.
pub(crate) enum Driver<'b> {
    /// Requests of HTTP/1.1, or handshakes: one at a time on each connection.
    Single(Generator<'b>),
    /// Requests of HTTP/2.
    Streams(Streams<'b>),
}

impl<'b> Driver<'b> {
    /// Opens the connections: as many as a shape has itself, or else `connections`.
    pub(crate) fn connect(
        address: SocketAddr,
        connections: usize,
        shape: &Shape,
        backends: Option<&'b mut Backends>,
    ) -> Result<Driver<'b>> {
        Ok(match shape.traffic {
            Traffic::Streams { connections, streams } => {
                Driver::Streams(Streams::connect(address, connections, streams, shape, backends)?)
            }
            Traffic::Requests | Traffic::LastRequests | Traffic::Handshakes => {
                Driver::Single(Generator::connect(address, connections, shape, backends)?)
            }
        })
    }

    /// Keeps every connection or stream busy until then, and waits for the last answers.
    ///
    /// # Errors
    ///
    /// A connection was closed, an answer is malformed, or no more answers come.
    pub(crate) fn drive(&mut self, until: Until) -> Result<Load> {
        match self {
            Driver::Single(generator) => generator.drive(until),
            Driver::Streams(streams) => streams.drive(until),
        }
    }

    /// Sends `rate` requests per second for `duration`, as [`Generator::drive_at`] does.
    pub(crate) fn drive_at(&mut self, rate: f64, duration: Duration) -> Result<Load> {
        match self {
            Driver::Single(generator) => generator.drive_at(rate, duration),
            Driver::Streams(_) => bail!("latencies of HTTP/2 are not measured"),
        }
    }
}

impl Load {
    fn count(&mut self, done: Done, latency: Duration) {
        self.latencies.push(latency);
        match done {
            Done::Answer(status) => *self.statuses.entry(status).or_default() += 1,
            Done::Handshake => {}
        }
    }

    /// Returns the load; an error unless every answer was a success.
    pub(crate) fn succeeded(self) -> Result<Load> {
        let others = self
            .statuses
            .iter()
            .filter(|(status, _)| !(200..300).contains(*status));
        let others: Vec<String> = others
            .map(|(status, count)| format!("{count} × {status}"))
            .collect();
        ensure!(
            others.is_empty(),
            "answers that are no success: {}",
            others.join(", ")
        );
        ensure!(!self.latencies.is_empty(), "nothing was answered");
        Ok(self)
    }

    /// Answers, or handshakes, per second.
    pub(crate) fn rate(&self) -> f64 {
        self.latencies.len() as f64 / self.elapsed.as_secs_f64()
    }
}

#[cfg(test)]
mod tests;
