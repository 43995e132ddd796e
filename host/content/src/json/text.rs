//! Texts of JSON.

use std::borrow::Cow;

use super::JsonError;

/// The end of the text that begins at this quote: the place behind its closing quote.
#[inline]
pub(super) fn end(bytes: &[u8], quote: usize) -> Result<usize, JsonError> {
    let mut at = quote + 1;
    loop {
        at = plain_end(bytes, at);
        match bytes.get(at) {
            Some(b'"') => return Ok(at + 1),
            Some(b'\\') => at = escape_end(bytes, at)?,
            // A control character, or the end of the content.
            _ => return Err(JsonError::Malformed),
        }
    }
}

/// The first place from here on at which there is a quote, a backslash or a control character, or the end.
#[inline]
fn plain_end(bytes: &[u8], mut at: usize) -> usize {
    while let Some(eight) = bytes.get(at..).and_then(|rest| rest.first_chunk()) {
        let marks = marks(u64::from_le_bytes(*eight));
        if marks != 0 {
            return at + marks.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let rest = bytes.get(at..).unwrap_or_default();
    let marked = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | ..0x20));
    at + marked.unwrap_or(rest.len())
}

/// The high bit of each byte that is a quote, a backslash or a control character. The lowest such bit is exact; above
/// it there may be others, because a subtraction borrows from the byte above.
#[inline]
fn marks(eight: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x80 * ONES;
    let below = |word: u64, limit: u64| word.wrapping_sub(limit * ONES) & !word;
    let quotes = below(eight ^ (b'"' as u64 * ONES), 1);
    let backslashes = below(eight ^ (b'\\' as u64 * ONES), 1);
    let controls = below(eight, 0x20);
    (quotes | backslashes | controls) & HIGHS
}

/// The place behind the escape that begins at this backslash.
fn escape_end(bytes: &[u8], at: usize) -> Result<usize, JsonError> {
    match bytes.get(at + 1) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(at + 2),
        Some(b'u') => {
            let (_, end) = escaped(bytes, at).ok_or(JsonError::Malformed)?;
            Ok(end)
        }
        _ => Err(JsonError::Malformed),
    }
}

/// The character of a `\u` escape, or of two of them that are a surrogate pair, and the place behind it.
fn escaped(bytes: &[u8], at: usize) -> Option<(char, usize)> {
    let first = unit(bytes, at)?;
    let (code, end) = match first {
        0xd800..0xdc00 => match unit(bytes, at + 6)? {
            second @ 0xdc00..0xe000 => (0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00), at + 12),
            _ => return None,
        },
        _ => (first, at + 6),
    };
    Some((char::from_u32(code)?, end))
}

/// The number of the `\u` escape at this place.
fn unit(bytes: &[u8], at: usize) -> Option<u32> {
    let digits = bytes.get(at..at + 6)?.strip_prefix(b"\\u")?;
    digits.iter().try_fold(0, |number, digit| {
        Some(number << 4 | char::from(*digit).to_digit(16)?)
    })
}

/// The text that is written so, between its quotes.
pub(super) fn resolved(written: &[u8]) -> Cow<'_, str> {
    let inside = inside(written);
    // The whole content is UTF-8, and a text ends at ASCII on both sides: nothing is ever replaced here.
    let plain = String::from_utf8_lossy(inside);
    if plain.contains('\\') {
        Cow::Owned(unescape(inside))
    } else {
        plain
    }
}

/// Whether the text that is written so is this one.
pub(super) fn is(written: &[u8], text: &str) -> bool {
    let inside = inside(written);
    if inside.len() == text.len() {
        // An escape is longer than its character, so there is none, unless both have the same backslash.
        inside == text.as_bytes() && !text.contains('\\')
    } else {
        inside.len() > text.len() && memchr::memchr(b'\\', inside).is_some() && unescape(inside) == text
    }
}

fn inside(written: &[u8]) -> &[u8] {
    let quoted = written.strip_prefix(b"\"").unwrap_or(written);
    quoted.strip_suffix(b"\"").unwrap_or(quoted)
}

/// Resolves escapes, which the parser has checked.
fn unescape(inside: &[u8]) -> String {
    let mut text = String::with_capacity(inside.len());
    let mut at = 0;
    while let Some(backslash) = memchr::memchr(b'\\', &inside[at..]) {
        let backslash = at + backslash;
        text.push_str(&String::from_utf8_lossy(&inside[at..backslash]));
        let (character, end) = match inside.get(backslash + 1) {
            Some(b'u') => escaped(inside, backslash).unwrap_or((char::REPLACEMENT_CHARACTER, inside.len())),
            Some(b'b') => ('\u{8}', backslash + 2),
            Some(b'f') => ('\u{c}', backslash + 2),
            Some(b'n') => ('\n', backslash + 2),
            Some(b'r') => ('\r', backslash + 2),
            Some(b't') => ('\t', backslash + 2),
            Some(other) => (char::from(*other), backslash + 2),
            None => (char::REPLACEMENT_CHARACTER, inside.len()),
        };
        text.push(character);
        at = end;
    }
    text.push_str(&String::from_utf8_lossy(&inside[at..]));
    text
}
