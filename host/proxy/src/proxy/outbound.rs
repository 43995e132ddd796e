//! Writes all heads that Pace sends: of requests to backends, and of responses to clients.

use std::cell::RefCell;
use std::time::{Duration, SystemTime};

use http::header::HeaderValue;
use http::{Response, StatusCode};
use pace_wire::encode;
use pace_wire::framing::Framing;
use pace_wire::known::Known;
use pace_wire::request::RequestHead;
use pace_wire::response::ResponseHead;

use super::client::FORWARDED_FOR;
use crate::http1::Outgoing;
use crate::io::append_field;
use crate::via::Via;

/// The fields that Pace adds to a request for its backend.
pub(super) struct AddedFields<'a> {
    /// The value of `X-Forwarded-For`.
    pub(super) forwarded_for: &'a HeaderValue,
    /// `X-Forwarded-Proto`, if the client has not sent it: `http` or `https`.
    pub(super) scheme: &'static str,
    /// The value of `Via`, if Pace writes one.
    pub(super) via: Option<&'a Via>,
    /// `Host`, if the client has not sent it.
    pub(super) backend: &'a str,
}

/// Appends a request's head as the backend gets it: the request as it was routed, without the fields about the client's
/// connection, and with those that Pace adds.
pub(super) fn request_head(out: &mut Vec<u8>, request: &RequestHead, added: &AddedFields<'_>) {
    out.reserve(1024);
    encode::request_line(out, request.method.as_str(), request.target.as_str());
    let upgrades = request.wants_upgrade();
    let is_chunked = request.framing == Framing::Chunked;
    let (mut has_host, mut has_proto, mut has_forwarded_host) = (false, false, false);
    encode::fields(out, request.fields.iter(), |field| match field.known {
        Known::Host => {
            has_host = true;
            true
        }
        Known::XForwardedFor => false,
        Known::XForwardedProto => {
            has_proto = true;
            true
        }
        Known::XForwardedHost => {
            has_forwarded_host = true;
            true
        }
        Known::Trailer => is_chunked,
        Known::Upgrade => upgrades,
        // A client of HTTP/1.0 expects nothing by it (RFC 9110, section 10.1.1), and a backend of HTTP/1.1 would.
        Known::Expect => request.version != http::Version::HTTP_10,
        known => !known.is_hop_by_hop(),
    });
    if !has_host {
        // Every request of HTTP/1.1 has a Host (RFC 9112, section 3.2).
        encode::field(out, "Host", added.backend.as_bytes());
    }
    encode::field(out, FORWARDED_FOR, added.forwarded_for.as_bytes());
    if !has_proto {
        encode::field(out, "x-forwarded-proto", added.scheme.as_bytes());
    }
    if let (false, Some(host)) = (has_forwarded_host, request.sent_authority()) {
        encode::field(out, "x-forwarded-host", host);
    }
    if let Some(via) = added.via {
        encode::field(out, "Via", via.of_request(request.version).as_bytes());
    }
    if is_chunked {
        encode::field(out, "Transfer-Encoding", b"chunked");
    }
    let takes_trailers = takes_trailers(request);
    if takes_trailers {
        encode::field(out, "TE", b"trailers");
    }
    match (upgrades, takes_trailers) {
        (true, true) => encode::field(out, "Connection", b"Upgrade, TE"),
        (true, false) => encode::field(out, "Connection", b"Upgrade"),
        (false, true) => encode::field(out, "Connection", b"TE"),
        (false, false) => {}
    }
    out.extend_from_slice(b"\r\n");
}

/// The framing of a request's body on the connection to the backend.
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
