//! Edits of a message's headers: what a plugin wrote, parsed, and how much one call may add.
//!
//! What counts is what the plugin adds, not how large the message has become: a client must not be able to
//! make a plugin's edits fail by sending a large request.

use http::header::HeaderValue;

use pace_config::Limits;
use pace_hook::field::{self, FieldName};
use pace_hook::{EditError, Headers};

/// What an instance's edits have come to.
#[derive(Default)]
pub(in super::super) struct Edits {
    /// Headers and bytes that the call that is running has added so far.
    headers: usize,
    bytes: usize,
    known: Known,
}

impl Edits {
    /// To be called before each call of a hook.
    pub(in super::super) fn begin(&mut self) {
        (self.headers, self.bytes) = (0, 0);
    }

    /// `set-header`.
    pub(super) fn set(
        &mut self,
        head: &mut (impl Headers + ?Sized),
        limits: &Limits,
        name: &str,
        value: &[u8],
    ) -> Result<(), EditError> {
        let (name, value) = self.add(limits, name, value)?;
        head.set_header(name, value)
    }

    /// `append-header`.
    pub(super) fn append(
        &mut self,
        head: &mut (impl Headers + ?Sized),
        limits: &Limits,
        name: &str,
        value: &[u8],
    ) -> Result<(), EditError> {
        let (name, value) = self.add(limits, name, value)?;
        head.append_header(name, value)
    }

    /// `remove-header`.
    pub(super) fn remove(
        &mut self,
        head: &mut (impl Headers + ?Sized),
        name: &str,
    ) -> Result<bool, EditError> {
        head.remove_header(self.known.name(name)?)
    }

    fn add(
        &mut self,
        limits: &Limits,
        name: &str,
        value: &[u8],
    ) -> Result<(&FieldName, HeaderValue), EditError> {
        let headers = self.headers + 1;
        let bytes = self.bytes + name.len() + value.len();
        if headers > limits.headers || bytes > limits.header_bytes {
            return Err(EditError::TooLarge);
        }
        (self.headers, self.bytes) = (headers, bytes);
        let value = self.known.value(value)?;
        let name = self.known.name(name)?;
        if !name.accepts(&value) {
            return Err(EditError::InvalidValue);
        }
        Ok((name, value))
    }
}

/// Names and values that were parsed lately: most plugins write the same ones for every request. To find
/// one again costs a comparison of some bytes, to parse it several allocations.
#[derive(Default)]
struct Known {
    names: Vec<FieldName>,
    values: Vec<HeaderValue>,
    /// Where the next one goes when there is no room left.
    oldest: usize,
}

/// What is looked through is a few cache lines.
const KNOWN_NAMES: usize = 16;
const KNOWN_VALUES: usize = 8;

/// Longer ones are seldom the same twice.
const KNOWN_VALUE_BYTES: usize = 64;

impl Known {
    fn name(&mut self, spelled: &str) -> Result<&FieldName, EditError> {
        let place = match self.names.iter().position(|known| known.spelled() == spelled) {
            Some(place) => place,
            None => {
                let name = FieldName::parse(spelled)?;
                self.oldest = self.oldest.wrapping_add(1);
                keep(&mut self.names, name, KNOWN_NAMES, self.oldest)
            }
        };
        Ok(&self.names[place])
    }

    fn value(&mut self, bytes: &[u8]) -> Result<HeaderValue, EditError> {
        if let Some(known) = self.values.iter().find(|known| known.as_bytes() == bytes) {
            return Ok(known.clone());
        }
        let value = field::value(bytes)?;
        if bytes.len() <= KNOWN_VALUE_BYTES {
            self.oldest = self.oldest.wrapping_add(1);
            keep(&mut self.values, value.clone(), KNOWN_VALUES, self.oldest);
        }
        Ok(value)
    }
}

/// Says where it is kept.
fn keep<T>(known: &mut Vec<T>, one: T, room: usize, oldest: usize) -> usize {
    if known.len() < room {
        known.push(one);
        known.len() - 1
    } else {
        known[oldest % room] = one;
        oldest % room
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_is_what_was_written() {
        let mut known = Known::default();
        for turn in 0..3 {
            for number in 0..KNOWN_NAMES + 5 {
                let text = format!("X-{number}");
                let name = known.name(&text).unwrap();
                assert_eq!(name.spelled(), &text, "in turn {turn}");
                assert_eq!(name.name().as_str(), text.to_ascii_lowercase());
                assert_eq!(known.value(text.as_bytes()).unwrap(), text);
            }
            assert_eq!(
                known.name("x-1").unwrap().spelled(),
                "x-1",
                "the case is the plugin's"
            );
        }
        assert_eq!(
            (known.names.len(), known.values.len()),
            (KNOWN_NAMES, KNOWN_VALUES)
        );
    }

    #[test]
    fn what_is_refused_is_refused_each_time() {
        let mut known = Known::default();
        for _ in 0..2 {
            assert_eq!(known.name("te").map(drop), Err(EditError::Forbidden));
            assert_eq!(known.value(b"\n"), Err(EditError::InvalidValue));
        }
    }
}
