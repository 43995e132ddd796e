//! Heads of requests that come as a stream of HTTP/2 (RFC 9113, section 8.3).

use http::{Method, Version};

use super::{MAX_GLANCE, MAX_METHOD, RequestHead, Rules, Underscores};
use crate::authority::is_authority;
use crate::connection::{Options, is_token};
use crate::fields::{Span, TooLarge, is_value};
use crate::framing::Framing;
use crate::known::Known;
use crate::refusal::Refusal;

/// The pseudo-header fields of a request, and what its frames say of its body.
#[derive(Clone, Copy, Debug)]
pub struct Pseudo<'a> {
    /// `:method`
    pub method: &'a str,
    /// `:authority`
    pub authority: Option<&'a str>,
    /// `:path`
    pub path: &'a str,
    /// No data follows.
    pub is_complete: bool,
}

impl RequestHead {
    /// Takes a head whose fields have been decompressed, by the rules of [`RequestHead::read`]: what is refused on a
    /// connection of HTTP/1 is refused here.
    ///
    /// A body without a length is [`Framing::Chunked`], which is what it is for a backend that speaks HTTP/1. `max_head` is the
    /// most bytes that the head may have, counted as if it had come by HTTP/1.
    pub fn read_stream<'a>(
        &mut self,
        pseudo: &Pseudo<'_>,
        fields: impl Iterator<Item = (&'a str, &'a [u8])>,
        rules: &Rules,
        max_head: usize,
    ) -> Result<(), Refusal> {
        self.clear();
        self.version = Version::HTTP_2;
        self.fields.begin(pseudo.path.as_bytes());
        self.sent_target = Span::new(0, pseudo.path.len());
        self.read_method(pseudo.method)?;
        let line = pseudo.method.len() + pseudo.path.len() + AROUND_LINE;
        let Some(room) = max_head.checked_sub(line) else {
            self.sent_target = Span::new(0, pseudo.path.len().min(MAX_GLANCE));
            return Err(Refusal::TargetTooLong);
        };
        if !pseudo.path.starts_with('/') && pseudo.path != "*" {
            return Err(Refusal::Target);
        }
        self.target
            .read(pseudo.path.as_bytes(), &self.method, rules.encoded_slashes)?;
        let mut room = Room(room);
        if let Some(authority) = pseudo.authority {
            room.take("Host", authority.as_bytes())?;
            self.append("Host", authority.as_bytes())?;
        }
        self.take_fields(fields, rules, room)?;
        self.check_host(pseudo.authority)?;
        self.sent_authority = self.fields.place(Known::Host);
        self.framing = match Framing::of_request(&mut self.fields, Version::HTTP_2)? {
            // Frames alone end a body here.
            Framing::Chunked => return Err(Refusal::TransferEncoding),
            // A length of 0 is true once the stream has ended, and not before.
            Framing::None if !pseudo.is_complete => match self.fields.has(Known::ContentLength) {
                true => Framing::Length(0),
                false => Framing::Chunked,
            },
            framing => framing,
        };
        // Nothing in a head is about a connection that others use at the same time (RFC 9113, section 8.2.2), but `TE`.
        self.options = Options {
            te: self.fields.has(Known::Te),
            ..Options::default()
        };
        Ok(())
    }

    fn read_method(&mut self, method: &str) -> Result<(), Refusal> {
        if method.len() > MAX_METHOD || !method.bytes().all(is_token) {
            return Err(Refusal::Method);
        }
        self.method = Method::from_bytes(method.as_bytes()).map_err(|_| Refusal::Method)?;
        match self.method {
            Method::CONNECT | Method::TRACE => Err(Refusal::MethodNotImplemented),
            _ => Ok(()),
        }
    }

    fn take_fields<'a>(
        &mut self,
        fields: impl Iterator<Item = (&'a str, &'a [u8])>,
        rules: &Rules,
        mut room: Room,
    ) -> Result<(), Refusal> {
        // Compression has clients cut it into pieces, which are one field for whoever does not know of that (section 8.2.3).
        let mut cookie = Vec::new();
        for (count, (name, value)) in fields.enumerate() {
            if count == rules.max_fields {
                return Err(Refusal::HeadTooLarge);
            }
            room.take(name, value)?;
            if !is_value(value) {
                return Err(Refusal::FieldLine);
            }
            if rules.underscores != Underscores::Pass && name.contains('_') {
                match rules.underscores {
                    Underscores::Refuse => return Err(Refusal::Underscore),
                    Underscores::Drop | Underscores::Pass => continue,
                }
            }
            match Known::of(name.as_bytes()) {
                // Names are in lower case (section 8.2).
                Known::Other if name == "cookie" => {
                    if !cookie.is_empty() {
                        cookie.extend_from_slice(b"; ");
                    }
                    cookie.extend_from_slice(value);
                }
                Known::Connection
                | Known::KeepAlive
                | Known::ProxyConnection
                | Known::TransferEncoding
                | Known::Upgrade => return Err(Refusal::Connection),
                _ => self.append(name, value)?,
            }
        }
        if cookie.is_empty() {
            return Ok(());
        }
        self.append("cookie", &cookie)
    }

    fn append(&mut self, name: &str, value: &[u8]) -> Result<(), Refusal> {
        let appended = self.fields.append(name, value);
        appended.map_err(|TooLarge| Refusal::HeadTooLarge)
    }

    /// Checks `:authority`, and a `Host` beside it, which then says the same (section 8.3.1).
    fn check_host(&mut self, authority: Option<&str>) -> Result<(), Refusal> {
        let mut hosts = self.fields.all(Known::Host);
        let first = hosts.next().ok_or(Refusal::HostMissing)?;
        if !is_authority(first) {
            return Err(Refusal::Host);
        }
        match (authority, hosts.next(), hosts.next()) {
            (_, None, _) => return Ok(()),
            (Some(_), Some(host), None) if host.eq_ignore_ascii_case(first) => {}
            (Some(_), Some(_), None) => return Err(Refusal::Host),
            _ => return Err(Refusal::HostRepeated),
        }
        let first = first.to_vec();
        drop(hosts);
        self.fields
            .set("Host", &first)
            .map_err(|TooLarge| Refusal::HeadTooLarge)
    }
}

/// The bytes in `METHOD TARGET HTTP/1.1` beside method and target, with the ends of this line and of the head.
const AROUND_LINE: usize = "  HTTP/1.1\r\n\r\n".len();

/// The number of bytes that a head has left for fields.
struct Room(usize);

impl Room {
    /// Takes the bytes that a field has on a line of HTTP/1.
    fn take(&mut self, name: &str, value: &[u8]) -> Result<(), Refusal> {
        let length = name.len() + ": ".len() + value.len() + "\r\n".len();
        self.0 = self.0.checked_sub(length).ok_or(Refusal::HeadTooLarge)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GET: Pseudo<'_> = Pseudo {
        method: "GET",
        authority: Some("a:80"),
        path: "/%61?b",
        is_complete: true,
    };

    fn read(pseudo: &Pseudo<'_>, fields: &[(&str, &str)]) -> Result<RequestHead, Refusal> {
        let mut head = RequestHead::new();
        let fields = fields.iter().map(|(name, value)| (*name, value.as_bytes()));
        head.read_stream(pseudo, fields, &Rules::default(), 64 << 10)
            .map(|()| head)
    }

    #[test]
    fn head_is_as_large_as_it_would_be_by_http_1() {
        let by_http_1 = b"GET /%61?b HTTP/1.1\r\nHost: a:80\r\nx-a: b\r\ncookie: a=1\r\n\r\n";
        let read = |max_head: usize| {
            let fields = [("x-a", &b"b"[..]), ("cookie", b"a=1")];
            RequestHead::new().read_stream(&GET, fields.into_iter(), &Rules::default(), max_head)
        };
        assert_eq!(read(by_http_1.len()), Ok(()));
        assert_eq!(read(by_http_1.len() - 1), Err(Refusal::HeadTooLarge));
        let line = b"GET /%61?b HTTP/1.1\r\n\r\n".len();
        assert_eq!(read(line), Err(Refusal::HeadTooLarge));
        assert_eq!(read(line - 1), Err(Refusal::TargetTooLong));
        let path = "/".repeat(1000);
        let mut head = RequestHead::new();
        let long = Pseudo { path: &path, ..GET };
        let read = head.read_stream(&long, [].into_iter(), &Rules::default(), 900);
        assert_eq!(read, Err(Refusal::TargetTooLong));
        assert_eq!(head.sent_target().len(), MAX_GLANCE, "the log has its beginning");
    }

    #[test]
    fn head_has_the_spelling_of_http_1() {
        let head = read(&GET, &[("cookie", "a=1"), ("x-a", "b"), ("cookie", "b=2")]).expect("it is valid");
        assert_eq!(
            (head.target.as_str(), head.sent_target()),
            ("/a?b", &b"/%61?b"[..])
        );
        assert_eq!((head.authority(), head.framing), (Some("a:80"), Framing::None));
        assert_eq!(head.fields.get("cookie"), Some(&b"a=1; b=2"[..]));
        assert!(head.keeps_alive() && !head.wants_upgrade());
    }

    #[test]
    fn body_is_framed_by_its_length_or_by_its_end() {
        let body = Pseudo {
            method: "POST",
            is_complete: false,
            ..GET
        };
        let framing = |pseudo, fields: &[_]| read(pseudo, fields).map(|head| head.framing);
        assert_eq!(framing(&body, &[]), Ok(Framing::Chunked));
        assert_eq!(framing(&body, &[("content-length", "3")]), Ok(Framing::Length(3)));
        assert_eq!(framing(&body, &[("content-length", "0")]), Ok(Framing::Length(0)));
        assert_eq!(framing(&GET, &[("content-length", "0")]), Ok(Framing::None));
        assert_eq!(
            framing(&body, &[("content-length", "3"), ("content-length", "4")]),
            Err(Refusal::ContentLength)
        );
    }

    #[test]
    fn authority_and_host_agree_and_one_of_them_is_there() {
        let without = Pseudo {
            authority: None,
            ..GET
        };
        for (pseudo, hosts, refusal) in [
            (&without, &[][..], Refusal::HostMissing),
            (&without, &[("host", "a"), ("host", "a")], Refusal::HostRepeated),
            (&without, &[("host", "a/b")], Refusal::Host),
            (&GET, &[("host", "b")], Refusal::Host),
            (&GET, &[("host", "a:80"), ("host", "a:80")], Refusal::HostRepeated),
        ] {
            assert_eq!(read(pseudo, hosts).err(), Some(refusal), "{hosts:?}");
        }
        let both = read(&GET, &[("host", "A:80")]).expect("they agree");
        assert_eq!(both.fields.all(Known::Host).collect::<Vec<_>>(), [b"a:80"]);
        let host = read(&without, &[("host", "b")]).expect("there is one");
        assert_eq!(host.authority(), Some("b"));
    }

    #[test]
    fn heads_that_http_1_could_not_have_are_refused() {
        let of = |method, path| {
            let pseudo = Pseudo { method, path, ..GET };
            read(&pseudo, &[]).err()
        };
        assert_eq!(of("G T", "/"), Some(Refusal::Method));
        assert_eq!(of("CONNECT", "/"), Some(Refusal::MethodNotImplemented));
        for path in ["", "a", "http://b/", "*", "/\u{7f}", "/a b", "/é", "/a#b"] {
            assert_eq!(of("GET", path), Some(Refusal::Target), "{path:?}");
        }
        assert_eq!(of("OPTIONS", "*"), None);
        for name in ["connection", "transfer-encoding", "upgrade", "keep-alive"] {
            assert_eq!(
                read(&GET, &[(name, "x")]).err(),
                Some(Refusal::Connection),
                "{name}"
            );
        }
        let many: Vec<_> = (0..129).map(|_| ("x-a", "b")).collect();
        assert_eq!(read(&GET, &many).err(), Some(Refusal::HeadTooLarge));
        for value in [" a", "a ", "\ta", "a\t", " "] {
            let refused = read(&GET, &[("x-a", value)]).err();
            assert_eq!(refused, Some(Refusal::FieldLine), "{value:?}");
        }
        let kept = read(&GET, &[("x_real_ip", "a")]).expect("it is dropped");
        assert_eq!(kept.fields.len(), 1);
    }
}
