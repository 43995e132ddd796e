//! `request`: reading and editing the request that is being served.

use wasmtime::Result;
use wasmtime::component::{HasData, Linker};

use super::super::bindings::pace::plugin::http::{EditError, HeaderField};
use super::super::bindings::pace::plugin::request::{self, Certificate};
use super::super::direct::{
    Caller, Interface, answer_bytes, answer_option, called, copied, guest, split, text_if_short,
};
use super::super::guest::Guest;
use super::super::lend::Lending;
use super::certificate;
use super::edit::Edits;
use super::headers::{Editing, Message, answer_edit};
use super::metered::Metered;
use pace_config::Limits;
use pace_hook::Headers;

struct View<'a> {
    lending: &'a mut Lending,
    limits: &'a Limits,
    edits: &'a mut Edits,
}

struct Request;

impl HasData for Request {
    type Data<'a> = Metered<'a, View<'a>>;
}

pub(super) fn add_to_linker(linker: &mut Linker<Guest>) -> Result<()> {
    request::add_to_linker::<_, Request>(linker, |guest| {
        let view = View {
            lending: &mut guest.lending,
            limits: &guest.generation.limits,
            edits: &mut guest.edits,
        };
        Metered::new(&mut guest.meter, view)
    })
}

pub(super) fn add_directly(request: &mut Interface<'_>) -> Result<()> {
    request
        .func("method", |mut caller: Caller<'_>, out: u32| {
            called(&mut caller)?;
            let method = copied(guest(&caller)?.lending.request()?.method());
            answer_bytes(&mut caller, out, &method)
        })?
        .func("scheme", |mut caller: Caller<'_>, out: u32| {
            called(&mut caller)?;
            let scheme = guest(&caller)?.lending.facts()?.scheme;
            answer_bytes(&mut caller, out, scheme.as_bytes())
        })?
        .func("version", |mut caller: Caller<'_>, out: u32| {
            called(&mut caller)?;
            let version = guest(&caller)?.lending.request()?.version();
            answer_bytes(&mut caller, out, version.as_bytes())
        })?
        .func("authority", |mut caller: Caller<'_>, out: u32| {
            called(&mut caller)?;
            let authority = guest(&caller)?.lending.request()?.authority().map(copied);
            answer_option(&mut caller, out, authority.as_deref())
        })?
        .func("path", |mut caller: Caller<'_>, out: u32| {
            called(&mut caller)?;
            let path = copied(guest(&caller)?.lending.request()?.path());
            answer_bytes(&mut caller, out, &path)
        })?
        .func("routed-path", |mut caller: Caller<'_>, out: u32| {
            called(&mut caller)?;
            let path = copied(guest(&caller)?.lending.request()?.routed_path());
            answer_bytes(&mut caller, out, &path)
        })?
        .func("query", |mut caller: Caller<'_>, out: u32| {
            called(&mut caller)?;
            let query = guest(&caller)?.lending.request()?.query().map(copied);
            answer_option(&mut caller, out, query.as_deref())
        })?
        .func("original-target", |mut caller: Caller<'_>, out: u32| {
            called(&mut caller)?;
            let target = copied(guest(&caller)?.lending.request()?.original_target());
            answer_bytes(&mut caller, out, &target)
        })?
        .func("client-address", |mut caller: Caller<'_>, out: u32| {
            called(&mut caller)?;
            let client = guest(&caller)?.lending.facts()?.client.to_string();
            answer_bytes(&mut caller, out, client.as_bytes())
        })?
        .func("peer-address", |mut caller: Caller<'_>, out: u32| {
            called(&mut caller)?;
            let peer = guest(&caller)?.lending.facts()?.peer.to_string();
            answer_bytes(&mut caller, out, peer.as_bytes())
        })?
        .func("peer-is-trusted", |mut caller: Caller<'_>| {
            called(&mut caller)?;
            Ok(u32::from(guest(&caller)?.lending.facts()?.peer_is_trusted))
        })?
        .func("route", |mut caller: Caller<'_>, out: u32| {
            called(&mut caller)?;
            let route = copied(guest(&caller)?.lending.facts()?.route);
            answer_bytes(&mut caller, out, &route)
        })?
        .func("pool", |mut caller: Caller<'_>, out: u32| {
            called(&mut caller)?;
            let pool = guest(&caller)?.lending.facts()?.pool_name().map(copied);
            answer_option(&mut caller, out, pool.as_deref())
        })?
        .func(
            "use-pool",
            |mut caller: Caller<'_>, at: u32, length: u32, out: u32| {
                called(&mut caller)?;
                let (memory, guest) = split(&mut caller)?;
                let name = text_if_short(memory, &mut guest.meter, at, length)?;
                let done = match name {
                    Some(name) => use_pool(&mut guest.lending, name)?,
                    None => Err(pace_hook::EditError::NotGranted),
                };
                answer_edit(memory, out, done)
            },
        )?
        .func(
            "set-path-and-query",
            |mut caller: Caller<'_>, at: u32, length: u32, out: u32| {
                called(&mut caller)?;
                let (memory, guest) = split(&mut caller)?;
                let value = text_if_short(memory, &mut guest.meter, at, length)?;
                let done = guest.lending.request_mut()?;
                let done = done.and_then(|head| match value {
                    Some(value) => head.set_path_and_query(value),
                    None => Err(pace_hook::EditError::TooLarge),
                });
                answer_edit(memory, out, done)
            },
        )?;
    certificate::add_directly(request)?;
    let message = Message {
        read: |guest| Ok(guest.lending.request()?),
        edit: |guest| {
            let head = guest.lending.request_mut()?;
            Ok(head.map(|head| Editing {
                head,
                edits: &mut guest.edits,
                limits: &guest.generation.limits,
            }))
        },
    };
    message.add_directly(request)
}

impl request::Host for Metered<'_, View<'_>> {
    fn method(&mut self) -> Result<String> {
        Ok(self.view()?.lending.request()?.method().to_owned())
    }

    fn scheme(&mut self) -> Result<String> {
        Ok(self.view()?.lending.facts()?.scheme.to_owned())
    }

    fn version(&mut self) -> Result<String> {
        Ok(self.view()?.lending.request()?.version().to_owned())
    }

    fn authority(&mut self) -> Result<Option<String>> {
        Ok(self.view()?.lending.request()?.authority().map(str::to_owned))
    }

    fn path(&mut self) -> Result<String> {
        Ok(self.view()?.lending.request()?.path().to_owned())
    }

    fn routed_path(&mut self) -> Result<String> {
        Ok(self.view()?.lending.request()?.routed_path().to_owned())
    }

    fn query(&mut self) -> Result<Option<String>> {
        Ok(self.view()?.lending.request()?.query().map(str::to_owned))
    }

    fn original_target(&mut self) -> Result<String> {
        Ok(self.view()?.lending.request()?.original_target().to_owned())
    }

    fn client_address(&mut self) -> Result<String> {
        Ok(self.view()?.lending.facts()?.client.to_string())
    }

    fn peer_address(&mut self) -> Result<String> {
        Ok(self.view()?.lending.facts()?.peer.to_string())
    }

    fn peer_is_trusted(&mut self) -> Result<bool> {
        Ok(self.view()?.lending.facts()?.peer_is_trusted)
    }

    fn route(&mut self) -> Result<String> {
        Ok(self.view()?.lending.facts()?.route.to_owned())
    }

    fn pool(&mut self) -> Result<Option<String>> {
        Ok(self.view()?.lending.facts()?.pool_name().map(str::to_owned))
    }

    fn client_certificate(&mut self) -> Result<Option<Certificate>> {
        Ok(self.view()?.lending.facts()?.certificate.map(Certificate::from))
    }

    fn client_certificate_der(&mut self) -> Result<Option<Vec<u8>>> {
        let certificate = self.view()?.lending.facts()?.certificate;
        Ok(certificate.map(|certificate| certificate.der.clone()))
    }

    fn header(&mut self, name: String) -> Result<Option<Vec<u8>>> {
        Ok(self
            .given(name.len())?
            .lending
            .request()?
            .header(&name)
            .map(<[u8]>::to_vec))
    }

    fn header_values(&mut self, name: String) -> Result<Vec<Vec<u8>>> {
        Ok(values(self.given(name.len())?.lending.request()?, &name))
    }

    fn headers(&mut self) -> Result<Vec<HeaderField>> {
        Ok(fields(self.view()?.lending.request()?))
    }

    fn set_header(&mut self, name: String, value: Vec<u8>) -> Result<Result<(), EditError>> {
        let view = self.given(name.len() + value.len())?;
        let head = view.lending.request_mut()?;
        Ok(head
            .and_then(|head| view.edits.set(head, view.limits, &name, &value))
            .map_err(Into::into))
    }

    fn append_header(&mut self, name: String, value: Vec<u8>) -> Result<Result<(), EditError>> {
        let view = self.given(name.len() + value.len())?;
        let head = view.lending.request_mut()?;
        Ok(head
            .and_then(|head| view.edits.append(head, view.limits, &name, &value))
            .map_err(Into::into))
    }

    fn remove_header(&mut self, name: String) -> Result<Result<bool, EditError>> {
        let view = self.given(name.len())?;
        let head = view.lending.request_mut()?;
        Ok(head
            .and_then(|head| view.edits.remove(head, &name))
            .map_err(Into::into))
    }

    fn set_path_and_query(&mut self, value: String) -> Result<Result<(), EditError>> {
        let head = self.given(value.len())?.lending.request_mut()?;
        Ok(head
            .and_then(|head| head.set_path_and_query(&value))
            .map_err(Into::into))
    }

    fn use_pool(&mut self, name: String) -> Result<Result<(), EditError>> {
        Ok(use_pool(self.given(name.len())?.lending, &name)?.map_err(Into::into))
    }
}

/// Names the pool for the request, where it can still be edited.
fn use_pool(lending: &mut Lending, name: &str) -> Result<Result<(), pace_hook::EditError>> {
    if let Err(error) = lending.request_mut()? {
        return Ok(Err(error));
    }
    let facts = lending.facts()?;
    let Some(index) = facts.pools.and_then(|pools| pools.index_of(name)) else {
        return Ok(Err(pace_hook::EditError::NotGranted));
    };
    facts.state.use_pool(index);
    Ok(Ok(()))
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

impl From<pace_hook::EditError> for EditError {
    fn from(error: pace_hook::EditError) -> EditError {
        match error {
            pace_hook::EditError::InvalidName => EditError::InvalidName,
            pace_hook::EditError::InvalidValue => EditError::InvalidValue,
            pace_hook::EditError::Forbidden => EditError::Forbidden,
            pace_hook::EditError::TooLarge => EditError::TooLarge,
            pace_hook::EditError::ReadOnly => EditError::ReadOnly,
            pace_hook::EditError::NotAvailable => EditError::NotAvailable,
            pace_hook::EditError::NotGranted => EditError::NotGranted,
            pace_hook::EditError::Conflict => EditError::Conflict,
        }
    }
}
