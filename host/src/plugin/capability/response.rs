//! `response`: reading and editing the response on its way to the client.

use wasmtime::Result;
use wasmtime::component::{HasData, Linker};

use super::super::bindings::pace::plugin::http::{EditError, HeaderField};
use super::super::bindings::pace::plugin::response;
use super::super::guest::Guest;
use super::super::lend::Lending;
use super::edit::Added;
use super::request::{fields, values};
use crate::config::Limits;

struct View<'a> {
    lending: &'a mut Lending,
    limits: &'a Limits,
    added: &'a mut Added,
}

struct Response;

impl HasData for Response {
    type Data<'a> = View<'a>;
}

pub(super) fn add_to_linker(linker: &mut Linker<Guest>) -> Result<()> {
    response::add_to_linker::<_, Response>(linker, |guest| {
        guest.calls_out += 1;
        View {
            lending: &mut guest.lending,
            limits: &guest.generation.limits,
            added: &mut guest.added,
        }
    })
}

impl response::Host for View<'_> {
    fn status(&mut self) -> Result<u16> {
        Ok(self.lending.response()?.status())
    }

    fn set_status(&mut self, status: u16) -> Result<Result<(), EditError>> {
        Ok(self
            .lending
            .response_mut()?
            .set_status(status)
            .map_err(Into::into))
    }

    fn backend(&mut self) -> Result<Option<String>> {
        Ok(self.lending.backend()?.map(str::to_owned))
    }

    fn header(&mut self, name: String) -> Result<Option<Vec<u8>>> {
        Ok(self.lending.response()?.header(&name).map(<[u8]>::to_vec))
    }

    fn header_values(&mut self, name: String) -> Result<Vec<Vec<u8>>> {
        Ok(values(self.lending.response()?, &name))
    }

    fn headers(&mut self) -> Result<Vec<HeaderField>> {
        Ok(fields(self.lending.response()?))
    }

    fn set_header(&mut self, name: String, value: Vec<u8>) -> Result<Result<(), EditError>> {
        Ok(self
            .added
            .set(self.lending.response_mut()?, self.limits, &name, &value)
            .map_err(Into::into))
    }

    fn append_header(&mut self, name: String, value: Vec<u8>) -> Result<Result<(), EditError>> {
        Ok(self
            .added
            .append(self.lending.response_mut()?, self.limits, &name, &value)
            .map_err(Into::into))
    }

    fn remove_header(&mut self, name: String) -> Result<Result<bool, EditError>> {
        Ok(self
            .lending
            .response_mut()?
            .remove_header(&name)
            .map_err(Into::into))
    }
}
