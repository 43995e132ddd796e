//! Writes bytes in pieces, so that a reader meets ends where it does not expect them.

use std::io::{self, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use super::dice::Dice;

/// The pause between pieces: long enough for a waiting reader to take each by itself. If it does not, only
/// the cut is lost.
const BETWEEN: Duration = Duration::from_micros(300);

/// Chooses where `length` bytes are cut: mostly nowhere, sometimes in a few places, rarely everywhere.
pub(crate) fn cuts(length: usize, dice: &mut Dice) -> Vec<usize> {
    let mut cuts: Vec<usize> = match dice.below(16) {
        0..10 => Vec::new(),
        10..15 => (0..dice.within(1..5)).map(|_| dice.below(length)).collect(),
        _ => (0..length.min(150)).collect(),
    };
    cuts.sort_unstable();
    cuts.dedup();
    cuts
}

/// Writes the bytes with a pause at each cut.
pub(crate) fn write(stream: &mut TcpStream, bytes: &[u8], cuts: &[usize]) -> io::Result<()> {
    let mut written = 0;
    for cut in cuts.iter().copied().filter(|cut| (1..bytes.len()).contains(cut)) {
        stream.write_all(&bytes[written..cut])?;
        written = cut;
        thread::sleep(BETWEEN);
    }
    stream.write_all(&bytes[written..])
}
