//! Questions about content that is JSON (RFC 8259).
//!
//! [`Document::parse`] checks the whole once and notes where each value begins and ends, 8 bytes for a value and 16 for
//! a list or an object. Answers are read from the content on demand, by JSON Pointers (RFC 6901), which skip what they
//! do not enter.
//!
//! | module | what it has |
//! |---|---|
//! | `parse` | the parser: one pass, a stack of its own, no recursion |
//! | `tape` | the places of all values, in the order of the content |
//! | `pointer` | pointers and the way to their value |
//! | `text` | the ends of texts, and their escapes |

mod parse;
mod pointer;
mod tape;
mod text;

use std::borrow::Cow;
use std::ops::Range;

use self::tape::{Kind, Tape};
pub use pointer::Pointer;

/// The most lists and objects around a value.
pub const MAX_DEPTH: usize = 128;

/// The reason why a question about JSON has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonError {
    /// The content is not one value of JSON in UTF-8. A `\u` escape of half a surrogate pair is none either, because no
    /// text can hold it.
    Malformed,
    /// A value has more than [`MAX_DEPTH`] others around it.
    TooDeep,
    /// An object on the way has this member more than once.
    Ambiguous,
    /// The pointer is neither empty nor begins with `/`, or has a `~` before something else than `0` and `1`.
    InvalidPointer,
}

/// A value, if it is not made of others.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// There is no such value.
    Absent,
    /// `null`.
    Null,
    /// `true` or `false`.
    Boolean(bool),
    /// A number without fraction and exponent that fits.
    Integer(i64),
    /// Any other number, rounded to the nearest; beyond the largest, infinite.
    Number(f64),
    /// A text, with its escapes resolved.
    Text(Cow<'a, str>),
    /// A list.
    Array,
    /// An object.
    Object,
}

/// The places of the values of a content. Every question has to be asked with the bytes that were parsed.
#[derive(Debug)]
pub struct Document {
    tape: Tape,
}

impl Document {
    /// Parses the whole.
    pub fn parse(bytes: &[u8]) -> Result<Document, JsonError> {
        let tape = parse::parse(bytes)?;
        Ok(Document { tape })
    }

    /// The memory that it takes, in bytes.
    pub fn memory(&self) -> usize {
        self.tape.memory()
    }

    /// The value at this pointer.
    pub fn value<'a>(&self, bytes: &'a [u8], pointer: Pointer<'_>) -> Result<Value<'a>, JsonError> {
        let Some(at) = pointer::find(&self.tape, bytes, pointer)? else {
            return Ok(Value::Absent);
        };
        let written = self.tape.written(bytes, at);
        Ok(match self.tape.kind(bytes, at) {
            Kind::Object => Value::Object,
            Kind::Array => Value::Array,
            Kind::Text => Value::Text(text::resolved(written)),
            Kind::Literal => match written {
                b"true" => Value::Boolean(true),
                b"false" => Value::Boolean(false),
                _ => Value::Null,
            },
            Kind::Number => number(written),
        })
    }

    /// The number of elements of the list at this pointer, or of members of the object. `None` if there is something
    /// else, or nothing.
    pub fn length(&self, bytes: &[u8], pointer: Pointer<'_>) -> Result<Option<u32>, JsonError> {
        let found = pointer::find(&self.tape, bytes, pointer)?;
        Ok(found.and_then(|at| match self.tape.kind(bytes, at) {
            Kind::Array | Kind::Object => Some(self.tape.count(at)),
            Kind::Text | Kind::Literal | Kind::Number => None,
        }))
    }

    /// The names of the members of the object at this pointer, in their order. `None` if there is something else, or
    /// nothing.
    pub fn keys<'a>(
        &self,
        bytes: &'a [u8],
        pointer: Pointer<'_>,
    ) -> Result<Option<Vec<Cow<'a, str>>>, JsonError> {
        let found = pointer::find(&self.tape, bytes, pointer)?;
        Ok(found.and_then(|at| match self.tape.kind(bytes, at) {
            Kind::Object => {
                let mut keys = Vec::with_capacity(self.tape.count(at) as usize);
                let members = self.tape.members(bytes, at);
                keys.extend(members.map(|(key, _)| text::resolved(self.tape.written(bytes, key))));
                Some(keys)
            }
            Kind::Array | Kind::Text | Kind::Literal | Kind::Number => None,
        }))
    }

    /// Where the value at this pointer begins and ends. `None` if there is none.
    pub fn span(&self, bytes: &[u8], pointer: Pointer<'_>) -> Result<Option<Range<u32>>, JsonError> {
        let found = pointer::find(&self.tape, bytes, pointer)?;
        Ok(found.map(|at| self.tape.span(at)))
    }
}

/// The value of a number, which the parser has found to be one.
fn number(written: &[u8]) -> Value<'static> {
    let text = String::from_utf8_lossy(written);
    let is_whole = !written.iter().any(|byte| matches!(byte, b'.' | b'e' | b'E'));
    if is_whole && let Ok(integer) = text.parse() {
        return Value::Integer(integer);
    }
    // The grammar of JSON is a part of what Rust reads, so it is never anything else.
    Value::Number(text.parse().unwrap_or(f64::NAN))
}

#[cfg(test)]
mod tests;
