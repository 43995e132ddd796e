//! A body on its way from one connection to the other.

use std::io;
use std::ops::Range;
use std::task::{Context, Poll};

use pace_wire::chunked::Fault;
use pace_wire::encode::{self, ChunkLine, LAST_CHUNK};

use super::body::{BodyError, BodyReader};
use super::sink::Sink;
use crate::io::{Buffer, Transport};

/// How the body is framed where it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outgoing {
    /// As it is: its length is in the head, it ends with the connection, or there is none.
    Plain,
    /// In chunks. Trailers follow if the other side wants them.
    Chunked {
        /// Whether it does.
        trailers: bool,
    },
}

/// Whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Bytes must come from where the body comes from.
    Source,
    /// They must be taken where it goes.
    Target,
}

/// Why a body did not get to its end.
#[derive(Debug)]
pub enum PumpError {
    /// It did not arrive.
    Read(BodyError),
    /// It was not taken.
    Write(io::Error),
}

/// Moves one message, from its head on. What is read is written before more is read, so that the slower side sets the pace
/// and the memory for one read is all that is held.
#[derive(Debug)]
pub struct Pump {
    reader: BodyReader,
    outgoing: Outgoing,
    sink: Sink,
    /// Everything has been given to the sink.
    ended: bool,
    /// Bytes of data taken.
    taken: u64,
    /// The length of the head.
    head: u64,
    waits_for: Side,
    replay: Option<Replay>,
}

/// The beginning of a body, kept to be sent again.
#[derive(Debug)]
struct Replay {
    bytes: Vec<u8>,
    limit: usize,
}

const CRLF: &[u8] = b"\r\n";
const CRLF_AND_END: &[u8] = b"\r\n0\r\n\r\n";

impl Pump {
    /// For a body, framed anew. The head is written first: [`Pump::head`].
    pub fn new(reader: BodyReader, outgoing: Outgoing) -> Pump {
        Pump {
            reader,
            outgoing,
            sink: Sink::new(),
            ended: false,
            taken: 0,
            head: 0,
            waits_for: Side::Source,
            replay: None,
        }
    }

    /// Keeps up to `limit` bytes of the body, so that it can be sent again.
    pub fn keep(&mut self, limit: usize) {
        self.replay = Some(Replay {
            bytes: Vec::new(),
            limit,
        });
    }

    /// Begins with a head, which `write` appends to what it is given. Called again, it begins from the start of the body,
    /// as far as that has been kept.
    pub fn begin(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.sink = Sink::new();
        self.ended = false;
        self.waits_for = Side::Source;
        write(self.sink.before());
        self.head = self.sink.before().len() as u64;
        if let Some(replay) = &self.replay
            && !replay.bytes.is_empty()
        {
            let before = self.sink.before();
            match self.outgoing {
                Outgoing::Plain => before.extend_from_slice(&replay.bytes),
                Outgoing::Chunked { .. } => {
                    before.extend_from_slice(ChunkLine::new(replay.bytes.len() as u64).as_bytes());
                    before.extend_from_slice(&replay.bytes);
                    before.extend_from_slice(CRLF);
                }
            }
        }
        self.end_if_done();
    }

    /// Whether it can begin again: nothing of the body has been taken that is not kept.
    pub fn can_begin_again(&self) -> bool {
        match &self.replay {
            Some(replay) => replay.bytes.len() as u64 == self.taken,
            None => self.taken == 0,
        }
    }

    /// Whether something of the body has been written, or may have been.
    pub fn has_sent_body(&self) -> bool {
        self.sink.written() > self.head
    }

    /// Whether everything has been written.
    pub fn is_done(&self) -> bool {
        self.ended && self.sink.is_empty()
    }

    /// Whether all of the body has been read.
    pub fn is_read(&self) -> bool {
        self.reader.is_done()
    }

    /// Whether nothing of the body has been read that is there.
    pub fn is_untouched(&self) -> bool {
        self.taken == 0 && !self.reader.is_done()
    }

    /// Bytes of the body that have been read.
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// Bytes written, the head's among them.
    pub fn written(&self) -> u64 {
        self.sink.written()
    }

    /// After `Pending`: who is waited for.
    pub fn waits_for(&self) -> Side {
        self.waits_for
    }

    /// The reader, to read over what is not wanted any more.
    pub fn reader(&mut self) -> &mut BodyReader {
        &mut self.reader
    }

    /// Moves what can be moved.
    pub fn poll(
        &mut self,
        source: (&mut Transport, &mut Buffer),
        target: &mut Transport,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), PumpError>> {
        let (transport, buffer) = source;
        loop {
            // What is there already goes with the head, in one piece.
            if !self.ended && !self.sink.has_data() && !buffer.is_empty() {
                let data = self.reader.take(buffer).map_err(read_fault)?;
                self.add(data, buffer);
            }
            match self.sink.poll_send(|range| buffer.slice(range), target, context) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(PumpError::Write(error))),
                Poll::Pending => {
                    self.waits_for = Side::Target;
                    return Poll::Pending;
                }
            }
            if self.ended {
                return Poll::Ready(Ok(()));
            }
            match self.reader.poll_data(buffer, transport, context) {
                Poll::Ready(Ok(Some(data))) => self.add(data, buffer),
                Poll::Ready(Ok(None)) => self.end_if_done(),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(PumpError::Read(error))),
                Poll::Pending => {
                    self.waits_for = Side::Source;
                    return Poll::Pending;
                }
            }
        }
    }

    fn add(&mut self, data: Range<usize>, buffer: &Buffer) {
        if !data.is_empty() {
            self.taken += data.len() as u64;
            if let Some(replay) = &mut self.replay {
                replay.add(buffer.slice(data.clone()));
            }
            match self.outgoing {
                Outgoing::Plain => self.sink.add(data, &[]),
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
        } else if self.outgoing == Outgoing::Plain && self.reader.is_done() {
            self.ended = true;
        }
    }

    /// Gives the end of the body to the sink, if that is next.
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

impl Replay {
    fn add(&mut self, data: &[u8]) {
        if self.bytes.len() + data.len() <= self.limit {
            self.bytes.extend_from_slice(data);
        } else {
            // More than is kept: the beginning alone is of no use.
            self.limit = 0;
            self.bytes = Vec::new();
        }
    }
}

fn read_fault(fault: Fault) -> PumpError {
    PumpError::Read(BodyError::Fault(fault))
}
