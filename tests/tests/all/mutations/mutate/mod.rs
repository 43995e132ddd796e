//! Mutations: each knows one part of the grammar, and the faults that other proxies have had there.

mod bytes;
mod chunks;
mod fields;
mod framing;
mod line;

use super::dice::Dice;
use super::draft::Draft;

/// The kind of messages to mutate.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Of {
    Requests,
    Responses,
}

/// The bytes of a message with up to three mutations. One in sixteen is unchanged.
pub(crate) fn mutate(mut draft: Draft, of: Of, dice: &mut Dice) -> Vec<u8> {
    if dice.one_in(16) {
        return draft.write();
    }
    let places = match dice.below(8) {
        0..5 => 1,
        5..7 => 2,
        _ => 3,
    };
    let mut in_bytes = 0;
    for _ in 0..places {
        match (of, dice.below(10)) {
            (Of::Requests, 0) => line::of_request(&mut draft, dice),
            (Of::Requests, 1) => line::target(&mut draft, dice),
            (Of::Requests, 2) => fields::host(&mut draft, dice),
            (Of::Responses, 0..2) => line::of_response(&mut draft, dice),
            (_, 2..5) => framing::mutate(&mut draft, of, dice),
            (_, 5..7) => fields::mutate(&mut draft, of, dice),
            (_, 7..9) => chunks::mutate(&mut draft, dice),
            _ => in_bytes += 1,
        }
    }
    let mut written = draft.write();
    for _ in 0..in_bytes {
        bytes::mutate(&mut written, dice);
    }
    written
}

/// Puts odd bytes in place of bytes, into them, before them or after them.
fn spoil(bytes: &mut Vec<u8>, dice: &mut Dice) {
    let odd = dice.pick(bytes::ODD);
    let at = match dice.below(4) {
        0 => 0,
        1 => bytes.len(),
        _ => dice.below(bytes.len() + 1),
    };
    if dice.one_in(6) && at < bytes.len() {
        bytes.remove(at);
    }
    bytes.splice(at..at, odd.iter().copied());
}
