//! A client that keeps its connection, and notices everything that it did not ask for.

use crate::http::Head;
use anyhow::{Context, Result, ensure};
use std::io::{BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// A peer that is silent for so long has failed.
const SILENCE_LIMIT: Duration = Duration::from_secs(30);

/// A request.
pub(crate) struct Request<'a> {
    pub(crate) method: &'static str,
    pub(crate) path: &'a str,
    pub(crate) fields: &'a [(&'static str, String)],
    pub(crate) body: &'a [u8],
    /// The client rests after each piece of the answer's body.
    pub(crate) rest: Duration,
}

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: Head,
    pub(crate) body: Digest,
    pub(crate) sent: Instant,
    /// When the head was there.
    pub(crate) received: Instant,
}

/// One connection at a time, opened when it is needed.
pub(crate) struct Client {
    address: SocketAddr,
    connection: Option<BufReader<TcpStream>>,
}

impl Client {
    pub(crate) fn new(address: SocketAddr) -> Client {
        Client {
            address,
            connection: None,
        }
    }

    /// Closes the connection, so that the next request needs a new one.
    pub(crate) fn close(&mut self) {
        self.connection = None;
    }

    /// Sends a request and reads the whole answer. After an error the connection is closed.
    pub(crate) fn ask(&mut self, request: &Request<'_>, each: impl FnMut(&[u8])) -> Result<Answer> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => connect(self.address).context("cannot connect")?,
        };
        ensure!(
            connection.buffer().is_empty(),
            "there is more than one answer to one request"
        );
        let answer = exchange(&mut connection, request, each)?;
        if answer.head.keeps_alive() {
            self.connection = Some(connection);
        } else {
            let more = Head::read(&mut connection).context("after the answer")?;
            ensure!(more.is_none(), "another answer follows the last one");
        }
        Ok(answer)
    }
}

fn connect(address: SocketAddr) -> Result<BufReader<TcpStream>> {
    let stream = TcpStream::connect_timeout(&address, SILENCE_LIMIT)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(SILENCE_LIMIT))?;
    stream.set_write_timeout(Some(SILENCE_LIMIT))?;
    Ok(BufReader::new(stream))
}

fn exchange(
    connection: &mut BufReader<TcpStream>,
    request: &Request<'_>,
    mut each: impl FnMut(&[u8]),
) -> Result<Answer> {
    let mut message = format!(
        "{} {} HTTP/1.1\r\nhost: localhost\r\n",
        request.method, request.path
    );
    for (name, value) in request.fields {
        message += &format!("{name}: {value}\r\n");
    }
    if request.method == "POST" {
        message += &format!("content-length: {}\r\n", request.body.len());
    }
    message += "\r\n";
    let mut message = message.into_bytes();
    message.extend_from_slice(request.body);

    let sent = Instant::now();
    connection.get_mut().write_all(&message).context("cannot send")?;
    let head = Head::read(connection)
        .context("cannot receive")?
        .context("the connection was closed instead of an answer")?;
    let received = Instant::now();
    let status = head.start_line.split(' ').nth(1);
    let status = status
        .and_then(|status| status.parse().ok())
        .with_context(|| format!("not an answer: {}", head.start_line))?;
    let mut body = Digest::default();
    head.read_body(connection, |piece| {
        body.add(piece);
        each(piece);
        if !request.rest.is_zero() {
            std::thread::sleep(request.rest);
        }
        Ok(())
    })
    .context("the answer's body is incomplete")?;
    Ok(Answer {
        status,
        head,
        body,
        sent,
        received,
    })
}

/// Length and hash of a body: FNV-1a (Fowler, Noll and Vo), which finds what gets lost or swapped by
/// accident.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Digest {
    length: u64,
    hash: u64,
}

impl Default for Digest {
    fn default() -> Digest {
        Digest {
            length: 0,
            hash: 0xcbf2_9ce4_8422_2325,
        }
    }
}

impl Digest {
    pub(crate) fn of(bytes: &[u8]) -> Digest {
        let mut digest = Digest::default();
        digest.add(bytes);
        digest
    }

    pub(crate) fn add(&mut self, bytes: &[u8]) {
        self.length += bytes.len() as u64;
        for byte in bytes {
            self.hash = (self.hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

impl std::fmt::Display for Digest {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}-{:016x}", self.length, self.hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::net::TcpListener;

    const QUESTION: Request<'static> = Request {
        method: "GET",
        path: "/",
        fields: &[],
        body: b"",
        rest: Duration::ZERO,
    };

    /// A client of a server that answers the first bytes on its only connection with this, and closes it.
    fn client_of(answer: &'static str) -> Client {
        let listener = TcpListener::bind("127.0.0.1:0").expect("some port is free");
        let address = listener.local_addr().expect("it is bound");
        std::thread::spawn(move || -> std::io::Result<()> {
            let (mut connection, _) = listener.accept()?;
            let _ = connection.read(&mut [0; 1000])?;
            connection.write_all(answer.as_bytes())
        });
        Client::new(address)
    }

    #[test]
    fn an_answer_is_read_to_its_end() {
        let mut client = client_of("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi");
        let answer = client.ask(&QUESTION, |_| {}).expect("it is answered");
        assert_eq!((answer.status, answer.body), (200, Digest::of(b"hi")));
    }

    #[test]
    fn a_second_answer_is_an_error() {
        let two = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\nHTTP/1.1 200 OK\r\n\r\n";
        assert!(client_of(two).ask(&QUESTION, |_| {}).is_err());
        let mut client = client_of("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n");
        client.ask(&QUESTION, |_| {}).expect("the first is an answer");
        assert!(client.ask(&QUESTION, |_| {}).is_err());
    }

    #[test]
    fn half_an_answer_is_an_error() {
        let half = client_of("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nh").ask(&QUESTION, |_| {});
        assert!(half.is_err());
        assert!(client_of("").ask(&QUESTION, |_| {}).is_err());
    }

    #[test]
    fn a_digest_notices_order_and_length() {
        assert_eq!(Digest::of(b"ab").to_string(), "2-089c4407b545986a");
        assert_ne!(Digest::of(b"ab"), Digest::of(b"ba"));
        assert_ne!(Digest::of(b"a"), Digest::of(b""));
    }
}
