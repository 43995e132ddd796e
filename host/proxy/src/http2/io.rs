//! The bytes of a connection of HTTP/2, below its frames.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::watch::{Seen, Watch};
use crate::io::{Alarm, Buffer, Transport};

/// How long a client may still send after the connection has been ended: acknowledgements, or more of what ended it.
/// Closed at once, the connection would be reset, and bytes on their way to the client would be lost.
const LINGER: Duration = Duration::from_secs(2);

/// A connection whose first bytes have been read.
pub struct Io {
    transport: Transport,
    read: Buffer,
    /// How long the client may take nothing that is written. Streams have the same time each, but bytes that they
    /// leave behind, and answers to frames of the connection itself, would wait for ever for a client that reads
    /// nothing.
    patience: Duration,
    /// The time since which the client has taken nothing.
    stalled: Option<Instant>,
    /// The time until which the client's end is awaited, once this side has ended.
    lingers: Option<Instant>,
    alarm: Alarm,
    watch: Watch,
}

impl Io {
    /// Creates the connection. The bytes in `read` come first.
    pub fn new(transport: Transport, read: Buffer, patience: Duration) -> Io {
        Io {
            transport,
            read,
            patience,
            stalled: None,
            lingers: None,
            alarm: Alarm::new(),
            watch: Watch::new(),
        }
    }

    /// The news from the frames that pass from now on.
    pub fn seen(&self) -> Arc<Seen> {
        self.watch.seen()
    }

    /// Passes on the result of a write, unless it has waited for too long.
    fn in_time<T>(&mut self, polled: Poll<io::Result<T>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.stalled = None;
            return polled;
        }
        let since = *self.stalled.get_or_insert_with(Instant::now);
        self.alarm
            .poll(since + self.patience, context)
            .map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Io {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.watch.is_flooded() {
            // Nothing more is read. Whoever serves the connection ends it in the same turn.
            return Poll::Pending;
        }
        let before = bytes.filled().len();
        if !this.read.is_empty() {
            let count = this.read.len().min(bytes.remaining());
            bytes.put_slice(&this.read.filled()[..count]);
            this.read.consume(count);
            this.read.release();
        } else {
            let count = ready!(this.transport.poll_read(bytes.initialize_unfilled(), context))?;
            bytes.advance(count);
        }
        this.watch.received(&bytes.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Io {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = self.transport.poll_write(parts, context);
        if let Poll::Ready(Ok(mut count)) = written {
            for part in parts {
                let of_part = count.min(part.len());
                self.watch.sent(&part[..of_part]);
                count -= of_part;
            }
        }
        self.in_time(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = self.transport.poll_flush(context);
        self.in_time(flushed, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let until = match this.lingers {
            Some(until) => until,
            None => {
                let ended = this.transport.poll_shutdown(context);
                ready!(this.in_time(ended, context))?;
                *this.lingers.insert(Instant::now() + LINGER)
            }
        };
        let mut bytes = [0; 4096];
        loop {
            match this.transport.poll_read(&mut bytes, context) {
                Poll::Ready(Ok(1..)) => {}
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Ok(())),
                Poll::Pending => return this.alarm.poll(until, context).map(Ok),
            }
        }
    }
}
