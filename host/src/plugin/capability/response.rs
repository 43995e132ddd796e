//! `response`: reading and editing the response on its way to the client.

use wasmtime::Result;
use wasmtime::component::{HasData, Linker};

use super::super::bindings::pace::plugin::http::{EditError, HeaderField};
use super::super::bindings::pace::plugin::response;
use super::super::guest::Guest;
use super::super::lend::Lending;
use super::request::{fields, values};

struct View<'a>(&'a mut Lending);

struct Response;

impl HasData for Response {
    type Data<'a> = View<'a>;
}

pub(super) fn add_to_linker(linker: &mut Linker<Guest>) -> Result<()> {
    response::add_to_linker::<_, Response>(linker, |guest| View(&mut guest.lending))
}

impl response::Host for View<'_> {
    fn status(&mut self) -> Result<u16> {
        Ok(self.0.response()?.status())
    }

    fn set_status(&mut self, status: u16) -> Result<Result<(), EditError>> {
        Ok(self.0.response_mut()?.set_status(status).map_err(Into::into))
    }

    fn backend(&mut self) -> Result<Option<String>> {
        Ok(self.0.backend()?.map(str::to_owned))
    }

    fn header(&mut self, name: String) -> Result<Option<Vec<u8>>> {
        Ok(self.0.response()?.header(&name).map(<[u8]>::to_vec))
    }

    fn header_values(&mut self, name: String) -> Result<Vec<Vec<u8>>> {
        Ok(values(self.0.response()?, &name))
    }

    fn headers(&mut self) -> Result<Vec<HeaderField>> {
        Ok(fields(self.0.response()?))
    }

    fn set_header(&mut self, name: String, value: Vec<u8>) -> Result<Result<(), EditError>> {
        Ok(self
            .0
            .response_mut()?
            .set_header(&name, &value)
            .map_err(Into::into))
    }

    fn append_header(&mut self, name: String, value: Vec<u8>) -> Result<Result<(), EditError>> {
        Ok(self
            .0
            .response_mut()?
            .append_header(&name, &value)
            .map_err(Into::into))
    }

    fn remove_header(&mut self, name: String) -> Result<Result<bool, EditError>> {
        Ok(self.0.response_mut()?.remove_header(&name).map_err(Into::into))
    }
}
