//! One connection of the load.

use super::super::http::response_status;
use anyhow::{Context, Result, ensure};
use mio::event::Source;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::Instant;

/// The largest answer that is read.
const BUFFER: usize = 4096;

/// A connection with at most one request on its way.
pub(crate) struct Connection {
    stream: TcpStream,
    /// From when the time of the request that is on its way counts.
    pub(super) since: Instant,
    /// The beginning of an answer. Connections that are idle need none.
    received: Vec<u8>,
}

impl Connection {
    pub(super) fn open(address: SocketAddr) -> io::Result<Connection> {
        let stream = std::net::TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Connection {
            stream: TcpStream::from_std(stream),
            since: Instant::now(),
            received: Vec::new(),
        })
    }

    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        self.stream.register(registry, token, Interest::READABLE)
    }

    pub(super) fn send(&mut self, request: &[u8], since: Instant) -> Result<()> {
        self.since = since;
        // A request is far smaller than the socket's buffer and follows an empty one.
        self.stream.write_all(request).context("cannot send")
    }

    /// Takes what is there. The status, if that completes the answer.
    pub(super) fn receive(&mut self) -> Result<Option<u16>> {
        loop {
            let before = self.received.len();
            ensure!(before < BUFFER, "an answer is larger than {BUFFER} bytes");
            self.received.resize(BUFFER, 0);
            let length = match self.stream.read(&mut self.received[before..]) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.received.truncate(before);
                    return Ok(None);
                }
                outcome => outcome.context("cannot receive")?,
            };
            ensure!(length > 0, "a connection was closed");
            self.received.truncate(before + length);
            if let Some(status) = response_status(&self.received)? {
                self.received.clear();
                return Ok(Some(status));
            }
            if before + length < BUFFER {
                // The socket is empty: the next bytes make an event.
                return Ok(None);
            }
        }
    }
}
