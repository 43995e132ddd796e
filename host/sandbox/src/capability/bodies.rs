//! `request-body` and `response-body`: bodies before they are read.

use wasmtime::component::{HasData, Linker};
use wasmtime::{Result, ensure};

use super::super::bindings::pace::plugin::{request_body, response_body};
use super::super::direct::{Caller, Interface, called, guest, place, split};
use super::super::guest::Guest;
use super::super::lend::Lending;
use super::metered::Metered;
use pace_hook::Body;

struct RequestBody<'a>(&'a Lending);

struct OfRequest;

impl HasData for OfRequest {
    type Data<'a> = Metered<'a, RequestBody<'a>>;
}

struct ResponseBody<'a>(&'a Lending);

struct OfResponse;

impl HasData for OfResponse {
    type Data<'a> = Metered<'a, ResponseBody<'a>>;
}

pub(super) fn add_request_to_linker(linker: &mut Linker<Guest>) -> Result<()> {
    request_body::add_to_linker::<_, OfRequest>(linker, |guest| {
        Metered::new(&mut guest.meter, RequestBody(&guest.lending))
    })
}

pub(super) fn add_response_to_linker(linker: &mut Linker<Guest>) -> Result<()> {
    response_body::add_to_linker::<_, OfResponse>(linker, |guest| {
        Metered::new(&mut guest.meter, ResponseBody(&guest.lending))
    })
}

pub(super) fn add_request_directly(interface: &mut Interface<'_>) -> Result<()> {
    add_directly(interface, request_size, |lending| skip(lending, Body::Request))
}

pub(super) fn add_response_directly(interface: &mut Interface<'_>) -> Result<()> {
    add_directly(interface, response_size, |lending| skip(lending, Body::Response))
}

fn add_directly(
    interface: &mut Interface<'_>,
    size: fn(&Lending) -> Result<Option<u64>>,
    skip: fn(&Lending) -> Result<()>,
) -> Result<()> {
    interface
        .func("declared-size", move |mut caller: Caller<'_>, out: u32| {
            called(&mut caller)?;
            let size = size(&guest(&caller)?.lending)?;
            let answer = place::<8, 16>(split(&mut caller)?.0, out)?;
            answer[0] = u8::from(size.is_some());
            if let Some(size) = size {
                answer[8..].copy_from_slice(&size.to_le_bytes());
            }
            Ok(())
        })?
        .func("skip", move |mut caller: Caller<'_>| {
            called(&mut caller)?;
            skip(&guest(&caller)?.lending)
        })?;
    Ok(())
}

impl request_body::Host for Metered<'_, RequestBody<'_>> {
    fn declared_size(&mut self) -> Result<Option<u64>> {
        request_size(self.view()?.0)
    }

    fn skip(&mut self) -> Result<()> {
        skip(self.view()?.0, Body::Request)
    }
}

impl response_body::Host for Metered<'_, ResponseBody<'_>> {
    fn declared_size(&mut self) -> Result<Option<u64>> {
        response_size(self.view()?.0)
    }

    fn skip(&mut self) -> Result<()> {
        skip(self.view()?.0, Body::Response)
    }
}

fn request_size(lending: &Lending) -> Result<Option<u64>> {
    Ok(lending.facts()?.request_size)
}

fn response_size(lending: &Lending) -> Result<Option<u64>> {
    lending.response()?;
    Ok(lending.facts()?.response_size)
}

/// Leaves the plugin's body filter out, in the hooks that see the head and run before anything of the body is read.
fn skip(lending: &Lending, body: Body) -> Result<()> {
    let facts = lending.facts()?;
    match body {
        Body::Request => ensure!(
            lending.edits_request_head(),
            "request-body.skip was called too late: it can be called in request-filter only"
        ),
        Body::Response => ensure!(
            lending.edits_request_head() || lending.edits_response_head(),
            "response-body.skip was called too late: it can be called in request-filter and response-filter only"
        ),
    }
    facts.state.skip(body, facts.step);
    Ok(())
}
