//! `response`: reading and editing the response on its way to the client.

use wasmtime::Result;
use wasmtime::component::{HasData, Linker};

use super::super::bindings::pace::plugin::http::{EditError, HeaderField};
use super::super::bindings::pace::plugin::response;
use super::super::direct::{Caller, Interface, answer_option, called, copied, guest, split};
use super::super::guest::Guest;
use super::super::lend::Lending;
use super::edit::Edits;
use super::headers::{Editing, Message, answer_edit};
use super::metered::Metered;
use super::request::{fields, values};
use pace_config::Limits;

struct View<'a> {
    lending: &'a mut Lending,
    limits: &'a Limits,
    edits: &'a mut Edits,
}

struct Response;

impl HasData for Response {
    type Data<'a> = Metered<'a, View<'a>>;
}

pub(super) fn add_to_linker(linker: &mut Linker<Guest>) -> Result<()> {
    response::add_to_linker::<_, Response>(linker, |guest| {
        let view = View {
            lending: &mut guest.lending,
            limits: &guest.generation.limits,
            edits: &mut guest.edits,
        };
        Metered::new(&mut guest.meter, view)
    })
}

pub(super) fn add_directly(response: &mut Interface<'_>) -> Result<()> {
    response
        .func("status", |mut caller: Caller<'_>| {
            called(&mut caller)?;
            Ok(u32::from(guest(&caller)?.lending.response()?.status()))
        })?
        .func("set-status", |mut caller: Caller<'_>, status: u32, out: u32| {
            called(&mut caller)?;
            // A `u16` comes as 32 bits, and those above it mean nothing.
            let [low, high, ..] = status.to_le_bytes();
            let (memory, guest) = split(&mut caller)?;
            let response = guest.lending.response_mut()?;
            let done = response.and_then(|response| response.set_status(u16::from_le_bytes([low, high])));
            answer_edit(memory, out, done)
        })?
        .func("backend", |mut caller: Caller<'_>, out: u32| {
            called(&mut caller)?;
            let backend = guest(&caller)?.lending.backend()?.map(copied);
            answer_option(&mut caller, out, backend.as_deref())
        })?;
    let message = Message {
        read: |guest| Ok(guest.lending.response()?),
        edit: |guest| {
            Ok(guest.lending.response_mut()?.map(|head| Editing {
                head,
                edits: &mut guest.edits,
                limits: &guest.generation.limits,
            }))
        },
    };
    message.add_directly(response)
}

impl response::Host for Metered<'_, View<'_>> {
    fn status(&mut self) -> Result<u16> {
        Ok(self.view()?.lending.response()?.status())
    }

    fn set_status(&mut self, status: u16) -> Result<Result<(), EditError>> {
        let response = self.view()?.lending.response_mut()?;
        let done = response.and_then(|response| response.set_status(status));
        Ok(done.map_err(Into::into))
    }

    fn backend(&mut self) -> Result<Option<String>> {
        Ok(self.view()?.lending.backend()?.map(str::to_owned))
    }

    fn header(&mut self, name: String) -> Result<Option<Vec<u8>>> {
        Ok(self
            .given(name.len())?
            .lending
            .response()?
            .header(&name)
            .map(<[u8]>::to_vec))
    }

    fn header_values(&mut self, name: String) -> Result<Vec<Vec<u8>>> {
        Ok(values(self.given(name.len())?.lending.response()?, &name))
    }

    fn headers(&mut self) -> Result<Vec<HeaderField>> {
        Ok(fields(self.view()?.lending.response()?))
    }

    fn set_header(&mut self, name: String, value: Vec<u8>) -> Result<Result<(), EditError>> {
        let view = self.given(name.len() + value.len())?;
        let head = view.lending.response_mut()?;
        let done = head.and_then(|head| view.edits.set(head, view.limits, &name, &value));
        Ok(done.map_err(Into::into))
    }

    fn append_header(&mut self, name: String, value: Vec<u8>) -> Result<Result<(), EditError>> {
        let view = self.given(name.len() + value.len())?;
        let head = view.lending.response_mut()?;
        let done = head.and_then(|head| view.edits.append(head, view.limits, &name, &value));
        Ok(done.map_err(Into::into))
    }

    fn remove_header(&mut self, name: String) -> Result<Result<bool, EditError>> {
        let view = self.given(name.len())?;
        let head = view.lending.response_mut()?;
        let done = head.and_then(|head| view.edits.remove(head, &name));
        Ok(done.map_err(Into::into))
    }
}
