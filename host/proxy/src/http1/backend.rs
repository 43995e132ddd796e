//! Connections to backends.

use std::io;
use std::task::{Context, Poll, ready};
use std::thread::LocalKey;

use pace_wire::broken::Broken;
use pace_wire::response::{RequestFacts, ResponseHead};
use pace_wire::scan::HeadScan;

use crate::io::{Buffer, Free, Recycle, Recycled, Stream, Transport, Unanswered};

/// A connection to a backend, or a stream on one, with the head of the response that comes on it.
pub struct BackendConnection {
    /// The socket, or the stream.
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
    /// The backend has not looked at the request (RFC 9113, section 8.7), or has not even got it.
    #[error("the backend has not processed the request: {0}")]
    Unprocessed(h2::Error),
    /// The backend did not keep to HTTP/2.
    #[error("HTTP/2: {0}")]
    Http2(h2::Error),
    /// The connection failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// The most bytes of a response's head.
const MAX_HEAD: usize = 64 << 10;

/// The most interim responses before the final one.
const MAX_INTERIM: u32 = 64;

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
        if let Transport::Stream(stream) = &mut self.transport {
            let (parts, is_complete) = ready!(stream.poll_head(context))?;
            let fields = parts
                .headers
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_bytes()));
            self.head
                .read_stream(parts.status, fields, is_complete, request)?;
            return Poll::Ready(self.count_interim());
        }
        loop {
            let bytes = self.input.filled();
            match self.scan.advance(bytes) {
                Ok(Some(length)) if length <= MAX_HEAD => {
                    self.head.read(&bytes[..length], request)?;
                    self.input.consume(length);
                    self.scan = HeadScan::default();
                    return Poll::Ready(self.count_interim());
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

    /// Whether this is a stream on a connection that others use too.
    pub fn is_stream(&self) -> bool {
        matches!(self.transport, Transport::Stream(_))
    }

    /// Whether this is a stream on a connection on which nothing has come since there was something for this request.
    pub fn session_is_silent(&mut self) -> bool {
        self.transport
            .stream()
            .is_some_and(|stream| Stream::session_is_silent(stream))
    }

    fn count_interim(&mut self) -> Result<(), HeadError> {
        self.interim += 1;
        match self.head.is_interim() && self.interim > MAX_INTERIM {
            true => Err(Broken::InterimResponses.into()),
            false => Ok(()),
        }
    }

    fn bare_line_feed(&self) -> Broken {
        match self.input.filled().starts_with(b"HTTP/") {
            true => Broken::BareLineFeed,
            false => Broken::StatusLine,
        }
    }
}

impl From<Unanswered> for HeadError {
    fn from(unanswered: Unanswered) -> HeadError {
        match unanswered {
            Unanswered::Unsent(error) => HeadError::Unprocessed(error),
            Unanswered::Ended(error) => error.into(),
        }
    }
}

impl From<h2::Error> for HeadError {
    fn from(error: h2::Error) -> HeadError {
        // GOAWAY ends the streams behind the last one that it names, and leaves the others to end by themselves.
        let is_refusal = error.is_go_away() || error.reason() == Some(h2::Reason::REFUSED_STREAM);
        if error.is_remote() && is_refusal {
            return HeadError::Unprocessed(error);
        }
        if error.is_library() {
            return HeadError::Http2(error);
        }
        HeadError::Io(match error.is_io() {
            true => error
                .into_io()
                .unwrap_or_else(|| io::ErrorKind::ConnectionReset.into()),
            false => io::Error::new(io::ErrorKind::ConnectionReset, error),
        })
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
