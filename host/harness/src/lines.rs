//! Keeps the lines that a plugin logs instead of writing them.

use std::fmt;
use std::sync::Arc;

use log::Level;
use parking_lot::Mutex;

use pace_sandbox::LogSink;

/// A line of the log. `Display` is `level: text`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The level.
    pub level: Level,
    /// The text, without control characters, at most 4 KiB.
    pub text: String,
}

impl fmt::Display for Line {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = self.level.as_str().to_ascii_lowercase();
        write!(out, "{level}: {}", self.text)
    }
}

/// Lines in the order in which they were written.
pub(super) struct Lines {
    least: Level,
    written: Mutex<Vec<Line>>,
}

impl Lines {
    /// Keeps lines of this level and of more important ones.
    pub(super) fn new(least: Level) -> Arc<Lines> {
        Arc::new(Lines {
            least,
            written: Mutex::default(),
        })
    }

    /// Takes the lines logged since the last call.
    pub(super) fn take(&self) -> Vec<Line> {
        std::mem::take(&mut *self.written.lock())
    }
}

impl LogSink for Lines {
    fn enabled(&self, level: Level) -> bool {
        level <= self.least
    }

    fn write(&self, level: Level, line: String) {
        self.written.lock().push(Line { level, text: line });
    }
}
