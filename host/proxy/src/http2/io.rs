//! The bytes of a connection of HTTP/2, below its frames.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::watch::{Seen, Watch};
use crate::io::{Alarm, Buffer, Traffic, Transport};

/// How long the other side may still send after the connection has been ended: acknowledgements, or more of what ended it.
/// Closed at once, the connection would be reset, and bytes on their way to the other side would be lost.
const LINGER: Duration = Duration::from_secs(2);

/// A connection whose first bytes have been read.
pub struct Io {
    transport: Transport,
    read: Buffer,
    /// How long the other side may take nothing that is written. Streams have the same time each, but bytes that they
    /// leave behind, and answers to frames of the connection itself, would wait for ever for one that reads nothing.
    patience: Duration,
    /// The time since which the other side has taken nothing.
    stalled: Option<Instant>,
    /// The error of a write to a backend that has not been reported yet.
    failed: Option<io::Error>,
    /// The time until which the other side's end is awaited, once this side has ended.
    lingers: Option<Instant>,
    alarm: Alarm,
    account: Account,
}

/// The account of what passes, which ends a connection that is flooded.
enum Account {
    /// The frames of a client, and the answers to them.
    Client(Watch),
    /// The bytes that a backend sends.
    Backend(Arc<Traffic>),
}

impl Io {
    /// The connection of a client, and the news from the frames that pass on it. The bytes in `read` come first.
    pub fn of_client(transport: Transport, read: Buffer, patience: Duration) -> (Io, Arc<Seen>) {
        let watch = Watch::new();
        let seen = Arc::clone(watch.seen());
        (Io::new(transport, read, patience, Account::Client(watch)), seen)
    }

    /// The connection to a backend, whose bytes are counted.
    pub fn to_backend(transport: Transport, patience: Duration, traffic: &Arc<Traffic>) -> Io {
        let account = Account::Backend(Arc::clone(traffic));
        Io::new(transport, Buffer::new(), patience, account)
    }

    fn new(transport: Transport, read: Buffer, patience: Duration, account: Account) -> Io {
        Io {
            transport,
            read,
            patience,
            stalled: None,
            failed: None,
            lingers: None,
            alarm: Alarm::new(),
            account,
        }
    }

    /// Keeps the first error of a write to a backend until the connection has been read: a backend that refuses says why before
    /// it closes, and `h2` tells requests of the errors of reads alone.
    fn after_reading<T>(
        &mut self,
        polled: Poll<io::Result<T>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        match (polled, &self.account) {
            (Poll::Ready(Err(error)), Account::Backend(_)) => match self.failed.take() {
                // Nothing has been read since: the connection is being closed.
                Some(before) => Poll::Ready(Err(before)),
                None => {
                    self.failed = Some(error);
                    context.waker().wake_by_ref();
                    Poll::Pending
                }
            },
            (polled, _) => polled,
        }
    }

    fn tell_blocked(&self, is_blocked: bool) {
        if let Account::Client(watch) = &self.account {
            watch.seen().set_blocked(is_blocked);
        }
    }

    /// Passes on the result of a write, unless it has waited for too long.
    fn in_time<T>(&mut self, polled: Poll<io::Result<T>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            if self.stalled.take().is_some() {
                self.tell_blocked(false);
            }
            return polled;
        }
        if self.stalled.is_none() {
            self.tell_blocked(true);
        }
        let since = *self.stalled.get_or_insert_with(Instant::now);
        self.alarm
            .poll(since + self.patience, context)
            .map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl Drop for Io {
    fn drop(&mut self) {
        self.tell_blocked(false);
    }
}

impl AsyncRead for Io {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        match &this.account {
            // Nothing more is read. Whoever serves the connection ends it in the same turn.
            Account::Client(watch) if watch.is_flooded() => return Poll::Pending,
            Account::Backend(traffic) if !traffic.has_turn() => {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            Account::Client(_) | Account::Backend(_) => {}
        }
        let before = bytes.filled().len();
        if !this.read.is_empty() {
            let count = this.read.len().min(bytes.remaining());
            bytes.put_slice(&this.read.filled()[..count]);
            this.read.consume(count);
            this.read.release();
        } else {
            match this.transport.poll_read(bytes.initialize_unfilled(), context) {
                Poll::Ready(count) => bytes.advance(count?),
                Poll::Pending => {
                    return match this.failed.take() {
                        Some(error) => Poll::Ready(Err(this.transport.with_last_words(error))),
                        None => Poll::Pending,
                    };
                }
            }
        }
        let received = &bytes.filled()[before..];
        match &mut this.account {
            Account::Client(watch) => watch.received(received),
            Account::Backend(traffic) => traffic.hear(received.len())?,
        }
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
        let written = self.after_reading(written, context);
        if let (Account::Client(watch), Poll::Ready(Ok(count))) = (&mut self.account, &written) {
            let mut left = *count;
            for part in parts {
                let of_part = left.min(part.len());
                watch.sent(&part[..of_part]);
                left -= of_part;
            }
        }
        self.in_time(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = self.transport.poll_flush(context);
        let flushed = self.after_reading(flushed, context);
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
