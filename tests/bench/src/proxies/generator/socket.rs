//! A nonblocking socket, with or without TLS on it.

use super::tls::{Client, Session};
use anyhow::{Context, Result};
use mio::event::Source;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;

/// A connected socket. Its bytes are those of HTTP.
pub(super) struct Socket {
    stream: TcpStream,
    tls: Option<Box<Session>>,
    /// Bytes that the kernel has not taken yet.
    unsent: Vec<u8>,
}

impl Socket {
    /// Connects, and registers the socket by this token. A TLS handshake begins with the first write.
    pub(super) fn open(
        address: SocketAddr,
        registry: &Registry,
        token: Token,
        tls: Option<&Client>,
    ) -> Result<Socket> {
        let stream =
            std::net::TcpStream::connect(address).with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        stream.register(registry, token, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Socket {
            stream,
            tls: tls.map(Client::session).transpose()?.map(Box::new),
            unsent: Vec::new(),
        })
    }

    /// Sends bytes. The part that the kernel does not take is kept for [`Socket::flush`].
    pub(super) fn send(&mut self, bytes: &[u8]) -> Result<()> {
        if let Some(session) = &mut self.tls {
            session.encrypt(bytes)?;
        } else if self.unsent.is_empty() {
            // Most requests are far smaller than the socket's buffer, which is empty.
            let sent = write(&mut self.stream, bytes)?;
            self.unsent.extend_from_slice(&bytes[sent..]);
            return Ok(());
        } else {
            self.unsent.extend_from_slice(bytes);
        }
        self.flush()
    }

    /// Sends as many of the kept bytes as the kernel takes.
    pub(super) fn flush(&mut self) -> Result<()> {
        if let Some(session) = &mut self.tls {
            return session.flush(&mut self.stream).context("cannot send");
        }
        if !self.unsent.is_empty() {
            let sent = write(&mut self.stream, &self.unsent)?;
            self.unsent.drain(..sent);
        }
        Ok(())
    }

    /// Whether the kernel has taken every byte.
    pub(super) fn is_flushed(&self) -> bool {
        self.unsent.is_empty() && self.tls.as_ref().is_none_or(|session| session.is_flushed())
    }

    /// Reads the bytes that have arrived: `None` if there are none, 0 bytes at the other side's end.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Result<Option<usize>> {
        let outcome = match &mut self.tls {
            Some(session) => session.read(&mut self.stream, buffer),
            None => self.stream.read(buffer),
        };
        match outcome {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            outcome => Ok(Some(outcome.context("cannot receive")?)),
        }
    }

    /// Whether a read of this many bytes has emptied the socket, so that the next bytes make an event.
    pub(super) fn is_empty_after(&self, length: usize, buffer: &[u8]) -> bool {
        self.tls.is_none() && length < buffer.len()
    }

    /// The TLS of the socket, if it has any.
    pub(super) fn tls(&mut self) -> Option<&mut Session> {
        self.tls.as_deref_mut()
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

/// Whether the connection ended, in whatever way.
pub(super) fn is_end(error: &anyhow::Error) -> bool {
    let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
    matches!(
        kind,
        Some(ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)
    )
}
