//! Writes heads and chunks.

use crate::fields::Field;

/// Appends `GET /a HTTP/1.1`.
pub fn request_line(out: &mut Vec<u8>, method: &str, target: &str) {
    out.extend_from_slice(method.as_bytes());
    out.push(b' ');
    out.extend_from_slice(target.as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
}

/// Appends `HTTP/1.1 200 OK`: the version is the sender's own (RFC 9110, section 2.5).
pub fn status_line(out: &mut Vec<u8>, status: http::StatusCode, reason: &[u8]) {
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(reason);
    out.extend_from_slice(b"\r\n");
}

/// Appends a field line.
pub fn field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.reserve(name.len() + value.len() + 4);
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Appends the fields for which `keep` is true.
pub fn fields<'a>(
    out: &mut Vec<u8>,
    fields: impl Iterator<Item = Field<'a>>,
    mut keep: impl FnMut(&Field<'a>) -> bool,
) {
    for line in fields {
        if keep(&line) {
            field(out, line.name, line.value);
        }
    }
}

/// Appends a number in decimal digits.
pub fn decimal(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

/// The line before the data of a chunk.
#[derive(Clone, Copy, Debug)]
pub struct ChunkLine {
    bytes: [u8; ChunkLine::MAX],
    start: usize,
}

impl ChunkLine {
    /// Sixteen digits and CRLF.
    const MAX: usize = 18;

    /// The line for `length` bytes of data; 0 would make the [`LAST_CHUNK`].
    pub fn new(mut length: u64) -> ChunkLine {
        let mut line = ChunkLine {
            bytes: *b"................\r\n",
            start: ChunkLine::MAX - 2,
        };
        loop {
            line.start -= 1;
            line.bytes[line.start] = b"0123456789abcdef"[(length & 15) as usize];
            length >>= 4;
            if length == 0 {
                return line;
            }
        }
    }

    /// The line with its CRLF.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[self.start..]
    }
}

/// The last chunk; trailers and an empty line follow.
pub const LAST_CHUNK: &[u8] = b"0\r\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_and_status_lines_follow_the_grammar() {
        let mut out = Vec::new();
        request_line(&mut out, "GET", "/a?b");
        status_line(&mut out, http::StatusCode::OK, b"OK");
        field(&mut out, "X-A", b"b");
        decimal(&mut out, 0);
        decimal(&mut out, u64::MAX);
        assert_eq!(
            out,
            b"GET /a?b HTTP/1.1\r\nHTTP/1.1 200 OK\r\nX-A: b\r\n018446744073709551615"
        );
    }

    #[test]
    fn chunk_line_has_the_length_in_hexadecimal() {
        for (length, line) in [
            (1, "1\r\n"),
            (10, "a\r\n"),
            (4096, "1000\r\n"),
            (u64::MAX, "ffffffffffffffff\r\n"),
        ] {
            assert_eq!(ChunkLine::new(length).as_bytes(), line.as_bytes());
        }
    }
}
