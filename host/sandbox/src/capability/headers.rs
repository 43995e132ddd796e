//! The headers of `request`, `response` and `attempt` for core modules: these interfaces have the same functions for them.

use wasmtime::Result;

use super::super::bindings::pace::plugin::http::EditError as WasmEditError;
use super::super::direct::{
    Caller, Interface, answer_list, answer_option, answer_result, bytes, called, copied, guest, split,
    text_if_short,
};
use super::super::guest::Guest;
use super::super::lend::NotLent;
use super::edit::Edits;
use pace_config::Limits;
use pace_hook::{EditError, Headers};

/// A message whose headers may be changed, with the limits of changes.
pub(super) struct Editing<'a> {
    pub(super) head: &'a mut dyn Headers,
    pub(super) edits: &'a mut Edits,
    pub(super) limits: &'a Limits,
}

/// The message whose headers the functions are about.
#[derive(Clone, Copy)]
pub(super) struct Message {
    /// Finds the message for reading.
    pub(super) read: fn(&Guest) -> Result<&dyn Headers, NotLent>,
    /// Finds the message for changing.
    pub(super) edit: fn(&mut Guest) -> Result<Result<Editing<'_>, EditError>, NotLent>,
}

impl Message {
    /// Adds `header`, `header-values`, `headers`, `set-header`, `append-header` and `remove-header`.
    pub(super) fn add_directly(self, interface: &mut Interface<'_>) -> Result<()> {
        self.add_edits_directly(interface)?;
        let Message { read, .. } = self;
        interface
            .func(
                "header-values",
                move |mut caller: Caller<'_>, name: u32, length: u32, out: u32| {
                    called(&mut caller)?;
                    let (memory, guest) = split(&mut caller)?;
                    let name = name_at(memory, guest, name, length)?;
                    let values = read(guest)?.header_values(name);
                    let values: Vec<_> = values.into_iter().map(|value| [copied(value)]).collect();
                    answer_list(&mut caller, out, &values)
                },
            )?
            .func("headers", move |mut caller: Caller<'_>, out: u32| {
                called(&mut caller)?;
                let mut fields = Vec::new();
                read(guest(&caller)?)?
                    .for_each_header(&mut |name, value| fields.push([copied(name), copied(value)]));
                answer_list(&mut caller, out, &fields)
            })?;
        Ok(())
    }

    /// Adds those of them that concern one header: `header`, `set-header`, `append-header` and `remove-header`.
    pub(super) fn add_edits_directly(self, interface: &mut Interface<'_>) -> Result<()> {
        let Message { read, edit } = self;
        interface
            .func(
                "header",
                move |mut caller: Caller<'_>, name: u32, length: u32, out: u32| {
                    called(&mut caller)?;
                    let (memory, guest) = split(&mut caller)?;
                    let name = name_at(memory, guest, name, length)?;
                    let value = read(guest)?.header(name).map(copied);
                    answer_option(&mut caller, out, value.as_deref())
                },
            )?
            .func(
                "set-header",
                move |mut caller: Caller<'_>,
                      name: u32,
                      name_length: u32,
                      value: u32,
                      length: u32,
                      out: u32| {
                    called(&mut caller)?;
                    let (memory, guest) = split(&mut caller)?;
                    let name = name_at(memory, guest, name, name_length)?;
                    let value = bytes(memory, &mut guest.meter, value, length)?;
                    let done = edit(guest)?.and_then(|to| to.edits.set(to.head, to.limits, name, value));
                    answer_edit(memory, out, done)
                },
            )?
            .func(
                "append-header",
                move |mut caller: Caller<'_>,
                      name: u32,
                      name_length: u32,
                      value: u32,
                      length: u32,
                      out: u32| {
                    called(&mut caller)?;
                    let (memory, guest) = split(&mut caller)?;
                    let name = name_at(memory, guest, name, name_length)?;
                    let value = bytes(memory, &mut guest.meter, value, length)?;
                    let done = edit(guest)?.and_then(|to| to.edits.append(to.head, to.limits, name, value));
                    answer_edit(memory, out, done)
                },
            )?
            .func(
                "remove-header",
                move |mut caller: Caller<'_>, name: u32, length: u32, out: u32| {
                    called(&mut caller)?;
                    let (memory, guest) = split(&mut caller)?;
                    let name = name_at(memory, guest, name, length)?;
                    let removed = edit(guest)?.and_then(|to| to.edits.remove(to.head, name));
                    answer_result(memory, out, removed.map(|was| Some(was.into())).map_err(case))
                },
            )?;
        Ok(())
    }
}

/// The name at this place. The empty name stands for one that is longer than any: neither is the name of a header.
pub(super) fn name_at<'m>(memory: &'m [u8], guest: &mut Guest, at: u32, length: u32) -> Result<&'m str> {
    let name = text_if_short(memory, &mut guest.meter, at, length)?;
    Ok(name.unwrap_or_default())
}

/// Answers with `result<_, edit-error>`.
pub(super) fn answer_edit(memory: &mut [u8], out: u32, done: Result<(), EditError>) -> Result<()> {
    answer_result(memory, out, done.map(|()| None).map_err(case))
}

/// The number of an error among the contract's cases of `edit-error`.
fn case(error: EditError) -> u8 {
    WasmEditError::from(error) as u8
}
