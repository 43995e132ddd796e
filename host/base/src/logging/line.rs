//! Formats a record as a line of the log.

use std::fmt::{self, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use log::{Level, Record};

use super::color;
use crate::escape::Lines;

/// A line being formatted: of bounded length, with harmful characters escaped, and with every continuation
/// line indented, so that nothing in a line looks like the next one.
#[derive(Default)]
pub struct LineBuffer {
    text: String,
    colors: bool,
    clock: Clock,
}

/// The longest line, in bytes. The longest request targets fit, even escaped.
const MAX_BYTES: usize = 32 << 10;

/// The indentation of the second and later lines of an entry.
pub(super) const INDENT: &str = "    ";

impl LineBuffer {
    pub(super) fn begin(&mut self, colors: bool) {
        self.text.clear();
        self.colors = colors;
    }

    /// Ends the line with a line feed, after a `…` if it was cut.
    pub(super) fn end(&mut self, written: fmt::Result) -> &str {
        if written.is_err() {
            self.text.push('…');
        }
        self.text.push('\n');
        &self.text
    }

    /// Appends the message of a record.
    pub fn message(&mut self, record: &Record<'_>) -> fmt::Result {
        write!(Indented(&mut self.text), "{}", Lines(record.args()))
    }

    fn level(&mut self, record: &Record<'_>) -> fmt::Result {
        let level = record.level();
        match self.colors {
            true => write!(self.text, "{}{level:<5}\x1b[0m", color(level)),
            false => write!(self.text, "{level:<5}"),
        }
    }
}

/// For Pace's own parts of a line, such as the time.
impl Write for LineBuffer {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        Indented(&mut self.text).write_str(text)
    }
}

/// `[2026-01-31T12:00:00Z INFO  pace_proxy::server] message`
pub(super) fn format(line: &mut LineBuffer, record: &Record<'_>) -> fmt::Result {
    line.text.push('[');
    line.clock.write(&mut line.text);
    line.text.push(' ');
    line.level(record)?;
    write!(line.text, " {}] ", record.target())?;
    line.message(record)
}

/// Formats a whole line that comes from no record, and that no filter leaves out.
pub(super) fn entry(colors: bool, level: Level, target: &str, message: fmt::Arguments<'_>) -> String {
    let mut line = LineBuffer::default();
    line.begin(colors);
    let record = Record::builder()
        .level(level)
        .target(target)
        .args(message)
        .build();
    let written = format(&mut line, &record);
    line.end(written).to_owned()
}

/// The time of day as text, formatted once per second.
#[derive(Default)]
struct Clock {
    second: u64,
    text: String,
}

impl Clock {
    fn write(&mut self, out: &mut String) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        if self.text.is_empty() || self.second != now.as_secs() {
            self.second = now.as_secs();
            self.text = timestamp(self.second);
        }
        out.push_str(&self.text);
    }
}

fn timestamp(second: u64) -> String {
    let time = i64::try_from(second).ok();
    let time = time.and_then(|second| jiff::Timestamp::from_second(second).ok());
    time.unwrap_or_default().to_string()
}

/// Appends to a line up to its limit, and indents after each line feed.
struct Indented<'a>(&'a mut String);

impl Write for Indented<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for (number, line) in text.split('\n').enumerate() {
            if number > 0 {
                push(self.0, "\n")?;
                push(self.0, INDENT)?;
            }
            push(self.0, line)?;
        }
        Ok(())
    }
}

fn push(out: &mut String, text: &str) -> fmt::Result {
    let room = MAX_BYTES.saturating_sub(out.len());
    if text.len() <= room {
        out.push_str(text);
        return Ok(());
    }
    out.push_str(&text[..text.floor_char_boundary(room)]);
    // An error stops the formatter: the rest would be cut anyway.
    Err(fmt::Error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(message: fmt::Arguments<'_>) -> String {
        entry(false, Level::Warn, "pace::test", message)
    }

    #[test]
    fn line_has_time_level_and_target() {
        let line = line(format_args!("a message"));
        let (time, rest) = line.split_once(' ').expect("there is a space");
        assert_eq!(rest, "WARN  pace::test] a message\n");
        let time = time.strip_prefix('[').expect("it is in brackets");
        assert_eq!((time.len(), time.ends_with('Z')), (20, true), "{time}");
        assert!(time.parse::<jiff::Timestamp>().is_ok(), "{time}");
    }

    #[test]
    fn line_text_after_a_line_feed_is_indented() {
        let line = line(format_args!("{}", "a\n[2026-01-01T00:00:00Z ERROR pace] b\nc"));
        let lines: Vec<&str> = line.lines().skip(1).collect();
        assert_eq!(lines, ["    [2026-01-01T00:00:00Z ERROR pace] b", "    c"]);
    }

    #[test]
    fn line_control_sequences_are_escaped() {
        let line = line(format_args!("\x1b[2J\u{202e}\r\u{2028}"));
        assert!(line.ends_with("] \\u{1b}[2J\\u{202e}\\r\\u{2028}\n"), "{line:?}");
    }

    #[test]
    fn line_beyond_the_limit_is_cut() {
        for piece in ["x", "\n", "\x1b", "日"] {
            let line = line(format_args!("{}", piece.repeat(MAX_BYTES)));
            assert!(line.ends_with("…\n"));
            assert!(
                (MAX_BYTES..MAX_BYTES + 10).contains(&line.len()),
                "{}",
                line.len()
            );
        }
    }

    #[test]
    fn clock_formats_a_second_once() {
        assert_eq!(timestamp(1_767_225_600), "2026-01-01T00:00:00Z");
        let mut clock = Clock::default();
        let mut twice = String::new();
        clock.write(&mut twice);
        clock.write(&mut twice);
        assert_eq!(twice.len(), 40);
    }
}
