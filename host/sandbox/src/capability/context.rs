//! `context`: values that the hooks of one request leave for each other.

use wasmtime::Result;
use wasmtime::component::{HasData, Linker};

use super::super::bindings::pace::plugin::context;
use super::super::bindings::pace::plugin::http::EditError;
use super::super::direct::{Caller, Interface, answer_option, bytes, called, split, text_if_short};
use super::super::generation::Generation;
use super::super::guest::Guest;
use super::super::lend::Lending;
use super::headers::answer_edit;
use super::metered::Metered;
use pace_hook::RequestState;

struct View<'a> {
    generation: &'a Generation,
    lending: &'a Lending,
}

struct Context;

impl HasData for Context {
    type Data<'a> = Metered<'a, View<'a>>;
}

pub(super) fn add_to_linker(linker: &mut Linker<Guest>) -> Result<()> {
    context::add_to_linker::<_, Context>(linker, |guest| {
        let view = View {
            generation: &guest.generation,
            lending: &guest.lending,
        };
        Metered::new(&mut guest.meter, view)
    })
}

pub(super) fn add_directly(context: &mut Interface<'_>) -> Result<()> {
    context
        .func(
            "set",
            |mut caller: Caller<'_>, name: u32, name_length: u32, at: u32, length: u32, out: u32| {
                called(&mut caller)?;
                let (memory, guest) = split(&mut caller)?;
                let name = text_if_short(memory, &mut guest.meter, name, name_length)?;
                let value = bytes(memory, &mut guest.meter, at, length)?;
                let state = state(&guest.lending)?;
                let done = match name {
                    Some(name) => state.set(&guest.generation.plugin, name, value),
                    None => Err(pace_hook::EditError::InvalidName),
                };
                answer_edit(memory, out, done)
            },
        )?
        .func("get", |mut caller: Caller<'_>, at: u32, length: u32, out: u32| {
            called(&mut caller)?;
            let (memory, guest) = split(&mut caller)?;
            let name = text_if_short(memory, &mut guest.meter, at, length)?;
            let state = state(&guest.lending)?;
            let found = name.and_then(|name| state.get(&guest.generation.plugin, name));
            answer_option(&mut caller, out, found.as_deref())
        })?
        .func(
            "get-of",
            |mut caller: Caller<'_>, plugin: u32, plugin_length: u32, at: u32, length: u32, out: u32| {
                called(&mut caller)?;
                let (memory, guest) = split(&mut caller)?;
                let plugin = text_if_short(memory, &mut guest.meter, plugin, plugin_length)?;
                let name = text_if_short(memory, &mut guest.meter, at, length)?;
                let state = state(&guest.lending)?;
                let found = plugin
                    .zip(name)
                    .and_then(|(plugin, name)| state.get(plugin, name));
                answer_option(&mut caller, out, found.as_deref())
            },
        )?
        .func("remove", |mut caller: Caller<'_>, at: u32, length: u32| {
            called(&mut caller)?;
            let (memory, guest) = split(&mut caller)?;
            let name = text_if_short(memory, &mut guest.meter, at, length)?;
            let state = state(&guest.lending)?;
            let was_there = name.is_some_and(|name| state.remove(&guest.generation.plugin, name));
            Ok(u32::from(was_there))
        })?;
    Ok(())
}

impl context::Host for Metered<'_, View<'_>> {
    fn set(&mut self, name: String, value: Vec<u8>) -> Result<Result<(), EditError>> {
        let view = self.given(name.len() + value.len())?;
        let done = state(view.lending)?.set(&view.generation.plugin, &name, &value);
        Ok(done.map_err(Into::into))
    }

    fn get(&mut self, name: String) -> Result<Option<Vec<u8>>> {
        let view = self.given(name.len())?;
        Ok(state(view.lending)?.get(&view.generation.plugin, &name))
    }

    fn get_of(&mut self, plugin: String, name: String) -> Result<Option<Vec<u8>>> {
        let view = self.given(plugin.len() + name.len())?;
        Ok(state(view.lending)?.get(&plugin, &name))
    }

    fn remove(&mut self, name: String) -> Result<bool> {
        let view = self.given(name.len())?;
        Ok(state(view.lending)?.remove(&view.generation.plugin, &name))
    }
}

fn state(lending: &Lending) -> Result<&RequestState> {
    Ok(lending.facts()?.state)
}
