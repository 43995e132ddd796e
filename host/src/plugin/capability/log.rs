//! `log`: lines in Pace's log, marked with the plugin's name.

use ::log::Level;
use wasmtime::Result;
use wasmtime::component::{HasData, Linker};

use super::super::bindings::pace::plugin::log;
use super::super::generation::Generation;
use super::super::guest::Guest;
use super::super::text;

/// The target of plugins' lines, for `RUST_LOG`.
const TARGET: &str = "pace::plugin::log";

struct View<'a>(&'a Generation);

struct Log;

impl HasData for Log {
    type Data<'a> = View<'a>;
}

pub(super) fn add_to_linker(linker: &mut Linker<Guest>) -> Result<()> {
    log::add_to_linker::<_, Log>(linker, |guest| {
        guest.calls_out += 1;
        View(&guest.generation)
    })
}

impl log::Host for View<'_> {
    fn enabled(&mut self, level: log::Level) -> Result<bool> {
        let level = Level::from(level);
        Ok(match &self.0.log_sink {
            Some(sink) => sink.enabled(level),
            None => ::log::log_enabled!(target: TARGET, level),
        })
    }

    fn write(&mut self, level: log::Level, message: String) -> Result<()> {
        line(self.0, level.into(), &message);
        Ok(())
    }
}

/// Writes a line for a plugin, if anybody wants to read it and there have not been too many.
pub(super) fn line(generation: &Generation, level: Level, message: &str) {
    if let Some(sink) = &generation.log_sink {
        if sink.enabled(level) {
            sink.write(level, text::line(message));
        }
        return;
    }
    if !::log::log_enabled!(target: TARGET, level) {
        return;
    }
    let Some(dropped) = generation.log.admit() else {
        return;
    };
    let plugin = &generation.plugin;
    if dropped > 0 {
        ::log::warn!(target: TARGET, "{plugin}: {dropped} lines were dropped, they were too many");
    }
    ::log::log!(target: TARGET, level, "{plugin}: {}", text::line(message));
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
