//! Answers that a listener gives before any route is looked for.

use std::sync::atomic::Ordering;

use http::StatusCode;
use http::header::HeaderValue;
use pace_hook::{CONTENT_TYPE_NAME, Reply};
use pace_tls::acme::HTTP_PATH;
use pace_wire::request::RequestHead;

use super::refuse::Refused;
use crate::http1::Client;
use crate::snapshot::Snapshot;

/// The port that URLs with `https` need not name.
const HTTPS: u16 = 443;

/// The answer to a request that no route is for: to an authority that is about to issue a certificate, to a client
/// that is redirected to TLS, and to a client that asks on its connection for a host that may not be served there.
pub(super) fn before_routing(
    snapshot: &Snapshot,
    client: &Client,
    request: &RequestHead,
) -> Option<Result<Reply, Refused>> {
    let Some(front) = snapshot.front(client.arrival.listener) else {
        // The listener was removed after the client connected, and with it the rules for what may be
        // asked for there.
        return Some(Err(Refused::Misdirected));
    };
    if let Some(challenges) = &snapshot.challenges
        && let Some(token) = request.target.path().strip_prefix(HTTP_PATH)
        && let Some(answer) = challenges.http(token)
    {
        let content_type = HeaderValue::from_static("application/octet-stream");
        return Some(Ok(Reply {
            status: StatusCode::OK,
            headers: vec![(CONTENT_TYPE_NAME, content_type)],
            body: answer.as_bytes().to_vec().into(),
        }));
    }
    if let Some(port) = &front.redirects_to {
        return Some(redirect(request, port.load(Ordering::Relaxed)));
    }
    let (facts, frontend) = (client.arrival.tls.as_ref()?, front.frontend.as_ref()?);
    let host = pace_wire::authority::host(request.authority().unwrap_or_default());
    let together = frontend.serves_together(facts.server_name.as_deref(), host);
    (!together).then_some(Err(Refused::Misdirected))
}

/// 308: the same request again, with TLS.
fn redirect(request: &RequestHead, port: u16) -> Result<Reply, Refused> {
    let host = pace_wire::authority::host(request.authority().unwrap_or_default());
    // The whole server, of which `OPTIONS *` is, has a URL without a path (RFC 9112, section 3.2.4).
    let target = match request.target.as_str() {
        "*" => "",
        target => target,
    };
    let location = match port {
        HTTPS => format!("https://{host}{target}"),
        port => format!("https://{host}:{port}{target}"),
    };
    // A request of HTTP/1.0 may name no host, and then there is no place to send it.
    let location = HeaderValue::from_str(&location).ok().filter(|_| !host.is_empty());
    let location = location.ok_or(Refused::NowhereToGo)?;
    Ok(Reply {
        status: StatusCode::PERMANENT_REDIRECT,
        headers: vec![("Location".into(), location)],
        body: bytes::Bytes::new(),
    })
}
