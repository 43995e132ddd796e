//! A backend that writes into the ledger what reaches it, and into its answers what it saw.

use super::client::Digest;
use super::ledger::Ledger;
use super::subject::STAMPS;
use crate::http::Head;
use anyhow::Result;
use std::io::{self, BufReader, ErrorKind, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// The number of a request, in both directions.
pub(crate) const ID: &str = "x-soak-id";

/// [`Digest`] of the request's body.
pub(crate) const SEEN_BODY: &str = "x-soak-body";

/// A body that the origin sends a piece at a time, with pauses.
pub(crate) const SLOW: Stream = Stream {
    path: "/stream/slow",
    pieces: 32,
    pause: Duration::from_millis(50),
};

/// A body that is there at once, and more than sockets hold.
pub(crate) const LARGE: Stream = Stream {
    path: "/stream/large",
    pieces: 256,
    pause: Duration::ZERO,
};

/// A long answer.
pub(crate) struct Stream {
    pub(crate) path: &'static str,
    pieces: u64,
    pause: Duration,
}

const PIECE: usize = 32 << 10;

impl Stream {
    /// What a client gets if nothing is lost.
    pub(crate) fn digest(&self) -> Digest {
        let mut digest = Digest::default();
        (0..self.pieces).for_each(|number| digest.add(&piece(number)));
        digest
    }
}

/// Serves in threads of its own until the program ends, and returns its address.
pub(crate) fn start(ledger: &Arc<Ledger>) -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    let ledger = Arc::clone(ledger);
    thread::Builder::new().name("origin".into()).spawn(move || {
        for connection in listener.incoming().flatten() {
            let ledger = Arc::clone(&ledger);
            // A connection that cannot be served is closed, which its client notices.
            let _ = thread::Builder::new().spawn(move || drop(converse(&connection, &ledger)));
        }
    })?;
    Ok(address)
}

fn converse(connection: &TcpStream, ledger: &Ledger) -> io::Result<()> {
    connection.set_nodelay(true)?;
    let (mut reader, mut writer) = (BufReader::new(connection), connection);
    while let Some(head) = Head::read(&mut reader)? {
        let mut body = Digest::default();
        head.read_body(&mut reader, |piece| {
            body.add(piece);
            Ok(())
        })?;
        let id = head.header(ID).and_then(|id| id.parse().ok());
        ledger.arrived(
            id.ok_or_else(|| io::Error::new(ErrorKind::InvalidData, "a request without its number"))?,
        );
        answer(&mut writer, &head, body)?;
        if !head.keeps_alive() {
            break;
        }
    }
    Ok(())
}

fn answer(writer: &mut impl Write, head: &Head, body: Digest) -> io::Result<()> {
    let seen = |name| head.header(name).unwrap_or_default();
    let stamps = STAMPS.map(|stamp| match stamp.seen {
        Some(name) => format!("{name}: {}\r\n", seen(stamp.header)),
        None => String::new(),
    });
    let fields = format!("{ID}: {}\r\n{SEEN_BODY}: {body}\r\n{}", seen(ID), stamps.concat());
    let path = head.start_line.split(' ').nth(1).unwrap_or_default();
    for stream in [SLOW, LARGE] {
        if path == stream.path {
            return send_stream(writer, &fields, &stream);
        }
    }
    let response = format!("HTTP/1.1 200 OK\r\n{fields}content-length: 2\r\n\r\nok");
    writer.write_all(response.as_bytes())
}

fn send_stream(writer: &mut impl Write, fields: &str, stream: &Stream) -> io::Result<()> {
    let head = format!("HTTP/1.1 200 OK\r\n{fields}transfer-encoding: chunked\r\n\r\n");
    writer.write_all(head.as_bytes())?;
    for number in 0..stream.pieces {
        let piece = piece(number);
        writer.write_all(format!("{:x}\r\n", piece.len()).as_bytes())?;
        writer.write_all(&piece)?;
        writer.write_all(b"\r\n")?;
        thread::sleep(stream.pause);
    }
    writer.write_all(b"0\r\n\r\n")
}

/// Bytes that are different in each piece.
fn piece(number: u64) -> Vec<u8> {
    (0..PIECE as u64)
        .map(|place| (number * 7 + place * 31 + place / 251) as u8)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::client::{Client, Request};
    use super::super::ledger::{Kind, Outcome};
    use super::*;

    fn ask(path: &str, body: &[u8]) -> (super::super::client::Answer, super::super::ledger::Tally) {
        let ledger = Arc::new(Ledger::new());
        let address = start(&ledger).expect("some port is free");
        let id = ledger.issue(Kind::Post);
        let request = Request {
            method: "POST",
            path,
            fields: &[
                (ID, id.to_string()),
                (STAMPS[1].header, "abcd".to_owned()),
                (STAMPS[2].header, "efgh".to_owned()),
            ],
            body,
            rest: Duration::ZERO,
        };
        let answer = Client::new(address)
            .ask(&request, |_| {})
            .expect("the origin answers");
        ledger.settle(id, Outcome::Answered);
        (answer, ledger.close())
    }

    #[test]
    fn what_it_saw_is_told_and_written_down() {
        let (answer, tally) = ask("/", b"hello");
        assert_eq!(answer.status, 200);
        assert_eq!(answer.head.header(ID), Some("1"));
        let stamps = STAMPS.map(|stamp| answer.head.header(stamp.seen?));
        assert_eq!(stamps, [None, Some("abcd"), Some("efgh")]);
        let digest = Digest::of(b"hello").to_string();
        assert_eq!(answer.head.header(SEEN_BODY), Some(digest.as_str()));
        assert_eq!((tally.answered, tally.contradictions), (1, 0));
    }

    #[test]
    fn streams_are_what_their_digest_says() {
        let (answer, _) = ask(LARGE.path, b"");
        assert_eq!(answer.body, LARGE.digest());
        assert_ne!(LARGE.digest(), SLOW.digest());
    }
}
