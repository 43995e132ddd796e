//! HTTP/1.1 messages as they are on the wire: names in their spelling, values as bytes.

use std::io::{self, BufRead};

/// The header fields of a message, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(Vec<(String, Vec<u8>)>);

impl Headers {
    /// The first value of the header `name`, in any spelling, as text.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.all(name).first().copied()
    }

    /// Every value of the header `name`, in any spelling, as text.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.bytes(name)
            .map(|value| str::from_utf8(value).expect("a test asks for text only where it is"))
            .collect()
    }

    /// Every value of the header `name`, in any spelling.
    pub fn bytes(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        self.0
            .iter()
            .filter(move |(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_slice())
    }

    /// The names as they were spelled, in order.
    pub fn names(&self) -> Vec<&str> {
        self.0.iter().map(|(name, _)| name.as_str()).collect()
    }

    /// All fields in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_slice()))
    }

    pub(crate) fn push(&mut self, name: &str, value: impl Into<Vec<u8>>) {
        self.0.push((name.to_owned(), value.into()));
    }

    fn contain(&self, name: &str, word: &str) -> bool {
        self.all(name)
            .iter()
            .flat_map(|value| value.split(','))
            .any(|item| item.trim().eq_ignore_ascii_case(word))
    }

    /// Whether the connection ends with this message.
    pub(crate) fn close(&self) -> bool {
        self.contain("connection", "close")
    }

    fn encode_to(&self, bytes: &mut Vec<u8>) {
        for (name, value) in &self.0 {
            bytes.extend_from_slice(name.as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value);
            bytes.extend_from_slice(b"\r\n");
        }
    }
}

/// A request that a backend received or a client sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The method as on the wire.
    pub method: String,
    /// Path and query as on the wire.
    pub target: String,
    /// The headers without those that a client adds when it sends.
    pub headers: Headers,
    /// The body without framing.
    pub body: Vec<u8>,
}

impl Request {
    /// Creates a request to be sent.
    pub fn new(method: &str, target: &str) -> Request {
        Request {
            method: method.to_owned(),
            target: target.to_owned(),
            headers: Headers::default(),
            body: Vec::new(),
        }
    }

    /// Creates a GET to be sent.
    pub fn get(target: &str) -> Request {
        Request::new("GET", target)
    }

    /// Creates a POST to be sent.
    pub fn post(target: &str, body: impl Into<Vec<u8>>) -> Request {
        Request {
            body: body.into(),
            ..Request::new("POST", target)
        }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<Vec<u8>>) -> Request {
        self.headers.push(name, value);
        self
    }

    /// Encodes the request for the wire: with `Host`, unless the request has one, and with the body's length, or in one chunk if it
    /// says that it is chunked.
    pub fn encode(&self, host: &str) -> Vec<u8> {
        let mut bytes = format!("{} {} HTTP/1.1\r\n", self.method, self.target).into_bytes();
        if self.headers.get("host").is_none() {
            bytes.extend_from_slice(format!("Host: {host}\r\n").as_bytes());
        }
        self.headers.encode_to(&mut bytes);
        if !self.body.is_empty() && self.headers.contain("transfer-encoding", "chunked") {
            bytes.extend_from_slice(format!("\r\n{:x}\r\n", self.body.len()).as_bytes());
            bytes.extend_from_slice(&self.body);
            bytes.extend_from_slice(b"\r\n0\r\n\r\n");
            return bytes;
        }
        if !self.body.is_empty() {
            bytes.extend_from_slice(format!("Content-Length: {}\r\n", self.body.len()).as_bytes());
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&self.body);
        bytes
    }

    /// Reads a head; `None` at the end of the connection.
    pub(crate) fn read_head(from: &mut impl BufRead) -> io::Result<Option<Request>> {
        let Some(head) = read_head(from)? else {
            return Ok(None);
        };
        let mut fields = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut parsed = httparse::Request::new(&mut fields);
        parsed.parse(&head).map_err(invalid)?;
        Ok(Some(Request {
            method: parsed.method.unwrap_or_default().to_owned(),
            target: parsed.path.unwrap_or_default().to_owned(),
            headers: headers(parsed.headers),
            body: Vec::new(),
        }))
    }

    /// Reads the body that belongs to this head.
    pub(crate) fn read_body(&mut self, from: &mut impl BufRead) -> io::Result<()> {
        if let Some(framing) = framing(&self.headers)? {
            read_body(from, framing, |piece| self.body.extend_from_slice(piece))?;
        }
        Ok(())
    }

    /// Whether the client waits for `100 Continue` before it sends the body.
    pub(crate) fn expects_continue(&self) -> bool {
        self.headers.contain("expect", "100-continue")
    }
}

/// A response: complete, or a head whose body has yet to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The final status.
    pub status: u16,
    /// The statuses before the final one: 100, 103.
    pub interim: Vec<u16>,
    /// The headers, in order.
    pub headers: Headers,
    /// The body without framing.
    pub body: Vec<u8>,
    /// Whether the connection ends with this response.
    pub last: bool,
    framing: Framing,
}

impl Response {
    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)
    }

    /// The body as text.
    pub fn text(&self) -> &str {
        str::from_utf8(&self.body).expect("a test asks for text only where it is")
    }

    /// Reads the head of the response to a request of this method, and the interim responses before it.
    pub(crate) fn read_head(from: &mut impl BufRead, method: &str) -> io::Result<Response> {
        let mut interim = Vec::new();
        loop {
            let head = read_head(from)?.ok_or(io::ErrorKind::UnexpectedEof)?;
            let mut fields = [httparse::EMPTY_HEADER; MAX_HEADERS];
            let mut parsed = httparse::Response::new(&mut fields);
            parsed.parse(&head).map_err(invalid)?;
            let status = parsed.code.unwrap_or_default();
            if status < 200 {
                interim.push(status);
                continue;
            }
            let headers = headers(parsed.headers);
            let bodiless = method == "HEAD" || matches!(status, 204 | 304);
            let framing = if bodiless {
                Framing::Length(0)
            } else {
                framing(&headers)?.unwrap_or(Framing::UntilEnd)
            };
            return Ok(Response {
                status,
                interim,
                last: headers.close() || parsed.version == Some(0) || framing == Framing::UntilEnd,
                body: Vec::new(),
                headers,
                framing,
            });
        }
    }

    /// Reads the body that belongs to this head, and hands it over piece by piece.
    pub(crate) fn read_body(&self, from: &mut impl BufRead, each: impl FnMut(&[u8])) -> io::Result<()> {
        read_body(from, self.framing, each)
    }
}

const MAX_HEADERS: usize = 128;

/// How a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    Length(usize),
    Chunked,
    UntilEnd,
}

fn framing(headers: &Headers) -> io::Result<Option<Framing>> {
    let lengths = headers.all("content-length");
    match (
        headers.contain("transfer-encoding", "chunked"),
        lengths.as_slice(),
    ) {
        (true, []) => Ok(Some(Framing::Chunked)),
        (false, []) => Ok(None),
        (false, [length]) => length.parse().map(Framing::Length).map(Some).map_err(invalid),
        _ => Err(invalid("a message with two framings")),
    }
}

fn read_head(from: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if from.read_until(b'\n', &mut head)? == 0 {
            return match head.is_empty() {
                true => Ok(None),
                false => Err(io::ErrorKind::UnexpectedEof.into()),
            };
        }
    }
    Ok(Some(head))
}

fn headers(fields: &[httparse::Header<'_>]) -> Headers {
    let mut headers = Headers::default();
    for field in fields {
        headers.push(field.name, field.value);
    }
    headers
}

fn read_body(from: &mut impl BufRead, framing: Framing, mut each: impl FnMut(&[u8])) -> io::Result<()> {
    match framing {
        Framing::Length(length) => read_pieces(from, length, &mut each),
        Framing::UntilEnd => loop {
            let piece = from.fill_buf()?;
            if piece.is_empty() {
                return Ok(());
            }
            each(piece);
            let taken = piece.len();
            from.consume(taken);
        },
        Framing::Chunked => loop {
            let size = read_line(from)?;
            let size = size.split(';').next().unwrap_or_default();
            let size = usize::from_str_radix(size, 16).map_err(invalid)?;
            if size == 0 {
                // Trailers, if any, and the empty line.
                while !read_line(from)?.is_empty() {}
                return Ok(());
            }
            read_pieces(from, size, &mut each)?;
            if !read_line(from)?.is_empty() {
                return Err(invalid("a chunk is longer than its size"));
            }
        },
    }
}

/// Reads `length` bytes, in the pieces in which they come.
fn read_pieces(from: &mut impl BufRead, length: usize, each: &mut impl FnMut(&[u8])) -> io::Result<()> {
    let mut left = length;
    while left > 0 {
        let there = from.fill_buf()?;
        if there.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let taken = left.min(there.len());
        each(&there[..taken]);
        from.consume(taken);
        left -= taken;
    }
    Ok(())
}

fn read_line(from: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    from.read_line(&mut line)?;
    match line.strip_suffix("\r\n") {
        Some(line) => Ok(line.to_owned()),
        None => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads an answer to a GET, and returns it with the bytes that follow it.
    fn read(mut received: &[u8]) -> io::Result<(Response, &[u8])> {
        let mut response = Response::read_head(&mut received, "GET")?;
        let mut body = Vec::new();
        response.read_body(&mut received, |piece| body.extend_from_slice(piece))?;
        response.body = body;
        Ok((response, received))
    }

    #[test]
    fn response_of_every_framing_is_read_to_its_end() {
        for (received, body, rest, last) in [
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello!",
                "hello",
                "!",
                false,
            ),
            (
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3;x\r\nllo\r\n0\r\n\r\n!",
                "hello",
                "!",
                false,
            ),
            ("HTTP/1.1 204 No Content\r\n\r\n!", "", "!", false),
            ("HTTP/1.1 200 OK\r\n\r\nhello!", "hello!", "", true),
            (
                "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n!",
                "",
                "!",
                true,
            ),
        ] {
            let (response, left) = read(received.as_bytes()).expect("it is a response");
            assert_eq!(response.text(), body, "{received}");
            assert_eq!((left, response.last), (rest.as_bytes(), last), "{received}");
        }
    }

    #[test]
    fn response_that_ends_early_is_an_error() {
        for received in [
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhell",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhell",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nhello\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\n",
        ] {
            assert!(read(received.as_bytes()).is_err(), "{received}");
        }
    }
}
