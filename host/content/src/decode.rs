//! Content codings, and the way back from them while a body arrives.

mod coding;
mod layer;

use std::fmt;

pub use self::coding::{Coding, Codings, UnknownCoding};
use self::layer::Layer;

/// The most bytes of output for one byte of input, once there are more than [`FREE`].
const RATIO: u64 = 100;

/// The output of which the ratio is not asked.
const FREE: u64 = 64 * 1024;

/// The bytes between two layers, and of one step of output.
const STEP: usize = 16 * 1024;

/// The reason why a body cannot be decoded: all of them are `body-encoding` in the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// It is not what its coding makes, or something follows its end.
    #[error("the body is not what its coding makes")]
    Malformed,
    /// It ends before its end.
    #[error("the body ends within its coding")]
    Truncated,
    /// It is made of many tiny parts, each of which costs as much as a large one.
    #[error("the body is made of too many parts of less than 256 bytes")]
    Members,
    /// It becomes a hundred times longer, as nothing does that is meant to be read.
    #[error("the body is a hundred times longer once it is decoded")]
    Bomb,
}

/// Decodes a body while it arrives. The memory it needs does not depend on the body's length: 16 KiB for each coding,
/// and a window of up to 32 KiB (gzip, deflate), 8 MiB (zstd) or 16 MiB (br).
pub struct Decoder {
    /// In the order in which they are decoded: the one that the sender has applied last comes first.
    stages: Vec<Stage>,
    taken: u64,
}

struct Stage {
    layer: Layer,
    /// Output of the stage before that this one has not taken yet. The first stage has none.
    input: Vec<u8>,
    at: usize,
    given: u64,
}

impl Decoder {
    /// A decoder at the start of a body with these codings.
    pub fn new(codings: &Codings) -> Decoder {
        let stages = codings.iter().rev().map(|coding| Stage {
            layer: Layer::new(coding),
            input: Vec::new(),
            at: 0,
            given: 0,
        });
        Decoder {
            stages: stages.collect(),
            taken: 0,
        }
    }

    /// Decodes from the beginning of `input`, which it shortens by what it has taken, and appends up to `room` bytes to
    /// `out`.
    ///
    /// Less than `room` bytes were appended only if the input has been taken and everything that comes of it is there.
    pub fn decode(&mut self, input: &mut &[u8], out: &mut Vec<u8>, room: usize) -> Result<(), DecodeError> {
        if self.stages.is_empty() {
            let taken = input.split_off(..room.min(input.len())).unwrap_or_default();
            out.extend_from_slice(taken);
            return Ok(());
        }
        let mut left = room;
        while left > 0 {
            let before = out.len();
            out.resize(before + left.min(STEP), 0);
            let given = pull(&mut self.stages, input, &mut self.taken, &mut out[before..]);
            out.truncate(before + given.unwrap_or(0));
            match given? {
                0 => break,
                given => left -= given,
            }
        }
        Ok(())
    }

    /// Bytes of memory that the decoder takes at this point of the body, or may take.
    pub fn memory(&self) -> usize {
        self.stages.iter().map(|stage| STEP + stage.layer.memory()).sum()
    }

    /// Checks that the body has come to its end, after the last of it was decoded. No bytes at all are an empty body in
    /// any coding.
    pub fn finish(&self) -> Result<(), DecodeError> {
        let is_whole = self
            .stages
            .iter()
            .all(|stage| stage.layer.is_at_end() && stage.at == stage.input.len());
        if is_whole || self.taken == 0 {
            Ok(())
        } else {
            Err(DecodeError::Truncated)
        }
    }
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder")
            .field("stages", &self.stages.len())
            .field("taken", &self.taken)
            .finish_non_exhaustive()
    }
}

/// Has the last stage write to `out`, and those before it make the input that it needs for that. Returns how much was
/// written: 0 if nothing more comes of the input. `taken` is what the first stage has taken of the body so far.
fn pull(
    stages: &mut [Stage],
    input: &mut &[u8],
    taken: &mut u64,
    out: &mut [u8],
) -> Result<usize, DecodeError> {
    let Some((stage, before)) = stages.split_last_mut() else {
        return Ok(0);
    };
    loop {
        let is_first = before.is_empty();
        let ran = stage
            .layer
            .run(if is_first { input } else { &stage.input[stage.at..] }, out)?;
        if is_first {
            *input = &input[ran.read..];
            *taken += ran.read as u64;
        } else {
            stage.at += ran.read;
        }
        // Every stage is measured by what has come over the network, so that it costs no more than that is worth.
        stage.given += ran.written as u64;
        if stage.given > FREE && stage.given > taken.saturating_mul(RATIO) {
            return Err(DecodeError::Bomb);
        }
        if ran.written > 0 {
            return Ok(ran.written);
        }
        let rest = if is_first {
            input.len()
        } else {
            stage.input.len() - stage.at
        };
        if rest > 0 {
            if ran.read == 0 {
                // A coding that neither takes nor gives would be asked for ever.
                return Err(DecodeError::Malformed);
            }
            continue;
        }
        if is_first {
            return Ok(0);
        }
        stage.input.resize(STEP, 0);
        let more = pull(before, input, taken, &mut stage.input);
        stage.input.truncate(more.unwrap_or(0));
        stage.at = 0;
        if more? == 0 {
            return Ok(0);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
