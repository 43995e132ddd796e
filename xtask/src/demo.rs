//! A backend that answers with a description of the request.

use anyhow::Result;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

/// Serves on threads of its own until the program ends.
pub(crate) fn serve(listener: TcpListener, number: usize) -> Result<()> {
    let name = format!("backend {number} on {}", listener.local_addr()?);
    thread::Builder::new().name(name.clone()).spawn(move || {
        for connection in listener.incoming().flatten() {
            let name = name.clone();
            // A client that goes away or sends nonsense loses its connection, and nothing else happens.
            let serve = move || drop(converse(connection, &name));
            let _ = thread::Builder::new().spawn(serve);
        }
    })?;
    Ok(())
}

fn converse(connection: TcpStream, name: &str) -> io::Result<()> {
    connection.set_nodelay(true)?;
    let peer = connection.peer_addr()?;
    let (mut reader, mut writer) = (BufReader::new(&connection), &connection);
    while answer(&mut reader, &mut writer, name, peer)? {}
    Ok(())
}

/// Reads one request and answers it. Returns whether another may follow.
fn answer(
    reader: &mut impl BufRead,
    writer: &mut impl Write,
    name: &str,
    peer: SocketAddr,
) -> io::Result<bool> {
    let Some(head) = Head::read(reader)? else {
        return Ok(false);
    };
    if head.field("expect").is_some() {
        writer.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    let received = head.skip_body(reader)?;

    let mut text = format!("This is {name}.\n\n{}\n", head.request_line);
    for (field, value) in &head.fields {
        text += &format!("{field}: {value}\n");
    }
    text += &format!("\n{received} bytes of body, from {peer}\n");

    let again = head.keeps_alive();
    let connection = if again { "keep-alive" } else { "close" };
    let mut response = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {}\r\nconnection: {connection}\r\n\r\n",
        text.len()
    );
    if !head.request_line.starts_with("HEAD ") {
        response += &text;
    }
    writer.write_all(response.as_bytes())?;
    Ok(again)
}

/// The head of a request. Bytes that are not UTF-8 are replaced.
struct Head {
    request_line: String,
    /// Names in lower case, with their values.
    fields: Vec<(String, String)>,
}

impl Head {
    /// A head larger than this is refused.
    const MAX: u64 = 64 * 1024;

    /// Reads the next head; `None` if the client has closed the connection.
    fn read(reader: &mut impl BufRead) -> io::Result<Option<Head>> {
        let mut limited = reader.take(Head::MAX);
        let request_line = line(&mut limited)?;
        if request_line.is_empty() {
            return Ok(None);
        }
        let mut fields = Vec::new();
        loop {
            let line = line(&mut limited)?;
            if line.is_empty() {
                return Ok(Some(Head { request_line, fields }));
            }
            let (name, value) = line.split_once(':').ok_or(ErrorKind::InvalidData)?;
            fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    fn field(&self, name: &str) -> Option<&str> {
        let (_, value) = self.fields.iter().find(|(field, _)| field == name)?;
        Some(value)
    }

    fn keeps_alive(&self) -> bool {
        let close = self
            .field("connection")
            .is_some_and(|value| value.eq_ignore_ascii_case("close"));
        !close && !self.request_line.ends_with("HTTP/1.0")
    }

    /// Reads the body, and returns its length.
    fn skip_body(&self, reader: &mut impl BufRead) -> io::Result<u64> {
        if self.field("transfer-encoding").is_none() {
            let length = self.field("content-length").unwrap_or("0").parse();
            return skip(reader, length.map_err(|_| ErrorKind::InvalidData)?);
        }
        let mut total = 0;
        loop {
            let size = line(reader)?;
            let size = size.split(';').next().unwrap_or_default().trim();
            match u64::from_str_radix(size, 16).map_err(|_| ErrorKind::InvalidData)? {
                0 => break,
                size => total += skip(reader, size)?,
            }
            line(reader)?;
        }
        while !line(reader)?.is_empty() {}
        Ok(total)
    }
}

/// Reads one line without its end.
fn line(reader: &mut impl BufRead) -> io::Result<String> {
    let mut bytes = Vec::new();
    reader.take(Head::MAX).read_until(b'\n', &mut bytes)?;
    match bytes.is_empty() || bytes.ends_with(b"\n") {
        true => Ok(String::from_utf8_lossy(&bytes)
            .trim_end_matches(['\r', '\n'])
            .to_owned()),
        false => Err(ErrorKind::InvalidData.into()),
    }
}

fn skip(reader: &mut impl BufRead, length: u64) -> io::Result<u64> {
    match io::copy(&mut reader.take(length), &mut io::sink())? {
        read if read == length => Ok(length),
        _ => Err(ErrorKind::UnexpectedEof.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the answer to bytes on a connection, and whether the connection stays open.
    fn conversation(sent: &str) -> (String, bool) {
        let (mut reader, mut written) = (sent.as_bytes(), Vec::new());
        let peer = SocketAddr::from(([127, 0, 0, 1], 5000));
        loop {
            let again = answer(&mut reader, &mut written, "backend 1", peer).expect("the request is valid");
            if !again || reader.is_empty() {
                return (String::from_utf8(written).expect("it is text"), again);
            }
        }
    }

    #[test]
    fn answer_shows_the_request() {
        let (answer, again) = conversation("GET /a?b HTTP/1.1\r\nHost: x\r\nX-Proxy: pace\r\n\r\n");
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(
            answer.contains("This is backend 1.\n\nGET /a?b HTTP/1.1\nhost: x\nx-proxy: pace\n"),
            "{answer}"
        );
        assert!(again);
    }

    #[test]
    fn content_length_is_that_of_the_body() {
        let (answer, _) = conversation("GET / HTTP/1.1\r\n\r\n");
        let (head, body) = answer.split_once("\r\n\r\n").expect("the head ends");
        assert!(
            head.contains(&format!("content-length: {}\r\n", body.len())),
            "{answer}"
        );
        let (answer, _) = conversation("HEAD / HTTP/1.1\r\n\r\n");
        assert!(
            answer.ends_with("\r\n\r\n") && !answer.contains("content-length: 0\r\n"),
            "{answer}"
        );
    }

    #[test]
    fn body_is_read_before_the_next_request() {
        let (answer, _) = conversation(concat!(
            "POST /1 HTTP/1.1\r\ncontent-length: 5\r\n\r\nhello",
            "POST /2 HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n4;x=y\r\nwiki\r\nA\r\n0123456789\r\n0\r\nt: v\r\n\r\n",
            "GET /3 HTTP/1.1\r\n\r\n",
        ));
        for part in [
            "POST /1",
            "5 bytes of body",
            "POST /2",
            "14 bytes of body",
            "GET /3",
            "0 bytes of body",
        ] {
            assert!(answer.contains(part), "{part} is missing in {answer}");
        }
    }

    #[test]
    fn connection_ends_when_the_client_asks_for_it() {
        assert!(!conversation("GET / HTTP/1.1\r\nConnection: close\r\n\r\n").1);
        assert!(!conversation("GET / HTTP/1.0\r\n\r\n").1);
        assert_eq!(conversation(""), (String::new(), false));
    }

    #[test]
    fn malformed_request_is_refused() {
        let peer = SocketAddr::from(([127, 0, 0, 1], 5000));
        for sent in [
            "GET / HTTP/1.1\r\nhost\r\n\r\n",
            "GET / HTTP/1.1\r\ncontent-length: x\r\n\r\n",
            "GET /",
        ] {
            assert!(
                answer(&mut sent.as_bytes(), &mut Vec::new(), "b", peer).is_err(),
                "{sent}"
            );
        }
    }
}
