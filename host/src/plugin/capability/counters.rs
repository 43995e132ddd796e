//! `counters`: numbers that all workers share.

use std::sync::Arc;

use wasmtime::Result;
use wasmtime::component::{HasData, Linker, Resource, ResourceTable};

use super::super::bindings::pace::plugin::counters::{self, OpenError};
use super::super::guest::Guest;
use crate::state::{self, Counter, Scope};

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
    type Data<'a> = View<'a>;
}

pub(super) fn add_to_linker(linker: &mut Linker<Guest>) -> Result<()> {
    counters::add_to_linker::<_, Counters>(linker, |guest| {
        guest.calls_out += 1;
        View {
            scope: &guest.scope,
            resources: &mut guest.resources,
        }
    })
}

impl counters::Host for View<'_> {}

impl counters::HostCounter for View<'_> {
    fn open(&mut self, name: String) -> Result<Result<Resource<CounterHandle>, OpenError>> {
        match self.scope.counter(&name) {
            Ok(counter) => Ok(self
                .resources
                .push(CounterHandle(counter))
                .map_err(|_| OpenError::TooMany)),
            Err(error) => Ok(Err(error.into())),
        }
    }

    fn add(&mut self, counter: Resource<CounterHandle>, delta: u64) -> Result<u64> {
        Ok(self.resources.get(&counter)?.0.add(delta))
    }

    fn value(&mut self, counter: Resource<CounterHandle>) -> Result<u64> {
        Ok(self.resources.get(&counter)?.0.value())
    }

    fn swap(&mut self, counter: Resource<CounterHandle>, value: u64) -> Result<u64> {
        Ok(self.resources.get(&counter)?.0.swap(value))
    }

    fn drop(&mut self, counter: Resource<CounterHandle>) -> Result<()> {
        self.resources.delete(counter)?;
        Ok(())
    }
}

impl From<state::OpenError> for OpenError {
    fn from(error: state::OpenError) -> OpenError {
        match error {
            state::OpenError::InvalidName => OpenError::InvalidName,
            state::OpenError::InvalidArgument => OpenError::InvalidArgument,
            state::OpenError::TooMany => OpenError::TooMany,
        }
    }
}
