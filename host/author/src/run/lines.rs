//! Formats the log for an author who watches it.

use std::fmt::{self, Write};

use log::{Level, LevelFilter, Record};

use pace_base::logging::{LineBuffer, LogError, Setup};
use pace_proxy::telemetry::hook_log::HOOKS_TARGET;

/// The filter without RUST_LOG: events of the process, and every message about the plugin.
const DEFAULT_LOG: &str = "info,pace::access=off,pace::plugin::log=debug";

/// The log of `pace plugin run`: with a line for each request, and without parts that only tell many programs
/// and days apart.
pub fn log_for_run() -> Result<Setup, LogError> {
    let setup = Setup::from_env(DEFAULT_LOG)?;
    Ok(setup.and(HOOKS_TARGET, LevelFilter::Debug).format(format))
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
