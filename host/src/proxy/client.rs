//! Who asks, and how the backend is told.

use std::net::IpAddr;

use http::header::{HeaderValue, InvalidHeaderValue};
use pace_wire::known::Known;
use pace_wire::request::RequestHead;

use super::context::Context;
use crate::client::{client_address, forwarded_for};

pub(super) const FORWARDED_FOR: &str = "x-forwarded-for";

/// Who asks: the peer, or who a trusted peer says it is.
pub(super) fn client(request: &RequestHead, context: &Context) -> IpAddr {
    let trusted = &context.snapshot.trusted_proxies;
    if trusted.is_empty() {
        return context.peer;
    }
    client_address(context.peer, trusted, request.fields.all(Known::XForwardedFor))
}

/// The value of `X-Forwarded-For` for the backend.
pub(super) fn forwarded(request: &RequestHead, context: &Context) -> Result<HeaderValue, InvalidHeaderValue> {
    let fields = || request.fields.all(Known::XForwardedFor);
    forwarded_for(context.peer, &context.snapshot.trusted_proxies, fields)
}
