//! Resources that a module exports: the messages of its stream filters.
//!
//! The module makes a handle for an object of its own (`resource-new`), gives it away with the result of `open`, and is
//! called with the number that it made the handle for. So the host keeps that number, and a handle lasts no longer than a
//! call, unless the module keeps it.

use wasmtime::component::{Resource, ResourceTable};
use wasmtime::{Result, ensure};

use super::memory::{Caller, guest, guest_mut};
use super::names;
use pace_hook::Hook;

/// An object of the module, for which there is a handle among those to counters and windows.
struct Object {
    hook: Hook,
    /// The number that the module knows it by.
    number: u32,
}

/// The name of a hook's resource, if it has one.
pub(super) fn resource(hook: Hook) -> Option<&'static str> {
    hook.functions().iter().find_map(|(name, _)| {
        let (resource, _) = name.strip_prefix("[method]")?.split_once('.')?;
        Some(resource)
    })
}

/// Makes a handle to an object that the module knows by this number. It does not count as one to a counter or window.
pub(super) fn make(caller: &mut Caller<'_>, hook: Hook, number: u32) -> Result<u32> {
    let guest = guest_mut(caller)?;
    let limits = &guest.generation.limits;
    let (handles, most) = (&mut guest.resources, limits.handles + limits.streams as usize);
    let capacity = handles.max_capacity();
    ensure!(
        capacity < most,
        "it holds handles to {} messages, as many as it may",
        limits.streams
    );
    handles.set_max_capacity(capacity + 1);
    let handle = handles.push(Object { hook, number })?;
    // In the canonical ABI 0 is no handle.
    Ok(handle.rep().wrapping_add(1))
}

/// The number of the object behind a handle.
pub(super) fn number(caller: &Caller<'_>, hook: Hook, handle: u32) -> Result<u32> {
    find(&guest(caller)?.resources, hook, handle)
}

/// Drops a handle, and has the module drop the object.
pub(super) fn drop(caller: &mut Caller<'_>, hook: Hook, handle: u32) -> Result<()> {
    let number = take(&mut guest_mut(caller)?.resources, hook, handle)?;
    let destructor = names::destructor(hook).and_then(|name| caller.get_export(&name));
    let Some(destructor) = destructor.and_then(wasmtime::Extern::into_func) else {
        return Ok(());
    };
    destructor.typed::<u32, ()>(&*caller)?.call(caller, number)
}

/// Takes away a handle. Returns the number of its object.
pub(super) fn take(handles: &mut ResourceTable, hook: Hook, handle: u32) -> Result<u32> {
    let number = find(handles, hook, handle)?;
    handles.delete(Resource::<Object>::new_own(handle.wrapping_sub(1)))?;
    handles.set_max_capacity(handles.max_capacity() - 1);
    Ok(number)
}

fn find(handles: &ResourceTable, hook: Hook, handle: u32) -> Result<u32> {
    let object = handles.get(&Resource::<Object>::new_borrow(handle.wrapping_sub(1)))?;
    ensure!(
        object.hook == hook,
        "the handle {handle} is to a message of another hook"
    );
    Ok(object.number)
}
