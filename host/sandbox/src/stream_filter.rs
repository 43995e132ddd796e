//! The functions of a stream filter in an instance, run in either way.

use wasmtime::component::{self, ResourceAny};
use wasmtime::{Result, Store, StoreContextMut, format_err};

use super::bindings::exports::pace::plugin::response_stream_filter::Opening;
use super::bindings::pace::plugin::outcome::Ending;
use super::bindings::pace::plugin::streams::{Access, Framing, Step};
use super::direct;
use super::guest::Guest;

/// The functions of a stream filter.
pub(super) enum StreamFilter {
    Component {
        /// The types of both stream filters are the same, but for the resource, which is known by its handle.
        open: component::TypedFunc<(), (Option<Opening>,)>,
        next: component::TypedFunc<(ResourceAny,), (Step,)>,
        end: component::TypedFunc<(ResourceAny, Ending), ()>,
    },
    Direct(Box<direct::StreamFilter>),
    /// The plugin does not have the hook.
    Absent,
}

/// The decision to filter a message, as the plugin made it.
pub(super) struct Opened {
    pub(super) object: Object,
    pub(super) framing: Framing,
    pub(super) access: Access,
    pub(super) interest: Vec<Vec<u8>>,
}

/// A message's object in an instance.
#[derive(Clone, Copy)]
pub(super) enum Object {
    Component(ResourceAny),
    /// The number by which the module knows it.
    Direct(u32),
}

impl StreamFilter {
    /// The functions of a component, in the order of the hook's.
    pub(super) fn component(
        store: &mut Store<Guest>,
        instance: component::Instance,
        indices: &[component::ComponentExportIndex],
    ) -> Result<StreamFilter> {
        let [open, next, end] = indices else {
            return Ok(StreamFilter::Absent);
        };
        Ok(StreamFilter::Component {
            open: instance.get_typed_func(&mut *store, open)?,
            next: instance.get_typed_func(&mut *store, next)?,
            end: instance.get_typed_func(&mut *store, end)?,
        })
    }

    /// Asks the plugin whether it filters a message.
    pub(super) fn open(&self, mut store: StoreContextMut<'_, Guest>) -> Result<Option<Opened>> {
        Ok(match self {
            StreamFilter::Component { open, .. } => {
                let (opening,) = open.call(&mut store, ())?;
                opening.map(|opening| Opened {
                    object: Object::Component(opening.message),
                    framing: opening.framing,
                    access: opening.access,
                    interest: opening.interest,
                })
            }
            StreamFilter::Direct(filter) => filter.open(store)?.map(|opening| Opened {
                object: Object::Direct(opening.message),
                framing: opening.framing,
                access: opening.access,
                interest: opening.interest,
            }),
            StreamFilter::Absent => return Err(absent()),
        })
    }

    /// Shows a unit.
    pub(super) fn next(&self, mut store: StoreContextMut<'_, Guest>, object: Object) -> Result<Step> {
        match (self, object) {
            (StreamFilter::Component { next, .. }, Object::Component(object)) => {
                let (step,) = next.call(&mut store, (object,))?;
                Ok(step)
            }
            (StreamFilter::Direct(filter), Object::Direct(object)) => filter.next(store, object),
            _ => Err(absent()),
        }
    }

    /// Tells the plugin that a message is over, and drops its object.
    pub(super) fn end(
        &self,
        mut store: StoreContextMut<'_, Guest>,
        object: Object,
        how: Ending,
    ) -> Result<()> {
        match (self, object) {
            (StreamFilter::Component { end, .. }, Object::Component(object)) => {
                end.call(&mut store, (object, how))?;
                object.resource_drop(&mut store)
            }
            (StreamFilter::Direct(filter), Object::Direct(object)) => {
                filter.end(wasmtime::AsContextMut::as_context_mut(&mut store), object, how)?;
                filter.drop_object(store, object)
            }
            _ => Err(absent()),
        }
    }

    /// Drops the object of a message that does not come to its end.
    pub(super) fn drop_object(&self, mut store: StoreContextMut<'_, Guest>, object: Object) -> Result<()> {
        match (self, object) {
            (StreamFilter::Component { .. }, Object::Component(object)) => object.resource_drop(&mut store),
            (StreamFilter::Direct(filter), Object::Direct(object)) => filter.drop_object(store, object),
            _ => Err(absent()),
        }
    }
}

#[cold]
fn absent() -> wasmtime::Error {
    format_err!("the plugin does not export this hook")
}
