//! `clock`: the time.

use std::sync::LazyLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use wasmtime::Result;
use wasmtime::component::{HasData, Linker};

use super::super::bindings::pace::plugin::clock;
use super::super::direct::{Caller, Interface, guest};
use super::super::guest::Guest;

struct Clock;

impl HasData for Clock {
    type Data<'a> = Clock;
}

pub(super) fn add_to_linker(linker: &mut Linker<Guest>) -> Result<()> {
    clock::add_to_linker::<_, Clock>(linker, |_| Clock)
}

pub(super) fn add_directly(clock: &mut Interface<'_>) -> Result<()> {
    clock
        .func("monotonic", |caller: Caller<'_>| {
            guest(&caller)?;
            Ok(monotonic())
        })?
        .func("wall", |caller: Caller<'_>| {
            guest(&caller)?;
            Ok(wall())
        })?;
    Ok(())
}

impl clock::Host for Clock {
    fn monotonic(&mut self) -> Result<u64> {
        Ok(monotonic())
    }

    fn wall(&mut self) -> Result<u64> {
        Ok(wall())
    }
}

fn monotonic() -> u64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    nanoseconds(START.elapsed())
}

fn wall() -> u64 {
    nanoseconds(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// Nanoseconds that fit: 584 years.
fn nanoseconds(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
