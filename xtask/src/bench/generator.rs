//! The load: connections that each send a request as soon as the last one is answered.

use super::http::{REQUEST, response_status};
use anyhow::{Context, Result, ensure};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// A proxy that answers nothing for so long has failed.
const SILENCE_LIMIT: Duration = Duration::from_secs(5);

/// What came back.
#[derive(Default)]
pub(crate) struct Load {
    /// From the first request to the last answer.
    pub(crate) elapsed: Duration,
    /// From sending a request to the last byte of its answer, for each request.
    pub(crate) latencies: Vec<Duration>,
    /// How many answers had each status.
    pub(crate) statuses: BTreeMap<u16, u64>,
}

/// A fixed number of open connections, driven by one thread.
pub(crate) struct Generator {
    poll: Poll,
    connections: Vec<Connection>,
}

impl Generator {
    /// Opens the connections.
    pub(crate) fn connect(address: SocketAddr, connections: u16) -> Result<Generator> {
        let poll = Poll::new()?;
        let connect = |index| -> Result<Connection> {
            let stream = std::net::TcpStream::connect(address)?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            let mut stream = TcpStream::from_std(stream);
            poll.registry()
                .register(&mut stream, Token(index), Interest::READABLE)?;
            Ok(Connection {
                stream,
                sent: Instant::now(),
                received: 0,
                buffer: [0; 4096],
            })
        };
        let connections = (0..usize::from(connections)).map(connect).collect::<Result<_>>();
        Ok(Generator {
            connections: connections.context("cannot connect")?,
            poll,
        })
    }

    /// Keeps every connection busy for `duration` and then waits for the last answers.
    ///
    /// # Errors
    ///
    /// A connection was closed, an answer is malformed, or nothing is answered any more.
    pub(crate) fn drive(&mut self, duration: Duration) -> Result<Load> {
        let mut load = Load::default();
        let mut events = Events::with_capacity(self.connections.len());
        let start = Instant::now();
        let deadline = start + duration;
        for connection in &mut self.connections {
            connection.send()?;
        }
        let mut busy = self.connections.len();
        while busy > 0 {
            match self.poll.poll(&mut events, Some(SILENCE_LIMIT)) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                outcome => outcome?,
            }
            ensure!(!events.is_empty(), "no answer for {} s", SILENCE_LIMIT.as_secs());
            for event in &events {
                let connection = &mut self.connections[event.token().0];
                let Some(status) = connection.receive()? else {
                    continue;
                };
                let now = Instant::now();
                load.latencies.push(now - connection.sent);
                *load.statuses.entry(status).or_default() += 1;
                if now < deadline {
                    connection.send()?;
                } else {
                    busy -= 1;
                }
            }
        }
        load.elapsed = start.elapsed();
        Ok(load)
    }
}

struct Connection {
    stream: TcpStream,
    /// When the request began to be sent.
    sent: Instant,
    /// How much of the buffer is the beginning of an answer.
    received: usize,
    buffer: [u8; 4096],
}

impl Connection {
    fn send(&mut self) -> Result<()> {
        self.sent = Instant::now();
        // A request is far smaller than the socket's buffer and follows an empty one.
        self.stream.write_all(REQUEST).context("cannot send")
    }

    /// Takes what is there. The status, if that completes the answer.
    fn receive(&mut self) -> Result<Option<u16>> {
        loop {
            let space = &mut self.buffer[self.received..];
            let offered = space.len();
            ensure!(offered > 0, "an answer is larger than {} bytes", self.received);
            let length = match self.stream.read(space) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                outcome => outcome.context("cannot receive")?,
            };
            ensure!(length > 0, "a connection was closed");
            self.received += length;
            if let Some(status) = response_status(&self.buffer[..self.received])? {
                self.received = 0;
                return Ok(Some(status));
            }
            if length < offered {
                // The socket is empty: the next bytes make an event.
                return Ok(None);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::backend;

    #[test]
    fn every_connection_is_answered() {
        let address = backend::start().expect("some port is free");
        let mut generator = Generator::connect(address, 3).expect("the backend accepts");
        for _ in 0..2 {
            let load = generator.drive(Duration::ZERO).expect("the backend answers");
            assert_eq!(
                load.statuses,
                BTreeMap::from([(200, 3)]),
                "one request for each connection"
            );
            assert_eq!(load.latencies.len(), 3);
        }
    }

    #[test]
    fn a_closed_connection_is_an_error() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("some port is free");
        let address = listener.local_addr().expect("it is bound");
        let mut generator = Generator::connect(address, 1).expect("it is listening");
        drop(listener.accept().expect("a connection was made"));
        assert!(generator.drive(Duration::ZERO).is_err());
    }
}
