//! Answers of routes that have no pool.

use std::borrow::Cow;

use bytes::Bytes;
use http::header::HeaderValue;
use pace_config::Redirected;
use pace_hook::Reply;
use pace_wire::authority;
use pace_wire::refusal::Refusal;
use pace_wire::request::RequestHead;

use super::context::Context;
use super::refuse::Refused;
use crate::route::{Action, Route};

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
    let target = match &route.rewrite.path {
        None => Cow::Borrowed(&request.target),
        Some(rewrite) => match rewrite.apply(&request.target, context.snapshot.rules.encoded_slashes) {
            Ok(rewritten) => Cow::Owned(rewritten.target),
            Err(refusal) => return Some(Err(Refused::Request(refusal))),
        },
    };
    let host = route.rewrite.host.as_deref().or_else(|| request.authority());
    let url = to.of(&Redirected {
        scheme: context.scheme,
        host: host.map(authority::host),
        path: match target.path() {
            "*" => "/",
            path => path,
        },
        query: target.query(),
    });
    let location = url.and_then(|url| HeaderValue::try_from(url).ok());
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
