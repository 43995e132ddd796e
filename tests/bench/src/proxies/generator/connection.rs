//! One connection of HTTP/1.1, or of a handshake alone.

use super::socket::{Socket, is_end};
use super::tls::Client;
use crate::proxies::http::Incoming;
use anyhow::{Context, Result, bail, ensure};
use mio::{Registry, Token};
use std::net::SocketAddr;
use std::time::Instant;

/// The purpose of a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// One request after another.
    Requests,
    /// One request, with whose answer the connection ends.
    LastRequest,
    /// A TLS handshake, after which the connection ends.
    Handshake,
}

/// The event that a load counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Done {
    /// An answer with this status.
    Answer(u16),
    /// A handshake, from connecting to the end of the connection.
    Handshake,
}

/// A connection with at most one request at a time.
pub(super) struct Connection {
    socket: Socket,
    /// The time at which the latest request was sent or due.
    pub(super) since: Instant,
    incoming: Incoming,
    /// The outcome of a connection that ends, once all that it is for has happened.
    last: Option<Done>,
    /// Whether the connection has ended, so that the next request needs another.
    pub(super) is_over: bool,
}

impl Connection {
    /// Connects, and registers the connection by this token.
    pub(super) fn open(
        address: SocketAddr,
        registry: &Registry,
        token: Token,
        tls: Option<&Client>,
    ) -> Result<Connection> {
        Ok(Connection {
            socket: Socket::open(address, registry, token, tls)?,
            since: Instant::now(),
            incoming: Incoming::default(),
            last: None,
            is_over: false,
        })
    }

    /// Sends a request, which is empty for a handshake.
    pub(super) fn send(&mut self, request: &[u8], since: Instant) -> Result<()> {
        self.since = since;
        self.socket.send(request)
    }

    /// Continues sending, and reads the bytes that have arrived. Returns the outcome once the answer is complete and, on
    /// a connection that ends, its end has come.
    pub(super) fn go_on(&mut self, purpose: Purpose, buffer: &mut [u8]) -> Result<Option<Done>> {
        // The socket of an ended connection may have events until another takes its place.
        if self.is_over {
            return Ok(None);
        }
        self.socket.flush()?;
        loop {
            let read = self.socket.read(buffer);
            if purpose == Purpose::Handshake && self.last.is_none() && read.is_ok() {
                self.end_handshake()?;
            }
            let length = match read {
                // A proxy need not tell of an end that the client has announced.
                Err(error) if self.last == Some(Done::Handshake) && is_end(&error) => 0,
                read => match read? {
                    Some(length) => length,
                    None => return Ok(None),
                },
            };
            match self.last {
                Some(done) if length == 0 => {
                    self.is_over = true;
                    return Ok(Some(done));
                }
                Some(_) => bail!("more bytes than the last answer should have"),
                None => ensure!(length > 0, "a connection was closed"),
            }
            if let Some(whole) = self.incoming.take(&buffer[..length])? {
                let status = whole.status.context("a request came in place of an answer")?;
                self.check()?;
                match purpose {
                    Purpose::LastRequest => self.last = Some(Done::Answer(status)),
                    Purpose::Requests | Purpose::Handshake => return Ok(Some(Done::Answer(status))),
                }
            } else if self.socket.is_empty_after(length, buffer) {
                return Ok(None);
            }
        }
    }

    /// Checks the connection after its answer.
    fn check(&mut self) -> Result<()> {
        ensure!(
            self.socket.is_flushed(),
            "an answer came before the whole request was sent"
        );
        if let Some(tls) = self.socket.tls() {
            ensure!(
                tls.is_established()?,
                "an answer came before the handshake was done"
            );
        }
        Ok(())
    }

    /// Ends a connection whose handshake is done.
    fn end_handshake(&mut self) -> Result<()> {
        let tls = self.socket.tls().context("a handshake needs TLS")?;
        if tls.is_established()? {
            tls.end();
            self.last = Some(Done::Handshake);
            self.socket.flush()?;
        }
        Ok(())
    }
}
