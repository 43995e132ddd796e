//! As much of HTTP/1.1 as backends and clients of our own need, on blocking streams.

use std::io::{self, BufRead, ErrorKind, Read};

/// A head larger than this is refused.
const MAX_HEAD: u64 = 64 * 1024;

/// The head of a request or of a response. Bytes that are not UTF-8 are replaced.
#[derive(Debug)]
pub(crate) struct Head {
    /// The request line, or the status line.
    pub(crate) start_line: String,
    /// Names in lower case, and values.
    pub(crate) fields: Vec<(String, String)>,
}

impl Head {
    /// The next head; `None` if the peer has closed the connection.
    pub(crate) fn read(reader: &mut impl BufRead) -> io::Result<Option<Head>> {
        let mut limited = reader.take(MAX_HEAD);
        let start_line = line(&mut limited)?;
        if start_line.is_empty() {
            return Ok(None);
        }
        let mut head = Head {
            start_line,
            fields: Vec::new(),
        };
        loop {
            let line = line(&mut limited)?;
            if line.is_empty() {
                return Ok(Some(head));
            }
            let (field, value) = line
                .split_once(':')
                .ok_or_else(|| invalid("a field without a colon"))?;
            head.fields
                .push((field.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    /// The first value of a header, whose name is given in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|(field, _)| field == name)
            .map(|(_, value)| value.as_str())
    }

    /// Whether another message may follow on the connection.
    pub(crate) fn keeps_alive(&self) -> bool {
        let close = self
            .header("connection")
            .is_some_and(|value| value.eq_ignore_ascii_case("close"));
        !close && !self.start_line.ends_with("HTTP/1.0")
    }

    /// Reads the body, hands each piece of it to `each` and returns its length. Without a length there is
    /// none.
    pub(crate) fn read_body(
        &self,
        reader: &mut impl BufRead,
        mut each: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<u64> {
        if self.header("transfer-encoding").is_none() {
            let length = self.header("content-length").unwrap_or("0");
            let length = length
                .parse()
                .map_err(|_| invalid("a content-length that is no number"))?;
            return pieces(reader, length, &mut each);
        }
        let mut total = 0;
        loop {
            let size = line(reader)?;
            let size = size.split(';').next().unwrap_or_default().trim();
            let size = u64::from_str_radix(size, 16).map_err(|_| invalid("a chunk without a size"))?;
            if size == 0 {
                while !line(reader)?.is_empty() {}
                return Ok(total);
            }
            total += pieces(reader, size, &mut each)?;
            line(reader)?;
        }
    }
}

/// One line without its end.
fn line(reader: &mut impl BufRead) -> io::Result<String> {
    let mut bytes = Vec::new();
    reader.take(MAX_HEAD).read_until(b'\n', &mut bytes)?;
    if !bytes.is_empty() && !bytes.ends_with(b"\n") {
        return Err(invalid("a line without an end"));
    }
    Ok(String::from_utf8_lossy(&bytes)
        .trim_end_matches(['\r', '\n'])
        .to_owned())
}

fn pieces(
    reader: &mut impl BufRead,
    length: u64,
    each: &mut impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<u64> {
    let mut left = length;
    while left > 0 {
        let there = reader.fill_buf()?;
        let piece = &there[..there.len().min(usize::try_from(left).unwrap_or(usize::MAX))];
        if piece.is_empty() {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        each(piece)?;
        let taken = piece.len();
        reader.consume(taken);
        left -= taken as u64;
    }
    Ok(length)
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_framings_are_read() {
        for (received, body) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello!", "hello"),
            (
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3;x\r\nllo\r\n0\r\n\r\n!",
                "hello",
            ),
            ("HTTP/1.1 204 No Content\r\n\r\n!", ""),
        ] {
            let mut reader = received.as_bytes();
            let head = Head::read(&mut reader)
                .expect("it is a head")
                .expect("there is one");
            let mut read = Vec::new();
            let length = head.read_body(&mut reader, |piece| {
                read.extend_from_slice(piece);
                Ok(())
            });
            assert_eq!(length.ok(), Some(body.len() as u64), "{received}");
            assert_eq!(
                (read.as_slice(), reader),
                (body.as_bytes(), &b"!"[..]),
                "{received}"
            );
        }
    }

    #[test]
    fn a_body_that_ends_early_is_an_error() {
        let mut reader = &b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhell"[..];
        let head = Head::read(&mut reader)
            .expect("it is a head")
            .expect("there is one");
        assert!(head.read_body(&mut reader, |_| Ok(())).is_err());
    }
}
