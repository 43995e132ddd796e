//! Requests that are plain: those that are sent on without what Pingora has for bodies, upgrades and the rest.
//!
//! Most requests are a head and nothing else. Pingora prepares each for a body in either direction, an upgrade and
//! messages between both sides at once: it copies the head, and joins two loops by two channels. A plain request
//! is written, and its response read, in turn.

use bytes::BufMut;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Version};
use pingora::http::RequestHeader;
use pingora::protocols::http::ServerSession;

use super::client::FORWARDED_FOR;

/// Whether a request is plain.
///
/// It is one of HTTP/1.1 and has one host, a path as its target, no body and nothing that concerns more than this
/// connection. HEAD is not plain, because the length in its response is not that of what follows.
pub(super) fn is_plain(session: &mut ServerSession) -> bool {
    match session {
        ServerSession::H1(session) => has_plain_head(session.req_header()) && session.is_body_empty(),
        ServerSession::H2(_) | ServerSession::Subrequest(_) | ServerSession::Custom(_) => false,
    }
}

fn has_plain_head(head: &RequestHeader) -> bool {
    head.version == Version::HTTP_11
        && head.has_case()
        && head.method != Method::HEAD
        && head.method != Method::CONNECT
        && head.uri.authority().is_none()
        && is_path(head.raw_path())
        && has_plain_fields(&head.headers)
}

fn has_plain_fields(fields: &HeaderMap) -> bool {
    let mut hosts = 0;
    for (name, value) in fields {
        if *name == header::HOST {
            hosts += 1;
            if value.as_bytes().contains(&b'@') {
                return false;
            }
        } else if NOT_PLAIN.contains(name) || (*name == header::CONNECTION && !is_about_keeping(value)) {
            return false;
        }
    }
    hosts == 1
}

/// Whether a target is a path, and has nothing in it that would end it in a request line.
fn is_path(target: &[u8]) -> bool {
    target.first() == Some(&b'/')
        && !target
            .iter()
            .any(|byte| matches!(byte, b'\0' | b'\n' | b'\r' | b' '))
}

/// Whether this value of `Connection` says at most whether the connection is kept.
fn is_about_keeping(value: &HeaderValue) -> bool {
    let value = value.as_bytes();
    value.eq_ignore_ascii_case(b"keep-alive") || value.eq_ignore_ascii_case(b"close")
}

/// Headers of requests that are not only sent on. Pingora knows what to do with them.
static NOT_PLAIN: [HeaderName; 4] = [
    header::EXPECT,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Headers that are about the client's connection (RFC 9110, section 7.6.1), and the one that is written anew.
static NOT_SENT: [HeaderName; 8] = [
    header::CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TRAILER,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("http2-settings"),
    HeaderName::from_static(FORWARDED_FOR),
];

/// A plain request's head as the origin gets it.
pub(super) fn head_to_send(head: &RequestHeader, forwarded_for: &HeaderValue) -> Vec<u8> {
    let mut wire = Vec::with_capacity(1024);
    wire.put_slice(head.method.as_str().as_bytes());
    wire.put_u8(b' ');
    wire.put_slice(head.raw_path());
    wire.put_slice(b" HTTP/1.1\r\n");
    let mut field = |name: &[u8], value: &HeaderValue| {
        wire.put_slice(name);
        wire.put_slice(b": ");
        wire.put_slice(value.as_bytes());
        wire.put_slice(b"\r\n");
    };
    for ((name, value), (spelled, _)) in head.headers.iter().zip(head.case_header_iter()) {
        if !NOT_SENT.contains(name) {
            field(spelled.as_slice(), value);
        }
    }
    field(FORWARDED_FOR.as_bytes(), forwarded_for);
    wire.put_slice(b"\r\n");
    wire
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(method: &str, target: &str, fields: &[(&'static str, &'static str)]) -> RequestHeader {
        let mut head = RequestHeader::build(method, target.as_bytes(), None).expect("a valid request");
        head.set_version(Version::HTTP_11);
        for (name, value) in fields {
            head.append_header(*name, *value).expect("a valid field");
        }
        head
    }

    const HOST: (&str, &str) = ("Host", "example.com");

    #[test]
    fn a_head_and_nothing_else_is_plain() {
        for (method, target, field) in [
            ("GET", "/", ("Accept", "*/*")),
            ("DELETE", "/a?b=c", ("Connection", "Keep-Alive")),
            ("POST", "/", ("Content-Length", "0")),
            ("BREW", "/pot", ("Connection", "close")),
        ] {
            assert!(
                has_plain_head(&head(method, target, &[HOST, field])),
                "{method} {target}"
            );
        }
    }

    #[test]
    fn what_concerns_more_is_not() {
        let usual = ("Accept", "*/*");
        for (method, target, host, field) in [
            ("HEAD", "/", HOST, usual),
            ("CONNECT", "/", HOST, usual),
            ("GET", "http://example.com/", HOST, usual),
            ("OPTIONS", "*", HOST, usual),
            ("GET", "/", ("Host", "user@example.com"), usual),
            ("GET", "/", ("X-Host", "example.com"), usual),
            ("GET", "/", HOST, ("Host", "example.net")),
            ("GET", "/", HOST, ("Connection", "close, X-Other")),
            ("GET", "/", HOST, ("Connection", "upgrade")),
            ("GET", "/", HOST, ("Upgrade", "websocket")),
            ("GET", "/", HOST, ("TE", "trailers")),
            ("POST", "/", HOST, ("Transfer-Encoding", "chunked")),
            ("POST", "/", HOST, ("Expect", "100-continue")),
        ] {
            let head = head(method, target, &[host, field]);
            assert!(!has_plain_head(&head), "{method} {target} {host:?} {field:?}");
        }
        let mut old = head("GET", "/", &[HOST]);
        old.set_version(Version::HTTP_10);
        assert!(!has_plain_head(&old));
    }

    #[test]
    fn what_is_about_the_clients_connection_is_not_sent() {
        let head = head(
            "GET",
            "/a?b",
            &[
                ("HoSt", "example.com"),
                ("X-Twice", "1"),
                ("Connection", "keep-alive"),
                ("Keep-Alive", "timeout=5"),
                ("Proxy-Connection", "keep-alive"),
                ("Proxy-Authorization", "Basic eDp5"),
                ("Proxy-Authenticate", "Basic"),
                ("Trailer", "X-Sum"),
                ("HTTP2-Settings", "AAMAAABk"),
                ("X-Forwarded-For", "192.0.2.1"),
                ("x-twice", "2"),
            ],
        );
        let wire = head_to_send(&head, &HeaderValue::from_static("127.0.0.1"));
        let wire = String::from_utf8(wire).expect("it is text");
        assert_eq!(
            wire,
            "GET /a?b HTTP/1.1\r\nHoSt: example.com\r\nX-Twice: 1\r\nx-twice: 2\r\n\
             x-forwarded-for: 127.0.0.1\r\n\r\n"
        );
    }
}
