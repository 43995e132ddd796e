//! Mutations of bytes, which only know where lines and their parts meet.

use super::super::dice::Dice;

/// Bytes on which readers disagree.
pub(super) const ODD: &[&[u8]] = &[
    b"\r",
    b"\n",
    b"\r\n",
    b"\n\r",
    b"\r\r\n",
    b"\r\n\r\n",
    b"\n\n",
    b"\0",
    b"\t",
    b" ",
    b"  ",
    b"\x0b",
    b"\x0c",
    b"\x08",
    b"\x1f",
    b"\x7f",
    b"\x80",
    b"\x85",
    b"\xa0",
    b"\xff",
    b"\xc4\x8a",
    b"\xe2\x80\xa8",
    b";",
    b":",
    b",",
    b"=",
    b"\"",
    b"\\",
    b"/",
    b"#",
    b"%",
    b"%00",
    b"%0d%0a",
    b"_",
    b"\r\n ",
    b"\r\n\t",
    b"0",
    b"-",
    b"+",
];

/// Changes the bytes in one place.
pub(super) fn mutate(bytes: &mut Vec<u8>, dice: &mut Dice) {
    let at = place(bytes, dice);
    match dice.below(9) {
        0..3 => drop(bytes.splice(at..at, dice.pick(ODD).iter().copied())),
        3 if at < bytes.len() => drop(bytes.remove(at)),
        4 if at < bytes.len() => {
            let odd = dice.pick(ODD);
            bytes.splice(at..=at, odd.iter().copied());
        }
        5 if at < bytes.len() => bytes[at] ^= 1 << dice.below(8),
        6 => bytes.truncate(at),
        7 => {
            let end = (at + dice.within(1..40)).min(bytes.len());
            let again = bytes[at..end].to_vec();
            let to = place(bytes, dice);
            bytes.splice(to..to, again);
        }
        _ => {
            let end = (at + dice.within(1..20)).min(bytes.len());
            bytes.drain(at..end);
        }
    }
}

/// A position: three times out of four a beginning or an end, otherwise anywhere.
fn place(bytes: &[u8], dice: &mut Dice) -> usize {
    let meets = |at: &usize| b"\r\n:;, =/\"".contains(&bytes[*at]);
    let places: Vec<usize> = (0..bytes.len()).filter(meets).collect();
    match places.is_empty() || dice.one_in(4) {
        true => dice.below(bytes.len() + 1),
        false => places[dice.below(places.len())] + dice.below(2),
    }
}
