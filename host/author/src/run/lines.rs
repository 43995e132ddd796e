//! How the log looks to somebody who sits before it.

use std::fmt::{self, Write};

use log::{Level, LevelFilter, Record};

use pace_base::logging::{LineBuffer, Setup};
use pace_proxy::telemetry::HOOKS_TARGET;

/// Without RUST_LOG: what happens to the process, and all that a plugin says of interest to whoever writes it.
const DEFAULT_LOG: &str = "info,pace::access=off,pace::plugin::log=debug";

/// The log of `pace plugin run`: with a line for each request, and without what only tells many programs and days apart.
pub fn log_for_run() -> Setup {
    Setup::from_env(DEFAULT_LOG)
        .and(HOOKS_TARGET, LevelFilter::Debug)
        .format(format)
}

fn format(line: &mut LineBuffer, record: &Record<'_>) -> fmt::Result {
    write!(line, "{} ", jiff::Timestamp::now().strftime("%H:%M:%S%.3fZ"))?;
    match record.level() {
        Level::Error => line.write_str("error: ")?,
        Level::Warn => line.write_str("warn: ")?,
        Level::Info | Level::Debug | Level::Trace => {}
    }
    line.message(record)
}
