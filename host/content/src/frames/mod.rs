//! Messages that pass in units: how they are cut, and put together again.
//!
//! ```text
//!          push            next_piece                   put_back
//! bytes ────────▶ Cutter ──┬──▶ Piece::Unit ──▶ plugin ──────────▶ bytes
//!                          └──▶ Piece::Pass ─────────────────────▶ bytes
//! ```
//!
//! All pieces, one behind the other, are the message: what no plugin changes passes byte for byte. A piece that is no
//! unit is one in which there is nothing to see: what lies between events, or units without a string of interest, as
//! many as come together.
//!
//! | module | what it has |
//! |---|---|
//! | `chunk`, `line`, `event` | where the next unit ends, for each framing |
//! | `interest` | the strings that a filter looks for |
//! | `unit` | a unit in the hands of a plugin |
//! | `stage` | what becomes of the units, and of the rest of the message |

mod chunk;
mod event;
mod interest;
mod line;
mod stage;
mod unit;

use bytes::{Buf, Bytes, BytesMut};

pub use self::event::EventFields;
pub use self::interest::{IllegalInterest, Interest};
pub use self::stage::{Advance, Filter, Stage};
pub use self::unit::Unit;
use crate::body::{Access, Content};

/// The way in which a message is cut into units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// The bytes that have come at once, at most [`CHUNK`] of them.
    Chunk,
    /// Lines, which end with LF or CRLF.
    Line,
    /// Server-sent events, as the WHATWG defines them.
    Event,
}

/// The most bytes of a chunk.
pub const CHUNK: usize = 64 * 1024;

/// The decision about a unit, and about the rest of the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The unit is sent.
    Pass,
    /// The unit is not sent.
    Drop,
    /// The unit is sent, and the rest passes unseen.
    Finish,
    /// The unit is sent, and the message ends there.
    Stop,
    /// The unit is not sent, and the message is broken off.
    Cut,
}

/// A piece of the message.
#[derive(Debug)]
pub enum Piece {
    /// Bytes that pass without being shown.
    Pass(Bytes),
    /// A unit to be shown.
    Unit(Unit),
}

/// A line or an event is longer than the limit: `unit-too-large`. [`Cutter::into_rest`] has it, and all that follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnitTooLarge;

/// Cuts a message into units while it arrives.
#[derive(Debug)]
pub struct Cutter {
    scan: Scan,
    interest: Interest,
    access: Access,
    /// The most bytes of a unit, before and after an edit.
    limit: u32,
    /// The bytes that were pushed and not given out.
    buffer: BytesMut,
    /// How many of them, from the first on, pass without being shown.
    passing: usize,
    /// The unit behind those, if it has been found already.
    ready: Option<Found>,
    is_finished: bool,
    /// Whether the last unit went on as it came.
    is_last_kept: bool,
    /// Whether the last line that went on has no end.
    is_line_open: bool,
    /// Whether a piece was given out, and whether one of them was sent.
    has_given: bool,
    has_sent: bool,
}

/// The progress of the search for the next unit.
#[derive(Debug)]
enum Scan {
    Chunk,
    Line(line::Scan),
    Event(event::Scan),
}

/// The next thing in the buffer.
#[derive(Debug)]
enum Found {
    /// Nothing yet.
    More,
    /// Bytes that are no unit.
    Between(usize),
    /// Bytes that belong to the last unit: they are sent if it was, as it came.
    Late(usize),
    /// What has come of a unit that nothing will complete.
    Tail(usize),
    /// A unit of so many bytes, with its end.
    Unit(usize, unit::Shape),
}

impl Cutter {
    /// A cutter at the start of a message. `limit` is the most bytes of a line or an event, and of what takes the place
    /// of a unit.
    pub fn new(framing: Framing, access: Access, interest: Interest, limit: u32) -> Cutter {
        Cutter {
            scan: match framing {
                Framing::Chunk => Scan::Chunk,
                Framing::Line => Scan::Line(line::Scan::default()),
                Framing::Event => Scan::Event(event::Scan::default()),
            },
            interest,
            access,
            limit: limit.min(Content::MOST),
            buffer: BytesMut::new(),
            passing: 0,
            ready: None,
            is_finished: false,
            is_last_kept: true,
            is_line_open: false,
            has_given: false,
            has_sent: false,
        }
    }

    /// Whether these bytes, if they came next, would pass all at once and without being shown. Then they need not be pushed:
    /// [`Cutter::note_passed`] is enough. If it says no, they may still pass.
    pub fn passes(&self, bytes: &[u8]) -> bool {
        let waits = !self.is_empty() || self.is_finished;
        let may_move_mark = self.has_given && !self.has_sent;
        if waits || may_move_mark || bytes.len() > self.limit as usize {
            return false;
        }
        match &self.scan {
            Scan::Chunk => !self.interest.is_in(bytes) && self.interest.cut(bytes) == bytes.len(),
            Scan::Line(_) => bytes.ends_with(b"\n") && self.is_clear(bytes),
            Scan::Event(scan) => scan.is_at_event() && event::ends_with_event(bytes) && self.is_clear(bytes),
        }
    }

    /// Takes note of bytes that pass, and were not pushed.
    pub fn note_passed(&mut self, bytes: &[u8]) {
        if let Scan::Event(scan) = &mut self.scan {
            scan.note_passed(bytes);
        }
        self.is_last_kept = true;
        self.is_line_open = false;
        self.has_given = true;
        self.has_sent = true;
    }

    /// Whether there is nothing of interest in any line of these bytes.
    fn is_clear(&self, bytes: &[u8]) -> bool {
        self.interest.first_occurrence(bytes) == bytes.len()
    }

    /// The number of bytes that were pushed and not given out.
    #[cfg(test)]
    fn buffered(&self) -> usize {
        self.buffer.len()
    }

    /// Whether all bytes that were pushed have been given out.
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// Adds bytes of the message.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Notes that the message is complete.
    pub fn finish(&mut self) {
        self.is_finished = true;
    }

    /// The next piece. `None`: more bytes are needed, or after [`Cutter::finish`] there are no more.
    ///
    /// The unit before has to be put back first, or dropped.
    pub fn next_piece(&mut self) -> Result<Option<Piece>, UnitTooLarge> {
        loop {
            let found = match self.ready.take() {
                Some(found) => found,
                None => self.scan()?,
            };
            match found {
                Found::More => return Ok(self.take_passing().map(Piece::Pass)),
                Found::Between(length) => {
                    self.passing += length;
                    self.is_last_kept = true;
                }
                Found::Late(length) if self.is_last_kept => self.passing += length,
                Found::Tail(length) if self.access != Access::Edit => self.passing += length,
                Found::Late(length) | Found::Tail(length) => {
                    // They are left out, and what passes before them is not.
                    if let Some(passing) = self.take_passing() {
                        self.ready = Some(found);
                        return Ok(Some(Piece::Pass(passing)));
                    }
                    self.buffer.advance(length);
                }
                Found::Unit(length, shape) => {
                    let raw = &self.buffer[self.passing..self.passing + length];
                    if !self.interest.is_in(shape.content(raw)) {
                        self.passing += length;
                        self.is_last_kept = true;
                        self.is_line_open = shape.is_open_line(raw);
                    } else if let Some(passing) = self.take_passing() {
                        self.ready = Some(Found::Unit(length, shape));
                        return Ok(Some(Piece::Pass(passing)));
                    } else {
                        let raw = self.buffer.split_to(length).freeze();
                        self.is_last_kept = self.access != Access::Edit;
                        self.has_given = true;
                        return Ok(Some(Piece::Unit(Unit::new(raw, shape, self.access, self.limit))));
                    }
                }
            }
        }
    }

    /// The bytes to send for a unit that passes, as it is now.
    pub fn put_back(&mut self, unit: Unit) -> Bytes {
        self.is_last_kept = !unit.is_changed();
        self.is_line_open = unit.is_open_line();
        let bytes = unit.into_bytes();
        self.send(bytes)
    }

    /// The bytes to send for a unit that passes as it came, and is not the filter's any more.
    pub fn give_back(&mut self, unit: Unit) -> Bytes {
        let bytes = unit.into_raw();
        self.send(bytes)
    }

    /// The bytes to send for what a filter adds when the message is complete: as a line or an event of its own where
    /// units are that.
    pub fn last(&self, content: Content) -> Bytes {
        let added = content.into_shown();
        if added.is_empty() {
            return added;
        }
        match self.scan {
            Scan::Chunk => added,
            Scan::Line(_) => line::added(&added, self.is_line_open),
            Scan::Event(_) => event::added(&added),
        }
    }

    /// All bytes that were pushed and not given out, for a message of which the rest passes: after [`Step::Finish`], or
    /// behind the unit at which a filter has failed.
    pub fn into_rest(mut self) -> Bytes {
        let rest = std::mem::take(&mut self.buffer).freeze();
        self.send(rest)
    }

    /// Finds what comes next behind the bytes that pass.
    fn scan(&mut self) -> Result<Found, UnitTooLarge> {
        let bytes = &self.buffer[self.passing..];
        if bytes.is_empty() {
            return Ok(Found::More);
        }
        let limit = self.limit as usize;
        match &mut self.scan {
            Scan::Chunk => Ok(chunk::scan(bytes, &self.interest, limit, self.is_finished)),
            Scan::Line(scan) => scan.next(bytes, limit, self.is_finished),
            Scan::Event(scan) => {
                // Most events of a stream are of no interest, and one search over all of them is quicker than one in each.
                if scan.is_at_event() && bytes.len() <= limit {
                    let clear = self.interest.first_occurrence(bytes);
                    if let Some(length) = scan.pass_over(bytes, clear) {
                        return Ok(Found::Between(length));
                    }
                }
                scan.next(bytes, limit, self.is_finished)
            }
        }
    }

    fn take_passing(&mut self) -> Option<Bytes> {
        let length = std::mem::take(&mut self.passing);
        (length > 0).then(|| {
            let passing = self.buffer.split_to(length).freeze();
            let passing = self.send(passing);
            self.has_given = true;
            passing
        })
    }

    /// Notes that these bytes are sent.
    ///
    /// A byte order mark is ignored at the beginning of a stream of events, and is part of a name elsewhere. One that
    /// gets to the beginning because everything before it was dropped would show a client an event that no plugin has
    /// seen, so an empty line comes before it.
    fn send(&mut self, bytes: Bytes) -> Bytes {
        let is_moved =
            self.access == Access::Edit && self.has_given && !self.has_sent && bytes.starts_with(event::MARK);
        self.has_sent |= !bytes.is_empty();
        match self.scan {
            Scan::Event(_) if is_moved => [b"\n", &bytes[..]].concat().into(),
            Scan::Chunk | Scan::Line(_) | Scan::Event(_) => bytes,
        }
    }
}

#[cfg(test)]
mod tests;
