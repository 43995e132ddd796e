//! How the log looks to somebody who sits before it.

use std::io::Write;

use env_logger::Builder;
use log::{Level, LevelFilter};

use crate::telemetry::HOOKS_TARGET;

/// Without RUST_LOG: what happens to the process, and all that a plugin says of interest to whoever writes it.
pub const DEFAULT_LOG: &str = "info,pace::access=off,pace::plugin::log=debug";

/// Adds the line for each request, and leaves out what only tells many programs and days apart. To be called before
/// the log is set up, for `pace plugin run`.
pub fn prepare_log(log: &mut Builder) {
    log.filter_module(HOOKS_TARGET, LevelFilter::Debug)
        .format(|out, record| {
            let time = jiff::Timestamp::now().strftime("%H:%M:%S%.3fZ");
            match record.level() {
                Level::Error | Level::Warn => {
                    let level = record.level().as_str().to_lowercase();
                    writeln!(out, "{time} {level}: {}", record.args())
                }
                Level::Info | Level::Debug | Level::Trace => writeln!(out, "{time} {}", record.args()),
            }
        });
}
