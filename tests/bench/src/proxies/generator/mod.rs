//! The load: connections that are driven by one thread.
//!
//! | file | what it does |
//! |---|---|
//! | `mod` | a closed loop: each connection asks again as soon as it is answered, so the proxy is always busy |
//! | `constant` | an open loop: requests begin when they are due, however slow the answers are |
//! | `connection` | one connection |

mod connection;
mod constant;

use super::backend::Backends;
use super::http::Requests;
use anyhow::{Context, Result, ensure};
use connection::Connection;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// A proxy that answers nothing for so long has failed.
const SILENCE_LIMIT: Duration = Duration::from_secs(5);

/// The token of the backends; more than there are connections.
const BACKENDS: Token = Token(usize::MAX >> 1);

/// What came back.
#[derive(Default)]
pub(crate) struct Load {
    /// From the first request to the last answer.
    pub(crate) elapsed: Duration,
    /// To the last byte of each answer: from sending the request, or from when it should have been sent.
    pub(crate) latencies: Vec<Duration>,
    /// How many answers had each status.
    statuses: BTreeMap<u16, u64>,
}

/// How long connections ask.
#[derive(Clone, Copy)]
pub(crate) enum Until {
    /// So much time has passed.
    Elapsed(Duration),
    /// So many requests were sent, at least one for each connection.
    Sent(u64),
}

/// A fixed number of open connections, driven by one thread, which serves the backends meanwhile.
pub(crate) struct Generator<'b> {
    poll: Poll,
    events: Events,
    connections: Vec<Connection>,
    requests: Requests,
    /// Nothing if they are served elsewhere.
    backends: Option<&'b mut Backends>,
}

impl<'b> Generator<'b> {
    /// Opens the connections.
    pub(crate) fn connect(
        address: SocketAddr,
        connections: usize,
        requests: Requests,
        backends: Option<&'b mut Backends>,
    ) -> Result<Generator<'b>> {
        let poll = Poll::new()?;
        let mut opened = Vec::with_capacity(connections);
        for index in 0..connections {
            let mut connection = Connection::open(address)
                .with_context(|| format!("cannot connect for the {}. time", index + 1))?;
            connection.register(poll.registry(), Token(index))?;
            opened.push(connection);
        }
        if let Some(backends) = &backends {
            let descriptor = backends.descriptor();
            poll.registry()
                .register(&mut SourceFd(&descriptor), BACKENDS, Interest::READABLE)?;
        }
        Ok(Generator {
            poll,
            events: Events::with_capacity(connections.clamp(16, 1024)),
            connections: opened,
            requests,
            backends,
        })
    }

    /// Keeps every connection busy until then, and waits for the last answers.
    ///
    /// # Errors
    ///
    /// A connection was closed, an answer is malformed, or nothing is answered any more.
    pub(crate) fn drive(&mut self, until: Until) -> Result<Load> {
        let mut load = Load::default();
        let start = Instant::now();
        let mut sent = 0;
        for connection in &mut self.connections {
            connection.send(self.requests.next(), Instant::now())?;
            sent += 1;
        }
        let mut busy = self.connections.len();
        while busy > 0 {
            self.wait()?;
            for event in &self.events {
                let Some(connection) = self.connections.get_mut(event.token().0) else {
                    continue;
                };
                let Some(now) = load.take(connection)? else {
                    continue;
                };
                let more = match until {
                    Until::Elapsed(duration) => now - start < duration,
                    Until::Sent(count) => sent < count,
                };
                if more {
                    connection.send(self.requests.next(), now)?;
                    sent += 1;
                } else {
                    busy -= 1;
                }
            }
        }
        load.elapsed = start.elapsed();
        Ok(load)
    }

    /// One request on each connection, one after another, so that no more than one is on its way.
    pub(crate) fn once_each(&mut self) -> Result<Load> {
        let mut load = Load::default();
        let start = Instant::now();
        for index in 0..self.connections.len() {
            self.connections[index].send(self.requests.next(), Instant::now())?;
            while load.take(&mut self.connections[index])?.is_none() {
                self.wait()?;
            }
        }
        load.elapsed = start.elapsed();
        Ok(load)
    }

    /// Waits until something happens, and has the backends do what there is for them to do.
    fn wait(&mut self) -> Result<()> {
        let begun = Instant::now();
        match self.poll.poll(&mut self.events, Some(SILENCE_LIMIT)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            outcome => outcome?,
        }
        let silence = self.events.is_empty() && begun.elapsed() >= SILENCE_LIMIT;
        ensure!(!silence, "no answer for {} s", SILENCE_LIMIT.as_secs());
        if let Some(backends) = &mut self.backends
            && self.events.iter().any(|event| event.token() == BACKENDS)
        {
            backends
                .serve(Some(Duration::ZERO))
                .context("the backends failed")?;
        }
        Ok(())
    }
}

impl Load {
    /// Takes what a connection has got. The time, if that completes the answer.
    fn take(&mut self, connection: &mut Connection) -> Result<Option<Instant>> {
        let Some(status) = connection.receive()? else {
            return Ok(None);
        };
        let now = Instant::now();
        self.latencies.push(now - connection.since);
        *self.statuses.entry(status).or_default() += 1;
        Ok(Some(now))
    }

    /// An error unless every answer was a success.
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

    /// Answers per second.
    pub(crate) fn rate(&self) -> f64 {
        self.latencies.len() as f64 / self.elapsed.as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxies::http::response;

    /// A backend, and its address.
    pub(super) fn backend(response: Vec<u8>) -> (Backends, SocketAddr) {
        let mut backends = Backends::new().expect("this is Linux");
        let addresses = backends.add(1, response).expect("some port is free");
        (backends, addresses[0])
    }

    /// Connections to a backend.
    pub(super) fn connected(
        connections: usize,
        (backends, address): &mut (Backends, SocketAddr),
    ) -> Generator<'_> {
        Generator::connect(*address, connections, Requests::new(3), Some(backends))
            .expect("the backend accepts")
    }

    #[test]
    fn every_connection_is_answered() {
        let mut backend = backend(response(3));
        let mut generator = connected(3, &mut backend);
        for until in [Until::Elapsed(Duration::ZERO), Until::Sent(0), Until::Sent(3)] {
            let load = generator.drive(until).and_then(Load::succeeded);
            assert_eq!(load.expect("the backend answers").latencies.len(), 3);
        }
        let load = generator.once_each().and_then(Load::succeeded);
        assert_eq!(load.expect("the backend answers").latencies.len(), 3);
        let load = generator.drive(Until::Sent(100)).expect("the backend answers");
        assert_eq!(load.statuses, BTreeMap::from([(200, 100)]));
    }

    #[test]
    fn what_is_no_success_is_an_error() {
        let mut backend = backend(b"HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n".to_vec());
        let mut generator = connected(2, &mut backend);
        let load = generator.drive(Until::Sent(2)).expect("it answers");
        let error = load.succeeded().map(drop).unwrap_err();
        assert_eq!(error.to_string(), "answers that are no success: 2 × 503");
    }

    #[test]
    fn a_closed_connection_is_an_error() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("some port is free");
        let address = listener.local_addr().expect("it is bound");
        let mut generator = Generator::connect(address, 1, Requests::new(3), None).expect("it is listening");
        drop(listener.accept().expect("a connection was made"));
        assert!(generator.drive(Until::Sent(1)).is_err());
    }
}
