//! The byte stream of a connection: a socket, TLS, or a stream of HTTP/2.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd};
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http::HeaderMap;
use pace_wire::fields::Fields;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsStream;
use tokio_rustls::rustls::ClientConnection;

use super::stream::{Stream, append_field};

/// The interval at which TCP repeats its question whether the other end is there.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);

/// Makes TCP send small messages at once, and ask the other end whether it is there after a `keepalive` without a
/// byte. Options of a listening socket hold for the connections that it accepts.
pub fn set_up(socket: &impl AsFd, keepalive: Option<Duration>) -> io::Result<()> {
    let socket = SockRef::from(socket);
    socket.set_tcp_nodelay(true)?;
    match keepalive {
        Some(time) => {
            let asks = TcpKeepalive::new()
                .with_time(time)
                .with_interval(KEEPALIVE_INTERVAL);
            socket.set_tcp_keepalive(&asks)
        }
        None => socket.set_keepalive(false),
    }
}

/// Bytes in both directions.
#[derive(Debug)]
pub enum Transport {
    /// A connection without encryption.
    Plain(TcpStream),
    /// An encrypted connection.
    Tls(Box<TlsStream<TcpStream>>),
    /// A connection to a backend on this machine.
    Local(UnixStream),
    /// A request and its response among others on a connection of HTTP/2.
    Stream(Box<Stream>),
    /// The client of a copied request: its body is at hand, and nobody is there for the response.
    Unattended(Box<Bytes>),
}

impl Transport {
    /// Wraps a socket that has been [set up](set_up), itself or through its listener.
    pub fn new(stream: TcpStream) -> Transport {
        Transport::Plain(stream)
    }

    /// Reads into `bytes`, which has room. 0 is the end of the other side's bytes.
    pub fn poll_read(&mut self, bytes: &mut [u8], context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        match self {
            Transport::Plain(stream) => {
                let mut bytes = ReadBuf::new(bytes);
                ready!(Pin::new(stream).poll_read(context, &mut bytes))?;
                Poll::Ready(Ok(bytes.filled().len()))
            }
            Transport::Local(stream) => {
                let mut bytes = ReadBuf::new(bytes);
                ready!(Pin::new(stream).poll_read(context, &mut bytes))?;
                Poll::Ready(Ok(bytes.filled().len()))
            }
            Transport::Tls(stream) => {
                let is_client = matches!(**stream, TlsStream::Server(_));
                let mut bytes = ReadBuf::new(bytes);
                match ready!(Pin::new(stream).poll_read(context, &mut bytes)) {
                    Ok(()) => Poll::Ready(Ok(bytes.filled().len())),
                    // A client may end without notice, since its messages say themselves where they end. A response
                    // may end with its connection, and then anybody could cut it short.
                    Err(error) if is_client && pace_tls::ended_without_notice(&error) => Poll::Ready(Ok(0)),
                    Err(error) if is_client => Poll::Ready(Err(error)),
                    Err(error) => Poll::Ready(Err(pace_tls::client::explained(error))),
                }
            }
            Transport::Stream(stream) => stream.poll_read(bytes, context),
            // No other request comes, and no client leaves.
            Transport::Unattended(body) if body.is_empty() => Poll::Pending,
            Transport::Unattended(body) => {
                let count = body.len().min(bytes.len());
                body.copy_to_slice(&mut bytes[..count]);
                Poll::Ready(Ok(count))
            }
        }
    }

    /// Ready when there may be something to read: bytes, an end or an error.
    pub fn poll_readable(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Transport::Plain(stream) => stream.poll_read_ready(context),
            Transport::Local(stream) => stream.poll_read_ready(context),
            // Decrypted bytes may wait already.
            Transport::Tls(_) => Poll::Ready(Ok(())),
            // No other request follows on the same stream.
            Transport::Stream(_) | Transport::Unattended(_) => Poll::Pending,
        }
    }

    /// Whether the other end has neither closed nor sent unread bytes. Asks the kernel: the runtime's knowledge is as
    /// old as its last look.
    pub fn is_silent(&mut self) -> bool {
        match self {
            Transport::Plain(stream) => has_nothing_to_read(stream),
            Transport::Local(stream) => has_nothing_to_read(stream),
            Transport::Tls(stream) => match &mut **stream {
                TlsStream::Client(stream) => {
                    let (socket, session) = stream.get_mut();
                    says_nothing(socket, session).is_ok_and(|silent| silent)
                }
                TlsStream::Server(stream) => has_nothing_to_read(stream.get_ref().0),
            },
            Transport::Stream(_) | Transport::Unattended(_) => false,
        }
    }

    /// The error of a write to a backend, or the alert by which the backend has said why, if one waits to be read. The kind is
    /// that of the write. Asks the kernel, as [`Transport::is_silent`] does.
    pub fn with_last_words(&mut self, error: io::Error) -> io::Error {
        let Transport::Tls(stream) = self else {
            return error;
        };
        let TlsStream::Client(stream) = &mut **stream else {
            return error;
        };
        let (socket, session) = stream.get_mut();
        match says_nothing(socket, session) {
            Err(said) => match pace_tls::client::explained(said) {
                said if said.get_ref().is_some() => io::Error::new(error.kind(), said),
                _ => error,
            },
            Ok(_) => error,
        }
    }

    /// Writes some of the bytes.
    pub fn poll_write(
        &mut self,
        bytes: &[IoSlice<'_>],
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        match (self, bytes) {
            (Transport::Plain(stream), [bytes]) => Pin::new(stream).poll_write(context, bytes),
            (Transport::Plain(stream), several) => Pin::new(stream).poll_write_vectored(context, several),
            (Transport::Local(stream), several) => Pin::new(stream).poll_write_vectored(context, several),
            // All parts become one record, if they fit. It may wait until it is flushed.
            (Transport::Tls(stream), several) => Pin::new(stream).poll_write_vectored(context, several),
            (Transport::Stream(stream), bytes) => stream.poll_write(bytes, context),
            (Transport::Unattended(_), bytes) => Poll::Ready(Ok(bytes.iter().map(|part| part.len()).sum())),
        }
    }

    /// Sends all written bytes that still wait here.
    pub fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Transport::Plain(stream) => Pin::new(stream).poll_flush(context),
            Transport::Local(stream) => Pin::new(stream).poll_flush(context),
            Transport::Tls(stream) => Pin::new(stream).poll_flush(context),
            Transport::Stream(_) | Transport::Unattended(_) => Poll::Ready(Ok(())),
        }
    }

    /// Tells the other side that nothing more will be sent.
    pub fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Transport::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Transport::Local(stream) => Pin::new(stream).poll_shutdown(context),
            Transport::Tls(stream) => Pin::new(stream).poll_shutdown(context),
            Transport::Stream(stream) => Poll::Ready(stream.finish(None)),
            Transport::Unattended(_) => Poll::Ready(Ok(())),
        }
    }

    /// Ends the connection in order, and waits for nothing. An encrypted one sends `close_notify`: without it the
    /// other side cannot tell the end from a cut (RFC 8446, section 6.1).
    pub fn close(mut self) {
        if let Transport::Tls(_) = self {
            // A socket's buffer has room for so few bytes, unless the client does not read.
            let _ = self.poll_shutdown(&mut Context::from_waker(Waker::noop()));
        }
    }

    /// How many of the written bytes the other end has not yet acknowledged, as far as the system knows.
    pub fn unacknowledged(&self) -> u32 {
        let Some(socket) = self.socket() else { return 0 };
        let mut count: libc::c_int = 0;
        // SAFETY: TIOCOUTQ writes one int where the pointer points, which is a local variable; the descriptor is that of
        // `socket`, which keeps it open.
        let asked = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut count) };
        match asked {
            0 => u32::try_from(count).unwrap_or(0),
            _ => 0,
        }
    }

    /// Whether the connection has failed, so that nothing written to it will arrive.
    pub fn has_failed(&self) -> bool {
        let Some(socket) = self.socket() else { return true };
        !matches!(SockRef::from(socket).take_error(), Ok(None))
    }

    /// Ends the connection so that the other side cannot take it for an orderly end.
    pub fn reset(self) {
        if let Some(socket) = self.socket() {
            // If this fails, the end is orderly after all, and nothing can be done.
            let _ = SockRef::from(socket).set_linger(Some(Duration::ZERO));
        }
        if let Transport::Stream(stream) = self {
            stream.reset();
        }
    }

    /// The trailers of a stream at its end. Connections have none of their own.
    pub fn poll_trailers(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Option<HeaderMap>>> {
        match self {
            Transport::Plain(_) | Transport::Tls(_) | Transport::Local(_) | Transport::Unattended(_) => {
                Poll::Ready(Ok(None))
            }
            Transport::Stream(stream) => stream.poll_trailers(context),
        }
    }

    /// Sends the head that a stream was given. On connections heads are bytes like all others.
    pub fn flush_head(&mut self) -> io::Result<()> {
        match self {
            Transport::Plain(_) | Transport::Tls(_) | Transport::Local(_) | Transport::Unattended(_) => {
                Ok(())
            }
            Transport::Stream(stream) => stream.flush_head(),
        }
    }

    /// Ends the message on a stream.
    pub fn finish(&mut self, trailers: Option<&Fields>) -> io::Result<()> {
        match self {
            Transport::Plain(_) | Transport::Tls(_) | Transport::Local(_) | Transport::Unattended(_) => {
                Ok(())
            }
            Transport::Stream(stream) => stream.finish(trailers.map(header_map)),
        }
    }

    /// The stream of HTTP/2, if this is one.
    pub fn stream(&mut self) -> Option<&mut Stream> {
        match self {
            Transport::Stream(stream) => Some(stream),
            Transport::Plain(_) | Transport::Tls(_) | Transport::Local(_) | Transport::Unattended(_) => None,
        }
    }

    /// The TCP socket below, if no other request shares it.
    fn socket(&self) -> Option<&TcpStream> {
        match self {
            Transport::Plain(stream) => Some(stream),
            Transport::Tls(stream) => Some(stream.get_ref().0),
            Transport::Local(_) | Transport::Stream(_) | Transport::Unattended(_) => None,
        }
    }
}

/// Converts fields to the form of HTTP/2.
fn header_map(fields: &Fields) -> HeaderMap {
    let mut map = HeaderMap::with_capacity(fields.len());
    for field in fields.iter() {
        append_field(&mut map, field.name.as_bytes(), field.value);
    }
    map
}

fn has_nothing_to_read(socket: &impl AsFd) -> bool {
    let looked = SockRef::from(socket).peek(&mut [MaybeUninit::uninit()]);
    looked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

/// Whether an encrypted connection has nothing to read: tickets for other sessions may have come after the last
/// response.
fn says_nothing(socket: &TcpStream, session: &mut ClientConnection) -> io::Result<bool> {
    let mut socket = &*SockRef::from(socket);
    loop {
        match session.read_tls(&mut socket) {
            Ok(0) => return Ok(false),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
            Err(error) => return Err(error),
        }
        let state = session.process_new_packets().map_err(io::Error::other)?;
        if state.plaintext_bytes_to_read() > 0 || state.peer_has_closed() {
            return Ok(false);
        }
    }
}
