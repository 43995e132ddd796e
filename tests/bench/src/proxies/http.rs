//! As much of HTTP/1.1 as a measurement needs: no chunks, no interim responses, no pipelining.

use anyhow::{Context, Result, ensure};
use std::fmt::Write as _;
use std::io::Write as _;

/// The headers that every message has.
pub(crate) const FEWEST_HEADERS: usize = 3;

/// What the connections send, one after another.
pub(crate) struct Requests {
    /// The whole request, or what is before the client's address.
    begin: Vec<u8>,
    clients: Option<Clients>,
    /// The request with an address.
    buffer: Vec<u8>,
}

/// So many clients, who take turns in an order that no cache foresees.
struct Clients {
    count: u32,
    /// Below `count`.
    next: u32,
    /// Has no divisor in common with `count`, so that everybody gets a turn before anybody gets two.
    stride: u32,
}

impl Requests {
    /// Requests with so many headers, at least [`FEWEST_HEADERS`].
    pub(crate) fn new(headers: usize) -> Requests {
        let mut text = "GET /benchmark?of=pace HTTP/1.1\r\nhost: bench.example\r\nuser-agent: pace-bench\r\naccept: */*\r\n"
            .to_owned();
        text += &further_headers(headers);
        text += "\r\n";
        Requests {
            begin: text.into_bytes(),
            clients: None,
            buffer: Vec::new(),
        }
    }

    /// The same from so many clients, 1 to 2^24, who are named in `x-forwarded-for`.
    pub(crate) fn of_clients(mut self, count: u32) -> Requests {
        self.begin.truncate(self.begin.len() - 2);
        self.begin.extend_from_slice(b"x-forwarded-for: 10.");
        // A prime that divides no count that it is not a multiple of: larger than all of them.
        const STRIDE: u32 = 16_777_259;
        self.clients = Some(Clients {
            count,
            next: 0,
            stride: STRIDE % count,
        });
        self
    }

    /// The next one.
    pub(crate) fn next(&mut self) -> &[u8] {
        let Some(clients) = &mut self.clients else {
            return &self.begin;
        };
        let [_, a, b, c] = clients.next.to_be_bytes();
        clients.next = (clients.next + clients.stride) % clients.count;
        self.buffer.clear();
        self.buffer.extend_from_slice(&self.begin);
        write!(self.buffer, "{a}.{b}.{c}\r\n\r\n").expect("writing to memory cannot fail");
        &self.buffer
    }
}

/// What backends answer: so many headers, at least [`FEWEST_HEADERS`], and a body of 100 bytes.
pub(crate) fn response(headers: usize) -> Vec<u8> {
    let mut text =
        "HTTP/1.1 200 OK\r\nserver: bench\r\ncontent-type: text/plain\r\ncontent-length: 100\r\n".to_owned();
    text += &further_headers(headers);
    text += "\r\nThe quick brown fox jumps over the lazy dog. \
        The quick brown fox jumps over the lazy dog. 123456789\n";
    text.into_bytes()
}

fn further_headers(headers: usize) -> String {
    (FEWEST_HEADERS..headers).fold(String::new(), |mut text, number| {
        write!(text, "x-header-{number:02}: value number {number:02}\r\n")
            .expect("writing to memory cannot fail");
        text
    })
}

/// Where a head ends, if all of it is there.
pub(crate) fn head_length(received: &[u8]) -> Option<usize> {
    received
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .map(|start| start + 4)
}

/// The status of the response in `received`, `None` as long as a part is missing.
///
/// # Errors
///
/// It is no response, has no `content-length`, or bytes follow it.
pub(crate) fn response_status(received: &[u8]) -> Result<Option<u16>> {
    let Some(head_length) = head_length(received) else {
        return Ok(None);
    };
    let head = std::str::from_utf8(&received[..head_length]).context("the response's head is not text")?;
    let mut lines = head.split("\r\n");
    let status_line = lines.next().unwrap_or_default();
    let status = status_line
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    let status = status.with_context(|| format!("not a response: {status_line}"))?;

    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse::<usize>())
    });
    let length = length
        .context("the response has no content-length")?
        .context("content-length is no number")?;
    let end = head_length + length;
    ensure!(received.len() <= end, "more bytes than the response should have");
    Ok((received.len() == end).then_some(status))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn a_response_is_complete_when_its_last_byte_is_there() {
        let response = response(5);
        for end in 0..response.len() {
            assert_eq!(
                response_status(&response[..end]).expect("it is a beginning"),
                None,
                "{end} bytes"
            );
        }
        assert_eq!(response_status(&response).expect("it is a response"), Some(200));
    }

    #[test]
    fn messages_have_as_many_headers_as_they_should() {
        let count = |message: &[u8]| {
            let head = &message[..head_length(message).expect("it is whole")];
            String::from_utf8_lossy(head).matches("\r\n").count() - 2
        };
        for headers in [3, 30] {
            assert_eq!(count(Requests::new(headers).next()), headers);
            assert_eq!(count(&response(headers)), headers);
        }
        assert_eq!(count(Requests::new(3).of_clients(1).next()), 4);
    }

    #[test]
    fn every_client_asks_before_anybody_asks_twice() {
        for count in [1, 2, 1000, 65_536] {
            let mut requests = Requests::new(3).of_clients(count);
            let seen: HashSet<Vec<u8>> = (0..count).map(|_| requests.next().to_vec()).collect();
            assert_eq!(seen.len(), count as usize);
        }
    }

    #[test]
    fn any_status_and_spelling_is_read() {
        let empty = b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(response_status(empty).expect("it is a response"), Some(429));
    }

    #[test]
    fn what_cannot_be_measured_is_an_error() {
        for received in [
            "nonsense\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nab",
        ] {
            assert!(response_status(received.as_bytes()).is_err(), "{received}");
        }
    }
}
