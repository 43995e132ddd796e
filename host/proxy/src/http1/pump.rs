//! Moves messages from one connection to the other.

mod through;

use std::io;
use std::ops::Range;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use pace_hook::Body;
use pace_wire::chunked::Fault;
use pace_wire::encode::{self, ChunkLine, LAST_CHUNK};

pub use self::through::{Flow, Passed, Transform};
use self::through::{Gathered, Stopped};
use super::body::{BodyError, BodyReader};
use super::sink::Sink;
use crate::io::{Block, Buffer, Transport};

/// The framing of a body on the connection where it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outgoing {
    /// The body as it is: its length is in the head, it ends with the connection, or there is none.
    Plain,
    /// Chunks.
    Chunked {
        /// Whether the other side wants trailers, which then follow.
        trailers: bool,
    },
    /// A stream of HTTP/2, which makes the frames and has got the head already. Trailers follow.
    Stream,
}

/// The side that a pump waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The source of the body must send bytes.
    Source,
    /// The target of the body must take bytes.
    Target,
    /// Neither: the transform in between has more to do.
    Transform,
}

/// The reason why a message did not get to its end.
#[derive(Debug)]
pub enum PumpError {
    /// The body did not arrive.
    Read(BodyError),
    /// The target did not take the message.
    Write(io::Error),
}

/// Moves one message, from its head on. The pump writes what it has read, or what a transform has made of that, before it reads
/// more: the slower side sets the pace, and the memory is that of one read.
#[derive(Debug)]
pub struct Pump {
    reader: BodyReader,
    outgoing: Outgoing,
    sink: Sink,
    /// Whether the sink has got everything.
    ended: bool,
    /// The number of bytes of the body that were read.
    taken: u64,
    /// The length of the body, if all of it was there before any of it was read, and was left there.
    whole: u64,
    /// The most bytes of the body.
    limit: u64,
    /// The length of the head.
    head: u64,
    /// The progress of a stream, beside its data.
    stream: StreamState,
    waits_for: Side,
    kept: Option<Kept>,
    /// Whether the data of the sink are those that have been kept, and not in the buffer of the source.
    sends_kept: bool,
    /// The kind of the message, if its body goes through a transform.
    through: Option<Body>,
    /// What the transform has made and is being written.
    made: Bytes,
    /// Whether the data of the sink are in the buffer of the source, as they pass, and not in `made`.
    sends_read: bool,
    /// What it has made besides, to be written together.
    gathered: Gathered,
    /// Why no more of a message follows that goes through a transform, once what has passed is written.
    stopped: Option<Stopped>,
    /// The last bytes that the transform has made of a message that it does not change. They are not written before its end.
    held: Bytes,
    /// Whether the bytes that are kept are those that the transform has made, and how many it has made.
    is_made_kept: bool,
    given: u64,
    /// How many bytes the transform has got.
    pushed: u64,
    /// The most bytes that are kept.
    keep_limit: usize,
}

/// The part of a message that a stream of HTTP/2 has sent, beside the data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum StreamState {
    #[default]
    Nothing,
    Head,
    End,
}

/// The bytes of a body that are sent from where they are, each time that the message is begun.
#[derive(Debug)]
enum Kept {
    /// The start of the body, up to a limit.
    Start { bytes: Vec<u8>, limit: usize },
    /// The part of the body that was read before any of it was sent.
    Part(Bytes),
    /// All that is sent of the body, whatever was read of it.
    Whole(Bytes),
}

/// The least length of a body that is taken with the memory of its buffer: at least half of that is the body's.
const LEAST_WHOLE: usize = Buffer::MOST / 2;

const CRLF: &[u8] = b"\r\n";
const CRLF_AND_END: &[u8] = b"\r\n0\r\n\r\n";

impl Pump {
    /// A pump for a body, which is framed anew. [`Pump::begin`] adds the head.
    pub fn new(reader: BodyReader, outgoing: Outgoing) -> Pump {
        Pump {
            reader,
            outgoing,
            sink: Sink::new(),
            ended: false,
            taken: 0,
            whole: 0,
            limit: u64::MAX,
            head: 0,
            stream: StreamState::default(),
            waits_for: Side::Source,
            kept: None,
            sends_kept: false,
            through: None,
            made: Bytes::new(),
            sends_read: false,
            gathered: Gathered::default(),
            stopped: None,
            held: Bytes::new(),
            is_made_kept: false,
            given: 0,
            pushed: 0,
            keep_limit: 0,
        }
    }

    /// Makes the pump keep up to `limit` bytes of the body, or all of one that was [left at hand](Pump::leave_at_hand), so that they
    /// can be sent again. Without effect once some have been read and not kept.
    pub fn keep(&mut self, limit: usize) {
        if !self.can_begin_again() {
            return;
        }
        let limit = limit.max(self.whole as usize);
        self.keep_limit = limit.max(self.keep_limit);
        match self.kept.get_or_insert_with(Kept::nothing) {
            Kept::Start { limit: before, .. } => *before = limit.max(*before),
            Kept::Part(_) | Kept::Whole(_) => {}
        }
    }

    /// Puts other bytes in the place of the body, which has been read to its end. Trailers stay.
    pub fn put(&mut self, body: Bytes) {
        debug_assert!(self.reader.is_done(), "the rest of the body would follow");
        self.kept = Some(Kept::Whole(body));
    }

    /// Puts the start of the body back, which was taken and not sent.
    pub fn put_back(&mut self, start: Bytes) {
        self.kept = Some(Kept::Part(start));
    }

    /// Takes the next data of the body without sending them: their place in the buffer. They must have been used before the next call.
    pub fn poll_take(
        &mut self,
        (transport, buffer): (&mut Transport, &mut Buffer),
        context: &mut Context<'_>,
    ) -> Poll<Result<Option<Range<usize>>, BodyError>> {
        let data = ready!(self.reader.poll_data(buffer, transport, context))?;
        self.taken += data.as_ref().map_or(0, |data| data.len() as u64);
        match self.taken > self.limit {
            true => Poll::Ready(Err(BodyError::TooLarge)),
            false => Poll::Ready(Ok(data)),
        }
    }

    /// The announced length of a body within the limit of which nothing has been taken.
    fn untaken_length(&self) -> Option<usize> {
        let length = self.reader.announced()?;
        let is_untaken = self.taken == 0 && length <= self.limit;
        is_untaken.then(|| usize::try_from(length).ok()).flatten()
    }

    /// The place of a body of which nothing has been taken, if all of it is in the buffer, and small enough to stay there.
    pub fn at_hand(&self, buffer: &Buffer) -> Option<Range<usize>> {
        let is_at_hand = |length: &usize| *length < LEAST_WHOLE && *length <= buffer.len();
        let length = self.untaken_length().filter(is_at_hand)?;
        Some(buffer.start()..buffer.start() + length)
    }

    /// Takes note that the body is [at hand](Pump::at_hand), and has been received whatever is read of it later.
    pub fn leave_at_hand(&mut self, buffer: &Buffer) {
        self.whole = self.at_hand(buffer).map_or(0, |place| place.len() as u64);
    }

    /// Takes the body that is [at hand](Pump::at_hand).
    pub fn take_at_hand(&mut self, buffer: &mut Buffer) {
        if let Some(place) = self.at_hand(buffer) {
            buffer.consume(place.len());
            self.reader.end();
            self.taken = place.len() as u64;
        }
    }

    /// Takes a large body in one piece, with the memory of the buffer, if `admit` has room for memory of that size. `None` if it has
    /// not, if not all of the body is there, or if it is not as large as that: then [`Pump::poll_take`] takes what there is.
    pub fn take_whole(
        &mut self,
        (transport, buffer): (&mut Transport, &mut Buffer),
        admit: impl FnOnce(usize) -> bool,
        context: &mut Context<'_>,
    ) -> Result<Option<Block>, BodyError> {
        let length = self
            .untaken_length()
            .filter(|length| (LEAST_WHOLE..=Buffer::MOST).contains(length));
        let Some(length) = length else { return Ok(None) };
        // Behind the body there may be the next request, which must stay.
        if !buffer.fill_to(length, transport, context)? || buffer.len() != length {
            return Ok(None);
        }
        if !admit(buffer.size()) {
            return Ok(None);
        }
        self.reader.end();
        self.taken = length as u64;
        Ok(Some(buffer.take_block()))
    }

    /// Has the body framed in another way, where the head that is begun next goes.
    pub fn frame(&mut self, outgoing: Outgoing) {
        self.outgoing = outgoing;
    }

    /// Makes a body of more than `limit` bytes an error. The bytes that are too many are not passed on.
    pub fn limit(&mut self, limit: u64) {
        self.limit = limit;
    }

    /// Reads the body before any of the message is written. Ready once the body has ended, or `limit` bytes and at most one
    /// read more have been kept. [`Pump::begin`] then sends what has been kept, and [`Pump::poll`] the rest.
    pub fn poll_read_ahead(
        &mut self,
        limit: usize,
        source: (&mut Transport, &mut Buffer),
        context: &mut Context<'_>,
    ) -> Poll<Result<(), BodyError>> {
        let (transport, buffer) = source;
        if let Some(Kept::Part(part)) = &self.kept {
            let bytes = part.to_vec();
            self.kept = Some(Kept::Start { bytes, limit: 0 });
        }
        while self.kept_bytes().len() < limit {
            let Some(data) = ready!(self.poll_take((&mut *transport, &mut *buffer), context))? else {
                break;
            };
            if let Kept::Start { bytes, .. } = self.kept.get_or_insert_with(Kept::nothing) {
                bytes.extend_from_slice(buffer.slice(data));
            }
        }
        Poll::Ready(Ok(()))
    }

    fn kept_bytes(&self) -> &[u8] {
        self.kept.as_ref().map_or(&[], Kept::bytes)
    }

    /// Begins with a head, which `write` appends to the vector. A further call begins again from the start of the body, as
    /// far as that has been kept.
    pub fn begin(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.sink = Sink::new();
        self.ended = false;
        self.stream = StreamState::default();
        self.waits_for = Side::Source;
        write(self.sink.before());
        self.head = self.sink.before().len() as u64;
        let kept = self.kept_bytes().len();
        self.sends_kept = kept > 0;
        if self.through.is_some() {
            self.begin_through();
            return;
        }
        if self.sends_kept {
            match self.outgoing {
                Outgoing::Plain | Outgoing::Stream => self.sink.add(0..kept, &[]),
                Outgoing::Chunked { .. } => {
                    let line = ChunkLine::new(kept as u64);
                    self.sink.before().extend_from_slice(line.as_bytes());
                    self.sink.add(0..kept, CRLF);
                }
            }
        }
        if !self.sink.has_data() {
            self.end_if_done();
        }
    }

    /// Whether the message can be sent again: all bytes of the body that were read have been kept.
    pub fn can_begin_again(&self) -> bool {
        let taken = match self.is_made_kept {
            true => self.given,
            false => self.taken,
        };
        match &self.kept {
            Some(Kept::Start { bytes, .. }) => bytes.len() as u64 == taken,
            Some(Kept::Part(part)) => part.len() as u64 == taken,
            Some(Kept::Whole(_)) => true,
            None => taken == 0,
        }
    }

    /// The whole body, if it has been read to its end and kept, or is [at hand](Pump::at_hand) and would be kept.
    pub fn whole_body<'a>(&'a self, buffer: &'a Buffer) -> Option<&'a [u8]> {
        if self.through.is_none()
            && let Some(place) = self.at_hand(buffer)
        {
            return (place.len() <= self.keep_limit).then(|| buffer.slice(place));
        }
        let is_whole = match self.through.is_some() {
            true => self.is_made_kept && self.ended,
            false => self.reader.is_done(),
        };
        (is_whole && self.can_begin_again()).then(|| self.kept_bytes())
    }

    /// Whether a byte of the body may have been written.
    pub fn has_sent_body(&self) -> bool {
        self.sink.written() > self.head
    }

    /// Whether everything has been written.
    pub fn is_done(&self) -> bool {
        self.ended
            && self.sink.is_empty()
            && (self.outgoing != Outgoing::Stream || self.stream == StreamState::End)
    }

    /// Whether the whole body has been read.
    pub fn is_read(&self) -> bool {
        self.reader.is_done()
    }

    /// Whether there is a body, of which nothing has been read.
    pub fn is_untouched(&self) -> bool {
        self.taken == 0 && !self.reader.is_done()
    }

    /// The number of bytes of the body that have been received.
    pub fn received(&self) -> u64 {
        self.taken.max(self.whole)
    }

    /// The number of bytes of the body that were read.
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// The number of bytes of the body that were handed on, which may be others than those that were read.
    pub fn given(&self) -> u64 {
        match &self.kept {
            _ if self.through.is_some() => self.given,
            Some(Kept::Whole(whole)) => whole.len() as u64,
            Some(Kept::Start { .. } | Kept::Part(_)) | None => self.taken,
        }
    }

    /// The number of bytes written, including the head. The head of a stream counts as one byte, and so does its end.
    pub fn written(&self) -> u64 {
        self.sink.written() + self.stream as u64
    }

    /// The side that the pump waits for, after `Pending`.
    pub fn waits_for(&self) -> Side {
        self.waits_for
    }

    /// The reader, to discard the rest of the body.
    pub fn reader(&mut self) -> &mut BodyReader {
        &mut self.reader
    }

    /// Moves as much of the message as possible. Ready once all of it has been written.
    pub fn poll(
        &mut self,
        source: (&mut Transport, &mut Buffer),
        target: &mut Transport,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), PumpError>> {
        let (transport, buffer) = source;
        loop {
            // Data that has been read already is written together with the head.
            if !self.ended && !self.sink.has_data() && !buffer.is_empty() {
                let data = self.reader.take(buffer).map_err(read_fault)?;
                self.add(data, buffer)?;
            }
            if self.outgoing == Outgoing::Stream && self.stream == StreamState::Nothing {
                target.flush_head().map_err(PumpError::Write)?;
                self.stream = StreamState::Head;
            }
            let kept = match (&self.kept, self.sends_kept) {
                (Some(kept), true) => Some(kept.bytes()),
                _ => None,
            };
            let slice = |range: Range<usize>| match kept {
                Some(kept) => &kept[range],
                None => buffer.slice(range),
            };
            match self.sink.poll_send(slice, target, context) {
                Poll::Ready(Ok(())) if self.sends_kept => {
                    self.sends_kept = false;
                    self.end_if_done();
                    continue;
                }
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(PumpError::Write(error))),
                Poll::Pending => {
                    self.waits_for = Side::Target;
                    return Poll::Pending;
                }
            }
            if self.ended {
                self.finish_stream(target).map_err(PumpError::Write)?;
                return Poll::Ready(Ok(()));
            }
            match self.reader.poll_data(buffer, transport, context) {
                Poll::Ready(Ok(Some(data))) => self.add(data, buffer)?,
                Poll::Ready(Ok(None)) => self.end_if_done(),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(PumpError::Read(error))),
                Poll::Pending => {
                    self.waits_for = Side::Source;
                    return Poll::Pending;
                }
            }
        }
    }

    /// Ends a stream of HTTP/2, once everything has been written.
    fn finish_stream(&mut self, target: &mut Transport) -> io::Result<()> {
        if self.outgoing == Outgoing::Stream && self.stream == StreamState::Head {
            target.finish(self.reader.trailers())?;
            self.stream = StreamState::End;
        }
        Ok(())
    }

    fn add(&mut self, data: Range<usize>, buffer: &Buffer) -> Result<(), PumpError> {
        if !data.is_empty() {
            self.taken += data.len() as u64;
            if self.taken > self.limit {
                return Err(PumpError::Read(BodyError::TooLarge));
            }
            if let Some(kept) = &mut self.kept {
                kept.add(buffer.slice(data.clone()));
            }
            match self.outgoing {
                Outgoing::Plain | Outgoing::Stream => self.sink.add(data, &[]),
                Outgoing::Chunked { .. } => {
                    let line = ChunkLine::new(data.len() as u64);
                    self.sink.before().extend_from_slice(line.as_bytes());
                    let is_last = self.reader.is_done() && self.reader.trailers().is_none();
                    self.ended = is_last;
                    self.sink.add(data, if is_last { CRLF_AND_END } else { CRLF });
                }
            }
        }
        if !self.sink.has_data() {
            self.end_if_done();
        } else if !matches!(self.outgoing, Outgoing::Chunked { .. }) && self.reader.is_done() {
            self.ended = true;
        }
        Ok(())
    }

    /// Adds the end of the body to the sink, if it has been read to its end.
    fn end_if_done(&mut self) {
        if self.ended || !self.reader.is_done() {
            return;
        }
        self.ended = true;
        if let Outgoing::Chunked { trailers } = self.outgoing {
            let before = self.sink.before();
            before.extend_from_slice(LAST_CHUNK);
            if let Some(fields) = self.reader.trailers().filter(|_| trailers) {
                encode::fields(before, fields.iter(), |_| true);
            }
            before.extend_from_slice(CRLF);
        }
    }
}

impl Kept {
    fn nothing() -> Kept {
        Kept::Start {
            bytes: Vec::new(),
            limit: 0,
        }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Kept::Start { bytes, .. } => bytes,
            Kept::Part(bytes) | Kept::Whole(bytes) => bytes,
        }
    }

    fn into_bytes(self) -> Bytes {
        match self {
            Kept::Start { bytes, .. } => bytes.into(),
            Kept::Part(bytes) | Kept::Whole(bytes) => bytes,
        }
    }

    fn add(&mut self, data: &[u8]) {
        match self {
            Kept::Start { bytes, limit } if bytes.len() + data.len() <= *limit => {
                bytes.extend_from_slice(data)
            }
            // The body is longer than the limit, and its start alone is of no use.
            Kept::Start { .. } | Kept::Part(_) => *self = Kept::nothing(),
            Kept::Whole(_) => {}
        }
    }
}

fn read_fault(fault: Fault) -> PumpError {
    PumpError::Read(BodyError::Fault(fault))
}
