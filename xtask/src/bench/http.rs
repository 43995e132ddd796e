//! As much of HTTP/1.1 as a measurement needs: no chunks, no interim responses, no pipelining.

use anyhow::{Context, Result, ensure};

/// What every connection sends.
pub(crate) const REQUEST: &[u8] =
    b"GET /benchmark?of=pace HTTP/1.1\r\nhost: bench.example\r\nuser-agent: pace-bench\r\naccept: */*\r\n\r\n";

/// What the backends answer: a body of 100 bytes.
pub(crate) const RESPONSE: &[u8] =
    b"HTTP/1.1 200 OK\r\nserver: bench\r\ncontent-type: text/plain\r\ncontent-length: 100\r\n\r\n\
    The quick brown fox jumps over the lazy dog. The quick brown fox jumps over the lazy dog. 123456789\n";

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

    #[test]
    fn a_response_is_complete_when_its_last_byte_is_there() {
        for end in 0..RESPONSE.len() {
            assert_eq!(
                response_status(&RESPONSE[..end]).expect("it is a beginning"),
                None,
                "{end} bytes"
            );
        }
        assert_eq!(response_status(RESPONSE).expect("it is a response"), Some(200));
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
