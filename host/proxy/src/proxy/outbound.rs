//! The one place that says what goes out: a request's head to a backend, a response's head to a client.

use std::cell::RefCell;
use std::time::{Duration, SystemTime};

use http::StatusCode;
use http::header::HeaderValue;
use pace_wire::encode;
use pace_wire::fields::Field;
use pace_wire::framing::Framing;
use pace_wire::known::Known;
use pace_wire::request::RequestHead;
use pace_wire::response::ResponseHead;

use super::client::FORWARDED_FOR;
use crate::http1::Outgoing;
use crate::via::Via;

/// What Pace says of a request to its backend.
pub(super) struct Told<'a> {
    /// Who asks.
    pub(super) forwarded_for: &'a HeaderValue,
    /// `http` or `https`.
    pub(super) scheme: &'static str,
    /// Through whom, if that is said.
    pub(super) via: Option<&'a Via>,
    /// What stands for a host that the client did not name.
    pub(super) backend: &'a str,
}

/// Appends a request's head as the backend gets it: what was decided about, without what is about the client's connection,
/// with our word for who asks.
pub(super) fn request_head(out: &mut Vec<u8>, request: &RequestHead, told: &Told<'_>) {
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
        known => !known.is_hop_by_hop(),
    });
    if !has_host {
        // Every request of HTTP/1.1 has one (RFC 9112, section 3.2).
        encode::field(out, "Host", told.backend.as_bytes());
    }
    encode::field(out, FORWARDED_FOR, told.forwarded_for.as_bytes());
    if !has_proto {
        encode::field(out, "x-forwarded-proto", told.scheme.as_bytes());
    }
    if let (false, Some(host)) = (has_forwarded_host, request.sent_authority()) {
        encode::field(out, "x-forwarded-host", host);
    }
    if let Some(via) = told.via {
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

/// How a request's body is framed where it goes.
pub(super) fn request_body(request: &RequestHead) -> Outgoing {
    match request.framing {
        Framing::Chunked => Outgoing::Chunked { trailers: true },
        Framing::None | Framing::Length(_) | Framing::UntilClose => Outgoing::Plain,
    }
}

/// How a response gets to its client.
#[derive(Clone, Copy, Debug)]
pub(super) struct Delivery {
    /// Its body.
    pub(super) body: Outgoing,
    /// Whether the connection is kept behind it.
    pub(super) keep: bool,
}

impl Delivery {
    /// What the client understands, and whether its connection can be kept: `keep`, unless the body ends with it.
    pub(super) fn new(request: &RequestHead, framing: Framing, keep: bool) -> Delivery {
        let is_open = matches!(framing, Framing::Chunked | Framing::UntilClose);
        if !is_open {
            return Delivery {
                body: Outgoing::Plain,
                keep,
            };
        }
        if request.version == http::Version::HTTP_10 {
            // It has never heard of chunks (RFC 9112, section 6.1): the body ends with the connection.
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

/// Appends a response's head as the client gets it. `request` is what it answers, and `via` is for one that has come from a
/// backend.
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
    let announces_trailers = delivery.body == (Outgoing::Chunked { trailers: true });
    let mut has_date = false;
    encode::fields(out, response.fields.iter(), |field: &Field<'_>| {
        match field.known {
            Known::Date => {
                has_date = true;
                true
            }
            Known::Trailer => announces_trailers,
            // RFC 9110, section 15.5.22: it says which.
            Known::Upgrade => names_protocols,
            // About the client's way to a proxy, not about a connection.
            Known::ProxyAuthenticate => true,
            known => !known.is_hop_by_hop(),
        }
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

/// Appends the head of an interim response.
pub(super) fn interim_head(out: &mut Vec<u8>, response: &ResponseHead) {
    encode::status_line(out, response.status(), response.reason());
    encode::fields(out, response.fields.iter(), |field| !field.known.is_hop_by_hop());
    out.extend_from_slice(b"\r\n");
}

/// Appends the head with which a connection changes its protocol.
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

/// The time, as `Date` has it (RFC 9110, section 5.6.7). Written once for each second.
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
