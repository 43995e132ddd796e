//! A closed loop: each connection sends its next request as soon as it is answered, so the proxy is always busy.

use super::connection::{Connection, Purpose};
use super::reactor::Reactor;
use super::tls::Client;
use super::{Load, Until};
use crate::proxies::backend::{BUFFER, Backends};
use crate::proxies::http::{Requests, Shape, Traffic};
use anyhow::{Result, bail};
use mio::{Registry, Token};
use std::net::SocketAddr;
use std::time::Instant;

/// A fixed number of open connections, driven by one thread, which serves the backends meanwhile. A
/// connection that a request ends is replaced by a new one.
pub(crate) struct Generator<'b> {
    pub(super) reactor: Reactor<'b>,
    pub(super) line: Line,
    pub(super) connections: Vec<Connection>,
}

/// The state that all connections share.
pub(super) struct Line {
    address: SocketAddr,
    registry: Registry,
    requests: Requests,
    purpose: Purpose,
    tls: Option<Client>,
    /// The buffer for the latest read.
    buffer: Vec<u8>,
}

impl Line {
    fn open(&self, index: usize) -> Result<Connection> {
        Connection::open(self.address, &self.registry, Token(index), self.tls.as_ref())
    }

    /// Sends the next request on the connection with this number, or on a new one in its place.
    pub(super) fn send(
        &mut self,
        connections: &mut [Connection],
        index: usize,
        since: Instant,
    ) -> Result<()> {
        if connections[index].is_over {
            connections[index] = self.open(index)?;
        }
        let request = match self.purpose {
            Purpose::Handshake => &[],
            Purpose::Requests | Purpose::LastRequest => self.requests.next(),
        };
        connections[index].send(request, since)
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
        let purpose = match shape.traffic {
            Traffic::Requests => Purpose::Requests,
            Traffic::LastRequests => Purpose::LastRequest,
            Traffic::Handshakes => Purpose::Handshake,
            Traffic::Streams { .. } => bail!("streams are driven elsewhere"),
        };
        let tls = shape.tls.as_ref();
        let reactor = Reactor::new(connections, backends)?;
        let mut line = Line {
            address,
            registry: reactor.registry().try_clone()?,
            requests: Requests::new(shape),
            purpose,
            tls: tls.map(|tls| Client::new(tls, "http/1.1")).transpose()?,
            buffer: vec![0; BUFFER],
        };
        let opened = (0..connections)
            .map(|index| line.open(index))
            .collect::<Result<Vec<_>>>()?;
        if let (Some(client), Some(tls)) = (&mut line.tls, tls) {
            client.expect_tickets(tls);
        }
        Ok(Generator {
            reactor,
            line,
            connections: opened,
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
            self.reactor.wait()?;
            for event in &self.reactor.events {
                let index = event.token().0;
                let Some(connection) = self.connections.get_mut(index) else {
                    continue;
                };
                let Some(now) = load.take(connection, &mut self.line)? else {
                    continue;
                };
                if until.wants_more(now - start, sent) {
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
                self.reactor.wait()?;
            }
        }
        load.elapsed = start.elapsed();
        Ok(load)
    }
}

impl Load {
    /// Reads the bytes that a connection has received. Returns the time if they complete the answer.
    pub(super) fn take(&mut self, connection: &mut Connection, line: &mut Line) -> Result<Option<Instant>> {
        let Some(done) = connection.go_on(line.purpose, &mut line.buffer)? else {
            return Ok(None);
        };
        let now = Instant::now();
        self.count(done, now - connection.since);
        Ok(Some(now))
    }
}
