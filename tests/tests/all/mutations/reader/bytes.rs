//! Classes of bytes, and lines.

use super::{Fault, Quirk};

/// Whether the bytes are a token: `tchar` of RFC 9110, section 5.6.2.
pub(crate) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty()
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte))
}

/// Removes the white space (`OWS`) around a value.
pub(crate) fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// The elements of a list (RFC 9110, section 5.6.1), including the empty ones.
pub(super) fn elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(trim)
}

/// A line and its end.
pub(super) struct Line<'a> {
    /// The line without its end.
    pub(super) text: &'a [u8],
    /// The length of the line with its end.
    pub(super) taken: usize,
    /// Whether the line ends with LF alone.
    pub(super) bare: bool,
}

impl Line<'_> {
    /// The quirk of a line that ends with LF alone, where that is no fault.
    pub(super) fn quirk(&self) -> Option<Quirk> {
        self.bare.then_some(Quirk::LineFeeds)
    }

    /// Checks for bytes that no line of a head or of a chunk may have.
    pub(super) fn check(&self) -> Result<(), Fault> {
        match self.text.iter().find(|byte| is_control(**byte)) {
            Some(b'\r') => Err(Fault::BareCarriageReturn),
            Some(_) => Err(Fault::ControlByte),
            None => Ok(()),
        }
    }
}

/// The first line, if it is complete.
pub(super) fn line(bytes: &[u8]) -> Option<Line<'_>> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let (text, bare) = match &bytes[..end] {
        [text @ .., b'\r'] => (text, false),
        text => (text, true),
    };
    Some(Line {
        text,
        taken: end + 1,
        bare,
    })
}

/// The first line, which must end with CRLF.
pub(super) fn strict_line(bytes: &[u8]) -> Result<Option<Line<'_>>, Fault> {
    let Some(line) = line(bytes) else {
        return Ok(None);
    };
    line.check()?;
    match line.bare {
        true => Err(Fault::BareLineFeed),
        false => Ok(Some(line)),
    }
}

/// Whether a byte is neither visible, nor a space or tab, nor one of RFC 9110's `obs-text`.
fn is_control(byte: u8) -> bool {
    byte.is_ascii_control() && byte != b'\t'
}

/// Reads a decimal number, which may be larger than any useful one.
pub(super) fn decimal(digits: &[u8]) -> Option<u64> {
    let all_digits = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let text = str::from_utf8(digits).ok().filter(|_| all_digits)?;
    text.parse().ok()
}
