//! Chunks: the bytes that have come at once.

use super::unit::Shape;
use super::{CHUNK, Found, Interest};

/// Finds the next chunk in bytes that are not empty.
pub(super) fn scan(bytes: &[u8], interest: &Interest, limit: usize, is_finished: bool) -> Found {
    // A string of interest always fits: it is not longer than the smallest limit, which is 1 KiB.
    let most = CHUNK.min(limit).max(Interest::LENGTH);
    if is_finished && bytes.len() <= most {
        return Found::Unit(bytes.len(), Shape::Chunk);
    }
    let at_hand = &bytes[..bytes.len().min(most)];
    match interest.cut(at_hand) {
        // There is no room to wait for more.
        0 if at_hand.len() == most => Found::Unit(interest.cut_before_beginning(at_hand), Shape::Chunk),
        0 => Found::More,
        cut => Found::Unit(cut, Shape::Chunk),
    }
}
