//! `log`: lines in Pace's log, marked with the plugin's name, and fields of a request's own line.

use ::log::Level;
use wasmtime::component::{HasData, Linker};
use wasmtime::{Result, format_err};

use super::super::bindings::pace::plugin::http::EditError;
use super::super::bindings::pace::plugin::log;
use super::super::direct::{Caller, Interface, called, guest, split, text_if_short, text_start};
use super::super::generation::Generation;
use super::super::guest::Guest;
use super::super::lend::Lending;
use super::headers::answer_edit;
use super::metered::Metered;
use pace_base::escape::Shown;

/// The target of plugins' lines, for `RUST_LOG`.
const TARGET: &str = "pace::plugin::log";

struct View<'a> {
    generation: &'a Generation,
    lending: &'a Lending,
}

struct Log;

impl HasData for Log {
    type Data<'a> = Metered<'a, View<'a>>;
}

pub(super) fn add_to_linker(linker: &mut Linker<Guest>) -> Result<()> {
    log::add_to_linker::<_, Log>(linker, |guest| {
        let view = View {
            generation: &guest.generation,
            lending: &guest.lending,
        };
        Metered::new(&mut guest.meter, view)
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
    )?
    .func(
        "annotate",
        |mut caller: Caller<'_>, key: u32, key_length: u32, at: u32, length: u32, out: u32| {
            called(&mut caller)?;
            let (memory, guest) = split(&mut caller)?;
            let key = text_if_short(memory, &mut guest.meter, key, key_length)?;
            let value = text_if_short(memory, &mut guest.meter, at, length)?;
            let done = match (key, value) {
                (None, _) => Err(pace_hook::EditError::InvalidName),
                (_, None) => Err(pace_hook::EditError::TooLarge),
                (Some(key), Some(value)) => {
                    let state = guest.lending.facts()?.state;
                    state.annotate(&guest.generation.plugin, key, value)
                }
            };
            answer_edit(memory, out, done)
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
        Ok(enabled(self.view()?.generation, level.into()))
    }

    fn write(&mut self, level: log::Level, message: String) -> Result<()> {
        line(self.given(message.len())?.generation, level.into(), &message);
        Ok(())
    }

    fn annotate(&mut self, key: String, value: String) -> Result<Result<(), EditError>> {
        let view = self.given(key.len() + value.len())?;
        let state = view.lending.facts()?.state;
        let done = state.annotate(&view.generation.plugin, &key, &value);
        Ok(done.map_err(Into::into))
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
