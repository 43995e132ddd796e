//! Connections to backends.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::task::{Context, Poll, ready};
use std::thread::LocalKey;
use std::time::Duration;

use pace_wire::broken::Broken;
use pace_wire::response::{RequestFacts, ResponseHead};
use pace_wire::scan::HeadScan;
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::io::{Alarm, Buffer, Free, Recycle, Recycled, Transport, set_up};

/// A connection to a backend, with the head of the response that comes on it.
pub struct BackendConnection {
    /// The socket.
    pub transport: Transport,
    /// The bytes that were read from the socket and not used yet.
    pub input: Buffer,
    /// The head of the response, once [`BackendConnection::poll_head`] has read one.
    pub head: Recycled<ResponseHead>,
    scan: HeadScan,
    interim: u32,
}

/// The reason why no head was read.
#[derive(Debug, thiserror::Error)]
pub enum HeadError {
    /// The bytes that came are no valid response.
    #[error(transparent)]
    Broken(#[from] Broken),
    /// The connection was closed before the first byte.
    #[error("the connection was closed before the response")]
    Closed,
    /// The connection failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// The most bytes of a response's head.
const MAX_HEAD: usize = 64 << 10;

/// The most interim responses before the final one.
const MAX_INTERIM: u32 = 64;

/// Connects to a backend. `keepalive` is as for [`set_up`].
pub async fn connect(
    address: SocketAddr,
    limit: Duration,
    keepalive: Option<Duration>,
    alarm: &mut Alarm,
) -> io::Result<TcpStream> {
    let deadline = Instant::now() + limit;
    let mut connecting = pin!(TcpStream::connect(address));
    let stream = poll_fn(|context| {
        if let Poll::Ready(connected) = connecting.as_mut().poll(context) {
            return Poll::Ready(connected);
        }
        alarm
            .poll(deadline, context)
            .map(|()| Err(io::ErrorKind::TimedOut.into()))
    })
    .await?;
    set_up(&stream, keepalive)?;
    Ok(stream)
}

impl BackendConnection {
    /// A connection that is new, or whose last exchange is complete.
    pub fn new(transport: Transport) -> BackendConnection {
        BackendConnection {
            transport,
            input: Buffer::new(),
            head: Recycled::take(),
            scan: HeadScan::default(),
            interim: 0,
        }
    }

    /// Reads the next head, of an interim response or the final one.
    pub fn poll_head(
        &mut self,
        request: RequestFacts,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), HeadError>> {
        loop {
            let bytes = self.input.filled();
            match self.scan.advance(bytes) {
                Ok(Some(length)) if length <= MAX_HEAD => {
                    self.head.read(&bytes[..length], request)?;
                    self.input.consume(length);
                    self.scan = HeadScan::default();
                    self.interim += 1;
                    if self.head.is_interim() && self.interim > MAX_INTERIM {
                        return Poll::Ready(Err(Broken::InterimResponses.into()));
                    }
                    return Poll::Ready(Ok(()));
                }
                Err(_) => return Poll::Ready(Err(self.bare_line_feed().into())),
                _ if bytes.len() >= MAX_HEAD => return Poll::Ready(Err(Broken::HeadTooLarge.into())),
                _ => {}
            }
            if !b"HTTP/1.".starts_with(&bytes[..bytes.len().min(7)]) {
                // No response begins with these bytes, so there is no need to wait for the end of the line.
                return Poll::Ready(Err(Broken::StatusLine.into()));
            }
            if ready!(self.input.poll_fill(MAX_HEAD, &mut self.transport, context))? == 0 {
                return Poll::Ready(Err(match self.input.is_empty() {
                    true => HeadError::Closed,
                    false => HeadError::Io(io::ErrorKind::UnexpectedEof.into()),
                }));
            }
        }
    }

    /// Whether no byte of a response has come.
    pub fn is_silent(&self) -> bool {
        self.input.is_empty() && self.interim == 0
    }

    fn bare_line_feed(&self) -> Broken {
        match self.input.filled().starts_with(b"HTTP/") {
            true => Broken::BareLineFeed,
            false => Broken::StatusLine,
        }
    }
}

thread_local! {
    static HEADS: Free<ResponseHead> = const { Free::new() };
}

/// The most bytes of memory that a recycled head keeps.
const KEPT_MEMORY: usize = 16 << 10;

impl Recycle for ResponseHead {
    fn recycle(&mut self) {
        match self.fields.capacity() {
            0..=KEPT_MEMORY => self.clear(),
            _ => *self = ResponseHead::new(),
        }
    }

    fn make() -> ResponseHead {
        ResponseHead::new()
    }

    fn free() -> &'static LocalKey<Free<ResponseHead>> {
        &HEADS
    }
}
