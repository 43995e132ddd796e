//! A connection to a backend.

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

/// A connection to a backend, and the head of the response that comes on it.
pub struct BackendConnection {
    /// The socket.
    pub transport: Transport,
    /// What has been read of it and not been used.
    pub input: Buffer,
    /// The head of the response, once [`BackendConnection::poll_head`] has found one.
    pub head: Recycled<ResponseHead>,
    scan: HeadScan,
    interim: u32,
}

/// Why there is no head.
#[derive(Debug, thiserror::Error)]
pub enum HeadError {
    /// What came is no response.
    #[error(transparent)]
    Broken(#[from] Broken),
    /// The connection was closed.
    #[error("the connection was closed before the response")]
    Closed,
    /// The connection failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Bytes of a response's head.
const MAX_HEAD: usize = 64 << 10;

/// Interim responses before the final one.
const MAX_INTERIM: u32 = 64;

/// Makes a connection. `keepalive` is as for [`set_up`].
pub async fn connect(
    address: SocketAddr,
    limit: Duration,
    keepalive: Option<Duration>,
    alarm: &mut Alarm,
) -> io::Result<Transport> {
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
    Ok(Transport::new(stream))
}

impl BackendConnection {
    /// A connection on which nothing has been said, or all has been that belonged to the last request.
    pub fn new(transport: Transport) -> BackendConnection {
        BackendConnection {
            transport,
            input: Buffer::new(),
            head: Recycled::take(),
            scan: HeadScan::default(),
            interim: 0,
        }
    }

    /// Waits for the next head, an interim one or the final one.
    pub fn poll_head(
        &mut self,
        asked: RequestFacts,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), HeadError>> {
        loop {
            let bytes = self.input.filled();
            match self.scan.advance(bytes) {
                Ok(Some(length)) if length <= MAX_HEAD => {
                    self.head.read(&bytes[..length], asked)?;
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
                // Whatever it is, the end of its first line need not be waited for.
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

    /// Whether nothing of a response has come.
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

/// Memory that is kept with a head for the next one.
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
