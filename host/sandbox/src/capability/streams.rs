//! `streams`: the unit for which a stream filter runs, beside its bytes.

use wasmtime::component::{HasData, Linker};
use wasmtime::{Result, bail};

use super::super::bindings::pace::plugin::http::EditError;
use super::super::bindings::pace::plugin::streams;
use super::super::direct::{
    Caller, Interface, LONGEST_TEXT, answer_option, called, copied, guest, split, text_if_short,
};
use super::super::guest::Guest;
use super::super::lend::Lending;
use super::content::edit_error;
use super::headers::answer_edit;
use super::metered::Metered;
use pace_content::frames::EventFields;

struct View<'a>(&'a mut Lending);

struct Streams;

impl HasData for Streams {
    type Data<'a> = Metered<'a, View<'a>>;
}

pub(super) fn add_to_linker(linker: &mut Linker<Guest>) -> Result<()> {
    streams::add_to_linker::<_, Streams>(linker, |guest| {
        Metered::new(&mut guest.meter, View(&mut guest.lending))
    })
}

pub(super) fn add_directly(streams: &mut Interface<'_>) -> Result<()> {
    streams
        .func("event-type", |mut caller: Caller<'_>, out: u32| {
            called(&mut caller)?;
            let event = guest(&caller)?.lending.event()?;
            let kind = event.and_then(EventFields::event_type).map(copied);
            answer_option(&mut caller, out, kind.as_deref())
        })?
        .func("event-id", |mut caller: Caller<'_>, out: u32| {
            called(&mut caller)?;
            let event = guest(&caller)?.lending.event()?;
            let id = event.and_then(EventFields::id).map(copied);
            answer_option(&mut caller, out, id.as_deref())
        })?
        .func(
            "set-event-type",
            |mut caller: Caller<'_>, case: u32, at: u32, length: u32, out: u32| {
                called(&mut caller)?;
                let (memory, guest) = split(&mut caller)?;
                let kind = match case {
                    0 => Some(None),
                    1 => text_if_short(memory, &mut guest.meter, at, length)?.map(Some),
                    case => bail!("there is no option with the case {case}"),
                };
                let done = set(guest.lending.event_mut()?, kind);
                answer_edit(memory, out, done)
            },
        )?;
    Ok(())
}

/// Sets the type of an event. The outer `None` stands for a text that is longer than any type.
fn set(
    event: Option<&mut EventFields>,
    value: Option<Option<&str>>,
) -> std::result::Result<(), pace_hook::EditError> {
    let event = event.ok_or(pace_hook::EditError::NotAvailable)?;
    let value = value.ok_or(pace_hook::EditError::TooLarge)?;
    event.set_event_type(value).map_err(edit_error)
}

impl streams::Host for Metered<'_, View<'_>> {
    fn event_type(&mut self) -> Result<Option<String>> {
        let event = self.view()?.0.event()?;
        Ok(event.and_then(EventFields::event_type).map(str::to_owned))
    }

    fn event_id(&mut self) -> Result<Option<String>> {
        let event = self.view()?.0.event()?;
        Ok(event.and_then(EventFields::id).map(str::to_owned))
    }

    fn set_event_type(&mut self, value: Option<String>) -> Result<Result<(), EditError>> {
        let view = self.given(value.as_ref().map_or(0, String::len))?;
        let value = match &value {
            Some(value) if value.len() > LONGEST_TEXT => None,
            value => Some(value.as_deref()),
        };
        Ok(set(view.0.event_mut()?, value).map_err(Into::into))
    }
}
