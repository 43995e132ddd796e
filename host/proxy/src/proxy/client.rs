//! Identifies the client of a request, and tells the backend.

use std::net::IpAddr;

use http::header::{HeaderValue, InvalidHeaderValue};
use pace_wire::fields::TooLarge;
use pace_wire::known::Known;
use pace_wire::request::RequestHead;

use super::context::Context;
use crate::client::{client_address, forwarded_for};
use crate::http1::Client;

pub(super) const FORWARDED_FOR: &str = "x-forwarded-for";

/// Finds the client and the scheme: those of the connection, or those that a trusted peer names. Claims of other peers about
/// them are replaced by the truth, before any plugin sees the request.
pub(super) fn identify(
    client: &Client,
    request: &mut RequestHead,
    context: &mut Context,
) -> Result<(), TooLarge> {
    let trusted = &context.snapshot.trusted_proxies;
    if !trusted.is_empty() && trusted.contains(context.peer) {
        context.peer_is_trusted = true;
        context.client = client_address(context.peer, trusted, request.fields.all(Known::XForwardedFor));
        if let Some(scheme) = scheme(request) {
            context.scheme = scheme;
        }
        return Ok(());
    }
    let claims = |known| {
        matches!(
            known,
            Known::Forwarded
                | Known::XForwardedFor
                | Known::XForwardedHost
                | Known::XForwardedPort
                | Known::XForwardedPrefix
                | Known::XForwardedProto
                | Known::XRealIp
        )
    };
    if request.fields.iter().any(|field| claims(field.known)) {
        replace(client, request, context)?;
    }
    Ok(())
}

/// The value of `X-Forwarded-For` for the backend.
pub(super) fn forwarded(request: &RequestHead, context: &Context) -> Result<HeaderValue, InvalidHeaderValue> {
    let fields = || request.fields.all(Known::XForwardedFor);
    forwarded_for(context.peer, &context.snapshot.trusted_proxies, fields)
}

/// Overwrites the fields about client and scheme that the client has sent with the truth.
fn replace(client: &Client, request: &mut RequestHead, context: &Context) -> Result<(), TooLarge> {
    let host = request.authority().unwrap_or_default().to_owned();
    let address = context.client.to_string();
    let port = client.arrival.port;
    let forwarded = match context.client {
        IpAddr::V4(ip) => format!("for={ip};host=\"{host}\";proto={}", context.scheme),
        IpAddr::V6(ip) => format!("for=\"[{ip}]\";host=\"{host}\";proto={}", context.scheme),
    };
    for (known, name, truth) in [
        (Known::Forwarded, "Forwarded", forwarded.as_str()),
        (Known::XForwardedFor, "X-Forwarded-For", &address),
        (Known::XForwardedHost, "X-Forwarded-Host", &host),
        (Known::XForwardedPort, "X-Forwarded-Port", &port.to_string()),
        (Known::XForwardedProto, "X-Forwarded-Proto", context.scheme),
        (Known::XRealIp, "X-Real-IP", &address),
    ] {
        if request.fields.has(known) {
            request.fields.set(name, truth.as_bytes())?;
        }
    }
    // Nobody before Pace has taken a prefix away.
    request.fields.remove("X-Forwarded-Prefix");
    Ok(())
}

/// The scheme that the client used, as a trusted peer names it.
fn scheme(request: &RequestHead) -> Option<&'static str> {
    let named = match request.fields.first(Known::XForwardedProto) {
        Some(proto) => proto,
        None => forwarded_proto(request.fields.first(Known::Forwarded)?)?,
    };
    match named {
        named if named.eq_ignore_ascii_case(b"https") => Some("https"),
        named if named.eq_ignore_ascii_case(b"http") => Some("http"),
        _ => None,
    }
}

/// The parameter `proto` of the last hop in `Forwarded` (RFC 7239, section 5.4).
fn forwarded_proto(value: &[u8]) -> Option<&[u8]> {
    let last = value.rsplit(|byte| *byte == b',').next()?;
    last.split(|byte| *byte == b';').find_map(|pair| {
        let equals = pair.iter().position(|byte| *byte == b'=')?;
        let (name, value) = (pair[..equals].trim_ascii(), pair[equals + 1..].trim_ascii());
        let value = value
            .strip_prefix(b"\"")
            .and_then(|rest| rest.strip_suffix(b"\""))
            .unwrap_or(value);
        name.eq_ignore_ascii_case(b"proto").then_some(value)
    })
}
