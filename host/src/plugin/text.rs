//! Text that comes from a plugin, made fit for a log and a terminal.

use std::fmt::{self, Write};

/// The longest text, in bytes.
const MAX_BYTES: usize = 4096;

/// The text on one line: control characters escaped, so that it cannot forge lines or drive a terminal, and
/// cut to 4 KiB.
pub(super) fn line(text: &str) -> String {
    escaped(text, |_| false)
}

/// The same for a text whose line breaks mean something: a backtrace, a message of several lines.
pub(super) fn lines(text: &str) -> String {
    escaped(text, |character| character == '\n')
}

/// The same for what has not been written yet, and is not written further than that.
pub(super) fn lines_of(text: fmt::Arguments<'_>) -> String {
    /// Refuses what no longer fits.
    struct Start(String);
    impl fmt::Write for Start {
        fn write_str(&mut self, more: &str) -> fmt::Result {
            let room = (MAX_BYTES + 1).saturating_sub(self.0.len());
            self.0.push_str(&more[..more.floor_char_boundary(room)]);
            if more.len() <= room {
                Ok(())
            } else {
                Err(fmt::Error)
            }
        }
    }
    let mut start = Start(String::new());
    // What is left out is left out.
    let _ = start.write_fmt(text);
    lines(start.0.trim_end())
}

fn escaped(text: &str, keep: impl Fn(char) -> bool) -> String {
    let mut escaped = String::with_capacity(text.len().min(MAX_BYTES) + 4);
    for character in text.chars() {
        if escaped.len() >= MAX_BYTES {
            escaped.push('…');
            break;
        }
        if character.is_control() && !keep(character) {
            // Writing into a string does not fail.
            let _ = write!(escaped, "{}", character.escape_default());
        } else {
            escaped.push(character);
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stays_one_line() {
        assert_eq!(line("a\r\nb\x1b[31m"), "a\\r\\nb\\u{1b}[31m");
        assert_eq!(line("grün ✓"), "grün ✓");
    }

    #[test]
    fn lines_stay_lines_and_nothing_else() {
        assert_eq!(lines("a\nb\r\x07"), "a\nb\\r\\u{7}");
    }

    #[test]
    fn what_is_not_read_is_not_written() {
        struct Endless;
        impl fmt::Display for Endless {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                loop {
                    out.write_str("äöü")?;
                }
            }
        }
        let text = lines_of(format_args!("a\n{Endless}"));
        assert!(
            text.starts_with("a\näöü") && text.len() <= MAX_BYTES + 4,
            "{text}"
        );
        assert_eq!(lines_of(format_args!("a {}\n", 1)), "a 1");
    }

    #[test]
    fn a_long_text_is_cut() {
        assert!(line(&"x".repeat(10_000)).len() <= MAX_BYTES + 4);
    }
}
