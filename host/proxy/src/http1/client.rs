//! Connections of clients.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::IpAddr;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::thread::LocalKey;
use std::time::Duration;

use pace_tls::alpn::Alpn;
use pace_tls::server::Facts;
use pace_wire::refusal::Refusal;
use pace_wire::request::{MAX_METHOD, RequestHead, Rules};
use pace_wire::scan::HeadScan;
use tokio::time::{Instant, timeout};

use crate::client::ShownCertificate;
use crate::http2::PREFACE;
use crate::io::{Alarm, Buffer, Free, Recycle, Transport, flushed};
use crate::listeners::ListenerId;
use crate::server::LAST_REQUEST;
use crate::telemetry::ListenerConnections;
use pace_config::ClientLimits;

/// A client's connection, from request to request.
pub struct Client {
    /// The socket.
    pub transport: Transport,
    /// The bytes that were read from the socket and not used yet.
    pub input: Buffer,
    /// The timer for every wait on this connection.
    pub alarm: Alarm,
    /// The facts about the connection.
    pub arrival: Arc<Arrival>,
    /// Whether the client has ended its side of the connection.
    pub has_ended: bool,
    /// The number of requests that have been read.
    pub requests: u32,
}

/// The facts about a client's connection, which hold for all requests on it.
pub struct Arrival {
    /// The address at the other end, or the one that a PROXY header names.
    pub peer: IpAddr,
    /// The listener that accepted the connection.
    pub listener: ListenerId,
    /// The listener's port.
    pub port: u16,
    /// The facts that TLS has about the connection, if it is encrypted.
    pub tls: Option<Arc<Facts>>,
    /// The certificate that the peer has shown.
    pub certificate: Option<Arc<ShownCertificate>>,
    /// The connections that this one is counted among.
    pub connections: Arc<ListenerConnections>,
}

impl Arrival {
    /// The scheme of requests: `http` or `https`.
    pub fn scheme(&self) -> &'static str {
        match self.tls {
            Some(_) => "https",
            None => "http",
        }
    }
}

/// The outcome of the wait for the first byte of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitOutcome {
    /// The byte has come.
    Byte,
    /// The client has gone, or nothing came in time.
    End,
    /// The connection must end, and the last answer is still on its way.
    Stop,
}

/// The outcome of reading a request's head.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// A head was read.
    Request,
    /// The request is refused for this reason.
    Refused(Refusal),
    /// The connection begins with the preface of HTTP/2, which is still to be read.
    Preface,
    /// The connection is over, without another request.
    End,
}

/// The longest time for which the rest of an unwanted request is discarded.
const LINGER: Duration = Duration::from_secs(30);

/// The longest time for which a client may send nothing meanwhile.
const LINGER_SILENCE: Duration = Duration::from_secs(2);

/// The most empty lines that are skipped before a request.
const MAX_EMPTY_LINES: u32 = 16;

/// The most bytes of further requests that are read ahead, to notice when the client leaves.
const READ_AHEAD: usize = 64 << 10;

impl Client {
    /// A connection before its first byte.
    pub fn new(transport: Transport, arrival: Arc<Arrival>) -> Client {
        Client {
            transport,
            input: Buffer::new(),
            alarm: Alarm::new(),
            arrival,
            has_ended: false,
            requests: 0,
        }
    }

    /// Whether the client has chosen HTTP/2 in its TLS handshake.
    pub fn speaks_http2(&self) -> bool {
        let tls = self.arrival.tls.as_ref();
        tls.is_some_and(|facts| facts.alpn == Some(Alpn::Http2))
    }

    /// Waits for the first byte of a request, or for `stop`, after which a last request may still come until the
    /// connection has waited for [`LAST_REQUEST`]. It holds no buffer meanwhile.
    pub async fn wait(&mut self, limits: &ClientLimits, stop: impl Future<Output = ()>) -> WaitOutcome {
        if !self.input.is_empty() {
            return WaitOutcome::Byte;
        }
        if self.has_ended {
            return WaitOutcome::End;
        }
        self.input.release();
        // The wait for the first request counts as part of its head.
        let limit = if self.requests == 0 {
            limits.head
        } else {
            limits.keepalive
        };
        let began = Instant::now();
        let mut deadline = began + limit;
        let mut must_end = false;
        let mut stop = std::pin::pin!(stop);
        let Client {
            transport,
            input,
            alarm,
            ..
        } = self;
        poll_fn(|context| {
            if transport.poll_readable(context).is_ready() {
                match input.poll_fill(limits.head_bytes, transport, context) {
                    Poll::Ready(Ok(1..)) => return Poll::Ready(WaitOutcome::Byte),
                    Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(WaitOutcome::End),
                    // The socket was readable because of bytes that have been read since.
                    Poll::Pending => input.release(),
                }
            }
            if !must_end && stop.as_mut().poll(context).is_ready() {
                must_end = true;
                deadline = deadline.min(began + LAST_REQUEST);
            }
            ready!(alarm.poll(deadline, context));
            Poll::Ready(match must_end && transport.unacknowledged() > 0 {
                true => WaitOutcome::Stop,
                false => WaitOutcome::End,
            })
        })
        .await
    }

    /// Whether another request may come: the client has not ended its side, or has sent more before it did.
    pub fn may_ask_again(&self) -> bool {
        !self.has_ended || !self.input.is_empty()
    }

    /// Reads a head, whose first byte is in the buffer.
    pub async fn read_head(&mut self, head: &mut RequestHead, rules: &Rules, limits: &ClientLimits) -> Next {
        let deadline = Instant::now() + limits.head;
        let mut scan = HeadScan::default();
        let mut empty_lines = 0;
        loop {
            empty_lines += self.skip_empty_lines();
            if empty_lines > MAX_EMPTY_LINES {
                return Next::Refused(Refusal::NotHttp);
            }
            match self.find_head(&mut scan, limits) {
                Ok(Some(length)) => {
                    if self.requests == 0 && PREFACE.starts_with(&self.input.filled()[..length]) {
                        return Next::Preface;
                    }
                    self.requests += 1;
                    let read = head.read(&self.input.filled()[..length], rules);
                    self.input.consume(length);
                    return match read {
                        Ok(()) => Next::Request,
                        Err(refusal) => Next::Refused(refusal),
                    };
                }
                Ok(None) => {}
                Err(refusal) => {
                    head.glance(self.input.filled());
                    return Next::Refused(refusal);
                }
            }
            match self.read(deadline, limits.head_bytes).await {
                // The alarm does not go off for a client that sends so fast that the wait never begins.
                Some(Ok(1..)) if Instant::now() < deadline => {}
                // A client that leaves in the middle of its head asks for nothing.
                Some(Ok(0) | Err(_)) => return Next::End,
                None if self.input.is_empty() => return Next::End,
                Some(Ok(1..)) | None => {
                    head.glance(self.input.filled());
                    return Next::Refused(Refusal::HeadTimeout);
                }
            }
        }
    }

    /// Skips the empty lines that old clients send behind a body (RFC 9112, section 2.2). Returns how many there were.
    fn skip_empty_lines(&mut self) -> u32 {
        let mut skipped = 0;
        while skipped <= MAX_EMPTY_LINES && self.input.filled().starts_with(b"\r\n") {
            self.input.consume(2);
            skipped += 1;
        }
        skipped
    }

    /// Looks for the end of the head in the buffer. Returns the head's length.
    fn find_head(&self, scan: &mut HeadScan, limits: &ClientLimits) -> Result<Option<usize>, Refusal> {
        let bytes = self.input.filled();
        match bytes.first() {
            None => return Ok(None),
            Some(b'\r') if bytes.len() == 1 => return Ok(None),
            // No method begins with this: it is another protocol, or the rest of a message longer than its head said.
            Some(first) if !first.is_ascii_alphanumeric() && !b"!#$%&'*+-.^_`|~".contains(first) => {
                return Err(Refusal::NotHttp);
            }
            Some(_) => {}
        }
        let end = scan.advance(bytes).map_err(|_| Refusal::BareLineFeed)?;
        let length = end.unwrap_or(bytes.len());
        if end.is_some() && length <= limits.head_bytes {
            return Ok(end);
        }
        if scan.is_in_first_line() && length > MAX_METHOD && !bytes[..=MAX_METHOD].contains(&b' ') {
            return Err(Refusal::Method);
        }
        if length >= limits.head_bytes {
            return Err(match scan.is_in_first_line() {
                true => Refusal::TargetTooLong,
                false => Refusal::HeadTooLarge,
            });
        }
        Ok(None)
    }

    /// Reads the bytes that have come; `None` if the deadline passes first.
    async fn read(&mut self, deadline: Instant, limit: usize) -> Option<io::Result<usize>> {
        let Client {
            transport,
            input,
            alarm,
            ..
        } = self;
        poll_fn(|context| {
            if let Poll::Ready(read) = input.poll_fill(limit, transport, context) {
                return Poll::Ready(Some(read));
            }
            alarm.poll(deadline, context).map(|()| None)
        })
        .await
    }

    /// Ready once the client has gone. For use while nothing is expected of the client.
    ///
    /// Bytes that come meanwhile begin the next request. A client that has ended its side still waits for its answer (RFC
    /// 9112, section 9.6).
    pub fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        if let Some(stream) = self.transport.stream() {
            return stream.poll_reset(context);
        }
        while !self.has_ended && self.input.len() < READ_AHEAD {
            match ready!(self.input.poll_fill(READ_AHEAD, &mut self.transport, context)) {
                Ok(0) => self.has_ended = true,
                Ok(_) => {}
                Err(error) => return Poll::Ready(error),
            }
        }
        Poll::Pending
    }

    /// Resets the connection once the client has everything that was written. It may take its time as behind a whole response, as
    /// long as it does not take nothing for `patience`.
    pub async fn break_off(self, patience: Duration) {
        let transport = &self.transport;
        let flushed = flushed(patience, || match transport.unacknowledged() {
            0 => None,
            _ if transport.has_failed() => None,
            count => Some(count.into()),
        });
        // What it has not taken by then is lost with the reset.
        let _ = timeout(LINGER, flushed).await;
        self.transport.reset();
    }

    /// Sends a complete answer. `limit` is the longest time for which the client may take none of it.
    pub async fn send(&mut self, mut head: &[u8], mut body: &[u8], limit: Duration) -> io::Result<()> {
        let Client { transport, alarm, .. } = self;
        let mut deadline = Instant::now() + limit;
        poll_fn(|context| {
            while !head.is_empty() || !body.is_empty() {
                let both = [IoSlice::new(head), IoSlice::new(body)];
                let parts = match (head, body) {
                    (_, []) => &both[..1],
                    ([], _) => &both[1..],
                    _ => &both[..],
                };
                match transport.poll_write(parts, context) {
                    Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    Poll::Ready(Ok(written)) => {
                        let of_head = written.min(head.len());
                        (head, body) = (&head[of_head..], &body[written - of_head..]);
                        deadline = Instant::now() + limit;
                    }
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => {
                        return alarm
                            .poll(deadline, context)
                            .map(|()| Err(io::ErrorKind::TimedOut.into()));
                    }
                }
            }
            match transport.poll_flush(context) {
                Poll::Ready(Ok(())) => Poll::Ready(transport.finish(None)),
                Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                Poll::Pending => alarm
                    .poll(deadline, context)
                    .map(|()| Err(io::ErrorKind::TimedOut.into())),
            }
        })
        .await
    }

    /// Closes a connection in stages, as its client may still be sending: Pace ends its own side, and discards for a while
    /// what the client sends. If it closed the connection at once, the kernel would reset it, and the part of the answer
    /// that the client has not read would be lost (RFC 9112, section 9.6).
    pub async fn linger(mut self) {
        let Client {
            transport,
            input,
            alarm,
            ..
        } = &mut self;
        input.consume(usize::MAX);
        let end = Instant::now() + LINGER;
        let mut silence = Instant::now() + LINGER_SILENCE;
        let mut has_shut_down = false;
        poll_fn(|context| {
            if !has_shut_down {
                match transport.poll_shutdown(context) {
                    Poll::Ready(Ok(())) => has_shut_down = true,
                    Poll::Ready(Err(_)) => return Poll::Ready(()),
                    Poll::Pending => {}
                }
            }
            loop {
                match input.poll_fill(usize::MAX, transport, context) {
                    Poll::Ready(Ok(1..)) => {
                        input.consume(usize::MAX);
                        silence = Instant::now() + LINGER_SILENCE;
                        if silence > end + LINGER_SILENCE {
                            return Poll::Ready(());
                        }
                    }
                    Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(()),
                    Poll::Pending if alarm.poll(silence.min(end), context).is_pending() => {
                        return Poll::Pending;
                    }
                    // A client that reads slowly sends nothing meanwhile.
                    Poll::Pending if transport.unacknowledged() > 0 && Instant::now() < end => {
                        silence = Instant::now() + LINGER_SILENCE;
                    }
                    Poll::Pending => return Poll::Ready(()),
                }
            }
        })
        .await;
    }
}

thread_local! {
    static HEADS: Free<RequestHead> = const { Free::new() };
}

/// The most bytes of memory that a recycled head keeps.
const KEPT_MEMORY: usize = 16 << 10;

impl Recycle for RequestHead {
    fn recycle(&mut self) {
        match self.fields.capacity() {
            0..=KEPT_MEMORY => self.clear(),
            _ => *self = RequestHead::new(),
        }
    }

    fn make() -> RequestHead {
        RequestHead::new()
    }

    fn free() -> &'static LocalKey<Free<RequestHead>> {
        &HEADS
    }
}
