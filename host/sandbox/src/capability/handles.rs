//! What capabilities with handles have in common: `counters`, `metrics`, `tables` and `windows`.

use wasmtime::Result;
use wasmtime::component::{HasData, Resource, ResourceTable};

use super::super::bindings::pace::plugin::counters::OpenError;
use super::super::direct::{Caller, called, guest_mut, place};
use super::super::guest::Guest;
use super::super::lend::Lending;
use super::super::meter::Meter;
use super::metered::Metered;
use pace_state::Scope;

/// The state that handles are made for, and the handles.
pub(super) struct View<'a> {
    pub(super) scope: &'a Scope,
    pub(super) lending: &'a Lending,
    pub(super) resources: &'a mut ResourceTable,
}

/// The view, behind the meter, for components.
pub(super) struct Handles;

impl HasData for Handles {
    type Data<'a> = Metered<'a, View<'a>>;
}

impl<'a> View<'a> {
    /// The view of a guest, and its meter.
    pub(super) fn of(guest: &'a mut Guest) -> (&'a mut Meter, View<'a>) {
        let view = View {
            scope: &guest.scope,
            lending: &guest.lending,
            resources: &mut guest.resources,
        };
        (&mut guest.meter, view)
    }

    /// The view of a guest for the functions of a component.
    pub(super) fn metered(guest: &'a mut Guest) -> Metered<'a, View<'a>> {
        let (meter, view) = View::of(guest);
        Metered::new(meter, view)
    }

    /// Makes a handle.
    pub(super) fn put<T: Send + 'static>(&mut self, handle: T) -> Result<Resource<T>, OpenError> {
        self.resources.push(handle).map_err(|_| OpenError::TooMany)
    }
}

/// The resource of a handle that a core module gives away. In the canonical ABI 0 is no handle.
fn owned<T: 'static>(handle: u32) -> Resource<T> {
    Resource::new_own(handle.wrapping_sub(1))
}

/// The resource of a handle that a core module keeps.
pub(super) fn borrowed<T: 'static>(handle: u32) -> Resource<T> {
    Resource::new_borrow(handle.wrapping_sub(1))
}

/// Drops a handle that a core module gives away: `resource-drop`.
pub(super) fn delete<T: 'static>(mut caller: Caller<'_>, handle: u32) -> Result<()> {
    called(&mut caller)?;
    guest_mut(&mut caller)?.resources.delete(owned::<T>(handle))?;
    Ok(())
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
