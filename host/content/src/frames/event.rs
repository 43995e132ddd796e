//! Server-sent events, as the WHATWG defines them (HTML, section 9.2.6).

mod fields;

pub use self::fields::EventFields;
pub(super) use self::fields::{Fields, added, changed};
use super::unit::Shape;
use super::{Found, UnitTooLarge};

/// The byte order mark, which may stand at the beginning of a stream.
pub(super) const MARK: &[u8] = b"\xef\xbb\xbf";

/// The search for the end of an event.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// Whether the stream has begun, with or without a byte order mark.
    has_begun: bool,
    /// Whether the last event ended with CR at the end of what was there, so that an LF belongs to it.
    is_after_return: bool,
    /// Where the line at hand begins.
    line: usize,
    /// How many bytes were searched for the line's end.
    searched: usize,
}

impl Scan {
    /// Whether the bytes begin with an event of which nothing has been searched.
    pub(super) fn is_at_event(&self) -> bool {
        self.has_begun && !self.is_after_return && self.searched == 0
    }

    /// Passes over the events that end in the first `clear` of these bytes, which begin with one. Returns their length.
    pub(super) fn pass_over(&mut self, bytes: &[u8], clear: usize) -> Option<usize> {
        let end = last_end(bytes, clear)?;
        self.note_passed(&bytes[..end]);
        Some(end)
    }

    /// Takes note of events that have passed, of which the last may be followed by the rest of its end.
    pub(super) fn note_passed(&mut self, events: &[u8]) {
        self.is_after_return = events.ends_with(b"\r");
    }

    /// Finds the next event in bytes that are not empty.
    pub(super) fn next(
        &mut self,
        bytes: &[u8],
        limit: usize,
        is_finished: bool,
    ) -> Result<Found, UnitTooLarge> {
        if !self.has_begun {
            if bytes.len() < MARK.len() && MARK.starts_with(bytes) && !is_finished {
                return Ok(Found::More);
            }
            self.has_begun = true;
            if bytes.starts_with(MARK) {
                return Ok(Found::Between(MARK.len()));
            }
        }
        if std::mem::take(&mut self.is_after_return) && bytes[0] == b'\n' {
            return Ok(Found::Late(1));
        }
        while let Some(found) = memchr::memchr2(b'\n', b'\r', &bytes[self.searched..]) {
            let end = self.searched + found;
            let is_empty = end == self.line;
            let is_last = end + 1 == bytes.len();
            // Whether an LF belongs to a CR is not known before the next byte. An empty line ends the event without
            // waiting for it: there may be none for long.
            if bytes[end] == b'\r' && is_last && !is_empty && !is_finished {
                break;
            }
            let behind = end + line_end(&bytes[end..]);
            if !is_empty {
                (self.line, self.searched) = (behind, behind);
                continue;
            }
            if self.line > limit {
                return Err(UnitTooLarge);
            }
            let block = &bytes[..self.line];
            self.is_after_return = bytes[end] == b'\r' && is_last;
            (self.line, self.searched) = (0, 0);
            return Ok(match Fields::of(block) {
                Some(fields) => Found::Unit(behind, Shape::Event(fields)),
                None => Found::Between(behind),
            });
        }
        if bytes.len() > limit {
            return Err(UnitTooLarge);
        }
        if is_finished {
            return Ok(Found::Tail(bytes.len()));
        }
        self.searched = bytes.len() - usize::from(bytes.ends_with(b"\r"));
        Ok(Found::More)
    }
}

/// Whether the last of these bytes, which begin with an event, is the last of one.
pub(super) fn ends_with_event(bytes: &[u8]) -> bool {
    last_end(bytes, bytes.len()) == Some(bytes.len())
}

/// Where the last empty line ends that begins in the first `clear` of these bytes, behind another line.
fn last_end(bytes: &[u8], clear: usize) -> Option<usize> {
    let mut before = clear;
    while let Some(at) = memchr::memrchr2(b'\n', b'\r', &bytes[..before]) {
        let line_before = at.checked_sub(1).map(|last| bytes[last]);
        match (line_before, bytes[at]) {
            // One line end.
            (Some(b'\r'), b'\n') => {}
            (Some(b'\r' | b'\n'), _) => return Some(at + line_end(&bytes[at..])),
            _ => {}
        }
        before = at;
    }
    None
}

/// The length of the line end that begins here.
fn line_end(bytes: &[u8]) -> usize {
    if bytes.starts_with(b"\r\n") { 2 } else { 1 }
}
