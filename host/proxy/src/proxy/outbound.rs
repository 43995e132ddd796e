//! Writes all heads that Pace sends: of requests to backends, and of responses to clients.

use std::cell::RefCell;
use std::time::{Duration, SystemTime};

use http::header::HeaderValue;
use http::uri::{self, Authority, PathAndQuery, Scheme};
use http::{Method, Request, Response, StatusCode, Uri};
use pace_wire::encode;
use pace_wire::framing::Framing;
use pace_wire::known::Known;
use pace_wire::refusal::Refusal;
use pace_wire::request::RequestHead;
use pace_wire::response::ResponseHead;

use super::client::FORWARDED_FOR;
use super::trace::TRACEPARENT;
use crate::http1::Outgoing;
use crate::io::append_field;
use crate::telemetry::tracing::Traceparent;
use crate::via::Via;

/// The fields that Pace adds to a request for its backend.
pub(super) struct AddedFields<'a> {
    /// The target, which may have been rewritten.
    pub(super) target: &'a str,
    /// `Host` in place of the client's.
    pub(super) host: Option<&'a str>,
    /// The value of `X-Forwarded-Prefix`, if a prefix was taken from the path.
    pub(super) prefix: Option<&'a [u8]>,
    /// The value of `X-Forwarded-For`.
    pub(super) forwarded_for: &'a HeaderValue,
    /// `X-Forwarded-Proto`, if the client has not sent it: `http` or `https`.
    pub(super) scheme: &'static str,
    /// The value of `Via`, if Pace writes one.
    pub(super) via: Option<&'a Via>,
    /// `Host`, if the client has not sent it.
    pub(super) backend: &'a str,
    /// The value of `traceparent`, if the request belongs to a trace that Pace follows.
    pub(super) traceparent: Option<&'a Traceparent>,
}

/// Appends a request's head as a backend that speaks HTTP/1.1 gets it: the request as it was routed, without the fields about
/// the client's connection, and with those that Pace adds.
pub(super) fn request_head(out: &mut Vec<u8>, request: &RequestHead, added: &AddedFields<'_>) {
    out.reserve(1024);
    encode::request_line(out, request.method.as_str(), added.target);
    request_fields(request, added, |_, name, value| encode::field(out, name, value));
    if request.framing == Framing::Chunked {
        encode::field(out, "Transfer-Encoding", b"chunked");
    }
    let takes_trailers = takes_trailers(request);
    if takes_trailers {
        encode::field(out, "TE", b"trailers");
    }
    match (request.wants_upgrade(), takes_trailers) {
        (true, true) => encode::field(out, "Connection", b"Upgrade, TE"),
        (true, false) => encode::field(out, "Connection", b"Upgrade"),
        (false, true) => encode::field(out, "Connection", b"TE"),
        (false, false) => {}
    }
    out.extend_from_slice(b"\r\n");
}

/// The same head for a stream of HTTP/2 on a connection of this scheme. `Host` becomes the authority.
pub(super) fn stream_request(
    request: &RequestHead,
    added: &AddedFields<'_>,
    scheme: Scheme,
) -> Result<Request<()>, Refusal> {
    let mut head = Request::new(());
    *head.method_mut() = request.method.clone();
    *head.version_mut() = http::Version::HTTP_2;
    let fields = head.headers_mut();
    fields.reserve(request.fields.len() + 4);
    let mut authority = &b""[..];
    request_fields(request, added, |known, name, value| match known {
        Known::Host => authority = value,
        _ => append_field(fields, name.as_bytes(), value),
    });
    if takes_trailers(request) {
        append_field(fields, b"te", b"trailers");
    }
    let mut uri = uri::Parts::default();
    uri.scheme = Some(scheme);
    uri.authority = Some(Authority::try_from(authority).map_err(|_| Refusal::Host)?);
    uri.path_and_query = Some(path_and_query(added.target)?);
    *head.uri_mut() = Uri::from_parts(uri).map_err(|_| Refusal::Target)?;
    Ok(head)
}

/// Passes the fields of a request for its backend to `write`, but for those about the connection.
fn request_fields<'a>(
    request: &'a RequestHead,
    added: &AddedFields<'a>,
    mut write: impl FnMut(Known, &'a str, &'a [u8]),
) {
    let upgrades = request.wants_upgrade();
    let is_chunked = request.framing == Framing::Chunked;
    let (mut has_host, mut has_proto, mut has_forwarded_host) = (false, false, false);
    for field in request.fields.iter() {
        let passes = match field.known {
            Known::Host => {
                has_host = true;
                added.host.is_none()
            }
            Known::XForwardedFor => false,
            Known::XForwardedPrefix => added.prefix.is_none(),
            Known::XForwardedProto => {
                has_proto = true;
                true
            }
            Known::XForwardedHost => {
                has_forwarded_host = true;
                true
            }
            Known::Traceparent => added.traceparent.is_none(),
            Known::Trailer => is_chunked,
            Known::Upgrade => upgrades,
            // A client of HTTP/1.0 expects nothing by it (RFC 9110, section 10.1.1), and a backend would.
            Known::Expect => request.version != http::Version::HTTP_10,
            known => !known.is_hop_by_hop(),
        };
        if passes {
            write(field.known, field.name, field.value);
        }
    }
    // Every request of HTTP/1.1 has a Host (RFC 9112, section 3.2).
    let no_host = (!has_host).then_some(added.backend);
    if let Some(host) = added.host.or(no_host) {
        write(Known::Host, "Host", host.as_bytes());
    }
    write(
        Known::XForwardedFor,
        FORWARDED_FOR,
        added.forwarded_for.as_bytes(),
    );
    if !has_proto {
        write(
            Known::XForwardedProto,
            "x-forwarded-proto",
            added.scheme.as_bytes(),
        );
    }
    if let (false, Some(host)) = (has_forwarded_host, request.sent_authority()) {
        write(Known::XForwardedHost, "x-forwarded-host", host);
    }
    if let Some(traceparent) = added.traceparent {
        write(Known::Traceparent, TRACEPARENT, traceparent);
    }
    if let Some(prefix) = added.prefix {
        write(Known::XForwardedPrefix, "x-forwarded-prefix", prefix);
    }
    if let Some(via) = added.via {
        write(Known::Via, "Via", via.of_request(request.version).as_bytes());
    }
}

/// A target for HTTP/2. A few characters that targets of HTTP/1 may have, though no URI has them, are encoded.
fn path_and_query(target: &str) -> Result<PathAndQuery, Refusal> {
    if let Ok(valid) = PathAndQuery::try_from(target) {
        return Ok(valid);
    }
    let mut encoded = String::with_capacity(target.len() + 16);
    for character in target.chars() {
        match character {
            '"' | '<' | '>' | '\\' | '^' | '`' | '{' | '|' | '}' => {
                encoded.push('%');
                encoded.push_str(&format!("{:02X}", character as u32));
            }
            _ => encoded.push(character),
        }
    }
    PathAndQuery::try_from(encoded).map_err(|_| Refusal::Target)
}

/// The framing of a request's body on a connection of HTTP/1.1 to the backend.
pub(super) fn request_body(request: &RequestHead) -> Outgoing {
    match request.framing {
        Framing::Chunked => Outgoing::Chunked { trailers: true },
        Framing::None | Framing::Length(_) | Framing::UntilClose => Outgoing::Plain,
    }
}

/// The way of a response to its client.
#[derive(Clone, Copy, Debug)]
pub(super) struct Delivery {
    /// The framing of its body.
    pub(super) body: Outgoing,
    /// Whether the connection is kept after the response.
    pub(super) keep: bool,
}

impl Delivery {
    /// The framing that the client understands, and whether its connection is kept: `keep`, unless the connection ends the
    /// body.
    pub(super) fn new(request: &RequestHead, framing: Framing, keep: bool) -> Delivery {
        if request.version == http::Version::HTTP_2 {
            return Delivery {
                body: Outgoing::Stream,
                keep,
            };
        }
        let is_open = matches!(framing, Framing::Chunked | Framing::UntilClose);
        if !is_open {
            return Delivery {
                body: Outgoing::Plain,
                keep,
            };
        }
        if request.version == http::Version::HTTP_10 {
            // HTTP/1.0 has no chunks (RFC 9112, section 6.1), so the connection ends the body.
            return Delivery {
                body: Outgoing::Plain,
                keep: false,
            };
        }
        Delivery {
            body: Outgoing::Chunked {
                trailers: takes_trailers(request),
            },
            keep,
        }
    }
}

/// Appends a response's head as the client gets it. `request` is the answered request. `via` is only for a response that a
/// backend has sent.
pub(super) fn response_head(
    out: &mut Vec<u8>,
    response: &ResponseHead,
    request: &RequestHead,
    delivery: Delivery,
    via: Option<&Via>,
) {
    out.reserve(512);
    encode::status_line(out, response.status(), response.reason());
    let names_protocols = response.status() == StatusCode::UPGRADE_REQUIRED;
    let has_date = response.fields.has(Known::Date);
    let announces_trailers = delivery.body == (Outgoing::Chunked { trailers: true });
    encode::fields(out, response.fields.iter(), |field| match field.known {
        // A 426 names the required protocols (RFC 9110, section 15.5.22).
        Known::Upgrade => names_protocols,
        known => passes(known, announces_trailers),
    });
    if !has_date {
        with_date(|date| encode::field(out, "Date", date));
    }
    if let Some(via) = via {
        encode::field(out, "Via", via.of_response(response.version).as_bytes());
    }
    if matches!(delivery.body, Outgoing::Chunked { .. }) {
        encode::field(out, "Transfer-Encoding", b"chunked");
    } else if response.version == http::Version::HTTP_2 && is_empty_without_saying_so(response, request) {
        encode::field(out, "Content-Length", b"0");
    }
    match (delivery.keep, names_protocols) {
        (false, _) => encode::field(out, "Connection", b"close"),
        (true, true) => encode::field(out, "Connection", b"Upgrade"),
        (true, false) if request.version == http::Version::HTTP_10 => {
            encode::field(out, "Connection", b"keep-alive");
        }
        (true, false) => {}
    }
    out.extend_from_slice(b"\r\n");
}

/// Whether a response ended with its head, as a stream of HTTP/2 may, and a client of HTTP/1.1 would wait for a body.
fn is_empty_without_saying_so(response: &ResponseHead, request: &RequestHead) -> bool {
    response.framing == Framing::None
        && request.method != Method::HEAD
        && !matches!(
            response.status(),
            StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
        )
        && !response.fields.has(Known::ContentLength)
}

/// A response's head for a stream of HTTP/2.
pub(super) fn stream_head(response: &ResponseHead, via: Option<&Via>) -> Response<()> {
    let mut head = interim_stream_head(response);
    let fields = head.headers_mut();
    if !response.fields.has(Known::Date) {
        with_date(|date| append_field(fields, b"date", date));
    }
    if let Some(via) = via {
        append_field(fields, b"via", via.of_response(response.version).as_bytes());
    }
    head
}

/// The head of an interim response for a stream of HTTP/2.
pub(super) fn interim_stream_head(response: &ResponseHead) -> Response<()> {
    let mut head = Response::new(());
    *head.status_mut() = response.status();
    let fields = head.headers_mut();
    fields.reserve(response.fields.len() + 2);
    for field in response.fields.iter() {
        if passes(field.known, true) {
            append_field(fields, field.name.as_bytes(), field.value);
        }
    }
    head
}

/// Whether a field of a response is passed on.
fn passes(known: Known, announces_trailers: bool) -> bool {
    match known {
        Known::Trailer => announces_trailers,
        // The field is about the client's access to a proxy, not about a connection.
        Known::ProxyAuthenticate => true,
        known => !known.is_hop_by_hop(),
    }
}

/// Appends the head of an interim response.
pub(super) fn interim_head(out: &mut Vec<u8>, response: &ResponseHead) {
    encode::status_line(out, response.status(), response.reason());
    encode::fields(out, response.fields.iter(), |field| !field.known.is_hop_by_hop());
    out.extend_from_slice(b"\r\n");
}

/// Appends the head with which a connection switches to another protocol.
pub(super) fn switching_head(out: &mut Vec<u8>, response: &ResponseHead) {
    encode::status_line(out, response.status(), response.reason());
    encode::fields(out, response.fields.iter(), |field| {
        field.known == Known::Upgrade || !field.known.is_hop_by_hop()
    });
    encode::field(out, "Connection", b"Upgrade");
    out.extend_from_slice(b"\r\n");
}

/// Whether the client takes trailers (RFC 9110, section 10.1.4).
fn takes_trailers(request: &RequestHead) -> bool {
    request.options.te
        && request
            .fields
            .elements(Known::Te)
            .any(|coding| coding.eq_ignore_ascii_case(b"trailers"))
}

/// Calls `write` with the time, as `Date` has it (RFC 9110, section 5.6.7). The text is formatted once for each second.
fn with_date(write: impl FnOnce(&[u8])) {
    thread_local! {
        static DATE: RefCell<(u64, String)> = const { RefCell::new((0, String::new())) };
    }
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    DATE.with_borrow_mut(|(second, text)| {
        if *second != now || text.is_empty() {
            *second = now;
            *text = httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(now));
        }
        write(text.as_bytes());
    });
}
