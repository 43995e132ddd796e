//! A request and its answer, by a client that notices every byte that it did not ask for.

use super::digest::Digest;
use anyhow::{Context, Result, ensure};
use pace_kit::{Client, Request, Response};
use std::thread;
use std::time::{Duration, Instant};

/// An answer, read to its end.
pub(crate) struct Answer {
    pub(crate) head: Response,
    pub(crate) body: Digest,
    /// The time before the first byte of the request was sent.
    pub(crate) sent: Instant,
    /// The time when the head was complete.
    pub(crate) received: Instant,
}

/// How a request's body is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Upload {
    /// Together with its head.
    AtOnce,
    /// A piece at a time, with pauses. The head has its length.
    Slowly,
    /// A piece at a time, with pauses. The head does not have its length.
    InChunks,
}

/// The size of a piece, and the client's rest before the next.
const PIECE: usize = 64 << 10;
const PAUSE: Duration = Duration::from_millis(20);

impl Upload {
    fn send(self, client: &mut Client, request: &Request) -> std::io::Result<()> {
        let pieces = || request.body.chunks(PIECE);
        match self {
            Upload::AtOnce => client.transmit(request),
            Upload::Slowly => {
                let length = request.body.len().to_string();
                client.transmit(&without_body(request).header("content-length", length))?;
                for piece in pieces() {
                    thread::sleep(PAUSE);
                    client.try_write(piece)?;
                }
                Ok(())
            }
            Upload::InChunks => {
                client.transmit(&without_body(request).header("transfer-encoding", "chunked"))?;
                for piece in pieces() {
                    thread::sleep(PAUSE);
                    let size = format!("{:x}\r\n", piece.len());
                    client.try_write([size.as_bytes(), piece, b"\r\n"].concat())?;
                }
                client.try_write("0\r\n\r\n")
            }
        }
    }
}

fn without_body(request: &Request) -> Request {
    Request {
        body: Vec::new(),
        ..request.clone()
    }
}

/// Sends a request and reads the whole answer, with a rest after each piece of its body.
///
/// # Errors
///
/// The answer is missing, incomplete, or followed by more bytes. The connection must not be used for another
/// request then.
pub(crate) fn ask(client: &mut Client, request: &Request, upload: Upload, rest: Duration) -> Result<Answer> {
    ensure!(
        !client.has_received(),
        "there is more than one answer to one request"
    );
    let sent = Instant::now();
    upload.send(client, request).context("cannot send")?;
    let head = client.read_head(&request.method).context("cannot receive")?;
    let received = Instant::now();
    let mut body = Digest::default();
    let add = |piece: &[u8]| {
        body.add(piece);
        if !rest.is_zero() {
            thread::sleep(rest);
        }
    };
    client
        .read_body(&head, add)
        .context("the answer's body is incomplete")?;
    if head.last {
        let more = client.try_read_to_end().context("after the last answer")?;
        ensure!(more.is_empty(), "another answer follows the last one");
    }
    Ok(Answer {
        head,
        body,
        sent,
        received,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    /// A client of a server that answers the first bytes on its only connection with `answer`, and closes it.
    fn client_of(answer: &'static str) -> Client {
        let listener = TcpListener::bind("127.0.0.1:0").expect("some port is free");
        let address = listener.local_addr().expect("it is bound");
        thread::spawn(move || -> std::io::Result<()> {
            let (mut connection, _) = listener.accept()?;
            let _ = connection.read(&mut [0; 1000])?;
            connection.write_all(answer.as_bytes())
        });
        Client::new(address)
    }

    fn get(client: &mut Client) -> Result<Answer> {
        ask(client, &Request::get("/"), Upload::AtOnce, Duration::ZERO)
    }

    #[test]
    fn answer_is_read_to_its_end() {
        let mut client = client_of("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi");
        let answer = get(&mut client).expect("it is answered");
        assert_eq!((answer.head.status, answer.body), (200, Digest::of(b"hi")));
    }

    #[test]
    fn unexpected_second_answer_is_an_error() {
        let two = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\nHTTP/1.1 200 OK\r\n\r\n";
        assert!(get(&mut client_of(two)).is_err());
        let mut client = client_of("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n");
        get(&mut client).expect("the first is an answer");
        assert!(get(&mut client).is_err());
    }

    #[test]
    fn truncated_answer_is_an_error() {
        let half = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nh";
        assert!(get(&mut client_of(half)).is_err());
        assert!(get(&mut client_of("")).is_err());
    }
}
