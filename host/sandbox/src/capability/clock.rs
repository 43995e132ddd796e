//! `clock`: the time.

use wasmtime::Result;
use wasmtime::component::{HasData, Linker};

use super::super::bindings::pace::plugin::clock;
use super::super::direct::{Caller, Interface, called, guest};
use super::super::guest::Guest;
use super::metered::Metered;
use pace_state::Time;

struct View<'a>(&'a Time);

struct Clock;

impl HasData for Clock {
    type Data<'a> = Metered<'a, View<'a>>;
}

pub(super) fn add_to_linker(linker: &mut Linker<Guest>) -> Result<()> {
    clock::add_to_linker::<_, Clock>(linker, |guest| {
        Metered::new(&mut guest.meter, View(guest.scope.time()))
    })
}

pub(super) fn add_directly(clock: &mut Interface<'_>) -> Result<()> {
    clock
        .func("monotonic", |mut caller: Caller<'_>| {
            called(&mut caller)?;
            Ok(guest(&caller)?.scope.time().monotonic())
        })?
        .func("wall", |mut caller: Caller<'_>| {
            called(&mut caller)?;
            Ok(guest(&caller)?.scope.time().wall())
        })?;
    Ok(())
}

impl clock::Host for Metered<'_, View<'_>> {
    fn monotonic(&mut self) -> Result<u64> {
        Ok(self.view()?.0.monotonic())
    }

    fn wall(&mut self) -> Result<u64> {
        Ok(self.view()?.0.wall())
    }
}
