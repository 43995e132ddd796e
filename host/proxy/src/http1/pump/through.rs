//! Messages whose body passes something that looks at it and may change it.

use std::io;
use std::ops::Range;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use pace_hook::Body;
use pace_wire::encode::{self, ChunkLine, LAST_CHUNK};
use pace_wire::fields::Fields;

use super::{CRLF, CRLF_AND_END, Kept, Outgoing, Pump, PumpError, Side, StreamState};
use crate::http1::body::BodyError;
use crate::io::{Buffer, Transport};

/// Something that a body passes on its way.
pub trait Transform {
    /// Takes note of the next bytes of the body, which are not its last, if they are sent as they are, and returns whether they
    /// are. Those that are not have to be pushed. Called after [`Flow::More`] only.
    fn pass(&mut self, bytes: &[u8]) -> bool;

    /// Takes the next bytes of the body. Called after [`Flow::More`] only.
    fn push(&mut self, bytes: &[u8]);

    /// Takes note that the body is complete, behind the last bytes or after [`Flow::More`].
    fn finish(&mut self);

    /// The next thing to do. It is pending, and has woken the task, if it has taken long enough for once.
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Flow>;

    /// Whether it may make something else of the body than what it is, so that the length is not that which was announced.
    fn edits(&self) -> bool;

    /// Corrects the trailers, which follow what was sent.
    fn correct_trailers(&self, trailers: &mut Fields);
}

/// The next thing to do for a [`Transform`].
#[derive(Debug)]
pub enum Flow {
    /// These bytes are sent; there is at least one.
    Bytes(Bytes),
    /// More of the body is wanted.
    More,
    /// The message is complete.
    End,
    /// The message breaks off.
    Broken,
}

/// The end of a message that went through a [`Transform`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passed {
    /// All of it has been written.
    Whole,
    /// The transform has broken it off.
    Broken,
}

/// The reason why no more of a message follows.
#[derive(Debug)]
pub(super) enum Stopped {
    /// The transform has broken it off.
    Broken,
    /// The source has.
    Failed(BodyError),
}

/// Pieces of a message that are written together. A message in many small ones would take a write for each.
///
/// They are in one of the two, and the other is empty.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    /// A single piece, which need not be copied.
    one: Bytes,
    /// Several pieces in a row.
    several: BytesMut,
}

/// The number of bytes that are written without waiting for more.
const ENOUGH: usize = 16 << 10;

impl Gathered {
    fn push(&mut self, piece: Bytes) {
        if self.is_empty() {
            self.one = piece;
            return;
        }
        let first = std::mem::take(&mut self.one);
        self.several.extend_from_slice(&first);
        self.several.extend_from_slice(&piece);
    }

    fn len(&self) -> usize {
        self.one.len() + self.several.len()
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn take(&mut self) -> Bytes {
        match self.several.is_empty() {
            true => std::mem::take(&mut self.one),
            false => self.several.split().freeze(),
        }
    }
}

impl Pump {
    /// Has the body go through a transform: [`Pump::begin`] then adds the head alone, and [`Pump::poll_through`] is to be
    /// called instead of [`Pump::poll`].
    pub fn pass_through(&mut self, message: Body) {
        self.through = Some(message);
    }

    /// Moves as much of the message as possible. Ready once all of it has been written, or the transform has broken it off.
    ///
    /// What the transform makes of one read is written together, 16 KiB or a little more at a time, and before the next read. A
    /// read that passes as it is is written from where it was read. The head is not written before something follows, or the
    /// source has to be waited for: until then it can be another. What follows the last unit of a message is not written before
    /// the transform has seen that it is the last.
    pub fn poll_through(
        &mut self,
        (transport, buffer): (&mut Transport, &mut Buffer),
        target: &mut Transport,
        through: &mut dyn Transform,
        context: &mut Context<'_>,
    ) -> Poll<Result<Passed, PumpError>> {
        loop {
            if self.stopped.is_some() {
                return self.poll_stop(buffer, target, context);
            }
            if self.sink.has_data() || self.ended {
                ready!(self.poll_write(buffer, target, context)).map_err(PumpError::Write)?;
                if self.ended {
                    self.finish_stream(target).map_err(PumpError::Write)?;
                    return Poll::Ready(Ok(Passed::Whole));
                }
            }
            match through.poll_next(context) {
                Poll::Ready(Flow::Bytes(bytes)) => {
                    // A message that stays as it is has its length announced. Whoever has all of it does not see that it is broken
                    // off, so the last bytes wait for the end.
                    let is_measured = !matches!(self.outgoing, Outgoing::Chunked { .. });
                    let is_last = is_measured && !through.edits() && self.reader.is_done();
                    let bytes = match is_last {
                        true => std::mem::replace(&mut self.held, bytes),
                        false => bytes,
                    };
                    self.add_made(bytes);
                    // And it must never have another length, or what follows it is read as its rest: nothing more is written.
                    if !through.edits() && self.given > self.pushed {
                        return Poll::Ready(Ok(Passed::Broken));
                    }
                    if self.gathered.len() >= ENOUGH {
                        self.send_gathered();
                    }
                }
                Poll::Ready(Flow::Broken) => self.stop(Stopped::Broken),
                Poll::Ready(Flow::End) if !self.held.is_empty() => {
                    let held = std::mem::take(&mut self.held);
                    self.add_made(held);
                }
                Poll::Ready(Flow::End) => {
                    if !through.edits() && self.given != self.pushed {
                        return Poll::Ready(Ok(Passed::Broken));
                    }
                    if let Some(trailers) = self.reader.trailers_mut() {
                        through.correct_trailers(trailers);
                    }
                    self.end_through();
                }
                // What was made of the bytes before is on its way before more are read.
                Poll::Ready(Flow::More) if !self.gathered.is_empty() => self.send_gathered(),
                Poll::Ready(Flow::More) => match self.poll_source((transport, buffer), context) {
                    Poll::Ready(Ok(Some(data))) => {
                        let bytes = match &data {
                            Source::Kept(bytes) => bytes,
                            Source::Read(place) => buffer.slice(place.clone()),
                        };
                        self.pushed += bytes.len() as u64;
                        // The end may be known by now, and the last bytes must not be sent before it is.
                        let is_last = self.reader.is_done();
                        match &data {
                            Source::Read(place) if !is_last && through.pass(bytes) => {
                                self.note_given(bytes);
                                self.send_read(place.clone());
                            }
                            _ => through.push(bytes),
                        }
                        if is_last {
                            through.finish();
                        }
                    }
                    Poll::Ready(Ok(None)) => through.finish(),
                    Poll::Ready(Err(error)) => self.stop(Stopped::Failed(error)),
                    Poll::Pending => {
                        ready!(self.poll_write(buffer, target, context)).map_err(PumpError::Write)?;
                        self.waits_for = Side::Source;
                        return Poll::Pending;
                    }
                },
                Poll::Pending => {
                    self.send_gathered();
                    if self.sink.has_data() {
                        ready!(self.poll_write(buffer, target, context)).map_err(PumpError::Write)?;
                    }
                    // Neither side is to blame for the time that it takes.
                    self.waits_for = Side::Transform;
                    return Poll::Pending;
                }
            }
        }
    }

    /// Writes the head, and the data behind it.
    fn poll_write(
        &mut self,
        buffer: &Buffer,
        target: &mut Transport,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        if self.outgoing == Outgoing::Stream && self.stream == StreamState::Nothing {
            target.flush_head()?;
            self.stream = StreamState::Head;
        }
        let (made, sends_read) = (&self.made, self.sends_read);
        let slice = |range: Range<usize>| match sends_read {
            true => buffer.slice(range),
            false => &made[range],
        };
        let sent = self.sink.poll_send(slice, target, context);
        match sent {
            Poll::Pending => self.waits_for = Side::Target,
            Poll::Ready(_) => {
                self.made = Bytes::new();
                self.sends_read = false;
            }
        }
        sent
    }

    /// The next bytes of the body: those that were kept come first.
    fn poll_source(
        &mut self,
        (transport, buffer): (&mut Transport, &mut Buffer),
        context: &mut Context<'_>,
    ) -> Poll<Result<Option<Source>, BodyError>> {
        if !std::mem::replace(&mut self.is_made_kept, true) {
            // A further attempt sends what is made of them.
            let limit = self.keep_limit;
            let bytes = Vec::new();
            let made = (limit > 0).then_some(Kept::Start { bytes, limit });
            let kept = std::mem::replace(&mut self.kept, made).map_or_else(Bytes::new, Kept::into_bytes);
            if !kept.is_empty() {
                return Poll::Ready(Ok(Some(Source::Kept(kept))));
            }
        }
        let data = ready!(self.poll_take((transport, buffer), context))?;
        Poll::Ready(Ok(data.map(Source::Read)))
    }

    /// Begins again with what was made before, as far as that has been kept.
    pub(super) fn begin_through(&mut self) {
        self.sends_kept = false;
        self.sends_read = false;
        self.made = Bytes::new();
        self.gathered = Gathered::default();
        if self.stopped.is_some() {
            return;
        }
        let kept = self.kept_bytes();
        if self.is_made_kept && !kept.is_empty() {
            let kept = Bytes::copy_from_slice(kept);
            self.send_made(kept, CRLF);
        }
    }

    fn add_made(&mut self, bytes: Bytes) {
        if bytes.is_empty() {
            return;
        }
        self.note_given(&bytes);
        self.gathered.push(bytes);
    }

    fn note_given(&mut self, bytes: &[u8]) {
        self.given += bytes.len() as u64;
        if let Some(kept) = &mut self.kept {
            kept.add(bytes);
        }
    }

    /// Ends the message before its end, behind what has passed. If nothing has, its head is not written either.
    fn stop(&mut self, stopped: Stopped) {
        self.stopped = Some(stopped);
        self.send_gathered();
    }

    /// Writes what has passed of a message that has stopped. The reader of a request that will not be complete is not waited for.
    fn poll_stop(
        &mut self,
        buffer: &Buffer,
        target: &mut Transport,
        context: &mut Context<'_>,
    ) -> Poll<Result<Passed, PumpError>> {
        if self.written() > 0 || self.sink.has_data() {
            // If it cannot be written, that is no news: the message is over.
            let is_waited_for = self.through == Some(Body::Response);
            if self.poll_write(buffer, target, context).is_pending() && is_waited_for {
                return Poll::Pending;
            }
        }
        Poll::Ready(self.give_up().unwrap_or(Ok(Passed::Broken)))
    }

    /// The reason why a message has stopped, if it has, whether what has passed is written or not.
    pub fn give_up(&mut self) -> Option<Result<Passed, PumpError>> {
        match self.stopped.take()? {
            Stopped::Failed(error) => Some(Err(PumpError::Read(error))),
            // The transform would say something else the next time.
            Stopped::Broken => {
                self.stopped = Some(Stopped::Broken);
                Some(Ok(Passed::Broken))
            }
        }
    }

    fn send_gathered(&mut self) {
        let bytes = self.gathered.take();
        if !bytes.is_empty() {
            self.send_made(bytes, CRLF);
        }
    }

    /// Has bytes written. `behind` follows them if they are a chunk.
    fn send_made(&mut self, bytes: Bytes, behind: &'static [u8]) {
        self.send(0..bytes.len(), behind);
        self.made = bytes;
        self.sends_read = false;
    }

    /// Has bytes written from where they were read.
    fn send_read(&mut self, place: Range<usize>) {
        self.send(place, CRLF);
        self.sends_read = true;
    }

    fn send(&mut self, range: Range<usize>, behind: &'static [u8]) {
        match self.outgoing {
            Outgoing::Plain | Outgoing::Stream => self.sink.add(range, &[]),
            Outgoing::Chunked { .. } => {
                let line = ChunkLine::new(range.len() as u64);
                self.sink.before().extend_from_slice(line.as_bytes());
                self.sink.add(range, behind);
            }
        }
    }

    /// Adds the end of the body, which the transform has decided on.
    fn end_through(&mut self) {
        self.ended = true;
        let last = self.gathered.take();
        let Outgoing::Chunked { trailers } = self.outgoing else {
            if !last.is_empty() {
                self.send_made(last, &[]);
            }
            return;
        };
        let trailers = self.reader.trailers().filter(|_| trailers);
        match (trailers, last.is_empty()) {
            (None, false) => self.send_made(last, CRLF_AND_END),
            (None, true) => {
                let before = self.sink.before();
                before.extend_from_slice(LAST_CHUNK);
                before.extend_from_slice(CRLF);
            }
            (Some(fields), _) => {
                let before = self.sink.before();
                if !last.is_empty() {
                    before.extend_from_slice(ChunkLine::new(last.len() as u64).as_bytes());
                    before.extend_from_slice(&last);
                    before.extend_from_slice(CRLF);
                }
                before.extend_from_slice(LAST_CHUNK);
                encode::fields(before, fields.iter(), |_| true);
                before.extend_from_slice(CRLF);
            }
        }
    }
}

/// Bytes of the body.
enum Source {
    /// Those that were kept.
    Kept(Bytes),
    /// The place in the buffer of those that were read.
    Read(Range<usize>),
}
