//! The excerpt of the file that a message is about.

use std::fmt;
use std::ops::Range;

use pace_base::escape::is_visible;

/// The most characters of a long line that are shown.
const WIDTH: usize = 100;

/// A line of the file, with the faulty part underlined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt {
    /// The number of the line, counted from 1.
    line: usize,
    /// The column, counted from 1 in characters.
    column: usize,
    /// The line, or a window of it, without characters that a terminal would obey.
    text: String,
    /// The underlined part of `text`, in characters.
    marked: Range<usize>,
}

impl Excerpt {
    /// `span` is in bytes and may end in a later line, or point past the end of the text.
    pub(super) fn new(text: &str, span: Range<usize>) -> Self {
        let start = text.floor_char_boundary(span.start);
        let end = text.ceil_char_boundary(span.end.max(start));

        let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let line = text[line_start..].lines().next().unwrap_or_default();
        let before = text[line_start..start].chars().count();
        let within = text[start..end]
            .lines()
            .next()
            .unwrap_or_default()
            .chars()
            .count();

        let from = if before < WIDTH { 0 } else { before - WIDTH / 2 };
        let shown: String = line.chars().skip(from).take(WIDTH).map(printable).collect();
        let indent = before - from;
        // At the end of the line nothing can be underlined, and one caret stands there.
        let carets = within.min(shown.chars().count().saturating_sub(indent)).max(1);
        Excerpt {
            line: line_number(text, start),
            column: before + 1,
            text: shown,
            marked: indent..indent + carets,
        }
    }

    /// The number of the line, counted from 1.
    pub fn line(&self) -> usize {
        self.line
    }

    /// The column, counted from 1 in characters.
    pub fn column(&self) -> usize {
        self.column
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.line.to_string();
        writeln!(f, "  {number} | {}", self.text)?;
        let (indent, carets) = (self.marked.start, self.marked.len());
        write!(
            f,
            "  {:width$} | {:indent$}{:^<carets$}",
            "",
            "",
            "",
            width = number.len()
        )
    }
}

/// The number of the line that a byte is in, counted from 1.
pub(super) fn line_number(text: &str, at: usize) -> usize {
    text.as_bytes()[..at.min(text.len())]
        .iter()
        .filter(|byte| **byte == b'\n')
        .count()
        + 1
}

/// A character of one column, so that the underline fits.
fn printable(c: char) -> char {
    match c {
        '\t' => ' ',
        c if is_visible(c) => c,
        _ => char::REPLACEMENT_CHARACTER,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn excerpt_underlines_the_span() {
        let text = "[server]\nworkers = 0\n";
        assert_eq!(
            Excerpt::new(text, 19..20).to_string(),
            "  2 | workers = 0\n    |           ^"
        );
        assert_eq!(
            Excerpt::new(text, 9..16).to_string(),
            "  2 | workers = 0\n    | ^^^^^^^"
        );
    }

    #[test]
    fn excerpt_at_the_end_of_the_text_has_one_caret() {
        assert_eq!(Excerpt::new("x", 1..1).to_string(), "  1 | x\n    |  ^");
        assert_eq!(Excerpt::new("", 0..0).to_string(), "  1 | \n    | ^");
    }

    #[test]
    fn excerpt_long_line_is_cut_around_the_span() {
        let text = format!("{}HERE{}", "a".repeat(500), "b".repeat(500));
        let excerpt = Excerpt::new(&text, 500..504);
        assert_eq!(excerpt.column(), 501);
        assert_eq!(excerpt.text.len(), WIDTH);
        assert_eq!(&excerpt.text[excerpt.marked], "HERE");
    }

    #[test]
    fn excerpt_control_characters_are_replaced() {
        assert_eq!(Excerpt::new("a\u{1b}[2J\tb", 0..1).text, "a\u{fffd}[2J b");
    }

    proptest! {
        #[test]
        fn excerpt_any_span_of_any_text_has_a_caret(text in "(.|\n|é){0,300}", start in 0usize..500, length in 0usize..500) {
            let excerpt = Excerpt::new(&text, start..start + length);
            prop_assert!(excerpt.to_string().contains('^'));
        }
    }
}
