//! Bodies in chunks (RFC 9112, section 7.1).

mod extension;
mod trailer;

use std::ops::Range;

use self::extension::Extension;
use self::trailer::TrailerSection;
pub use self::trailer::of_stream as trailers_of_stream;
use crate::broken::Broken;
use crate::fields::Fields;
use crate::refusal::Refusal;
use crate::request::Underscores;

/// Decodes a chunked body while it arrives.
///
/// The decoder accepts exactly the grammar: `1*HEXDIG` for a size, extensions of tokens and quoted strings,
/// CRLF after each line and each chunk. Extensions are skipped and not kept: they are for one connection
/// (section 7.1.1).
#[derive(Debug, Default)]
pub struct Decoder {
    state: State,
    /// Bytes of the line so far, beyond the digits of the size.
    line: usize,
    trailer: TrailerSection,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// In the size of a chunk.
    Size {
        size: u64,
        digits: Digits,
    },
    /// In the extensions after the size.
    Extension {
        size: u64,
        at: Extension,
    },
    /// Before the LF of the size's line.
    SizeFeed {
        size: u64,
    },
    /// In the data, with `left` bytes to come.
    Data {
        left: u64,
    },
    /// After the data, before CR.
    DataReturn,
    DataFeed,
    /// After the last chunk.
    Trailer,
    /// After the body.
    Done,
}

/// The digits of a size so far, without leading zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Digits {
    None,
    Zeros,
    Some(u8),
}

/// A violation of the grammar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// In a chunk's line, or after its data.
    Chunk,
    /// In the trailer section.
    Trailer,
}

/// The result of decoding some bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// How many of the bytes belong to the body, framing included.
    pub taken: usize,
    /// Where the data now is among them.
    pub data: Range<usize>,
}

/// The most bytes of a chunk's line: a size and extensions of some hundred bytes, such as signatures.
pub const MAX_LINE: usize = 1024;

/// The most digits of a size: those of a 64-bit number.
const MAX_DIGITS: u8 = 16;

impl Default for State {
    fn default() -> State {
        State::Size {
            size: 0,
            digits: Digits::None,
        }
    }
}

impl Decoder {
    /// A decoder at the start of a body.
    pub fn new(underscores: Underscores) -> Decoder {
        Decoder {
            trailer: TrailerSection::new(underscores),
            ..Decoder::default()
        }
    }

    /// Whether the body has ended.
    pub fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// The trailer fields that may be passed on, once the body has ended.
    pub fn trailers(&self) -> Option<&Fields> {
        self.trailer.fields()
    }

    /// The trailers for editing, once the body has ended; `None` if it had none.
    pub fn trailers_mut(&mut self) -> Option<&mut Fields> {
        self.trailer.fields_mut()
    }

    /// Decodes in place: moves the data of all chunks in `bytes` together. Takes all bytes, unless the body
    /// ends before their end.
    pub fn decode(&mut self, bytes: &mut [u8]) -> Result<Decoded, Fault> {
        let mut at = 0;
        let mut data = 0..0;
        while at < bytes.len() && !self.is_done() {
            match self.state {
                State::Data { left } => {
                    let available = (bytes.len() - at).min(usize::try_from(left).unwrap_or(usize::MAX));
                    if data.is_empty() {
                        data = at..at + available;
                    } else {
                        bytes.copy_within(at..at + available, data.end);
                        data.end += available;
                    }
                    at += available;
                    self.state = match left - available as u64 {
                        0 => State::DataReturn,
                        left => State::Data { left },
                    };
                }
                State::Trailer => {
                    let (taken, done) = self.trailer.read(&bytes[at..])?;
                    at += taken;
                    if done {
                        self.state = State::Done;
                    }
                }
                _ => {
                    self.state = self.step(bytes[at])?;
                    at += 1;
                }
            }
        }
        Ok(Decoded { taken: at, data })
    }

    /// Reads one byte of the framing around the data.
    fn step(&mut self, byte: u8) -> Result<State, Fault> {
        match (self.state, byte) {
            (
                State::Size {
                    digits: Digits::None, ..
                },
                b'\r' | b';' | b' ' | b'\t',
            ) => Err(Fault::Chunk),
            (State::Size { size, .. }, b'\r') => Ok(State::SizeFeed { size }),
            (State::Size { size, .. }, b';' | b' ' | b'\t') => {
                let begun = Extension::begin(byte).ok_or(Fault::Chunk)?;
                self.extension(size, begun)
            }
            (State::Size { size, digits }, byte) => self.size(size, digits, byte),
            (State::Extension { size, at }, b'\r') if at.may_end() => Ok(State::SizeFeed { size }),
            (State::Extension { size, at }, byte) => {
                let next = at.step(byte).ok_or(Fault::Chunk)?;
                self.extension(size, next)
            }
            (State::SizeFeed { size }, b'\n') => {
                self.line = 0;
                Ok(match size {
                    0 => State::Trailer,
                    left => State::Data { left },
                })
            }
            (State::DataReturn, b'\r') => Ok(State::DataFeed),
            (State::DataFeed, b'\n') => Ok(State::default()),
            (
                State::SizeFeed { .. }
                | State::DataReturn
                | State::DataFeed
                | State::Data { .. }
                | State::Trailer
                | State::Done,
                _,
            ) => Err(Fault::Chunk),
        }
    }

    fn extension(&mut self, size: u64, at: Extension) -> Result<State, Fault> {
        self.lengthen()?;
        Ok(State::Extension { size, at })
    }

    fn size(&mut self, size: u64, digits: Digits, byte: u8) -> Result<State, Fault> {
        self.lengthen()?;
        let value = char::from(byte).to_digit(16).ok_or(Fault::Chunk)?;
        let digits = match digits {
            Digits::None | Digits::Zeros if value == 0 => Digits::Zeros,
            Digits::None | Digits::Zeros => Digits::Some(1),
            Digits::Some(MAX_DIGITS) => return Err(Fault::Chunk),
            Digits::Some(digits) => Digits::Some(digits + 1),
        };
        Ok(State::Size {
            size: size << 4 | u64::from(value),
            digits,
        })
    }

    fn lengthen(&mut self) -> Result<(), Fault> {
        self.line += 1;
        if self.line > MAX_LINE {
            return Err(Fault::Chunk);
        }
        Ok(())
    }
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Refusal {
        match fault {
            Fault::Chunk => Refusal::Chunk,
            Fault::Trailer => Refusal::Trailer,
        }
    }
}

impl From<Fault> for Broken {
    fn from(fault: Fault) -> Broken {
        match fault {
            Fault::Chunk => Broken::Chunk,
            Fault::Trailer => Broken::Trailer,
        }
    }
}

#[cfg(test)]
mod tests;
