//! JSON Pointers (RFC 6901).

use std::borrow::Cow;

use super::JsonError;
use super::tape::{Kind, Tape};
use super::text;

/// The way to a value.
#[derive(Clone, Copy, Debug)]
pub struct Pointer<'p>(&'p str);

impl<'p> Pointer<'p> {
    /// The pointer that is written like this; [`JsonError::InvalidPointer`] if none is.
    pub fn parse(written: &'p str) -> Result<Pointer<'p>, JsonError> {
        let begins = written.is_empty() || written.starts_with('/');
        let mut behind_tildes = written.split('~').skip(1);
        if begins && behind_tildes.all(|rest| rest.starts_with(['0', '1'])) {
            Ok(Pointer(written))
        } else {
            Err(JsonError::InvalidPointer)
        }
    }
}

/// The entry of the value at this pointer.
pub(super) fn find(
    tape: &Tape,
    bytes: &[u8],
    Pointer(pointer): Pointer<'_>,
) -> Result<Option<u32>, JsonError> {
    let mut at = 0;
    for token in pointer.split('/').skip(1) {
        let next = match tape.kind(bytes, at) {
            Kind::Object => member(tape, bytes, at, &unescaped(token))?,
            Kind::Array => place(token).and_then(|place| tape.elements(bytes, at).nth(place)),
            Kind::Text | Kind::Literal | Kind::Number => None,
        };
        match next {
            Some(next) => at = next,
            None => return Ok(None),
        }
    }
    Ok(Some(at))
}

/// The value of the member of this name. Every name is compared: a second one of it makes the object ambiguous.
fn member(tape: &Tape, bytes: &[u8], at: u32, name: &str) -> Result<Option<u32>, JsonError> {
    let mut members = tape.members(bytes, at);
    let mut next = || members.find(|(key, _)| text::is(tape.written(bytes, *key), name));
    match (next(), next()) {
        (_, Some(_)) => Err(JsonError::Ambiguous),
        (found, None) => Ok(found.map(|(_, value)| value)),
    }
}

/// The number of an element: digits, without leading zeros.
fn place(token: &str) -> Option<usize> {
    let is_number =
        token.bytes().all(|byte| byte.is_ascii_digit()) && (token == "0" || !token.starts_with('0'));
    is_number.then(|| token.parse().ok())?
}

fn unescaped(token: &str) -> Cow<'_, str> {
    if token.contains('~') {
        Cow::Owned(token.replace("~1", "/").replace("~0", "~"))
    } else {
        Cow::Borrowed(token)
    }
}
