//! Answers of routes that have no pool.

use bytes::Bytes;
use http::header::HeaderValue;
use pace_hook::Reply;
use pace_wire::refusal::Refusal;
use pace_wire::request::RequestHead;

use super::context::Context;
use super::refuse::Refused;
use crate::route::{Action, Route, location};

/// The usual spelling of `Location`.
const LOCATION: Bytes = Bytes::from_static(b"Location");

/// The answer of a route to a request; `None` if a backend answers it.
pub(super) fn answer(
    route: &Route,
    request: &RequestHead,
    context: &Context,
) -> Option<Result<Reply, Refused>> {
    let (to, status) = match &route.action {
        Action::Forward(_) => return None,
        Action::Respond(reply) => return Some(Ok(reply.clone())),
        Action::Redirect(to, status) => (to, *status),
    };
    let slashes = context.snapshot.rules.encoded_slashes;
    let location = match location(to, &route.rewrite, request, context.scheme, slashes) {
        Ok(url) => url.and_then(|url| HeaderValue::try_from(url).ok()),
        Err(refusal) => return Some(Err(Refused::Request(refusal))),
    };
    Some(match location {
        Some(location) => Ok(Reply {
            status,
            headers: vec![(LOCATION, location)],
            body: Bytes::new(),
        }),
        // The URL has the host of the request, which has none: that is allowed in HTTP/1.0.
        None => Err(Refused::Request(Refusal::HostMissing)),
    })
}
