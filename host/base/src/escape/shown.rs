//! Foreign text that errors keep, to be shown later.

use std::borrow::Borrow;
use std::fmt::{self, Display, Write};

use serde::{Deserialize, Deserializer, Serialize};

use super::{Line, Lines};

/// Escaped text from outside: one line of at most 4 KiB.
///
/// An error that has such a field cannot be made of raw text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Shown(String);

/// The longest text, in bytes.
const MAX_BYTES: usize = 4096;

impl Shown {
    /// Escapes a text and cuts it.
    pub fn new(text: impl Display) -> Shown {
        Shown(cut(Line(text), MAX_BYTES))
    }

    /// Escapes several texts, each on a line of its own, and cuts the whole.
    pub fn lines(text: impl Display) -> Shown {
        Shown(cut(Lines(text), MAX_BYTES))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<Shown> for String {
    fn from(shown: Shown) -> String {
        shown.0
    }
}

impl Borrow<str> for Shown {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl Display for Shown {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// The text may come from another process, which may have been taken over. Escaping an escaped text changes
/// nothing.
impl<'de> Deserialize<'de> for Shown {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Shown, D::Error> {
        String::deserialize(deserializer).map(Shown::new)
    }
}

/// The first `max` bytes of a text, and `…` if that is not all of it.
pub fn cut(text: impl Display, max: usize) -> String {
    let mut cut = Cut {
        text: String::new(),
        max,
    };
    if write!(cut, "{text}").is_err() {
        cut.text.push('…');
    }
    cut.text
}

/// Takes up to `max` bytes and then fails, so that formatting stops there.
struct Cut {
    text: String,
    max: usize,
}

impl Write for Cut {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = self.max - self.text.len();
        if text.len() <= room {
            self.text.push_str(text);
            return Ok(());
        }
        self.text.push_str(&text[..text.floor_char_boundary(room)]);
        Err(fmt::Error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_long_text_is_cut() {
        for text in ["x".repeat(10_000), "\u{202e}".repeat(10_000), "日".repeat(10_000)] {
            let shown = Shown::new(&text);
            assert!(shown.as_str().ends_with('…'));
            assert!((MAX_BYTES - 10..=MAX_BYTES + 3).contains(&shown.as_str().len()));
        }
        let whole = "x".repeat(MAX_BYTES);
        assert_eq!(Shown::new(&whole).as_str(), whole);
    }

    #[test]
    fn shown_deserialized_text_is_escaped_again() {
        let shown: Shown = serde_json::from_str(r#""a\nb\u202e""#).expect("it is a text");
        assert_eq!(shown.as_str(), "a\\nb\\u{202e}");
        let again = serde_json::to_string(&shown).expect("it is a text");
        assert_eq!(
            serde_json::from_str::<Shown>(&again).expect("it is a text"),
            shown
        );
    }
}
