//! Calls of gRPC: the time that their clients give them, and Pace's own answers in their words.
//!
//! A client of gRPC expects status 200 and the outcome in `grpc-status`, and takes anything else for the fault of a proxy that
//! knows nothing of gRPC. Pace's own answers are therefore translated when they are sent; plugins, metrics and log have the status
//! of HTTP.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode, Version};
use pace_wire::encode;
use pace_wire::fields::{Fields, TooLarge};
use pace_wire::framing::{Framing, remove_framing};
use pace_wire::request::RequestHead;
use pace_wire::response::ResponseHead;

/// The outcomes of a call that Pace names, by their codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Code {
    Unknown = 2,
    DeadlineExceeded = 4,
    PermissionDenied = 7,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
    Unauthenticated = 16,
}

/// The most bytes of a text that is passed on as `grpc-message`.
const MAX_MESSAGE: usize = 1024;

/// The longest time of a client that is a limit, as long as that of a pool may be.
const MAX_TIMEOUT: Duration = Duration::from_secs(86_400);

/// Whether a request is a call of gRPC: a POST of HTTP/2 whose content is of its type.
pub(super) fn is_call(request: &RequestHead) -> bool {
    request.version == Version::HTTP_2
        && request.method == Method::POST
        && request.fields.get("content-type").is_some_and(is_grpc)
}

/// The time that the client of a call gives it: `grpc-timeout`. A malformed value is no limit, and left to the backend.
pub(super) fn timeout(request: &RequestHead) -> Option<Duration> {
    if !is_call(request) {
        return None;
    }
    parse(request.fields.get("grpc-timeout")?).filter(|timeout| *timeout <= MAX_TIMEOUT)
}

/// Translates an answer of Pace's own that is no success into the words of gRPC: a head that is also the end. `is_late`: the time
/// of the call is over. An answer that has a `grpc-status` was made for gRPC, and stays as it is.
pub(super) fn translate(head: &mut ResponseHead, content: &mut Bytes, is_late: bool) {
    let status = head.status();
    if status == StatusCode::OK || head.fields.get("grpc-status").is_some() {
        return;
    }
    let is_text = |content_type: &[u8]| content_type.starts_with(b"text/plain");
    let text = match head.fields.get("content-type").is_some_and(is_text) {
        true => std::str::from_utf8(content).ok(),
        false => None,
    };
    let text = text.or(status.canonical_reason()).unwrap_or_default().trim_end();
    let message = encoded(&text[..text.floor_char_boundary(MAX_MESSAGE)]);
    let mut code = Vec::new();
    encode::decimal(&mut code, code_of(status, is_late) as u64);
    head.set_status(StatusCode::OK);
    head.framing = Framing::None;
    remove_framing(&mut head.fields);
    *content = Bytes::new();
    let fields = &mut head.fields;
    let fits = fields
        .set("content-type", b"application/grpc")
        .and_then(|()| fields.append("grpc-status", &code))
        .and_then(|()| fields.append("grpc-message", message.as_bytes()));
    if let Err(TooLarge) = fits {
        log::debug!(target: "pace::proxy", "an answer has no room for the status of gRPC");
    }
}

/// The cause of the end of a response that has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// Its backend has broken it off.
    Backend,
    /// A plugin has, or has failed.
    Plugin,
    /// The time of the call is over, or that of the route or the pool.
    Late,
}

/// Removes the length of a response to a call, with which [trailers](broken_off) could not follow a part of it (RFC 9113, section
/// 8.1.1).
pub(super) fn make_room_for_outcome(request: &RequestHead, response: &mut ResponseHead) {
    if is_outcome_told(request, response) && matches!(response.framing, Framing::Length(_)) {
        remove_framing(&mut response.fields);
        response.framing = Framing::Chunked;
    }
}

/// The trailers that end a response to a call before its end. `None` if it is no response of gRPC: others would seem complete.
pub(super) fn broken_off(request: &RequestHead, response: &ResponseHead, cause: Cause) -> Option<Fields> {
    if !is_outcome_told(request, response) {
        return None;
    }
    let (outcome, message) = match cause {
        Cause::Backend => (Code::Unavailable, "the backend broke the response off"),
        Cause::Plugin => (Code::Unavailable, "a plugin broke the response off"),
        Cause::Late => (Code::DeadlineExceeded, "the time of the call is over"),
    };
    let mut code = Vec::new();
    encode::decimal(&mut code, outcome as u64);
    let mut trailers = Fields::new();
    trailers.append("grpc-status", &code).ok()?;
    trailers
        .append("grpc-message", encoded(message).as_bytes())
        .ok()?;
    Some(trailers)
}

/// Whether a response has its outcome in trailers: it is one of gRPC, to a call.
fn is_outcome_told(request: &RequestHead, response: &ResponseHead) -> bool {
    is_call(request) && response.fields.get("content-type").is_some_and(is_grpc)
}

/// `application/grpc`, with a suffix or parameters.
fn is_grpc(content_type: &[u8]) -> bool {
    const GRPC: &[u8] = b"application/grpc";
    content_type
        .split_at_checked(GRPC.len())
        .is_some_and(|(start, rest)| {
            start.eq_ignore_ascii_case(GRPC)
                && matches!(rest.trim_ascii_start().first(), None | Some(b'+' | b';'))
        })
}

/// The outcome that clients of gRPC understand by a status of HTTP, as gRPC has it in `http-grpc-status-mapping.md`.
fn code_of(status: StatusCode, is_late: bool) -> Code {
    match status {
        StatusCode::GATEWAY_TIMEOUT | StatusCode::REQUEST_TIMEOUT if is_late => Code::DeadlineExceeded,
        StatusCode::BAD_REQUEST => Code::Internal,
        StatusCode::UNAUTHORIZED => Code::Unauthenticated,
        StatusCode::FORBIDDEN => Code::PermissionDenied,
        StatusCode::NOT_FOUND => Code::Unimplemented,
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => Code::Unavailable,
        _ => Code::Unknown,
    }
}

/// At most eight digits and a unit.
fn parse(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    if !matches!(digits.len(), 1..=8) || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = digits
        .iter()
        .fold(0, |number, digit| number * 10 + u64::from(digit - b'0'));
    Some(match unit {
        b'H' => Duration::from_secs(number * 3600),
        b'M' => Duration::from_secs(number * 60),
        b'S' => Duration::from_secs(number),
        b'm' => Duration::from_millis(number),
        b'u' => Duration::from_micros(number),
        b'n' => Duration::from_nanos(number),
        _ => return None,
    })
}

/// A text as `grpc-message` has it: `%` and bytes that are not visible ASCII are in hexadecimal.
fn encoded(text: &str) -> String {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'%' | 0..=0x1f | 0x7f.. => encoded.extend([
                '%',
                char::from(DIGITS[usize::from(byte >> 4)]),
                char::from(DIGITS[usize::from(byte & 15)]),
            ]),
            _ => encoded.push(char::from(byte)),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_type_of_grpc_has_a_suffix_or_parameters_at_most() {
        for is in [
            "application/grpc",
            "Application/gRPC+proto",
            "application/grpc; a=b",
        ] {
            assert!(is_grpc(is.as_bytes()), "{is}");
        }
        for other in [
            "",
            "application/grpc-web",
            "application/grpcx",
            "application/json",
        ] {
            assert!(!is_grpc(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn timeout_is_up_to_eight_digits_and_a_unit() {
        for (value, timeout) in [
            ("1H", Duration::from_secs(3600)),
            ("2M", Duration::from_secs(120)),
            ("99999999S", Duration::from_secs(99_999_999)),
            ("10m", Duration::from_millis(10)),
            ("10u", Duration::from_micros(10)),
            ("0n", Duration::ZERO),
        ] {
            assert_eq!(parse(value.as_bytes()), Some(timeout), "{value}");
        }
        for value in ["", "S", "1", "1s", "-1S", "1.5S", "123456789S", " 1S", "1 S"] {
            assert_eq!(parse(value.as_bytes()), None, "{value:?}");
        }
    }

    #[test]
    fn answer_becomes_a_head_with_code_and_message() {
        let translated = |status: u16, content_type: &str, content: &'static str, is_late| {
            let mut head = ResponseHead::of_status(StatusCode::from_u16(status).expect("it is a status"));
            let mut content = Bytes::from_static(content.as_bytes());
            for (name, value) in [
                ("Content-Type", content_type),
                ("Content-Length", "9"),
                ("Retry-After", "1"),
            ] {
                head.fields.append(name, value.as_bytes()).expect("there is room");
            }
            translate(&mut head, &mut content, is_late);
            assert!(content.is_empty());
            assert_eq!((head.status(), head.fields.len()), (StatusCode::OK, 4));
            assert_eq!(head.fields.get("content-type"), Some(&b"application/grpc"[..]));
            assert_eq!(head.fields.get("retry-after"), Some(&b"1"[..]));
            let text = |name| String::from_utf8_lossy(head.fields.get(name).unwrap_or_default()).into_owned();
            (text("grpc-status"), text("grpc-message"))
        };
        let of = |status, is_late| translated(status, "text/plain", "", is_late).0;
        for (status, code) in [
            (400, "13"),
            (401, "16"),
            (403, "7"),
            (404, "12"),
            (429, "14"),
            (502, "14"),
            (503, "14"),
            (504, "14"),
            (413, "2"),
            (500, "2"),
            (302, "2"),
        ] {
            assert_eq!(of(status, false), code, "{status}");
        }
        assert_eq!(of(504, true), "4");
        assert_eq!(of(503, true), "14");
        let text = translated(429, "text/plain; charset=utf-8", "zu viel: 5 %\u{e4}\n", false);
        assert_eq!(text.1, "zu viel: 5 %25%C3%A4");
        assert_eq!(translated(403, "text/html", "<p>no</p>", false).1, "Forbidden");
    }

    #[test]
    fn answer_of_success_or_made_for_grpc_stays_as_it_is() {
        let mut head = ResponseHead::of_status(StatusCode::OK);
        let mut content = Bytes::from_static(b"ok");
        translate(&mut head, &mut content, false);
        assert_eq!((head.fields.len(), &content[..]), (0, &b"ok"[..]));
        let mut head = ResponseHead::of_status(StatusCode::FORBIDDEN);
        head.fields.append("grpc-status", b"9").expect("there is room");
        translate(&mut head, &mut content, false);
        assert_eq!((head.status().as_u16(), head.fields.len()), (403, 1));
    }
}
