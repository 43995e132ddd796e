//! Stream filters as a core module exports them.

use wasmtime::{AsContextMut, Result, StoreContextMut, TypedFunc, bail};

use super::super::bindings::pace::plugin::outcome::Ending;
use super::super::bindings::pace::plugin::streams::{Access, Framing, Step};
use super::super::guest::Guest;
use super::exports::{Function, Loading, Returned};
use super::memory::{Reader, pair};
use super::names;
use super::own;
use pace_hook::Hook;

/// The functions of a stream filter.
pub(in super::super) struct StreamFilter {
    hook: Hook,
    open: Function<(), (Option<Opening>,)>,
    next: Function<(u32,), (Step,)>,
    end: Function<(u32, u32), ()>,
    /// Drops the object of a message.
    destructor: Option<TypedFunc<u32, ()>>,
}

/// The `opening` of a message. In the result of `open` its message is a handle, and after that the number by which the module
/// knows the object.
pub(in super::super) struct Opening {
    pub(in super::super) message: u32,
    pub(in super::super) framing: Framing,
    pub(in super::super) access: Access,
    pub(in super::super) interest: Vec<Vec<u8>>,
}

impl Loading<'_> {
    /// The functions of a stream filter; `None` if the plugin does not have the hook.
    pub(in super::super) fn stream_filter(&mut self, hook: Hook) -> Result<Option<StreamFilter>> {
        let (Some(open), Some(next), Some(end)) =
            (self.hook(hook, 0)?, self.hook(hook, 1)?, self.hook(hook, 2)?)
        else {
            return Ok(None);
        };
        let destructor = match names::destructor(hook) {
            Some(name) => self.optional(&name)?,
            None => None,
        };
        Ok(Some(StreamFilter {
            hook,
            open,
            next,
            end,
            destructor,
        }))
    }
}

impl StreamFilter {
    pub(in super::super) fn open(&self, mut store: StoreContextMut<'_, Guest>) -> Result<Option<Opening>> {
        let (opening,) = self.open.call(store.as_context_mut(), ())?;
        let Some(opening) = opening else {
            return Ok(None);
        };
        let message = own::take(&mut store.data_mut().resources, self.hook, opening.message)?;
        Ok(Some(Opening { message, ..opening }))
    }

    pub(in super::super) fn next(&self, store: StoreContextMut<'_, Guest>, message: u32) -> Result<Step> {
        let (step,) = self.next.call(store, (message,))?;
        Ok(step)
    }

    pub(in super::super) fn end(
        &self,
        store: StoreContextMut<'_, Guest>,
        message: u32,
        how: Ending,
    ) -> Result<()> {
        self.end.call(store, (message, how as u32))
    }

    pub(in super::super) fn drop_object(
        &self,
        store: StoreContextMut<'_, Guest>,
        message: u32,
    ) -> Result<()> {
        match &self.destructor {
            Some(destructor) => destructor.call(store, message),
            None => Ok(()),
        }
    }
}

/// An `option<opening>` in memory: the case at 0, the handle at 4, framing and access behind it, the strings of interest at
/// 12.
impl Returned for (Option<Opening>,) {
    type Core = u32;

    fn read(memory: &mut Reader<'_>, at: u32) -> Result<Self> {
        let [case, _, _, _, a, b, c, d, framing, access, _, _, strings @ ..] = *memory.area::<4, 20>(at)?;
        match case {
            0 => return Ok((None,)),
            1 => {}
            case => bail!("open returned an option with the case {case}"),
        }
        let framing = match framing {
            0 => Framing::Chunk,
            1 => Framing::Line,
            2 => Framing::Event,
            case => bail!("there is no framing with the case {case}"),
        };
        let access = match access {
            0 => Access::Look,
            1 => Access::Edit,
            case => bail!("there is no access with the case {case}"),
        };
        let strings = memory.elements::<4, 8>(pair(strings), size_of::<Vec<u8>>())?;
        let interest = strings
            .iter()
            .map(|string| Ok(memory.list(pair(*string))?.to_vec()));
        Ok((Some(Opening {
            message: u32::from_le_bytes([a, b, c, d]),
            framing,
            access,
            interest: interest.collect::<Result<_>>()?,
        }),))
    }
}

/// A step, which is the number of its case.
impl Returned for (Step,) {
    type Core = u32;

    fn read(_: &mut Reader<'_>, case: u32) -> Result<Self> {
        Ok((match case {
            0 => Step::Pass,
            1 => Step::Drop,
            2 => Step::Finish,
            3 => Step::Stop,
            4 => Step::Cut,
            case => bail!("next returned a step with the case {case}"),
        },))
    }
}
