//! A backend that costs as little as possible: one thread, one answer.

use super::http::{RESPONSE, head_length};
use anyhow::Result;
use mio::event::Event;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Registry, Token};
use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::thread;

const LISTENER: Token = Token(0);

/// Starts a backend on a free port of the loopback interface and returns its address. It serves
/// until this program ends.
pub(crate) fn start() -> Result<SocketAddr> {
    let mut listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0).into())?;
    let address = listener.local_addr()?;
    let poll = Poll::new()?;
    poll.registry()
        .register(&mut listener, LISTENER, Interest::READABLE)?;
    thread::Builder::new().name("backend".into()).spawn(move || {
        let error = Backend {
            listener,
            connections: HashMap::new(),
            last: LISTENER,
        }
        .serve(poll);
        eprintln!("the backend on {address} failed: {error:?}");
    })?;
    Ok(address)
}

struct Backend {
    listener: TcpListener,
    connections: HashMap<Token, Connection>,
    /// Of the connection that was accepted last.
    last: Token,
}

impl Backend {
    fn serve(mut self, mut poll: Poll) -> io::Result<()> {
        let mut events = Events::with_capacity(256);
        loop {
            match poll.poll(&mut events, None) {
                Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
            for event in &events {
                if event.token() == LISTENER {
                    self.accept(poll.registry())?;
                } else {
                    self.converse(event);
                }
            }
        }
    }

    fn accept(&mut self, registry: &Registry) -> io::Result<()> {
        loop {
            let mut stream = match self.listener.accept() {
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
        if connection.answer().is_err() {
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
    fn answer(&mut self) -> io::Result<()> {
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
                self.stream.write_all(RESPONSE)?;
                self.received = 0;
            }
            if length < offered {
                // The socket is empty: the next bytes make an event.
                return Ok(());
            }
        }
    }
}
