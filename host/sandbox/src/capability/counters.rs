//! `counters`: numbers that all workers share.

use std::sync::Arc;

use wasmtime::Result;
use wasmtime::component::{Linker, Resource};

use super::super::bindings::pace::plugin::counters::{self, OpenError};
use super::super::direct::{Caller, Interface, called, guest, split, text_if_short};
use super::super::guest::Guest;
use super::handles::{Handles, View, borrowed, delete, put_opened};
use super::metered::Metered;
use pace_state::Counter;

/// A plugin's handle to a counter.
#[expect(
    unreachable_pub,
    reason = "the generated bindings export it again, so it has to be `pub`"
)]
pub struct CounterHandle(Arc<Counter>);

pub(super) fn add_to_linker(linker: &mut Linker<Guest>) -> Result<()> {
    counters::add_to_linker::<_, Handles>(linker, |guest| View::metered(guest))
}

pub(super) fn add_directly(counters: &mut Interface<'_>) -> Result<()> {
    fn counter<'a>(caller: &'a Caller<'_>, handle: u32) -> Result<&'a Counter> {
        Ok(&guest(caller)?
            .resources
            .get(&borrowed::<CounterHandle>(handle))?
            .0)
    }
    counters
        .func(
            "[static]counter.open",
            |mut caller: Caller<'_>, name: u32, length: u32, out: u32| {
                called(&mut caller)?;
                let (memory, guest) = split(&mut caller)?;
                let (meter, mut view) = View::of(guest);
                let name = text_if_short(memory, meter, name, length)?;
                let opened = name.ok_or(OpenError::InvalidName);
                let opened = opened.and_then(|name| view.open_counter(name));
                put_opened(memory, out, opened)
            },
        )?
        .func(
            "[method]counter.add",
            |mut caller: Caller<'_>, handle: u32, delta: u64| {
                called(&mut caller)?;
                Ok(counter(&caller, handle)?.add(delta))
            },
        )?
        .func("[method]counter.value", |mut caller: Caller<'_>, handle: u32| {
            called(&mut caller)?;
            Ok(counter(&caller, handle)?.value())
        })?
        .func(
            "[method]counter.swap",
            |mut caller: Caller<'_>, handle: u32, value: u64| {
                called(&mut caller)?;
                Ok(counter(&caller, handle)?.swap(value))
            },
        )?
        .func("[resource-drop]counter", delete::<CounterHandle>)?;
    Ok(())
}

impl View<'_> {
    fn open_counter(&mut self, name: &str) -> Result<Resource<CounterHandle>, OpenError> {
        let counter = self.scope.counter(name)?;
        self.put(CounterHandle(counter))
    }
}

impl counters::Host for Metered<'_, View<'_>> {}

impl counters::HostCounter for Metered<'_, View<'_>> {
    fn open(&mut self, name: String) -> Result<Result<Resource<CounterHandle>, OpenError>> {
        Ok(self.given(name.len())?.open_counter(&name))
    }

    fn add(&mut self, counter: Resource<CounterHandle>, delta: u64) -> Result<u64> {
        Ok(self.view()?.resources.get(&counter)?.0.add(delta))
    }

    fn value(&mut self, counter: Resource<CounterHandle>) -> Result<u64> {
        Ok(self.view()?.resources.get(&counter)?.0.value())
    }

    fn swap(&mut self, counter: Resource<CounterHandle>, value: u64) -> Result<u64> {
        Ok(self.view()?.resources.get(&counter)?.0.swap(value))
    }

    fn drop(&mut self, counter: Resource<CounterHandle>) -> Result<()> {
        self.view()?.resources.delete(counter)?;
        Ok(())
    }
}
