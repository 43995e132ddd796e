//! `log`: lines in Pace's log, marked with the plugin's name.

use ::log::Level;
use wasmtime::component::{HasData, Linker};
use wasmtime::{Result, format_err};

use super::super::bindings::pace::plugin::log;
use super::super::direct::{Caller, Interface, guest, split, text as text_at};
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
    log::add_to_linker::<_, Log>(linker, |guest| View(&guest.generation))
}

pub(super) fn add_directly(log: &mut Interface<'_>) -> Result<()> {
    log.func("enabled", |caller: Caller<'_>, level: u32| {
        guest(&caller)?;
        Ok(u32::from(enabled(level_at(level)?)))
    })?
    .func(
        "write",
        |mut caller: Caller<'_>, level: u32, at: u32, length: u32| {
            let (memory, guest) = split(&mut caller)?;
            View(&guest.generation).write(level_at(level)?, text_at(memory, at, length)?);
            Ok(())
        },
    )?;
    Ok(())
}

/// The level with this number in the contract.
fn level_at(number: u32) -> Result<Level> {
    const LEVELS: [Level; 5] = [Level::Trace, Level::Debug, Level::Info, Level::Warn, Level::Error];
    let level = LEVELS.get(number as usize).copied();
    level.ok_or_else(|| format_err!("there is no log level {number}"))
}

impl log::Host for View<'_> {
    fn enabled(&mut self, level: log::Level) -> Result<bool> {
        Ok(enabled(level.into()))
    }

    fn write(&mut self, level: log::Level, message: String) -> Result<()> {
        View::write(self, level.into(), &message);
        Ok(())
    }
}

fn enabled(level: Level) -> bool {
    ::log::log_enabled!(target: TARGET, level)
}

impl View<'_> {
    fn write(&self, level: Level, message: &str) {
        if !enabled(level) {
            return;
        }
        let Some(dropped) = self.0.log.admit() else {
            return;
        };
        let plugin = &self.0.plugin;
        if dropped > 0 {
            ::log::warn!(target: TARGET, "{plugin}: {dropped} lines were dropped, they were too many");
        }
        ::log::log!(target: TARGET, level, "{plugin}: {}", text::line(message));
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
