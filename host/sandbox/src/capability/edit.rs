//! Edits of a message's headers: parses what a plugin writes, and limits how much one call may add.
//!
//! The limits are about the headers that the plugin adds, not about the size of the message: a client must not be able
//! to make a plugin's edits fail by sending a large request.

use http::header::HeaderValue;

use pace_config::Limits;
use pace_hook::field::{self, FieldName};
use pace_hook::{Attempt, EditError, Headers};

/// The edits of one instance, counted for each call.
#[derive(Default)]
pub(in super::super) struct Edits {
    /// Headers that the call has added so far.
    headers: usize,
    /// Bytes that the call has added so far.
    bytes: usize,
    parsed: Parsed,
}

impl Edits {
    /// Begins a call. Must be called before each call of a hook.
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
        head.remove_header(self.parsed.name(name)?)
    }

    /// `attempt.set-secret-header`. The value is not kept among those that were parsed lately.
    pub(super) fn set_secret(
        &mut self,
        attempt: &mut dyn Attempt,
        limits: &Limits,
        name: &str,
        value: &[u8],
    ) -> Result<(), EditError> {
        self.count(limits, name, value)?;
        let mut value = field::value(value)?;
        value.set_sensitive(true);
        let name = self.parsed.name(name)?;
        if !name.accepts(&value) {
            return Err(EditError::InvalidValue);
        }
        attempt.set_secret_header(name, value)
    }

    fn count(&mut self, limits: &Limits, name: &str, value: &[u8]) -> Result<(), EditError> {
        let headers = self.headers + 1;
        let bytes = self.bytes + name.len() + value.len();
        if headers > limits.headers || bytes > limits.header_bytes {
            return Err(EditError::TooLarge);
        }
        (self.headers, self.bytes) = (headers, bytes);
        Ok(())
    }

    fn add(
        &mut self,
        limits: &Limits,
        name: &str,
        value: &[u8],
    ) -> Result<(&FieldName, HeaderValue), EditError> {
        self.count(limits, name, value)?;
        let value = self.parsed.value(value)?;
        let name = self.parsed.name(name)?;
        if !name.accepts(&value) {
            return Err(EditError::InvalidValue);
        }
        Ok((name, value))
    }
}

/// Cache of names and values that were parsed lately: most plugins write the same ones for every request. Finding one
/// costs a comparison of some bytes, parsing it several allocations.
#[derive(Default)]
struct Parsed {
    names: Vec<FieldName>,
    values: Vec<HeaderValue>,
    /// The place that the next one replaces when there is no room left.
    oldest: usize,
}

/// The sizes of the cache, which is searched from its start: a few cache lines.
const PARSED_NAMES: usize = 16;
const PARSED_VALUES: usize = 8;

/// The longest value in the cache. Longer ones are seldom the same twice.
const PARSED_VALUE_BYTES: usize = 64;

impl Parsed {
    fn name(&mut self, spelled: &str) -> Result<&FieldName, EditError> {
        let place = match self.names.iter().position(|known| known.spelled() == spelled) {
            Some(place) => place,
            None => {
                let name = FieldName::parse(spelled)?;
                self.oldest = self.oldest.wrapping_add(1);
                keep(&mut self.names, name, PARSED_NAMES, self.oldest)
            }
        };
        Ok(&self.names[place])
    }

    fn value(&mut self, bytes: &[u8]) -> Result<HeaderValue, EditError> {
        if let Some(known) = self.values.iter().find(|known| known.as_bytes() == bytes) {
            return Ok(known.clone());
        }
        let value = field::value(bytes)?;
        if bytes.len() <= PARSED_VALUE_BYTES {
            self.oldest = self.oldest.wrapping_add(1);
            keep(&mut self.values, value.clone(), PARSED_VALUES, self.oldest);
        }
        Ok(value)
    }
}

/// Puts one into the cache. Returns its place.
fn keep<T>(cache: &mut Vec<T>, one: T, room: usize, oldest: usize) -> usize {
    if cache.len() < room {
        cache.push(one);
        cache.len() - 1
    } else {
        cache[oldest % room] = one;
        oldest % room
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_and_value_from_cache_are_as_written() {
        let mut parsed = Parsed::default();
        for turn in 0..3 {
            for number in 0..PARSED_NAMES + 5 {
                let text = format!("X-{number}");
                let name = parsed.name(&text).unwrap();
                assert_eq!(name.spelled(), &text, "in turn {turn}");
                assert_eq!(name.name().as_str(), text.to_ascii_lowercase());
                assert_eq!(parsed.value(text.as_bytes()).unwrap(), text);
            }
            assert_eq!(
                parsed.name("x-1").unwrap().spelled(),
                "x-1",
                "the case is the plugin's"
            );
        }
        assert_eq!(
            (parsed.names.len(), parsed.values.len()),
            (PARSED_NAMES, PARSED_VALUES)
        );
    }

    #[test]
    fn refused_name_and_value_are_refused_each_time() {
        let mut parsed = Parsed::default();
        for _ in 0..2 {
            assert_eq!(parsed.name("te").map(drop), Err(EditError::Forbidden));
            assert_eq!(parsed.value(b"\n"), Err(EditError::InvalidValue));
        }
    }
}
