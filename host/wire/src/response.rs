//! Reads and holds heads of responses.

mod stream;

use std::mem::MaybeUninit;

use http::{StatusCode, Version};

use crate::broken::Broken;
use crate::connection::Options;
use crate::fields::{Fields, Span};
use crate::framing::{Framing, remove_framing};
use crate::known::Known;

/// The head of a response that breaks no rule.
#[derive(Clone, Debug)]
pub struct ResponseHead {
    /// The status.
    status: StatusCode,
    /// HTTP/1.0, HTTP/1.1 or HTTP/2, as the backend sent it.
    pub version: Version,
    /// The fields, without those that are the connection's own.
    pub fields: Fields,
    /// The framing of the body; [`Framing::None`] for an interim response.
    pub framing: Framing,
    /// The options of the connection.
    pub options: Options,
    /// The backend's own reason phrase.
    reason: Option<Span>,
}

/// The facts about the request that decide how its response is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestFacts {
    /// The request was HEAD.
    pub head: bool,
    /// The request asks for an upgrade.
    pub upgrade: bool,
}

/// The most field lines that are read.
const MAX_FIELDS: usize = 256;

impl Default for ResponseHead {
    fn default() -> ResponseHead {
        ResponseHead {
            status: StatusCode::OK,
            version: Version::HTTP_11,
            fields: Fields::new(),
            framing: Framing::None,
            options: Options::default(),
            reason: None,
        }
    }
}

impl ResponseHead {
    /// An empty head, whose memory is reused for each read.
    pub fn new() -> ResponseHead {
        ResponseHead::default()
    }

    /// A head that Pace makes: a status and no fields yet.
    pub fn of_status(status: StatusCode) -> ResponseHead {
        ResponseHead {
            status,
            ..ResponseHead::default()
        }
    }

    /// Reads a head, including the empty line that ends it, after [`HeadScan`](crate::scan::HeadScan) has
    /// found that.
    pub fn read(&mut self, head: &[u8], request: RequestFacts) -> Result<(), Broken> {
        self.clear();
        let mut lines = [MaybeUninit::uninit(); MAX_FIELDS];
        let mut response = httparse::Response::new(&mut []);
        let mut config = httparse::ParserConfig::default();
        // A proxy removes this space (RFC 9112, section 5.1): field lines are written without it.
        config.allow_spaces_after_header_name_in_responses(true);
        match config.parse_response_with_uninit_headers(&mut response, head, &mut lines) {
            Ok(httparse::Status::Complete(_)) => {}
            Ok(httparse::Status::Partial) => return Err(Broken::StatusLine),
            Err(error) => return Err(broken(error)),
        }
        self.version = match response.version {
            Some(1) => Version::HTTP_11,
            _ => Version::HTTP_10,
        };
        let status = response.code.and_then(|code| StatusCode::from_u16(code).ok());
        self.status = status.ok_or(Broken::StatusLine)?;
        self.fields.begin(head);
        self.reason = response
            .reason
            .filter(|reason| !reason.is_empty())
            .map(|reason| Span::within(head, reason.as_bytes()));
        for line in response.headers.iter() {
            self.fields.push(
                Span::within(head, line.name.as_bytes()),
                Span::within(head, line.value),
            );
        }
        self.frame(request)
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Changes the status. The backend's reason phrase is dropped, since it was for the previous status.
    pub fn set_status(&mut self, status: StatusCode) {
        if status != self.status {
            self.status = status;
            self.reason = None;
        }
    }

    /// The reason phrase: the backend's, or that of the RFC. May be empty.
    pub fn reason(&self) -> &[u8] {
        match self.reason {
            Some(reason) => self.fields.slice(reason),
            None => self.status.canonical_reason().unwrap_or_default().as_bytes(),
        }
    }

    /// Whether another response follows this one. 101 is final: no HTTP follows it.
    pub fn is_interim(&self) -> bool {
        self.status.is_informational() && self.status != StatusCode::SWITCHING_PROTOCOLS
    }

    /// Whether the backend takes another request on this connection (RFC 9112, section 9.3).
    pub fn keeps_alive(&self) -> bool {
        self.framing != Framing::UntilClose
            && !self.options.close
            && (self.version == Version::HTTP_11 || self.options.keep_alive)
    }

    /// Clears the head and keeps its memory.
    pub fn clear(&mut self) {
        self.status = StatusCode::OK;
        self.version = Version::HTTP_11;
        self.fields.clear();
        self.framing = Framing::None;
        self.options = Options::default();
        self.reason = None;
    }

    fn frame(&mut self, request: RequestFacts) -> Result<(), Broken> {
        let mut is_contradicted = false;
        if self.status.is_informational() {
            let switches = self.status == StatusCode::SWITCHING_PROTOCOLS;
            if switches && !request.upgrade {
                return Err(Broken::UnaskedUpgrade);
            }
            // RFC 9110, section 15.2.2: the response names the new protocol.
            if switches && !self.fields.has(Known::Upgrade) {
                return Err(Broken::Upgrade);
            }
            // RFC 9110, section 8.6, and RFC 9112, section 6.1: a sender MUST NOT.
            remove_framing(&mut self.fields);
            self.framing = Framing::None;
        } else {
            is_contradicted = self.status == StatusCode::NO_CONTENT && declares_content(&self.fields);
            self.framing =
                Framing::of_response(&mut self.fields, self.version, self.status.as_u16(), request.head)?;
        }
        self.options = Options::take_of_response(&mut self.fields).map_err(|_| Broken::Connection)?;
        // The declared content may come all the same, and would be read as another response.
        self.options.close |= is_contradicted;
        // Section 7.8: `Upgrade` needs the option.
        if self.status == StatusCode::SWITCHING_PROTOCOLS && !self.options.upgrade {
            return Err(Broken::Upgrade);
        }
        Ok(())
    }

    /// How many seconds the backend keeps the connection, if it says so: `Keep-Alive: timeout=N`.
    pub fn keep_alive_seconds(&self) -> Option<u64> {
        let values = self.fields.all(Known::KeepAlive);
        let mut parameters = values.flat_map(|value| value.split(|byte| matches!(byte, b',' | b';')));
        parameters.find_map(|parameter| {
            let (name, value) = std::str::from_utf8(parameter).ok()?.split_once('=')?;
            name.trim()
                .eq_ignore_ascii_case("timeout")
                .then(|| value.trim().parse().ok())
                .flatten()
        })
    }
}

fn broken(error: httparse::Error) -> Broken {
    match error {
        httparse::Error::Status | httparse::Error::Version => Broken::StatusLine,
        httparse::Error::TooManyHeaders => Broken::HeadTooLarge,
        httparse::Error::HeaderName
        | httparse::Error::HeaderValue
        | httparse::Error::NewLine
        | httparse::Error::Token => Broken::FieldLine,
    }
}

/// Whether fields declare content, which a response without any must not do (RFC 9110, section 8.6).
fn declares_content(fields: &Fields) -> bool {
    fields.has(Known::TransferEncoding) || fields.all(Known::ContentLength).any(|length| length != b"0")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(head: &str) -> Result<ResponseHead, Broken> {
        let mut into = ResponseHead::new();
        into.read(head.as_bytes(), RequestFacts::default()).map(|()| into)
    }

    #[test]
    fn read_valid_head_keeps_the_reason_phrase() {
        let mut head =
            read("HTTP/1.0 200 Fine\r\nContent-Length: 2, 2\r\nX-A : b\r\n\r\n").expect("a valid head");
        assert_eq!((head.status().as_u16(), head.reason()), (200, &b"Fine"[..]));
        assert_eq!(
            (head.framing, head.version),
            (Framing::Length(2), Version::HTTP_10)
        );
        assert_eq!(head.fields.get("x-a"), Some(&b"b"[..]));
        assert!(!head.keeps_alive(), "HTTP/1.0 must say so");
        head.set_status(StatusCode::OK);
        assert_eq!(head.reason(), b"Fine");
        head.set_status(StatusCode::NOT_FOUND);
        assert_eq!(head.reason(), b"Not Found");
        assert_eq!(
            read("HTTP/1.1 299\r\n\r\n").map(|head| head.reason().to_vec()),
            Ok(Vec::new())
        );
    }

    #[test]
    fn read_malformed_head_is_broken() {
        for (head, fault) in [
            ("HTTP/2.0 200 OK\r\n\r\n", Broken::StatusLine),
            ("ICY 200 OK\r\n\r\n", Broken::StatusLine),
            ("HTTP/1.1 20 OK\r\n\r\n", Broken::StatusLine),
            ("HTTP/1.1 099 OK\r\n\r\n", Broken::StatusLine),
            ("HTTP/1.1 200 OK\r\nX\r\n\r\n", Broken::FieldLine),
            ("HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n", Broken::FieldLine),
            ("HTTP/1.1 200 OK\r\nX: a\u{0}\r\n\r\n", Broken::FieldLine),
            ("HTTP/1.1 200 OK\r\nX: a\rb\r\n\r\n", Broken::FieldLine),
            (
                "HTTP/1.1 101 Switching\r\nUpgrade: tcp\r\n\r\n",
                Broken::UnaskedUpgrade,
            ),
            (
                "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                Broken::TransferEncoding,
            ),
        ] {
            assert_eq!(read(head).err(), Some(fault), "{head:?}");
        }
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: 1\r\n".repeat(MAX_FIELDS + 1));
        assert_eq!(read(&many).err(), Some(Broken::HeadTooLarge));
    }

    #[test]
    fn read_101_without_upgrade_field_and_option_is_broken() {
        let switch = |fields: &str| {
            let request = RequestFacts {
                upgrade: true,
                ..RequestFacts::default()
            };
            let head = format!("HTTP/1.1 101 Switching Protocols\r\n{fields}\r\n");
            ResponseHead::new().read(head.as_bytes(), request)
        };
        assert_eq!(switch("Connection: upgrade\r\nUpgrade: x\r\n"), Ok(()));
        for fields in [
            "",
            "Upgrade: x\r\n",
            "Connection: upgrade\r\n",
            "Connection: close\r\nUpgrade: x\r\n",
        ] {
            assert_eq!(switch(fields), Err(Broken::Upgrade), "{fields:?}");
        }
    }

    #[test]
    fn read_interim_response_has_no_framing() {
        let head =
            read("HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\nLink: x\r\n\r\n").expect("a valid head");
        assert!(head.is_interim());
        assert_eq!((head.framing, head.fields.len()), (Framing::None, 1));
    }

    #[test]
    fn keeps_alive_needs_a_framed_body_and_no_close() {
        let keeps = |head: &str| read(head).map(|head| head.keeps_alive());
        assert_eq!(keeps("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), Ok(true));
        assert_eq!(keeps("HTTP/1.1 200 OK\r\n\r\n"), Ok(false));
        assert_eq!(
            keeps(
                "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
            ),
            Ok(false)
        );
        assert_eq!(
            keeps("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n"),
            Ok(true)
        );
        let kept =
            read("HTTP/1.1 204 No Content\r\nKeep-Alive: max=5, timeout=7\r\n\r\n").expect("a valid head");
        assert_eq!((kept.keeps_alive(), kept.keep_alive_seconds()), (true, Some(7)));
    }
}
