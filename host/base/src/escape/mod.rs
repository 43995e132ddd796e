//! Escapes for text from outside, before it reaches a log, a terminal or a page.
//!
//! Names and messages come from plugins' files, clients and backends. Unescaped, they could begin a line that
//! looks like Pace's own, command a terminal, or make it show something other than the text: by marks that
//! turn the direction of writing, and by invisible characters. This module escapes these and leaves readable
//! characters (`é`, `日本`) as they are.
//!
//! | as | for |
//! |---|---|
//! | [`Line`] | a message on one line, whatever the text |
//! | [`Lines`] | a message whose line feeds are Pace's own; its parts went through [`Line`] before |
//! | [`Word`] | a field of a line, without spaces |
//! | [`Quoted`] | a field of a line, in quotes |
//! | [`json`] | JSON |
//! | [`Shown`] | a [`Line`] of at most 4 KiB to keep: the type of foreign text in errors |
//!
//! The log, standard output and the admin listener write everything as [`Lines`], so no other control
//! character reaches them. Foreign line feeds are the concern of the code that puts foreign text into a
//! message.

mod json;
mod shown;
mod visible;

use std::fmt::{self, Display, Write};

pub use self::json::json;
pub use self::shown::{Shown, cut};
pub use self::visible::is_visible;

/// A text on one line: line feeds are escaped too.
#[derive(Clone, Copy, Debug)]
pub struct Line<T>(pub T);

/// A text that keeps its line feeds.
#[derive(Clone, Copy, Debug)]
pub struct Lines<T>(pub T);

/// Bytes as a word: space and backslash are escaped too, so the word ends at the next space and can be read
/// back.
#[derive(Clone, Copy, Debug)]
pub struct Word<'a>(pub &'a [u8]);

/// Bytes in quotes: quote and backslash are escaped too, so the text ends at the next quote and can be read
/// back.
#[derive(Clone, Copy, Debug)]
pub struct Quoted<'a>(pub &'a [u8]);

impl<T: Display> Display for Line<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Escaper::new(out, ""), "{}", self.0)
    }
}

impl<T: Display> Display for Lines<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut escaper = Escaper::new(out, "");
        escaper.keeps_line_feeds = true;
        write!(escaper, "{}", self.0)
    }
}

impl Display for Word<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        Escaper::new(out, " \\").write_bytes(self.0)
    }
}

impl Display for Quoted<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_char('"')?;
        Escaper::new(out, "\"\\").write_bytes(self.0)?;
        out.write_char('"')
    }
}

/// Passes text on, with unwanted characters escaped.
struct Escaper<'a, W> {
    out: &'a mut W,
    /// Visible characters that are escaped all the same.
    also: &'static str,
    keeps_line_feeds: bool,
}

impl<'a, W: Write> Escaper<'a, W> {
    fn new(out: &'a mut W, also: &'static str) -> Escaper<'a, W> {
        Escaper {
            out,
            also,
            keeps_line_feeds: false,
        }
    }

    fn write_bytes(&mut self, bytes: &[u8]) -> fmt::Result {
        for chunk in bytes.utf8_chunks() {
            self.write_str(chunk.valid())?;
            for byte in chunk.invalid() {
                write!(self.out, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }

    fn passes(&self, c: char) -> bool {
        match c {
            '\n' => self.keeps_line_feeds,
            c => is_visible(c) && !self.also.contains(c),
        }
    }
}

impl<W: Write> Write for Escaper<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut passed = 0;
        for (at, c) in text.char_indices() {
            if self.passes(c) {
                continue;
            }
            self.out.write_str(&text[passed..at])?;
            match c {
                ' ' => self.out.write_str("\\x20")?,
                c => write!(self.out, "{}", c.escape_default())?,
            }
            passed = at + c.len_utf8();
        }
        self.out.write_str(&text[passed..])
    }
}

#[cfg(test)]
mod tests;
