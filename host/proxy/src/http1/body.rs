//! A body while it is read.

use std::io;
use std::ops::Range;
use std::task::{Context, Poll, ready};

use pace_wire::chunked::{Decoder, Fault};
use pace_wire::fields::Fields;
use pace_wire::framing::Framing;
use pace_wire::request::{Rules, Underscores};

use crate::io::{Buffer, Transport};

/// Takes a body out of a connection, and not a byte more.
#[derive(Debug)]
pub struct BodyReader {
    state: State,
}

#[derive(Debug)]
enum State {
    Done,
    /// So many bytes are to come.
    Length(u64),
    Chunked(Decoder),
    UntilClose,
}

/// Why a body does not arrive.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// Its chunks are malformed.
    #[error("a chunk is malformed")]
    Fault(Fault),
    /// The connection ended before it.
    #[error("the connection was closed before the end of the body")]
    Early,
    /// The connection failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl BodyReader {
    /// For a request's body, which begins with the next byte.
    pub fn of_request(framing: Framing, rules: &Rules) -> BodyReader {
        BodyReader::new(framing, rules.underscores)
    }

    /// For a response's body.
    pub fn of_response(framing: Framing) -> BodyReader {
        BodyReader::new(framing, Underscores::Pass)
    }

    /// For a body that has been read.
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

    /// Whether all of it has been taken.
    pub fn is_done(&self) -> bool {
        match &self.state {
            State::Done => true,
            State::Chunked(decoder) => decoder.is_done(),
            State::Length(_) | State::UntilClose => false,
        }
    }

    /// Its trailers, once it is done.
    pub fn trailers(&self) -> Option<&Fields> {
        match &self.state {
            State::Chunked(decoder) => decoder.trailers(),
            _ => None,
        }
    }

    /// Takes what has been read already. Returns where that is in the buffer; nothing, if there is no data among it.
    pub fn take(&mut self, buffer: &mut Buffer) -> Result<Range<usize>, Fault> {
        let start = buffer.start();
        match &mut self.state {
            State::Done => Ok(start..start),
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
            State::UntilClose => {
                let count = buffer.len();
                buffer.consume(count);
                Ok(start..start + count)
            }
        }
    }

    /// Reads over what is there of the body. Says whether that is all of it.
    pub fn read_over(&mut self, buffer: &mut Buffer) -> bool {
        self.is_done() || (self.take(buffer).is_ok() && self.is_done())
    }

    /// Takes the next data; `None` when the body has ended. The data that was taken before must have been used.
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
                return match self.state {
                    State::UntilClose => {
                        self.state = State::Done;
                        Poll::Ready(Ok(None))
                    }
                    _ => Poll::Ready(Err(BodyError::Early)),
                };
            }
        }
    }
}
