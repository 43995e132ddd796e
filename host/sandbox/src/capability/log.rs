//! `log`: lines in Pace's log, marked with the plugin's name.

use ::log::Level;
use wasmtime::component::{HasData, Linker};
use wasmtime::{Result, format_err};

use super::super::bindings::pace::plugin::log;
use super::super::direct::{Caller, Interface, called, guest, split, text_start};
use super::super::generation::Generation;
use super::super::guest::Guest;
use super::metered::Metered;
use pace_base::escape::Shown;

/// The target of plugins' lines, for `RUST_LOG`.
const TARGET: &str = "pace::plugin::log";

struct View<'a>(&'a Generation);

struct Log;

impl HasData for Log {
    type Data<'a> = Metered<'a, View<'a>>;
}

pub(super) fn add_to_linker(linker: &mut Linker<Guest>) -> Result<()> {
    log::add_to_linker::<_, Log>(linker, |guest| {
        Metered::new(&mut guest.meter, View(&guest.generation))
    })
}

pub(super) fn add_directly(log: &mut Interface<'_>) -> Result<()> {
    log.func("enabled", |mut caller: Caller<'_>, level: u32| {
        called(&mut caller)?;
        let generation = &guest(&caller)?.generation;
        Ok(u32::from(enabled(generation, level_at(level)?)))
    })?
    .func(
        "write",
        |mut caller: Caller<'_>, level: u32, at: u32, length: u32| {
            called(&mut caller)?;
            let (memory, guest) = split(&mut caller)?;
            let message = text_start(memory, &mut guest.meter, at, length)?;
            line(&guest.generation, level_at(level)?, message);
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

impl log::Host for Metered<'_, View<'_>> {
    fn enabled(&mut self, level: log::Level) -> Result<bool> {
        Ok(enabled(self.view()?.0, level.into()))
    }

    fn write(&mut self, level: log::Level, message: String) -> Result<()> {
        line(self.given(message.len())?.0, level.into(), &message);
        Ok(())
    }
}

fn enabled(generation: &Generation, level: Level) -> bool {
    match &generation.log_sink {
        Some(sink) => sink.enabled(level),
        None => ::log::log_enabled!(target: TARGET, level),
    }
}

/// Writes a line for a plugin, if its level is enabled and the plugin has not written too many.
pub(super) fn line(generation: &Generation, level: Level, message: &str) {
    if let Some(sink) = &generation.log_sink {
        if sink.enabled(level) {
            sink.write(level, Shown::new(message).into());
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
    ::log::log!(target: TARGET, level, "{plugin}: {}", Shown::new(message));
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
