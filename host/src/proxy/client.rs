//! Who asks, and how the origin is told.

use std::net::{IpAddr, Ipv4Addr};

use http::header::HeaderValue;
use pingora::{ErrorType, OrErr, Result};
use pingora_proxy::Session;

use super::context::Context;
use crate::client::{client_address, forwarded_for};

pub(super) const FORWARDED_FOR: &str = "x-forwarded-for";

/// Who asks: the peer, or who a trusted peer says it is.
pub(super) fn client(session: &Session, context: &Context) -> IpAddr {
    let trusted = &context.snapshot.trusted_proxies;
    if trusted.is_empty() {
        return context.peer;
    }
    let forwarded_for = session.req_header().headers.get_all(FORWARDED_FOR);
    let forwarded_for = forwarded_for.iter().map(HeaderValue::as_bytes);
    client_address(context.peer, trusted, forwarded_for)
}

/// The other end of the connection, or what its PROXY header said.
pub(super) fn peer_address(session: &Session) -> IpAddr {
    session
        .client_addr()
        .and_then(|address| address.as_inet())
        .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| {
            address.ip().to_canonical()
        })
}

/// The value of `X-Forwarded-For` for the origin.
pub(super) fn forwarded(session: &Session, context: &Context) -> Result<HeaderValue> {
    let fields = || {
        let fields = session.req_header().headers.get_all(FORWARDED_FOR).iter();
        fields.map(HeaderValue::as_bytes)
    };
    forwarded_for(context.peer, &context.snapshot.trusted_proxies, fields)
        .or_err(ErrorType::InternalError, "the value of X-Forwarded-For")
}
