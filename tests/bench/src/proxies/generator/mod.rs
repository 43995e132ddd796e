//! The load: connections driven by one thread.
//!
//! | file | what it does |
//! |---|---|
//! | `mod` | a closed loop: each connection sends its next request as soon as it is answered, so the proxy is always busy |
//! | `constant` | an open loop: requests begin when they are due, however slow the answers are |
//! | `connection` | one connection |

mod connection;
mod constant;

use super::backend::{BUFFER, Backends};
use super::http::{Requests, Shape};
use anyhow::{Context, Result, ensure};
use connection::Connection;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Registry, Token};
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// A proxy that answers nothing for this long has failed.
const SILENCE_LIMIT: Duration = Duration::from_secs(5);

/// The token of the backends: larger than the number of connections.
const BACKENDS: Token = Token(usize::MAX >> 1);

/// The answers to a load.
#[derive(Default)]
pub(crate) struct Load {
    /// The time from the first request to the last answer.
    pub(crate) elapsed: Duration,
    /// The time to the last byte of each answer: from sending the request, or from when it should have been
    /// sent.
    pub(crate) latencies: Vec<Duration>,
    /// The number of answers by status.
    statuses: BTreeMap<u16, u64>,
}

/// When a load ends.
#[derive(Clone, Copy)]
pub(crate) enum Until {
    /// This much time has passed.
    Elapsed(Duration),
    /// This many requests were sent, at least one for each connection.
    Sent(u64),
}

/// A fixed number of open connections, driven by one thread, which serves the backends meanwhile. A
/// connection that a request ends is replaced by a new one.
pub(crate) struct Generator<'b> {
    poll: Poll,
    events: Events,
    line: Line,
    connections: Vec<Connection>,
    /// `None` if the backends are served elsewhere.
    backends: Option<&'b mut Backends>,
}

/// The state that all connections share.
struct Line {
    address: SocketAddr,
    registry: Registry,
    requests: Requests,
    /// Whether a connection ends with its answer.
    is_last: bool,
    /// The buffer for the latest read.
    buffer: Vec<u8>,
}

impl Line {
    fn open(&self, index: usize) -> Result<Connection> {
        Connection::open(self.address, &self.registry, Token(index))
            .with_context(|| format!("cannot connect to {}", self.address))
    }

    /// Sends the next request on the connection with this number, or on a new one in its place.
    fn send(&mut self, connections: &mut [Connection], index: usize, since: Instant) -> Result<()> {
        if connections[index].is_over {
            connections[index] = self.open(index)?;
        }
        connections[index].send(self.requests.next(), since)
    }
}

impl<'b> Generator<'b> {
    /// Opens the connections.
    pub(crate) fn connect(
        address: SocketAddr,
        connections: usize,
        shape: &Shape,
        backends: Option<&'b mut Backends>,
    ) -> Result<Generator<'b>> {
        let poll = Poll::new()?;
        let line = Line {
            address,
            registry: poll.registry().try_clone()?,
            requests: Requests::new(shape),
            is_last: shape.last,
            buffer: vec![0; BUFFER],
        };
        let opened = (0..connections)
            .map(|index| line.open(index))
            .collect::<Result<Vec<_>>>()?;
        if let Some(backends) = &backends {
            let descriptor = backends.descriptor();
            poll.registry()
                .register(&mut SourceFd(&descriptor), BACKENDS, Interest::READABLE)?;
        }
        Ok(Generator {
            poll,
            events: Events::with_capacity(connections.clamp(16, 1024)),
            line,
            connections: opened,
            backends,
        })
    }

    /// Keeps every connection busy until then, and waits for the last answers.
    ///
    /// # Errors
    ///
    /// A connection was closed, an answer is malformed, or no more answers come.
    pub(crate) fn drive(&mut self, until: Until) -> Result<Load> {
        let mut load = Load::default();
        let start = Instant::now();
        let mut sent = 0;
        for index in 0..self.connections.len() {
            self.line.send(&mut self.connections, index, Instant::now())?;
            sent += 1;
        }
        let mut busy = self.connections.len();
        while busy > 0 {
            self.wait()?;
            for event in &self.events {
                let index = event.token().0;
                let Some(connection) = self.connections.get_mut(index) else {
                    continue;
                };
                if connection.is_over {
                    // Its end has been counted, and may be told more than once.
                    continue;
                }
                let Some(now) = load.take(connection, &mut self.line)? else {
                    continue;
                };
                let more = match until {
                    Until::Elapsed(duration) => now - start < duration,
                    Until::Sent(count) => sent < count,
                };
                if more {
                    self.line.send(&mut self.connections, index, now)?;
                    sent += 1;
                } else {
                    busy -= 1;
                }
            }
        }
        load.elapsed = start.elapsed();
        Ok(load)
    }

    /// Sends one request on each connection, one after another, so that no more than one is on its way.
    pub(crate) fn once_each(&mut self) -> Result<Load> {
        let mut load = Load::default();
        let start = Instant::now();
        for index in 0..self.connections.len() {
            self.line.send(&mut self.connections, index, Instant::now())?;
            while load.take(&mut self.connections[index], &mut self.line)?.is_none() {
                self.wait()?;
            }
        }
        load.elapsed = start.elapsed();
        Ok(load)
    }

    /// Waits for events, and has the backends do their work.
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
    /// Reads the bytes that a connection has received. Returns the time if they complete the answer.
    fn take(&mut self, connection: &mut Connection, line: &mut Line) -> Result<Option<Instant>> {
        let Some(status) = connection.go_on(line.is_last, &mut line.buffer)? else {
            return Ok(None);
        };
        let now = Instant::now();
        self.latencies.push(now - connection.since);
        *self.statuses.entry(status).or_default() += 1;
        Ok(Some(now))
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

    /// Answers per second.
    pub(crate) fn rate(&self) -> f64 {
        self.latencies.len() as f64 / self.elapsed.as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxies::http::response;
    use std::io::{Read, Write};

    /// A backend and its address.
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
        Generator::connect(*address, connections, &Shape::SMALL, Some(backends)).expect("the backend accepts")
    }

    #[test]
    fn every_connection_is_answered() {
        let mut backend = backend(response(3, 100));
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

    /// Bodies larger than sockets' buffers, in both directions.
    #[test]
    fn large_bodies_are_sent_and_received_whole() {
        const LARGE: usize = 8 << 20;
        let mut backend = backend(response(3, LARGE));
        let (backends, address) = &mut backend;
        let shape = Shape {
            body: LARGE,
            ..Shape::SMALL
        };
        let mut generator =
            Generator::connect(*address, 2, &shape, Some(backends)).expect("the backend accepts");
        let load = generator.drive(Until::Sent(6)).and_then(Load::succeeded);
        assert_eq!(load.expect("the backend answers").latencies.len(), 6);
    }

    #[test]
    fn request_that_ends_its_connection_gets_a_new_one() {
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("some port is free");
        let address = listener.local_addr().expect("it is bound");
        let server = std::thread::spawn(move || {
            for _ in 0..5 {
                let (mut connection, _) = listener.accept().expect("a connection is made");
                let mut received = [0; 1000];
                let length = connection.read(&mut received).expect("a request comes");
                let request = String::from_utf8_lossy(&received[..length]).into_owned();
                assert!(request.contains("connection: close\r\n"), "{request}");
                connection.write_all(answer).expect("the client is there");
            }
        });
        let shape = Shape {
            last: true,
            ..Shape::SMALL
        };
        let mut generator = Generator::connect(address, 1, &shape, None).expect("it is listening");
        let load = generator.drive(Until::Sent(5)).and_then(Load::succeeded);
        assert_eq!(load.expect("the server answers").latencies.len(), 5);
        server.join().expect("it has seen five connections");
    }

    #[test]
    fn answer_other_than_success_is_an_error() {
        let mut backend = backend(b"HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n".to_vec());
        let mut generator = connected(2, &mut backend);
        let load = generator.drive(Until::Sent(2)).expect("it answers");
        let error = load.succeeded().map(drop).unwrap_err();
        assert_eq!(error.to_string(), "answers that are no success: 2 × 503");
    }

    #[test]
    fn closed_connection_is_an_error() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("some port is free");
        let address = listener.local_addr().expect("it is bound");
        let mut generator = Generator::connect(address, 1, &Shape::SMALL, None).expect("it is listening");
        drop(listener.accept().expect("a connection was made"));
        assert!(generator.drive(Until::Sent(1)).is_err());
    }
}
