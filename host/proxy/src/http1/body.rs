//! Reads bodies.

use std::io;
use std::ops::Range;
use std::task::{Context, Poll, ready};

use http::Version;
use pace_wire::broken::Broken;
use pace_wire::chunked::{self, Decoder, Fault};
use pace_wire::fields::Fields;
use pace_wire::framing::Framing;
use pace_wire::request::{RequestHead, Rules, Underscores};
use pace_wire::response::ResponseHead;

use crate::io::{Buffer, Transport};

/// Reads a body from a connection, and not a byte more.
#[derive(Debug)]
pub struct BodyReader {
    state: State,
}

#[derive(Debug)]
enum State {
    Done,
    /// This many bytes are still to come.
    Length(u64),
    Chunked(Decoder),
    UntilClose,
    /// The body of a stream of HTTP/2, whose frames end it.
    Stream(Underscores),
    /// A stream that has ended, with its trailers.
    StreamEnded(Fields),
}

/// The reason why a body did not arrive.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// A chunk or a trailer is malformed.
    #[error("{}", Broken::from(*.0))]
    Fault(Fault),
    /// The body is larger than is allowed.
    #[error("the body is too large")]
    TooLarge,
    /// The connection ended before the body did.
    #[error("the connection was closed before the end of the body")]
    Early,
    /// The connection failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl BodyReader {
    /// A reader of a request's body, which begins with the next byte.
    pub fn of_request(request: &RequestHead, rules: &Rules) -> BodyReader {
        match (request.version, request.framing) {
            (Version::HTTP_2, Framing::Length(_) | Framing::Chunked) => BodyReader {
                state: State::Stream(rules.underscores),
            },
            (_, framing) => BodyReader::new(framing, rules.underscores),
        }
    }

    /// A reader of a response's body.
    pub fn of_response(response: &ResponseHead) -> BodyReader {
        match (response.version, response.framing) {
            (Version::HTTP_2, Framing::Length(_) | Framing::Chunked) => BodyReader {
                state: State::Stream(Underscores::Pass),
            },
            (_, framing) => BodyReader::new(framing, Underscores::Pass),
        }
    }

    /// A reader of a body that is complete already.
    pub fn done() -> BodyReader {
        BodyReader { state: State::Done }
    }

    fn new(framing: Framing, underscores: Underscores) -> BodyReader {
        let state = match framing {
            Framing::None | Framing::Length(0) => State::Done,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::Chunked(Decoder::new(underscores)),
            Framing::UntilClose => State::UntilClose,
        };
        BodyReader { state }
    }

    /// Whether the whole body has been taken.
    pub fn is_done(&self) -> bool {
        match &self.state {
            State::Done | State::StreamEnded(_) => true,
            State::Chunked(decoder) => decoder.is_done(),
            State::Length(_) | State::UntilClose | State::Stream(_) => false,
        }
    }

    /// The trailers of the body, once it is done.
    pub fn trailers(&self) -> Option<&Fields> {
        match &self.state {
            State::Chunked(decoder) => decoder.trailers(),
            State::StreamEnded(trailers) if !trailers.is_empty() => Some(trailers),
            State::StreamEnded(_) | State::Done | State::Length(_) | State::UntilClose | State::Stream(_) => {
                None
            }
        }
    }

    /// The trailers of the body for editing, once it is done.
    pub fn trailers_mut(&mut self) -> Option<&mut Fields> {
        match &mut self.state {
            State::Chunked(decoder) => decoder.trailers_mut(),
            State::StreamEnded(trailers) if !trailers.is_empty() => Some(trailers),
            State::StreamEnded(_) | State::Done | State::Length(_) | State::UntilClose | State::Stream(_) => {
                None
            }
        }
    }

    /// Takes the bytes of the body that are in the buffer. Returns the place of the data there; an empty range, if there is
    /// no data among them.
    pub fn take(&mut self, buffer: &mut Buffer) -> Result<Range<usize>, Fault> {
        let start = buffer.start();
        match &mut self.state {
            State::Done | State::StreamEnded(_) => Ok(start..start),
            State::Length(left) => {
                let count = buffer.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                buffer.consume(count);
                match *left - count as u64 {
                    0 => self.state = State::Done,
                    rest => *left = rest,
                }
                Ok(start..start + count)
            }
            State::Chunked(decoder) => {
                let decoded = decoder.decode(buffer.filled_mut())?;
                buffer.consume(decoded.taken);
                Ok(start + decoded.data.start..start + decoded.data.end)
            }
            State::UntilClose | State::Stream(_) => {
                let count = buffer.len();
                buffer.consume(count);
                Ok(start..start + count)
            }
        }
    }

    /// The length of the rest of the body, if it was announced.
    pub fn announced(&self) -> Option<u64> {
        match self.state {
            State::Length(left) => Some(left),
            _ => None,
        }
    }

    /// Takes note that the rest of the body was taken without this reader.
    pub fn end(&mut self) {
        self.state = State::Done;
    }

    /// Discards the part of the body that is in the buffer. Returns whether that was the rest of it.
    pub fn read_over(&mut self, buffer: &mut Buffer) -> bool {
        self.is_done() || (self.take(buffer).is_ok() && self.is_done())
    }

    /// Takes the next data; `None` when the body has ended. The data taken before must have been used by then.
    pub fn poll_data(
        &mut self,
        buffer: &mut Buffer,
        transport: &mut Transport,
        context: &mut Context<'_>,
    ) -> Poll<Result<Option<Range<usize>>, BodyError>> {
        loop {
            if self.is_done() {
                return Poll::Ready(Ok(None));
            }
            if !buffer.is_empty() {
                let data = self.take(buffer).map_err(BodyError::Fault)?;
                if !data.is_empty() {
                    return Poll::Ready(Ok(Some(data)));
                }
                continue;
            }
            buffer.enlarge_if_filled();
            if ready!(buffer.poll_fill(usize::MAX, transport, context))? == 0 {
                match self.state {
                    State::UntilClose => self.state = State::Done,
                    State::Stream(underscores) => {
                        let trailers = ready!(transport.poll_trailers(context))?.unwrap_or_default();
                        let trailers = trailers
                            .iter()
                            .map(|(name, value)| (name.as_str(), value.as_bytes()));
                        let passed = chunked::trailers_of_stream(trailers, underscores);
                        self.state = State::StreamEnded(passed.map_err(BodyError::Fault)?);
                    }
                    State::Done | State::Length(_) | State::Chunked(_) | State::StreamEnded(_) => {
                        return Poll::Ready(Err(BodyError::Early));
                    }
                }
            }
        }
    }
}
