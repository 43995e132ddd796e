//! Answers of a backend.

use std::io::{self, Write};
use std::iter;

use crate::Gate;

/// A backend's answer to one request.
pub struct Answer {
    status: u16,
    headers: Vec<(String, Vec<u8>)>,
    body: Body,
    then: Then,
}

/// The connection's fate after an answer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    GoOn,
    Close,
    /// Close the connection when the next request has come.
    HangUp,
}

enum Body {
    Whole(Vec<u8>),
    Chunks(Box<dyn Iterator<Item = Vec<u8>> + Send>),
    Pieces(usize, Box<dyn Iterator<Item = Vec<u8>> + Send>),
    UntilClose(Vec<u8>),
    /// These bytes in place of a response.
    Raw(Vec<u8>),
}

impl Answer {
    /// Answers 200 with this body.
    pub fn new(body: impl Into<Vec<u8>>) -> Answer {
        Answer {
            status: 200,
            headers: Vec::new(),
            body: Body::Whole(body.into()),
            then: Then::GoOn,
        }
    }

    /// Answers this status with an empty body.
    pub fn status(status: u16) -> Answer {
        Answer {
            status,
            ..Answer::new("")
        }
    }

    /// Answers 200 with a body of unknown length. Each chunk is sent as soon as the iterator yields it: an
    /// iterator that waits makes a slow body.
    pub fn chunks<I>(chunks: I) -> Answer
    where
        I: IntoIterator<Item = Vec<u8>>,
        I::IntoIter: Send + 'static,
    {
        Answer {
            body: Body::Chunks(Box::new(chunks.into_iter())),
            ..Answer::new("")
        }
    }

    /// Answers 200 with a body of unknown length, of which the second chunk is sent once the gate is open.
    pub fn halves(first: impl Into<Vec<u8>>, gate: &Gate, second: impl Into<Vec<u8>>) -> Answer {
        let (first, gate, second) = (first.into(), gate.clone(), second.into());
        let second = iter::once_with(move || {
            gate.wait();
            second
        });
        Answer::chunks(iter::once(first).chain(second))
    }

    /// Answers 200 with a body of this length, sent piece by piece.
    pub fn pieces<I>(length: usize, pieces: I) -> Answer
    where
        I: IntoIterator<Item = Vec<u8>>,
        I::IntoIter: Send + 'static,
    {
        Answer {
            body: Body::Pieces(length, Box::new(pieces.into_iter())),
            ..Answer::new("")
        }
    }

    /// Answers 200 with a body that ends with the connection.
    pub fn until_close(body: impl Into<Vec<u8>>) -> Answer {
        Answer {
            body: Body::UntilClose(body.into()),
            then: Then::Close,
            ..Answer::new("")
        }
    }

    /// Sends these bytes and ends the connection.
    pub fn raw(bytes: impl Into<Vec<u8>>) -> Answer {
        Answer {
            body: Body::Raw(bytes.into()),
            then: Then::Close,
            ..Answer::new("")
        }
    }

    /// Ends the connection and sends nothing.
    pub fn hang_up() -> Answer {
        Answer::raw("")
    }

    /// Answers this status instead.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Answer {
        self.status = status;
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<Vec<u8>>) -> Answer {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Closes the connection when the next request comes on it, without having announced that: the backend's
    /// time for idle connections was over just then.
    #[must_use]
    pub fn then_hang_up(mut self) -> Answer {
        self.then = Then::HangUp;
        self
    }

    /// Sends the answer and returns the connection's fate.
    pub(crate) fn write(self, method: &str, stream: &mut impl Write) -> io::Result<Then> {
        let mut head = format!("HTTP/1.1 {} Status\r\n", self.status).into_bytes();
        for (name, value) in &self.headers {
            head.extend_from_slice(name.as_bytes());
            head.extend_from_slice(b": ");
            head.extend_from_slice(value);
            head.extend_from_slice(b"\r\n");
        }
        let body_follows = method != "HEAD" && !matches!(self.status, 204 | 304);
        match self.body {
            Body::Raw(bytes) => stream.write_all(&bytes)?,
            Body::Whole(body) => {
                if self.status != 204 {
                    head.extend_from_slice(format!("Content-Length: {}\r\n", body.len()).as_bytes());
                }
                head.extend_from_slice(b"\r\n");
                if body_follows {
                    head.extend_from_slice(&body);
                }
                stream.write_all(&head)?;
            }
            Body::Pieces(length, pieces) => {
                head.extend_from_slice(format!("Content-Length: {length}\r\n\r\n").as_bytes());
                stream.write_all(&head)?;
                for piece in pieces.filter(|_| body_follows) {
                    stream.write_all(&piece)?;
                }
            }
            Body::UntilClose(body) => {
                head.extend_from_slice(b"\r\n");
                head.extend_from_slice(&body);
                stream.write_all(&head)?;
            }
            Body::Chunks(chunks) => {
                head.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
                stream.write_all(&head)?;
                for chunk in chunks.filter(|_| body_follows) {
                    let mut bytes = format!("{:x}\r\n", chunk.len()).into_bytes();
                    bytes.extend_from_slice(&chunk);
                    bytes.extend_from_slice(b"\r\n");
                    stream.write_all(&bytes)?;
                }
                if body_follows {
                    stream.write_all(b"0\r\n\r\n")?;
                }
            }
        }
        Ok(self.then)
    }
}
