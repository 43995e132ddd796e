//! Lines.

use bytes::Bytes;

use super::unit::Shape;
use super::{Found, UnitTooLarge};

/// The search for the end of a line.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// How many bytes have no LF among them.
    searched: usize,
}

impl Scan {
    /// Finds the next line in bytes that are not empty.
    pub(super) fn next(
        &mut self,
        bytes: &[u8],
        limit: usize,
        is_finished: bool,
    ) -> Result<Found, UnitTooLarge> {
        let found = memchr::memchr(b'\n', &bytes[self.searched..]);
        let (length, content) = match found {
            Some(found) => {
                let line = &bytes[..self.searched + found];
                (line.len() + 1, without_return(line).len())
            }
            None if is_finished => (bytes.len(), bytes.len()),
            // The last byte may belong to the line's end.
            None if without_return(bytes).len() <= limit => {
                self.searched = bytes.len();
                return Ok(Found::More);
            }
            None => return Err(UnitTooLarge),
        };
        if content > limit {
            return Err(UnitTooLarge);
        }
        self.searched = 0;
        Ok(Found::Unit(length, Shape::Line { content }))
    }
}

fn without_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// A line to send last, behind one that has no end if `is_open`.
pub(super) fn added(content: &[u8], is_open: bool) -> Bytes {
    let before: &[u8] = if is_open { b"\n" } else { b"" };
    [before, content, b"\n"].concat().into()
}
