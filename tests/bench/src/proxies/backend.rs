//! Backends that cost as little as possible.
//!
//! The load serves them on its own thread while it waits. Of two threads on the same core, either would at
//! times run for milliseconds while the other has work, and that would look like latency of the proxy.

use super::http::Incoming;
use anyhow::{Context, Result, ensure};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// Backends on free ports of the loopback interface.
pub(crate) struct Backends {
    poll: Poll,
    events: Events,
    /// The sockets that are readable or writable.
    ready: Vec<Token>,
    /// The listeners with their answers. Their tokens are their positions.
    listeners: Vec<(TcpListener, Arc<[u8]>)>,
    connections: HashMap<Token, Connection>,
    /// The token of the next connection.
    next: Token,
    /// The buffer for the latest read.
    buffer: Vec<u8>,
}

/// The first token of a connection: larger than the number of listeners.
const FIRST_CONNECTION: Token = Token(1 << 20);

/// The size of a read buffer.
pub(super) const BUFFER: usize = 64 << 10;

impl Backends {
    /// Creates an empty set of backends.
    pub(crate) fn new() -> Result<Backends> {
        Ok(Backends {
            poll: Poll::new()?,
            events: Events::with_capacity(256),
            ready: Vec::new(),
            listeners: Vec::new(),
            connections: HashMap::new(),
            next: FIRST_CONNECTION,
            buffer: vec![0; BUFFER],
        })
    }

    /// Adds backends that give every request this answer. Returns their addresses.
    pub(crate) fn add(&mut self, count: usize, response: Vec<u8>) -> Result<Vec<SocketAddr>> {
        let response: Arc<[u8]> = response.into();
        let mut addresses = Vec::with_capacity(count);
        for _ in 0..count {
            let token = Token(self.listeners.len());
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0).into());
            let mut listener = listener.with_context(|| format!("cannot start backend {}", token.0 + 1))?;
            addresses.push(listener.local_addr()?);
            self.poll
                .registry()
                .register(&mut listener, token, Interest::READABLE)?;
            self.listeners.push((listener, Arc::clone(&response)));
        }
        Ok(addresses)
    }

    /// Serves the backends on a thread of their own until this program ends, for loads that block in other
    /// work.
    pub(crate) fn apart(mut self) -> Result<()> {
        thread::Builder::new().name("backends".into()).spawn(move || {
            loop {
                if let Err(error) = self.serve(None) {
                    eprintln!("the backends failed: {error:?}");
                    return;
                }
            }
        })?;
        Ok(())
    }

    /// The descriptor that is readable when the backends have work.
    pub(super) fn descriptor(&self) -> RawFd {
        self.poll.as_raw_fd()
    }

    /// Does the work at hand, for which it waits at most `wait`.
    pub(super) fn serve(&mut self, mut wait: Option<Duration>) -> io::Result<()> {
        loop {
            match self.poll.poll(&mut self.events, wait) {
                Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
                _ => wait = Some(Duration::ZERO),
            }
            self.ready.clear();
            self.ready.extend(self.events.iter().map(|event| event.token()));
            for index in 0..self.ready.len() {
                match self.ready[index] {
                    listener if listener < FIRST_CONNECTION => self.accept(listener)?,
                    connection => self.converse(connection),
                }
            }
            if self.ready.len() < self.events.capacity() {
                return Ok(());
            }
        }
    }

    fn accept(&mut self, listener: Token) -> io::Result<()> {
        let (listener, response) = &self.listeners[listener.0];
        loop {
            let mut stream = match listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            stream.set_nodelay(true)?;
            let token = self.next;
            self.next.0 += 1;
            self.poll
                .registry()
                .register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
            let connection = Connection {
                stream,
                sent: response.len(),
                response: Arc::clone(response),
                incoming: Incoming::default(),
            };
            self.connections.insert(token, connection);
        }
    }

    fn converse(&mut self, token: Token) {
        let Some(connection) = self.connections.get_mut(&token) else {
            return;
        };
        if connection.go_on(&mut self.buffer).is_err() {
            self.connections.remove(&token);
        }
    }
}

struct Connection {
    stream: TcpStream,
    response: Arc<[u8]>,
    /// The number of bytes of the response that the socket has taken: all of them, unless an answer is on its
    /// way.
    sent: usize,
    incoming: Incoming,
}

impl Connection {
    /// Continues sending, and answers the request if it is complete. Any error, the client's end included,
    /// ends the connection.
    fn go_on(&mut self, buffer: &mut [u8]) -> Result<()> {
        self.send()?;
        loop {
            let length = match self.stream.read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                outcome => outcome?,
            };
            ensure!(length > 0, "the client has closed the connection");
            if self.incoming.take(&buffer[..length])?.is_some() {
                ensure!(
                    self.sent == self.response.len(),
                    "a request came before the answer to the last one was taken"
                );
                self.sent = 0;
                self.send()?;
            }
            if length < buffer.len() {
                // The socket is empty: the next bytes make an event.
                return Ok(());
            }
        }
    }

    /// Sends as much of the response as the socket takes.
    fn send(&mut self) -> io::Result<()> {
        while self.sent < self.response.len() {
            match self.stream.write(&self.response[self.sent..]) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                outcome => self.sent += outcome?,
            }
        }
        Ok(())
    }
}
