//! Connections of clients that speak HTTP/2 (RFC 9113). The crate `h2` handles frames, windows and the compression of
//! fields, within the bounds that are set here.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use h2::server::{Builder, Connection};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use crate::io::{Alarm, Buffer, Transport};

/// The bytes with which a client begins a connection (section 3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The most requests under way on a connection.
const MAX_STREAMS: u32 = 100;

/// The most bytes of a body that a client may send before they have been passed on. An upload at 1 Gbit/s from a client
/// 2 ms away fills this window; a larger one would be held in memory for a slower backend.
const STREAM_WINDOW: u32 = 256 << 10;

/// The same bound for all streams of a connection together.
const CONNECTION_WINDOW: u32 = 1 << 20;

/// The most bytes of a response that wait to be written.
const SEND_BUFFER: usize = 128 << 10;

/// The most streams that a client may reset before the proxy has looked at them (CVE-2023-44487), and that may be
/// reset because of what the client sent (CVE-2025-8671). More end the connection.
const MAX_RESETS: usize = 50;
const MAX_ERRORS: usize = 100;

/// How long a stream that was reset is remembered, so that frames still on their way are no fault.
const RESET_MEMORY: Duration = Duration::from_secs(5);

/// How long a client may still send after the connection has been ended: acknowledgements, or more of what ended it.
/// Closed at once, the connection would be reset, and bytes on their way to the client would be lost.
const LINGER: Duration = Duration::from_secs(2);

/// Carries out the start of a connection that has sent nothing but the preface. `max_head` is how many bytes the
/// fields of a request may have, with 32 more for each (section 6.5.2).
pub async fn handshake(io: Io, max_head: u32) -> Result<Connection<Io, Bytes>, h2::Error> {
    Builder::new()
        .max_concurrent_streams(MAX_STREAMS)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(max_head)
        .max_send_buffer_size(SEND_BUFFER)
        .max_concurrent_reset_streams(MAX_RESETS)
        .max_pending_accept_reset_streams(MAX_RESETS)
        .max_local_error_reset_streams(Some(MAX_ERRORS))
        .reset_stream_duration(RESET_MEMORY)
        .handshake(io)
        .await
}

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
        }
    }

    /// Passes on the result of a write, unless it has waited for too long.
    fn watch<T>(&mut self, polled: Poll<io::Result<T>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
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
        if !self.read.is_empty() {
            let count = self.read.len().min(bytes.remaining());
            bytes.put_slice(&self.read.filled()[..count]);
            self.read.consume(count);
            self.read.release();
            return Poll::Ready(Ok(()));
        }
        let count = ready!(self.transport.poll_read(bytes.initialize_unfilled(), context))?;
        bytes.advance(count);
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
        self.watch(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = self.transport.poll_flush(context);
        self.watch(flushed, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let until = match this.lingers {
            Some(until) => until,
            None => {
                let ended = this.transport.poll_shutdown(context);
                ready!(this.watch(ended, context))?;
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
