//! `log`: lines in Pace's log, marked with the plugin's name.

use std::fmt::Write;

use ::log::Level;
use wasmtime::Result;
use wasmtime::component::{HasData, Linker};

use super::super::bindings::pace::plugin::log;
use super::super::guest::Guest;

/// The target of plugins' lines, for `RUST_LOG`.
const TARGET: &str = "pace::plugin::log";

/// The longest line, in bytes.
const MAX_LINE: usize = 4096;

struct View<'a> {
    plugin: &'a str,
}

struct Log;

impl HasData for Log {
    type Data<'a> = View<'a>;
}

pub(super) fn add_to_linker(linker: &mut Linker<Guest>) -> Result<()> {
    log::add_to_linker::<_, Log>(linker, |guest| View { plugin: &guest.name })
}

impl log::Host for View<'_> {
    fn enabled(&mut self, level: log::Level) -> Result<bool> {
        Ok(::log::log_enabled!(target: TARGET, level.into()))
    }

    fn write(&mut self, level: log::Level, message: String) -> Result<()> {
        let level = Level::from(level);
        if ::log::log_enabled!(target: TARGET, level) {
            ::log::log!(target: TARGET, level, "{}: {}", self.plugin, one_line(&message));
        }
        Ok(())
    }
}

impl From<log::Level> for Level {
    fn from(level: log::Level) -> Level {
        match level {
            log::Level::Trace => Level::Trace,
            log::Level::Debug => Level::Debug,
            log::Level::Info => Level::Info,
            log::Level::Warn => Level::Warn,
            log::Level::Error => Level::Error,
        }
    }
}

/// The message with control characters escaped, so that it cannot forge lines or drive a terminal, and
/// cut to [`MAX_LINE`].
fn one_line(message: &str) -> String {
    let mut line = String::with_capacity(message.len().min(MAX_LINE) + 4);
    for character in message.chars() {
        if line.len() >= MAX_LINE {
            line.push('…');
            break;
        }
        if character.is_control() {
            let _ = write!(line, "{}", character.escape_default());
        } else {
            line.push(character);
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stays_one_line() {
        assert_eq!(one_line("a\r\nb\x1b[31m"), "a\\r\\nb\\u{1b}[31m");
        assert_eq!(one_line("grün ✓"), "grün ✓");
    }

    #[test]
    fn a_long_line_is_cut() {
        assert!(one_line(&"x".repeat(10_000)).len() <= MAX_LINE + 4);
    }
}
