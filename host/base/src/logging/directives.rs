//! Reads `RUST_LOG`: which lines are logged.

use std::io;

use env_filter::Builder;
use log::LevelFilter;

/// An error of a log that cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// A part of `RUST_LOG` cannot be read.
    #[error(
        "RUST_LOG is {wanted:?}: {part:?} is neither a level (error, warn, info, debug, trace, off) nor a part of Pace with \
         one, such as pace::hooks=debug"
    )]
    Part {
        /// The whole text.
        wanted: String,
        /// The part.
        part: String,
    },
    /// `RUST_LOG` is no text.
    #[error("RUST_LOG is {0:?}, which is not UTF-8")]
    NotUtf8(String),
    /// The thread of the log cannot be started.
    #[error("cannot start the log: {0}")]
    Thread(#[from] io::Error),
}

/// The filter that a text asks for: levels and `TARGET=LEVEL`, separated by commas.
///
/// A level alone is Pace's own. Libraries say at most what is said at level `info`: their debugging is of use to nobody who
/// runs Pace, and buries the lines that are. It can be had by name, as in `h2=debug`. A name without a level, which other
/// programs take for everything of that name, would hide a mistake: `RUST_LOG=inf` would log nothing at all.
pub(super) fn filter(wanted: &str) -> Result<Builder, LogError> {
    let mut filter = Builder::new();
    for part in wanted.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let wrong = || LogError::Part {
            wanted: wanted.to_owned(),
            part: part.to_owned(),
        };
        let level = |text: &str| text.trim().parse::<LevelFilter>().map_err(|_| wrong());
        match part.split_once('=') {
            Some((target, text)) if !target.trim().is_empty() => {
                filter.filter_module(target.trim(), level(text)?);
            }
            Some(_) => return Err(wrong()),
            None => {
                let level = level(part)?;
                filter.filter_level(level.min(LevelFilter::Info));
                filter.filter_module("pace", level);
            }
        }
    }
    Ok(filter)
}

#[cfg(test)]
mod tests {
    use log::{Level, Metadata};

    use super::*;

    fn logs(wanted: &str, target: &str, level: Level) -> bool {
        let filter = filter(wanted).expect("it can be read").build();
        filter.enabled(&Metadata::builder().target(target).level(level).build())
    }

    #[test]
    fn level_alone_is_of_pace_and_libraries_say_no_more_than_info() {
        assert!(logs("debug", "pace::proxy", Level::Debug));
        assert!(!logs("debug", "wit_parser", Level::Debug));
        assert!(logs("debug", "wit_parser", Level::Info));
        assert!(logs("debug,wit_parser=debug", "wit_parser::ast", Level::Debug));
        assert!(!logs("warn", "pace::proxy", Level::Info));
        assert!(!logs("warn", "h2", Level::Info));
        assert!(!logs("off", "pace::proxy", Level::Error));
    }

    #[test]
    fn part_of_pace_has_its_own_level() {
        let wanted = " info , pace::hooks = debug,pace::access=off,";
        assert!(logs(wanted, "pace::hooks", Level::Debug));
        assert!(!logs(wanted, "pace::access", Level::Info));
        assert!(logs(wanted, "pace::server", Level::Info));
    }

    #[test]
    fn text_that_is_neither_a_level_nor_a_part_with_one_is_an_error() {
        for (wanted, part) in [
            ("inf", "inf"),
            ("info,pace::hooks", "pace::hooks"),
            ("pace=loud", "pace=loud"),
            ("=info", "=info"),
            ("info;debug", "info;debug"),
        ] {
            let error = filter(wanted).expect_err("it is wrong").to_string();
            assert!(
                error.contains(&format!("RUST_LOG is {wanted:?}: {part:?}")),
                "{error}"
            );
        }
    }
}
