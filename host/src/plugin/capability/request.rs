//! `request`: reading and editing the request that is being served.

use wasmtime::Result;
use wasmtime::component::{HasData, Linker};

use super::super::bindings::pace::plugin::http::{EditError, HeaderField};
use super::super::bindings::pace::plugin::request;
use super::super::guest::Guest;
use super::super::lend::Lending;
use crate::hook::{self, Headers};

struct View<'a>(&'a mut Lending);

struct Request;

impl HasData for Request {
    type Data<'a> = View<'a>;
}

pub(super) fn add_to_linker(linker: &mut Linker<Guest>) -> Result<()> {
    request::add_to_linker::<_, Request>(linker, |guest| View(&mut guest.lending))
}

impl request::Host for View<'_> {
    fn method(&mut self) -> Result<String> {
        Ok(self.0.request()?.method().to_owned())
    }

    fn scheme(&mut self) -> Result<String> {
        Ok(self.0.scheme()?.to_owned())
    }

    fn authority(&mut self) -> Result<Option<String>> {
        Ok(self.0.request()?.authority().map(str::to_owned))
    }

    fn path(&mut self) -> Result<String> {
        Ok(self.0.request()?.path().to_owned())
    }

    fn query(&mut self) -> Result<Option<String>> {
        Ok(self.0.request()?.query().map(str::to_owned))
    }

    fn client_address(&mut self) -> Result<String> {
        Ok(self.0.client()?.to_string())
    }

    fn header(&mut self, name: String) -> Result<Option<Vec<u8>>> {
        Ok(self.0.request()?.header(&name).map(<[u8]>::to_vec))
    }

    fn header_values(&mut self, name: String) -> Result<Vec<Vec<u8>>> {
        Ok(values(self.0.request()?, &name))
    }

    fn headers(&mut self) -> Result<Vec<HeaderField>> {
        Ok(fields(self.0.request()?))
    }

    fn set_header(&mut self, name: String, value: Vec<u8>) -> Result<Result<(), EditError>> {
        Ok(self
            .0
            .request_mut()?
            .and_then(|head| head.set_header(&name, &value))
            .map_err(Into::into))
    }

    fn append_header(&mut self, name: String, value: Vec<u8>) -> Result<Result<(), EditError>> {
        Ok(self
            .0
            .request_mut()?
            .and_then(|head| head.append_header(&name, &value))
            .map_err(Into::into))
    }

    fn remove_header(&mut self, name: String) -> Result<Result<bool, EditError>> {
        Ok(self
            .0
            .request_mut()?
            .and_then(|head| head.remove_header(&name))
            .map_err(Into::into))
    }

    fn set_path_and_query(&mut self, value: String) -> Result<Result<(), EditError>> {
        Ok(self
            .0
            .request_mut()?
            .and_then(|head| head.set_path_and_query(&value))
            .map_err(Into::into))
    }
}

/// Every value of a name, copied.
pub(super) fn values<H: Headers + ?Sized>(head: &H, name: &str) -> Vec<Vec<u8>> {
    head.header_values(name).into_iter().map(<[u8]>::to_vec).collect()
}

/// Every header, copied.
pub(super) fn fields<H: Headers + ?Sized>(head: &H) -> Vec<HeaderField> {
    let mut fields = Vec::new();
    head.for_each_header(&mut |name, value| {
        fields.push(HeaderField {
            name: name.to_owned(),
            value: value.to_vec(),
        });
    });
    fields
}

impl From<hook::EditError> for EditError {
    fn from(error: hook::EditError) -> EditError {
        match error {
            hook::EditError::InvalidName => EditError::InvalidName,
            hook::EditError::InvalidValue => EditError::InvalidValue,
            hook::EditError::Forbidden => EditError::Forbidden,
            hook::EditError::TooLarge => EditError::TooLarge,
            hook::EditError::ReadOnly => EditError::ReadOnly,
        }
    }
}
