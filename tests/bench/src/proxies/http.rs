//! The part of HTTP/1.1 that a measurement needs: no chunks, no interim responses, no pipelining.

use super::generator::{NAME, Tls};
use anyhow::{Context, Result, ensure};
use std::fmt::Write as _;
use std::io::Write as _;

/// The number of headers that every message has.
pub(crate) const FEWEST_HEADERS: usize = 3;

/// The body of the smallest answer, in bytes.
pub(crate) const SMALL_BODY: usize = 100;

/// The target of every request.
pub(crate) const TARGET: &str = "/benchmark?of=pace";

/// The value of `user-agent` in every request.
pub(crate) const USER_AGENT: &str = "pace-bench";

/// The longest head that is accepted.
const MAX_HEAD: usize = 16 << 10;

/// The shape of requests.
#[derive(Clone)]
pub(crate) struct Shape {
    /// The number of headers, at least [`FEWEST_HEADERS`].
    pub(crate) headers: usize,
    /// The length of the body. A request without one is a GET, the others are POSTs.
    pub(crate) body: usize,
    /// The use of connections.
    pub(crate) traffic: Traffic,
    /// The number of clients, 1 to 2^24, if they are named in `x-forwarded-for`.
    pub(crate) clients: Option<u32>,
    /// The TLS of connections, if they have any.
    pub(crate) tls: Option<Tls>,
}

/// The use of connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Traffic {
    /// HTTP/1.1: one request after another on each connection.
    Requests,
    /// HTTP/1.1: one request on each connection, which ends with its answer.
    LastRequests,
    /// A TLS handshake on each connection, and no request.
    Handshakes,
    /// HTTP/2: so many requests at once on each of so many connections.
    Streams { connections: usize, streams: usize },
}

impl Shape {
    /// GETs with the fewest headers.
    pub(crate) const SMALL: Shape = Shape {
        headers: FEWEST_HEADERS,
        body: 0,
        traffic: Traffic::Requests,
        clients: None,
        tls: None,
    };
}

/// The requests that connections send, one after another.
pub(crate) struct Requests {
    /// The whole request, or the part before the client's address.
    begin: Vec<u8>,
    clients: Option<Clients>,
    /// The part behind the client's address.
    end: Vec<u8>,
    /// The request with an address.
    buffer: Vec<u8>,
}

/// Clients that take turns in an order that no cache foresees.
struct Clients {
    count: u32,
    /// The next client, below `count`.
    next: u32,
    /// A step without a common divisor with `count`, so that every client gets a turn before any gets two.
    stride: u32,
}

impl Requests {
    /// Creates requests of this shape.
    pub(crate) fn new(shape: &Shape) -> Requests {
        let method = if shape.body > 0 { "POST" } else { "GET" };
        let mut begin = format!(
            "{method} {TARGET} HTTP/1.1\r\nhost: {NAME}\r\nuser-agent: {USER_AGENT}\r\naccept: */*\r\n"
        );
        begin += &further_headers(shape.headers);
        if shape.body > 0 {
            begin += &format!("content-length: {}\r\n", shape.body);
        }
        if shape.traffic == Traffic::LastRequests {
            begin += "connection: close\r\n";
        }
        let mut begin = begin.into_bytes();
        let mut end = b"\r\n".to_vec();
        end.extend(json(shape.body));
        match shape.clients {
            Some(_) => {
                begin.extend_from_slice(b"x-forwarded-for: 10.");
                end.splice(..0, *b"\r\n");
            }
            None => begin.append(&mut end),
        }
        Requests {
            begin,
            clients: shape.clients.map(Clients::new),
            end,
            buffer: Vec::new(),
        }
    }

    /// The next request.
    pub(crate) fn next(&mut self) -> &[u8] {
        let Some(clients) = &mut self.clients else {
            return &self.begin;
        };
        let [_, a, b, c] = clients.next().to_be_bytes();
        self.buffer.clear();
        self.buffer.extend_from_slice(&self.begin);
        write!(self.buffer, "{a}.{b}.{c}").expect("writing to memory cannot fail");
        self.buffer.extend_from_slice(&self.end);
        &self.buffer
    }
}

impl Clients {
    fn new(count: u32) -> Clients {
        // The prime is larger than all counts, so it has no common divisor with any.
        const STRIDE: u32 = 16_777_259;
        Clients {
            count,
            next: 0,
            stride: STRIDE % count,
        }
    }

    fn next(&mut self) -> u32 {
        let this = self.next;
        self.next = (this + self.stride) % self.count;
        this
    }
}

/// A backend's answer: with this many headers, at least [`FEWEST_HEADERS`], and a body of this length.
pub(crate) fn response(headers: usize, length: usize) -> Vec<u8> {
    answer("text/plain", headers, &body(length))
}

/// A response of server-sent events, each of which is [`EVENT`].
pub(crate) fn events(headers: usize, count: usize) -> Vec<u8> {
    answer("text/event-stream", headers, EVENT.repeat(count).as_bytes())
}

/// An event as the chats of language models have them.
const EVENT: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"The quick brown fox\"},\"index\":0}]}\n\n";

fn answer(kind: &str, headers: usize, body: &[u8]) -> Vec<u8> {
    let mut head = format!(
        "HTTP/1.1 200 OK\r\nserver: bench\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n",
        body.len()
    );
    head += &further_headers(headers);
    head += "\r\n";
    let mut response = head.into_bytes();
    response.extend_from_slice(body);
    response
}

fn further_headers(headers: usize) -> String {
    (FEWEST_HEADERS..headers).fold(String::new(), |mut text, number| {
        write!(text, "x-header-{number:02}: value number {number:02}\r\n")
            .expect("writing to memory cannot fail");
        text
    })
}

/// A body of this length.
pub(crate) fn body(length: usize) -> Vec<u8> {
    let sentence = b"The quick brown fox jumps over the lazy dog. ";
    sentence.iter().copied().cycle().take(length).collect()
}

/// A body of this length in JSON, with a `model` behind a long text. What has no room for both is plain text.
pub(crate) fn json(length: usize) -> Vec<u8> {
    const FRAME: [&[u8]; 2] = [b"{\"text\":\"", b"\",\"model\":\"small\"}"];
    let [begin, end] = FRAME;
    match length.checked_sub(begin.len() + end.len()) {
        Some(text) => [begin, &body(text), end].concat(),
        None => body(length),
    }
}

/// A message that arrives in pieces.
#[derive(Default)]
pub(crate) struct Incoming {
    /// The beginning of the head, while it is incomplete.
    head: Vec<u8>,
    /// The body, once the head is complete.
    body: Option<Body>,
}

struct Body {
    /// The status of a response; `None` for a request.
    status: Option<u16>,
    /// The number of bytes still to come.
    missing: usize,
}

/// A complete message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Whole {
    /// The status of a response; `None` for a request.
    pub(crate) status: Option<u16>,
}

impl Incoming {
    /// Takes the next bytes, and returns the message if they complete it.
    ///
    /// # Errors
    ///
    /// The bytes are no message, a response without `content-length`, a message in chunks, or go on after its
    /// end.
    pub(crate) fn take(&mut self, mut bytes: &[u8]) -> Result<Option<Whole>> {
        let body = match &mut self.body {
            Some(body) => body,
            None => {
                // Most heads arrive in one piece, and are not copied.
                let before = self.head.len();
                if before > 0 {
                    self.head.extend_from_slice(bytes);
                }
                let head = if before > 0 { &self.head } else { bytes };
                let Some(length) = head_length(head) else {
                    ensure!(head.len() < MAX_HEAD, "a head is longer than {MAX_HEAD} bytes");
                    if before == 0 {
                        self.head.extend_from_slice(bytes);
                    }
                    return Ok(None);
                };
                let body = Body::of(&head[..length])?;
                // The head ends in these bytes, or it would have been complete before.
                bytes = &bytes[length - before..];
                self.head.clear();
                self.body.insert(body)
            }
        };
        ensure!(
            bytes.len() <= body.missing,
            "more bytes than the message should have"
        );
        body.missing -= bytes.len();
        if body.missing > 0 {
            return Ok(None);
        }
        let whole = self.body.take().map(|body| Whole { status: body.status });
        Ok(whole)
    }
}

impl Body {
    /// Reads the body's length, and the status, from a head.
    fn of(head: &[u8]) -> Result<Body> {
        let head = std::str::from_utf8(head).context("a head is not text")?;
        let mut lines = head.split("\r\n");
        let first = lines.next().unwrap_or_default();
        let mut words = first.split(' ');
        let status = match words.next().is_some_and(|word| word.starts_with("HTTP/")) {
            true => Some(words.next().and_then(|status| status.parse().ok())),
            false => None,
        };
        let mut length = None;
        for line in lines {
            let Some((name, value)) = line.split_once(':') else {
                continue;
            };
            if name.eq_ignore_ascii_case("content-length") {
                length = Some(value.trim().parse().context("content-length is no number")?);
            }
            ensure!(
                !name.eq_ignore_ascii_case("transfer-encoding"),
                "a message in chunks cannot be measured"
            );
        }
        match status {
            Some(status) => Ok(Body {
                status: Some(status.with_context(|| format!("not a response: {first}"))?),
                missing: length.context("the response has no content-length")?,
            }),
            None => {
                ensure!(words.count() == 2, "not a message: {first}");
                Ok(Body {
                    status: None,
                    missing: length.unwrap_or(0),
                })
            }
        }
    }
}

/// The length of a head, if it is complete.
fn head_length(received: &[u8]) -> Option<usize> {
    received
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .map(|start| start + 4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn take(bytes: &[u8]) -> Result<Option<Whole>> {
        Incoming::default().take(bytes)
    }

    #[test]
    fn message_is_complete_when_its_last_byte_is_there() {
        let request = Requests::new(&Shape {
            body: 50,
            ..Shape::SMALL
        });
        let messages = [(response(5, 100), Some(200)), (request.begin, None)];
        for (message, status) in messages {
            for cut in 1..message.len() {
                let mut incoming = Incoming::default();
                let (first, second) = message.split_at(cut);
                assert_eq!(incoming.take(first).expect("it is a beginning"), None, "{cut}");
                let whole = incoming.take(second).expect("it is the rest");
                assert_eq!(whole, Some(Whole { status }), "{cut}");
            }
            assert_eq!(take(&message).expect("it is a message"), Some(Whole { status }));
        }
    }

    #[test]
    fn message_has_the_given_number_of_headers() {
        let count = |message: &[u8]| {
            let head = &message[..head_length(message).expect("it is whole")];
            String::from_utf8_lossy(head).matches("\r\n").count() - 2
        };
        let requests = |shape| Requests::new(&shape).next().to_vec();
        for headers in [3, 30] {
            let shape = Shape {
                headers,
                ..Shape::SMALL
            };
            assert_eq!(count(&requests(shape.clone())), headers);
            assert_eq!(count(&response(headers, 0)), headers);
            let named = Shape {
                clients: Some(1),
                ..shape
            };
            assert_eq!(count(&requests(named)), headers + 1);
        }
        let post = requests(Shape {
            body: 1000,
            traffic: Traffic::LastRequests,
            ..Shape::SMALL
        });
        assert_eq!(count(&post), 5);
        assert!(post.starts_with(b"POST ") && post.len() > 1000);
    }

    #[test]
    fn every_client_gets_a_turn_before_any_gets_two() {
        for count in [1, 2, 1000, 65_536] {
            let mut requests = Requests::new(&Shape {
                clients: Some(count),
                ..Shape::SMALL
            });
            let seen: HashSet<Vec<u8>> = (0..count).map(|_| requests.next().to_vec()).collect();
            assert_eq!(seen.len(), count as usize);
            let whole = take(requests.next()).expect("it is a request");
            assert_eq!(whole, Some(Whole { status: None }));
        }
    }

    #[test]
    fn head_is_read_in_any_spelling_and_with_any_status() {
        let empty = b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n";
        let whole = take(empty).expect("it is a response");
        assert_eq!(whole, Some(Whole { status: Some(429) }));
    }

    #[test]
    fn message_that_cannot_be_measured_is_an_error() {
        for received in [
            "nonsense\r\n\r\n",
            "HTTP/1.1 \r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nab",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        ] {
            assert!(take(received.as_bytes()).is_err(), "{received}");
        }
    }
}
