//! Heads of requests.

mod stream;

use std::str;

use http::{Method, Version};

use crate::authority::is_authority;
use crate::connection::{Options, is_token};
use crate::fields::{Fields, Span};
use crate::framing::Framing;
use crate::known::Known;
use crate::path::EncodedSlashes;
use crate::refusal::Refusal;
use crate::target::Target;

pub use stream::Pseudo;

/// The operator's rules for requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// How encoded slashes are treated.
    pub encoded_slashes: EncodedSlashes,
    /// How fields with underscores in their names are treated.
    pub underscores: Underscores,
    /// The most field lines.
    pub max_fields: usize,
}

/// How fields with an underscore in their names are treated. CGI and WSGI make one variable of `X_Real_IP`
/// and `X-Real-IP`: a proxy that vouches for the one must not let the other pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Underscores {
    /// The fields are dropped.
    #[default]
    Drop,
    /// The fields pass like others.
    Pass,
    /// The request is refused.
    Refuse,
}

/// The most characters of a method.
pub const MAX_METHOD: usize = 64;

/// The number of field lines that are read without an allocation.
const USUAL_FIELDS: usize = 128;

impl Default for Rules {
    fn default() -> Rules {
        Rules {
            encoded_slashes: EncodedSlashes::default(),
            underscores: Underscores::default(),
            max_fields: USUAL_FIELDS,
        }
    }
}

/// The head of a request that breaks no rule.
///
/// The framing and the [`Options`] are as the client sent them, before anything is removed or edited.
#[derive(Clone, Debug)]
pub struct RequestHead {
    /// The method.
    pub method: Method,
    /// HTTP/1.0, HTTP/1.1 or HTTP/2.
    pub version: Version,
    /// The target.
    pub target: Target,
    /// The fields, without those that the client declares to be the connection's own.
    pub fields: Fields,
    /// The framing of the body.
    pub framing: Framing,
    /// The options of the connection.
    pub options: Options,
    sent_target: Span,
    sent_authority: Option<Span>,
    /// The path before the target was changed; empty if it was not.
    routed_path: String,
}

impl Default for RequestHead {
    fn default() -> RequestHead {
        RequestHead {
            method: Method::GET,
            version: Version::HTTP_11,
            target: Target::default(),
            fields: Fields::new(),
            framing: Framing::None,
            options: Options::default(),
            sent_target: Span::default(),
            sent_authority: None,
            routed_path: String::new(),
        }
    }
}

impl RequestHead {
    /// An empty head, whose memory is reused for each read.
    pub fn new() -> RequestHead {
        RequestHead::default()
    }

    /// Reads a head, including the empty line that ends it, after [`HeadScan`](crate::scan::HeadScan) has
    /// found that. After an error only [`RequestHead::sent_target`] and the method are meaningful, for the
    /// log.
    pub fn read(&mut self, head: &[u8], rules: &Rules) -> Result<(), Refusal> {
        self.clear();
        self.fields.begin(head);
        let feed = memchr::memchr(b'\n', head).ok_or(Refusal::RequestLine)?;
        // The scan has seen the CR before the LF; a CR elsewhere is a character that no part of the line may
        // have.
        let line = head[..feed].strip_suffix(b"\r").ok_or(Refusal::BareLineFeed)?;
        let authority = self.read_line(line, rules)?;
        self.read_fields(head, feed + 1, rules)?;
        self.read_host(authority)?;
        self.sent_authority = self.fields.place(Known::Host);
        self.framing = Framing::of_request(&mut self.fields, self.version)?;
        self.options = Options::take_of_request(&mut self.fields).map_err(|_| Refusal::Connection)?;
        Ok(())
    }

    /// Takes method and target of an incomplete head that is refused, as far as they have come: for the log,
    /// and because an answer to HEAD has no content.
    pub fn glance(&mut self, begin: &[u8]) {
        self.clear();
        let line = begin
            .split(|byte| matches!(byte, b'\r' | b'\n'))
            .next()
            .unwrap_or_default();
        let line = &line[..line.len().min(MAX_GLANCE)];
        let mut words = line.split(|byte| *byte == b' ');
        let method = words.next().unwrap_or_default();
        let Some(target) = words.next() else { return };
        if method.len() <= MAX_METHOD && method.iter().copied().all(is_token) {
            self.method = Method::from_bytes(method).unwrap_or_default();
            self.fields.begin(line);
            self.sent_target = Span::within(line, target);
        }
    }

    /// The target as the client sent it.
    pub fn sent_target(&self) -> &[u8] {
        self.fields.slice(self.sent_target)
    }

    /// The path by which the request is routed, even if the target has been changed since.
    pub fn routed_path(&self) -> &str {
        match self.routed_path.as_str() {
            "" => self.target.path(),
            path => path,
        }
    }

    /// Replaces path and query. The route is chosen by then, and [`RequestHead::routed_path`] stays as it is.
    pub fn change_target(&mut self, path_and_query: &str) {
        if self.routed_path.is_empty() {
            self.routed_path.push_str(self.target.path());
        }
        self.target.set(path_and_query);
    }

    /// The host and optional port of the request; `None` for HTTP/1.0 without `Host`.
    pub fn authority(&self) -> Option<&str> {
        str::from_utf8(self.fields.first(Known::Host)?).ok()
    }

    /// The authority that the client sent, even if [`RequestHead::authority`] has been edited since.
    pub fn sent_authority(&self) -> Option<&[u8]> {
        Some(self.fields.slice(self.sent_authority?))
    }

    /// Whether the client wants to switch to another protocol (RFC 9110, section 7.8). `Upgrade` without the
    /// option does not count.
    pub fn wants_upgrade(&self) -> bool {
        self.options.upgrade
            && self.version == Version::HTTP_11
            && self.fields.has(Known::Upgrade)
            && !self.fields.elements(Known::Upgrade).any(names_transport)
    }

    /// Whether the client waits with its body for an interim response (RFC 9110, section 10.1.1).
    pub fn expects_continue(&self) -> bool {
        self.version != Version::HTTP_10
            && self
                .fields
                .all(Known::Expect)
                .any(|value| value.eq_ignore_ascii_case(b"100-continue"))
    }

    /// Whether the client may send another request on this connection (RFC 9112, section 9.3).
    pub fn keeps_alive(&self) -> bool {
        !self.options.close && (self.version != Version::HTTP_10 || self.options.keep_alive)
    }

    /// Clears the head and keeps its memory.
    pub fn clear(&mut self) {
        self.method = Method::GET;
        self.version = Version::HTTP_11;
        self.target.clear(USUAL_TARGET);
        self.fields.clear();
        self.framing = Framing::None;
        self.options = Options::default();
        self.sent_target = Span::default();
        self.sent_authority = None;
        self.routed_path.clear();
    }

    fn read_line<'a>(&mut self, line: &'a [u8], rules: &Rules) -> Result<Option<&'a str>, Refusal> {
        let method_end = memchr::memchr(b' ', line).ok_or(Refusal::RequestLine)?;
        let (method, rest) = (&line[..method_end], &line[method_end + 1..]);
        if method.len() > MAX_METHOD || !method.iter().copied().all(is_token) {
            return Err(Refusal::Method);
        }
        self.method = Method::from_bytes(method).map_err(|_| Refusal::Method)?;
        let target_end = memchr::memchr(b' ', rest).ok_or(Refusal::RequestLine)?;
        let (target, version) = (&rest[..target_end], &rest[target_end + 1..]);
        self.sent_target = Span::new(method_end + 1, method_end + 1 + target_end);
        self.version = read_version(version)?;
        if matches!(self.method, Method::CONNECT | Method::TRACE) {
            return Err(Refusal::MethodNotImplemented);
        }
        self.target.read(target, &self.method, rules.encoded_slashes)
    }

    fn read_fields(&mut self, head: &[u8], start: usize, rules: &Rules) -> Result<(), Refusal> {
        let mut lines = [httparse::EMPTY_HEADER; USUAL_FIELDS];
        match httparse::parse_headers(&head[start..], &mut lines[..rules.max_fields.min(USUAL_FIELDS)]) {
            Ok(httparse::Status::Complete((_, lines))) => self.push_fields(head, lines, rules),
            Err(httparse::Error::TooManyHeaders) if rules.max_fields > USUAL_FIELDS => {
                let mut lines = vec![httparse::EMPTY_HEADER; rules.max_fields];
                match httparse::parse_headers(&head[start..], &mut lines) {
                    Ok(httparse::Status::Complete((_, lines))) => self.push_fields(head, lines, rules),
                    Err(httparse::Error::TooManyHeaders) => Err(Refusal::HeadTooLarge),
                    _ => Err(Refusal::FieldLine),
                }
            }
            Err(httparse::Error::TooManyHeaders) => Err(Refusal::HeadTooLarge),
            _ => Err(Refusal::FieldLine),
        }
    }

    fn push_fields(
        &mut self,
        head: &[u8],
        lines: &[httparse::Header<'_>],
        rules: &Rules,
    ) -> Result<(), Refusal> {
        for line in lines {
            if rules.underscores != Underscores::Pass && memchr::memchr(b'_', line.name.as_bytes()).is_some()
            {
                match rules.underscores {
                    Underscores::Refuse => return Err(Refusal::Underscore),
                    Underscores::Drop | Underscores::Pass => continue,
                }
            }
            self.fields.push(
                Span::within(head, line.name.as_bytes()),
                Span::within(head, line.value),
            );
        }
        Ok(())
    }

    /// Checks `Host`, and puts the authority of the absolute form in its place.
    fn read_host(&mut self, authority: Option<&str>) -> Result<(), Refusal> {
        let mut hosts = self.fields.all(Known::Host);
        match (hosts.next(), hosts.next()) {
            (None, _) if self.version == Version::HTTP_11 => return Err(Refusal::HostMissing),
            (None, _) => {}
            (Some(_), Some(_)) => return Err(Refusal::HostRepeated),
            (Some(host), None) if !is_authority(host) => return Err(Refusal::Host),
            (Some(_), None) => {}
        }
        drop(hosts);
        match authority {
            Some(authority) if self.authority() != Some(authority) => self
                .fields
                .set("Host", authority.as_bytes())
                .map_err(|_| Refusal::HeadTooLarge),
            _ => Ok(()),
        }
    }
}

/// Whether an element of `Upgrade` names a protocol that carries HTTP itself. After such a switch a client
/// would send the backend requests that no proxy between them sees: HTTP/2 without TLS, which is obsolete
/// (RFC 9113, section 3.1), or TLS (RFC 2817).
fn names_transport(protocol: &[u8]) -> bool {
    let name = protocol.split(|byte| *byte == b'/').next().unwrap_or_default();
    let name = name.trim_ascii();
    ["h2c", "h2", "h3", "http", "tls"]
        .iter()
        .any(|transport| name.eq_ignore_ascii_case(transport.as_bytes()))
}

/// The bytes that are kept of the first line of a refused head.
const MAX_GLANCE: usize = 256;

/// The memory in bytes that is kept for the next target.
const USUAL_TARGET: usize = 256;

fn read_version(version: &[u8]) -> Result<Version, Refusal> {
    match version {
        b"HTTP/1.1" => Ok(Version::HTTP_11),
        b"HTTP/1.0" => Ok(Version::HTTP_10),
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => Err(Refusal::Version),
        _ => Err(Refusal::RequestLine),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(head: &str) -> Result<RequestHead, Refusal> {
        read_by(head, &Rules::default())
    }

    fn read_by(head: &str, rules: &Rules) -> Result<RequestHead, Refusal> {
        let mut into = RequestHead::new();
        into.read(head.as_bytes(), rules).map(|()| into)
    }

    fn line(line: &str) -> Result<RequestHead, Refusal> {
        read(&format!("{line}\r\nHost: a\r\n\r\n"))
    }

    #[test]
    fn read_valid_head_reuses_its_memory() {
        let mut head = RequestHead::new();
        for _ in 0..2 {
            let read = head.read(
                b"PATCH /%61?b HTTP/1.1\r\nhOst: a:80\r\nContent-Length: 3\r\nConnection: close\r\n\r\n",
                &Rules::default(),
            );
            assert_eq!(read, Ok(()));
            assert_eq!(head.method, Method::PATCH);
            assert_eq!(
                (head.target.as_str(), head.sent_target()),
                ("/a?b", &b"/%61?b"[..])
            );
            assert_eq!(
                (head.authority(), head.framing),
                (Some("a:80"), Framing::Length(3))
            );
            assert!(!head.keeps_alive());
            assert_eq!(head.fields.len(), 3);
        }
    }

    #[test]
    fn read_malformed_request_line_is_refused() {
        for (text, refusal) in [
            ("GET", Refusal::RequestLine),
            ("GET /", Refusal::RequestLine),
            ("GET  / HTTP/1.1", Refusal::RequestLine),
            ("GET / HTTP/1.1 ", Refusal::RequestLine),
            ("GET /a b HTTP/1.1", Refusal::RequestLine),
            ("GET /\tHTTP/1.1", Refusal::RequestLine),
            ("GET / http/1.1", Refusal::RequestLine),
            ("GET / HTTP/1.10", Refusal::RequestLine),
            ("GE T / HTTP/1.1", Refusal::RequestLine),
            (" / HTTP/1.1", Refusal::Method),
            ("G(T / HTTP/1.1", Refusal::Method),
            ("G\u{0}T / HTTP/1.1", Refusal::Method),
            ("GET / HTTP/1.1\rX", Refusal::RequestLine),
            ("GET /\r HTTP/1.1", Refusal::Target),
            ("GET\r / HTTP/1.1", Refusal::Method),
            ("GET / HTTP/1.2", Refusal::Version),
            ("GET / HTTP/2.0", Refusal::Version),
            ("GET / HTTP/0.9", Refusal::Version),
            ("GET /a\u{0}b HTTP/1.1", Refusal::Target),
            ("GET /a\u{1}b HTTP/1.1", Refusal::Target),
            ("GET /a\u{7f}b HTTP/1.1", Refusal::Target),
            ("GET /café HTTP/1.1", Refusal::Target),
            ("GET admin HTTP/1.1", Refusal::Target),
            ("CONNECT a:443 HTTP/1.1", Refusal::MethodNotImplemented),
            ("TRACE / HTTP/1.1", Refusal::MethodNotImplemented),
        ] {
            assert_eq!(line(text).err(), Some(refusal), "{text:?}");
        }
        assert!(line("PURGE-ALL / HTTP/1.1").is_ok());
        assert_eq!(
            line(&format!("{} / HTTP/1.1", "A".repeat(MAX_METHOD + 1))).err(),
            Some(Refusal::Method)
        );
    }

    #[test]
    fn glance_takes_method_and_target_as_far_as_they_came() {
        let mut head = RequestHead::new();
        for (begin, method, target) in [
            ("HEAD /a HTTP/1.1\r\nHost", Method::HEAD, "/a"),
            ("PUT /b", Method::PUT, "/b"),
            ("HEAD", Method::GET, ""),
            ("H(AD / HTTP/1.1", Method::GET, ""),
            ("", Method::GET, ""),
        ] {
            head.glance(begin.as_bytes());
            assert_eq!(
                (&head.method, head.sent_target()),
                (&method, target.as_bytes()),
                "{begin:?}"
            );
        }
        head.glance(format!("GET /{}", "a".repeat(70_000)).as_bytes());
        assert_eq!(head.sent_target().len(), MAX_GLANCE - "GET ".len());
    }

    #[test]
    fn read_malformed_field_line_is_refused() {
        for text in [
            "Host : a",
            " Host: a",
            "Host",
            ": a",
            "X Y: a",
            "Host: a\r\n b",
            "X: a\u{0}",
            "X: a\u{7f}",
            "X: a\rb",
            "Ä: b",
        ] {
            let head = format!("GET / HTTP/1.1\r\nHost: a\r\n{text}\r\n\r\n");
            assert_eq!(read(&head).err(), Some(Refusal::FieldLine), "{text:?}");
        }
        assert!(read("GET / HTTP/1.1\r\nHost:a\r\nX:\t ä\tb \r\n\r\n").is_ok());
    }

    #[test]
    fn read_missing_repeated_or_malformed_host_is_refused() {
        for (fields, refusal) in [
            ("", Refusal::HostMissing),
            ("Host: a\r\nHost: a\r\n", Refusal::HostRepeated),
            ("Host: a\r\nhost: b\r\n", Refusal::HostRepeated),
            ("Host:\r\n", Refusal::Host),
            ("Host: a, b\r\n", Refusal::Host),
            ("Host: a/b\r\n", Refusal::Host),
        ] {
            for target in ["/", "http://a/"] {
                let head = format!("GET {target} HTTP/1.1\r\n{fields}\r\n");
                assert_eq!(read(&head).err(), Some(refusal), "{head:?}");
            }
        }
        let old = read("GET / HTTP/1.0\r\n\r\n").expect("HTTP/1.0 needs no Host");
        assert_eq!((old.authority(), old.keeps_alive()), (None, false));
    }

    #[test]
    fn read_absolute_form_replaces_host() {
        let head = read("GET http://b:80/x HTTP/1.1\r\nX: 1\r\nHost: a\r\n\r\n").expect("a valid head");
        assert_eq!((head.authority(), head.target.as_str()), (Some("b:80"), "/x"));
        assert_eq!(head.fields.all(Known::Host).count(), 1);
        let old = read("GET http://b/ HTTP/1.0\r\n\r\n").expect("a valid head");
        assert_eq!(old.authority(), Some("b"));
    }

    #[test]
    fn read_decides_framing_before_removing_nominated_fields() {
        for nominated in ["content-length", "transfer-encoding"] {
            let head =
                format!("POST / HTTP/1.1\r\nHost: a\r\nConnection: {nominated}\r\nContent-Length: 5\r\n\r\n");
            assert_eq!(read(&head).err(), Some(Refusal::Connection));
        }
        let head = read("GET / HTTP/1.1\r\nHost: a\r\nConnection: x-a, te\r\nX-A: 1\r\nTE: trailers\r\n\r\n")
            .expect("a valid head");
        assert_eq!((head.fields.get("x-a"), head.options.te), (None, true));
    }

    #[test]
    fn read_underscores_are_dropped_unless_rules_say_otherwise() {
        let text = "GET / HTTP/1.1\r\nHost: a\r\nX_Real_IP: 1\r\nTransfer_Encoding: chunked\r\n\r\n";
        let rules = |underscores| Rules {
            underscores,
            ..Rules::default()
        };
        assert_eq!(read(text).map(|head| head.fields.len()), Ok(1));
        assert_eq!(
            read_by(text, &rules(Underscores::Pass)).map(|head| head.fields.len()),
            Ok(3)
        );
        assert_eq!(
            read_by(text, &rules(Underscores::Refuse)).err(),
            Some(Refusal::Underscore)
        );
    }

    #[test]
    fn read_too_many_fields_are_refused() {
        let head = |fields: usize| {
            format!(
                "GET / HTTP/1.1\r\nHost: a\r\n{}\r\n",
                "X: 1\r\n".repeat(fields - 1)
            )
        };
        assert!(read(&head(128)).is_ok());
        assert_eq!(read(&head(129)).err(), Some(Refusal::HeadTooLarge));
        for max_fields in [3, 300] {
            let rules = Rules {
                max_fields,
                ..Rules::default()
            };
            assert!(read_by(&head(max_fields), &rules).is_ok());
            assert_eq!(
                read_by(&head(max_fields + 1), &rules).err(),
                Some(Refusal::HeadTooLarge)
            );
        }
    }

    #[test]
    fn wants_upgrade_needs_the_option_and_the_field() {
        let wants = |fields: &str| {
            read(&format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n")).map(|head| head.wants_upgrade())
        };
        assert_eq!(wants("Connection: Upgrade\r\nUpgrade: tcp\r\n"), Ok(true));
        assert_eq!(wants("Upgrade: tcp\r\n"), Ok(false));
        assert_eq!(wants("Connection: upgrade\r\n"), Ok(false));
    }
}
