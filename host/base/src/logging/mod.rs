//! The log: lines on standard error that never block a caller that serves.
//!
//! ```text
//! caller ──▶ line: formatted ──▶ queue: bounded ──▶ writer: a thread ──▶ standard error
//!            on its thread       or dropped, and counted
//! ```
//!
//! The reader of standard error may be slow, stopped or gone, and a disk may be full. Then the writer waits
//! or fails, the queue fills up, and lines are dropped: the next line that is written says how many. Commands
//! that do not serve write their lines themselves, and wait for the reader.
//!
//! | file | what it does |
//! |---|---|
//! | `directives` | reads `RUST_LOG` |
//! | `line` | formats a record as a line of bounded length, with no line feeds but Pace's own |
//! | `queue` | lines that wait to be written |
//! | `writer` | the thread |
//! | `limited` | limits of lines of one kind per second |
//! | `panics` | logs panics |

mod directives;
mod limited;
mod line;
mod panics;
mod queue;
mod writer;

use std::cell::RefCell;
use std::env::VarError;
use std::fmt::{self, Display};
use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, LazyLock};

use env_filter::{Builder, Filter};
use log::{Level, Metadata, Record};
use prometheus::IntCounter;

pub use self::directives::LogError;
pub use self::limited::{Limited, WARNINGS_PER_SECOND, summarise_limited, summarise_limited_now};
pub use self::line::LineBuffer;
pub use self::panics::catch_panic;
use self::queue::Queue;

/// Counts all lines that were not written.
pub static DROPPED: LazyLock<IntCounter> = LazyLock::new(|| {
    IntCounter::new(
        "pace_log_lines_dropped_total",
        "Lines of the log that were not written, because standard error took none.",
    )
    .expect("the name is valid")
});

/// Formats a record as a line, without the line feed at its end. A format that fails has used up all the
/// room.
pub type Format = fn(&mut LineBuffer, &Record<'_>) -> fmt::Result;

/// Which lines are logged, and how they look.
pub struct Setup {
    filter: Builder,
    format: Format,
}

/// How lines reach standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writing {
    /// The caller writes, and waits until the line is taken: for commands that do nothing else meanwhile.
    AtOnce,
    /// A thread of the log writes: for a process that serves.
    Later,
}

/// The log of the process. Dropping it flushes the queue, as long as the reader takes lines.
pub struct Log {
    queue: Option<Arc<Queue>>,
}

impl Setup {
    /// The lines that `RUST_LOG` names, or else `default`.
    ///
    /// # Errors
    ///
    /// `RUST_LOG` cannot be read.
    pub fn from_env(default: &str) -> Result<Setup, LogError> {
        let wanted = match std::env::var("RUST_LOG") {
            Ok(wanted) => wanted,
            Err(VarError::NotPresent) => default.to_owned(),
            Err(VarError::NotUnicode(wanted)) => {
                return Err(LogError::NotUtf8(wanted.to_string_lossy().into_owned()));
            }
        };
        Ok(Setup {
            filter: directives::filter(&wanted)?,
            format: line::format,
        })
    }

    /// Adds the lines of a target, from a level up, whatever else is set.
    #[must_use]
    pub fn and(mut self, target: &str, least: log::LevelFilter) -> Setup {
        self.filter.filter_module(target, least);
        self
    }

    /// Sets the format of lines.
    #[must_use]
    pub fn format(mut self, format: Format) -> Setup {
        self.format = format;
        self
    }

    /// Starts the log of the process.
    ///
    /// # Errors
    ///
    /// The thread of the log cannot be started.
    ///
    /// # Panics
    ///
    /// If the process has a log already.
    pub fn start(mut self, writing: Writing) -> Result<Log, LogError> {
        let queue = match writing {
            Writing::AtOnce => None,
            Writing::Later => Some(writer::start()?),
        };
        let logger = Logger {
            filter: self.filter.build(),
            format: self.format,
            colors: colors(),
            queue: queue.clone(),
        };
        log::set_max_level(logger.filter.filter());
        log::set_boxed_logger(Box::new(logger)).expect("main starts it, once");
        panics::install(queue.clone());
        Ok(Log { queue })
    }
}

impl Log {
    /// Writes a text that is no line of the log, such as why the program ends.
    pub fn print(&self, text: impl Display) {
        let text = format!("{}\n", crate::escape::Lines(text));
        write(self.queue.as_deref(), &text);
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        if let Some(queue) = &self.queue {
            queue.flush();
        }
    }
}

struct Logger {
    filter: Filter,
    format: Format,
    colors: bool,
    queue: Option<Arc<Queue>>,
}

impl log::Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.filter.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if !self.filter.matches(record) || !limited::admits(record) {
            return;
        }
        thread_local! {
            /// The buffer that lines are formatted in, so that memory is allocated once.
            static LINE: RefCell<LineBuffer> = RefCell::default();
        }
        let write = |line: &mut LineBuffer| {
            line.begin(self.colors);
            let written = (self.format)(line, record);
            write(self.queue.as_deref(), line.end(written));
        };
        LINE.with(|line| match line.try_borrow_mut() {
            Ok(mut line) => write(&mut line),
            // A value that is formatted for a line logs something itself.
            Err(_) => write(&mut LineBuffer::default()),
        });
    }

    fn flush(&self) {
        if let Some(queue) = &self.queue {
            queue.flush();
        }
    }
}

/// Writes whole lines.
fn write(queue: Option<&Queue>, lines: &str) {
    match queue {
        Some(queue) => queue.push(lines.as_bytes()),
        // There is nowhere else to report a failure.
        None => drop(io::stderr().write_all(lines.as_bytes())),
    }
}

/// Whether levels are coloured: on a terminal that supports it, unless `NO_COLOR` is set
/// (<https://no-color.org>); `RUST_LOG_STYLE` has the last word.
fn colors() -> bool {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    match std::env::var("RUST_LOG_STYLE").as_deref() {
        Ok("always") => true,
        Ok("never") => false,
        _ => {
            let can = variable("TERM").is_some_and(|terminal| terminal != "dumb");
            io::stderr().is_terminal() && can && variable("NO_COLOR").is_none()
        }
    }
}

/// The colours of env_logger, which people are used to.
fn color(level: Level) -> &'static str {
    match level {
        Level::Error => "\x1b[1m\x1b[31m",
        Level::Warn => "\x1b[33m",
        Level::Info => "\x1b[32m",
        Level::Debug => "\x1b[34m",
        Level::Trace => "\x1b[36m",
    }
}
