//! A client's connection.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::IpAddr;
use std::task::{Context, Poll, ready};
use std::thread::LocalKey;
use std::time::Duration;

use pace_wire::refusal::Refusal;
use pace_wire::request::{MAX_METHOD, RequestHead, Rules};
use pace_wire::scan::HeadScan;
use tokio::time::Instant;

use crate::io::{Alarm, Buffer, Free, Recycle, Transport};
use pace_config::ClientLimits;

/// A connection that a client has made, from request to request.
pub struct Client {
    /// The socket.
    pub transport: Transport,
    /// Bytes that were read from the socket and not used yet.
    pub input: Buffer,
    /// The timer for every wait on this connection.
    pub alarm: Alarm,
    /// The address at the other end, or the one that a PROXY header names.
    pub peer: IpAddr,
    /// The client has said that it sends nothing more.
    pub has_ended: bool,
    /// Requests that have been read.
    pub requests: u32,
}

/// How the wait for the first byte of a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    /// It is there.
    Byte,
    /// The client has gone, or nothing came in time.
    End,
    /// The connection must end now, and the last answer is still on its way.
    Stop,
}

/// How reading a request's head ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// There is one.
    Request,
    /// It is none that can be answered otherwise than so.
    Refused(Refusal),
    /// The connection is over: nobody asks for anything more.
    End,
}

/// How long the rest of a request that nobody wants is read over.
const LINGER: Duration = Duration::from_secs(30);

/// How long a client may send nothing meanwhile.
const LINGER_SILENCE: Duration = Duration::from_secs(2);

/// Empty lines before a request that are read over.
const MAX_EMPTY_LINES: u32 = 16;

/// Bytes of further requests that are read ahead, to see whether the client is still there.
const READ_AHEAD: usize = 64 << 10;

impl Client {
    /// A connection of which nothing has been read.
    pub fn new(transport: Transport, peer: IpAddr) -> Client {
        Client {
            transport,
            input: Buffer::new(),
            alarm: Alarm::new(),
            peer,
            has_ended: false,
            requests: 0,
        }
    }

    /// Waits for the first byte of a request, or for `stop`. No memory is held meanwhile.
    pub async fn wait(&mut self, limits: &ClientLimits, stop: impl Future<Output = ()>) -> Waited {
        if !self.input.is_empty() {
            return Waited::Byte;
        }
        if self.has_ended {
            return Waited::End;
        }
        self.input.release();
        // The first request is not waited for longer than a head may take.
        let limit = if self.requests == 0 {
            limits.head
        } else {
            limits.keepalive
        };
        let deadline = Instant::now() + limit;
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
                    Poll::Ready(Ok(1..)) => return Poll::Ready(Waited::Byte),
                    Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Waited::End),
                    // What was readable had been read before.
                    Poll::Pending => input.release(),
                }
            }
            if stop.as_mut().poll(context).is_ready() {
                return Poll::Ready(match transport.has_unacknowledged() {
                    true => Waited::Stop,
                    false => Waited::End,
                });
            }
            alarm.poll(deadline, context).map(|()| Waited::End)
        })
        .await
    }

    /// Whether there may be another request: the client has not ended its side, or has sent more before it did.
    pub fn may_ask_again(&self) -> bool {
        !self.has_ended || !self.input.is_empty()
    }

    /// Reads the head whose first byte is there.
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
                // The alarm does not ring for a client that never lets the wait begin.
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

    /// Old clients send an empty line behind a body (RFC 9112, section 2.2). Returns how many there were.
    fn skip_empty_lines(&mut self) -> u32 {
        let mut skipped = 0;
        while skipped <= MAX_EMPTY_LINES && self.input.filled().starts_with(b"\r\n") {
            self.input.consume(2);
            skipped += 1;
        }
        skipped
    }

    /// Looks for the end of the head among what has been read.
    fn find_head(&self, scan: &mut HeadScan, limits: &ClientLimits) -> Result<Option<usize>, Refusal> {
        let bytes = self.input.filled();
        match bytes.first() {
            None => return Ok(None),
            Some(b'\r') if bytes.len() == 1 => return Ok(None),
            // No method begins so: another protocol, or the rest of a message that was longer than its head said.
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

    /// Reads what there is; `None` if the deadline comes first.
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

    /// Looks whether the client is still there, while nothing is expected of it. Ready if it is not.
    ///
    /// What it sends is the beginning of its next request. If it says that it sends nothing more, it still waits for its
    /// answer (RFC 9112, section 9.6).
    pub fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        while !self.has_ended && self.input.len() < READ_AHEAD {
            match ready!(self.input.poll_fill(READ_AHEAD, &mut self.transport, context)) {
                Ok(0) => self.has_ended = true,
                Ok(_) => {}
                Err(error) => return Poll::Ready(error),
            }
        }
        Poll::Pending
    }

    /// Sends an answer that is ready. `limit` is how long the client may take none of it.
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
            Poll::Ready(Ok(()))
        })
        .await
    }

    /// Ends a connection whose client may still be sending: it is told that nothing more comes, and what it sends is read
    /// over for a while. Closed at once, the connection would be reset, and the answer be lost with what has not been read
    /// of it (RFC 9112, section 9.6).
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
        let mut is_told = false;
        poll_fn(|context| {
            if !is_told {
                match transport.poll_shutdown(context) {
                    Poll::Ready(Ok(())) => is_told = true,
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
                    // A client that reads slowly is silent meanwhile.
                    Poll::Pending if transport.has_unacknowledged() && Instant::now() < end => {
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

/// Memory that is kept with a head for the next one.
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
