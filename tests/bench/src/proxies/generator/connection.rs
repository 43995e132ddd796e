//! One connection of the load.

use super::super::http::Incoming;
use anyhow::{Context, Result, bail, ensure};
use mio::event::Source;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::Instant;

/// A connection with at most one request on its way.
pub(crate) struct Connection {
    stream: TcpStream,
    /// The time from which the latency of the request on its way counts.
    pub(super) since: Instant,
    /// The part of the request that the socket has not yet taken.
    unsent: Vec<u8>,
    incoming: Incoming,
    /// The status of a complete answer, until the other side has closed the connection.
    last: Option<u16>,
    /// Whether the other side has closed the connection, as it should.
    pub(super) is_over: bool,
}

impl Connection {
    /// Connects, and registers the connection by this token.
    pub(super) fn open(address: SocketAddr, registry: &Registry, token: Token) -> io::Result<Connection> {
        let stream = std::net::TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        stream.register(registry, token, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Connection {
            stream,
            since: Instant::now(),
            unsent: Vec::new(),
            incoming: Incoming::default(),
            last: None,
            is_over: false,
        })
    }

    pub(super) fn send(&mut self, request: &[u8], since: Instant) -> Result<()> {
        self.since = since;
        let sent = write(&mut self.stream, request)?;
        // Most requests are far smaller than the socket's buffer, which is empty.
        self.unsent.extend_from_slice(&request[sent..]);
        Ok(())
    }

    /// Continues sending, and reads the bytes that have arrived. Returns the status if they complete the
    /// answer and, for a last answer, the connection has ended.
    pub(super) fn go_on(&mut self, is_last: bool, buffer: &mut [u8]) -> Result<Option<u16>> {
        if !self.unsent.is_empty() {
            let sent = write(&mut self.stream, &self.unsent)?;
            self.unsent.drain(..sent);
        }
        loop {
            let length = match self.stream.read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                outcome => outcome.context("cannot receive")?,
            };
            match self.last {
                Some(status) if length == 0 => {
                    self.is_over = true;
                    return Ok(Some(status));
                }
                Some(_) => bail!("more bytes than the last answer should have"),
                None => ensure!(length > 0, "a connection was closed"),
            }
            if let Some(whole) = self.incoming.take(&buffer[..length])? {
                let status = whole.status.context("a request came in place of an answer")?;
                ensure!(
                    self.unsent.is_empty(),
                    "an answer came before the whole request was sent"
                );
                match is_last {
                    false => return Ok(Some(status)),
                    true => self.last = Some(status),
                }
            } else if length < buffer.len() {
                // The socket is empty: the next bytes make an event.
                return Ok(None);
            }
        }
    }
}

/// Writes as much as the socket takes.
fn write(stream: &mut TcpStream, bytes: &[u8]) -> Result<usize> {
    let mut sent = 0;
    while sent < bytes.len() {
        match stream.write(&bytes[sent..]) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            outcome => sent += outcome.context("cannot send")?,
        }
    }
    Ok(sent)
}
