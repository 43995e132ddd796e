//! The parser.

use super::tape::Tape;
use super::{JsonError, MAX_DEPTH, text};

/// Checks that the bytes are one value of JSON in UTF-8, and notes where all of its values are.
pub(super) fn parse(bytes: &[u8]) -> Result<Tape, JsonError> {
    // Places are 32 bits, and two entries of the tape may be needed for two bytes.
    if u32::try_from(bytes.len()).is_err() || std::str::from_utf8(bytes).is_err() {
        return Err(JsonError::Malformed);
    }
    let mut parser = Parser {
        bytes,
        at: 0,
        tape: Tape::of(bytes.len()),
    };
    parser.document()?;
    Ok(parser.tape)
}

struct Parser<'a> {
    bytes: &'a [u8],
    at: usize,
    tape: Tape,
}

/// A list or an object whose end has not come yet.
#[derive(Clone, Copy, Default)]
struct Open {
    /// Its entry.
    at: u32,
    /// The values in it so far.
    count: u32,
    is_object: bool,
}

impl Parser<'_> {
    fn document(&mut self) -> Result<(), JsonError> {
        let mut open = [Open::default(); MAX_DEPTH];
        let mut depth = 0;
        'value: loop {
            let begin = self.skip_space();
            match self.byte() {
                b'"' => {
                    self.at = text::end(self.bytes, begin)?;
                    self.tape.push(begin, self.at);
                }
                first @ (b'{' | b'[') => {
                    let is_object = first == b'{';
                    let at = self.tape.open(begin);
                    self.at += 1;
                    self.skip_space();
                    if self.byte() == closing(is_object) {
                        self.at += 1;
                        self.tape.close(at, self.at, 0);
                    } else {
                        // An empty one has no value in it that would be too deep.
                        let place = open.get_mut(depth).ok_or(JsonError::TooDeep)?;
                        *place = Open {
                            at,
                            count: 0,
                            is_object,
                        };
                        depth += 1;
                        if is_object {
                            self.name()?;
                        }
                        continue 'value;
                    }
                }
                b'-' | b'0'..=b'9' => {
                    self.number()?;
                    self.tape.push(begin, self.at);
                }
                b't' => self.literal(b"true")?,
                b'f' => self.literal(b"false")?,
                b'n' => self.literal(b"null")?,
                _ => return Err(JsonError::Malformed),
            }
            // Behind a value.
            loop {
                self.skip_space();
                let Some(inner) = depth.checked_sub(1) else {
                    let is_whole = self.at == self.bytes.len();
                    return if is_whole {
                        Ok(())
                    } else {
                        Err(JsonError::Malformed)
                    };
                };
                let inside = &mut open[inner];
                inside.count += 1;
                let byte = self.byte();
                if byte == b',' {
                    self.at += 1;
                    if inside.is_object {
                        self.skip_space();
                        self.name()?;
                    }
                    continue 'value;
                }
                if byte != closing(inside.is_object) {
                    return Err(JsonError::Malformed);
                }
                self.at += 1;
                self.tape.close(inside.at, self.at, inside.count);
                depth = inner;
            }
        }
    }

    /// The byte at hand. NUL stands for the end, since it is allowed nowhere either.
    #[inline]
    fn byte(&self) -> u8 {
        self.bytes.get(self.at).copied().unwrap_or(0)
    }

    /// Skips white space, and returns the place behind it.
    #[inline]
    fn skip_space(&mut self) -> usize {
        while let b' ' | b'\n' | b'\r' | b'\t' = self.byte() {
            self.at += 1;
        }
        self.at
    }

    /// The name of a member, and the colon behind it.
    #[inline]
    fn name(&mut self) -> Result<(), JsonError> {
        if self.byte() != b'"' {
            return Err(JsonError::Malformed);
        }
        let begin = self.at;
        self.at = text::end(self.bytes, begin)?;
        self.tape.push(begin, self.at);
        self.skip_space();
        if self.byte() != b':' {
            return Err(JsonError::Malformed);
        }
        self.at += 1;
        Ok(())
    }

    fn literal(&mut self, literal: &[u8]) -> Result<(), JsonError> {
        let begin = self.at;
        if !self.bytes[begin..].starts_with(literal) {
            return Err(JsonError::Malformed);
        }
        self.at += literal.len();
        self.tape.push(begin, self.at);
        Ok(())
    }

    /// A number: an optional minus, digits without a leading zero, an optional fraction and exponent.
    fn number(&mut self) -> Result<(), JsonError> {
        if self.byte() == b'-' {
            self.at += 1;
        }
        match self.byte() {
            b'0' => self.at += 1,
            _ => self.digits()?,
        }
        if self.byte() == b'.' {
            self.at += 1;
            self.digits()?;
        }
        if let b'e' | b'E' = self.byte() {
            self.at += 1;
            if let b'+' | b'-' = self.byte() {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    /// At least one digit.
    #[inline]
    fn digits(&mut self) -> Result<(), JsonError> {
        let begin = self.at;
        while self.byte().is_ascii_digit() {
            self.at += 1;
        }
        if self.at > begin {
            Ok(())
        } else {
            Err(JsonError::Malformed)
        }
    }
}

fn closing(is_object: bool) -> u8 {
    if is_object { b'}' } else { b']' }
}
