//! `counters`: numbers that all workers share.

use std::sync::Arc;

use wasmtime::Result;
use wasmtime::component::{HasData, Linker, Resource, ResourceTable};

use super::super::bindings::pace::plugin::counters::{self, OpenError};
use super::super::direct::{Caller, Interface, called, guest, guest_mut, place, split, text_if_short};
use super::super::guest::Guest;
use super::metered::Metered;
use pace_state::{Counter, Scope};

/// A plugin's handle to a counter.
#[expect(
    unreachable_pub,
    reason = "the generated bindings export it again, so it has to be `pub`"
)]
pub struct CounterHandle(Arc<Counter>);

struct View<'a> {
    scope: &'a Scope,
    resources: &'a mut ResourceTable,
}

struct Counters;

impl HasData for Counters {
    type Data<'a> = Metered<'a, View<'a>>;
}

pub(super) fn add_to_linker(linker: &mut Linker<Guest>) -> Result<()> {
    counters::add_to_linker::<_, Counters>(linker, |guest| {
        let view = View {
            scope: &guest.scope,
            resources: &mut guest.resources,
        };
        Metered::new(&mut guest.meter, view)
    })
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
                let name = text_if_short(memory, &mut guest.meter, name, length)?;
                let mut view = View {
                    scope: &guest.scope,
                    resources: &mut guest.resources,
                };
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
        .func("[resource-drop]counter", |mut caller: Caller<'_>, handle: u32| {
            called(&mut caller)?;
            guest_mut(&mut caller)?
                .resources
                .delete(owned::<CounterHandle>(handle))?;
            Ok(())
        })?;
    Ok(())
}

impl View<'_> {
    fn open_counter(&mut self, name: &str) -> Result<Resource<CounterHandle>, OpenError> {
        let counter = self.scope.counter(name)?;
        let handle = self.resources.push(CounterHandle(counter));
        handle.map_err(|_| OpenError::TooMany)
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

/// The resource of a handle that a core module gives away. In the canonical ABI 0 is no handle.
pub(super) fn owned<T: 'static>(handle: u32) -> Resource<T> {
    Resource::new_own(handle.wrapping_sub(1))
}

/// The resource of a handle that a core module keeps.
pub(super) fn borrowed<T: 'static>(handle: u32) -> Resource<T> {
    Resource::new_borrow(handle.wrapping_sub(1))
}

/// Answers with `result<own<T>, open-error>`.
pub(super) fn put_opened<T: 'static>(
    memory: &mut [u8],
    out: u32,
    opened: Result<Resource<T>, OpenError>,
) -> Result<()> {
    let [case, _, _, _, value @ ..] = place::<4, 8>(memory, out)?;
    *case = u8::from(opened.is_err());
    match opened {
        Ok(handle) => *value = handle.rep().wrapping_add(1).to_le_bytes(),
        Err(error) => value[0] = error as u8,
    }
    Ok(())
}

impl From<pace_state::OpenError> for OpenError {
    fn from(error: pace_state::OpenError) -> OpenError {
        match error {
            pace_state::OpenError::InvalidName => OpenError::InvalidName,
            pace_state::OpenError::InvalidArgument => OpenError::InvalidArgument,
            pace_state::OpenError::TooMany => OpenError::TooMany,
            pace_state::OpenError::Conflict => OpenError::Conflict,
        }
    }
}
