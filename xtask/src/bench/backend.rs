//! Backends that cost as little as possible: one thread, one answer.

use super::http::head_length;
use anyhow::{Context, Result};
use mio::event::Event;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Registry, Token};
use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::thread;

/// Starts so many backends on free ports of the loopback interface, all on one thread, and returns their
/// addresses. They give every request this answer until this program ends.
pub(crate) fn start(count: usize, response: Vec<u8>) -> Result<Vec<SocketAddr>> {
    let poll = Poll::new()?;
    let mut listeners = Vec::with_capacity(count);
    let mut addresses = Vec::with_capacity(count);
    for index in 0..count {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0).into());
        let mut listener = listener.with_context(|| format!("cannot start backend {}", index + 1))?;
        addresses.push(listener.local_addr()?);
        poll.registry()
            .register(&mut listener, Token(index), Interest::READABLE)?;
        listeners.push(listener);
    }
    thread::Builder::new().name("backends".into()).spawn(move || {
        let backends = Backends {
            last: Token(listeners.len()),
            listeners,
            connections: HashMap::new(),
            response,
        };
        let error = backends.serve(poll);
        eprintln!("the backends failed: {error:?}");
    })?;
    Ok(addresses)
}

struct Backends {
    /// Their tokens are their positions.
    listeners: Vec<TcpListener>,
    connections: HashMap<Token, Connection>,
    /// Of the connection that was accepted last.
    last: Token,
    response: Vec<u8>,
}

impl Backends {
    fn serve(mut self, mut poll: Poll) -> io::Result<()> {
        let mut events = Events::with_capacity(256);
        loop {
            match poll.poll(&mut events, None) {
                Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
            for event in &events {
                if event.token().0 < self.listeners.len() {
                    self.accept(event.token().0, poll.registry())?;
                } else {
                    self.converse(event);
                }
            }
        }
    }

    fn accept(&mut self, listener: usize, registry: &Registry) -> io::Result<()> {
        loop {
            let mut stream = match self.listeners[listener].accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            stream.set_nodelay(true)?;
            self.last.0 += 1;
            registry.register(&mut stream, self.last, Interest::READABLE)?;
            self.connections.insert(
                self.last,
                Connection {
                    stream,
                    received: 0,
                    buffer: [0; 4096],
                },
            );
        }
    }

    fn converse(&mut self, event: &Event) {
        let token = event.token();
        let Some(connection) = self.connections.get_mut(&token) else {
            return;
        };
        if connection.answer(&self.response).is_err() {
            self.connections.remove(&token);
        }
    }
}

struct Connection {
    stream: TcpStream,
    /// How much of the buffer is the beginning of a request.
    received: usize,
    buffer: [u8; 4096],
}

impl Connection {
    /// Answers the request if it is complete. Any error, the client's end included, ends the
    /// connection.
    fn answer(&mut self, response: &[u8]) -> io::Result<()> {
        loop {
            let space = &mut self.buffer[self.received..];
            let offered = space.len();
            let length = match self.stream.read(space) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            self.received += length;
            if head_length(&self.buffer[..self.received]) == Some(self.received) {
                // An answer is far smaller than the socket's buffer and follows an empty one.
                self.stream.write_all(response)?;
                self.received = 0;
            }
            if length < offered {
                // The socket is empty: the next bytes make an event.
                return Ok(());
            }
        }
    }
}
