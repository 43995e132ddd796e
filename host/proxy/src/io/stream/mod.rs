//! One request and its response on a connection of HTTP/2, as bytes in both directions.

mod backend;
mod client;

use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use h2::client::ResponseFuture;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Response};

pub use self::backend::Unanswered;
use self::backend::Unsent;
use super::Share;

/// A stream of a client, or one to a backend.
///
/// The bytes are those of the bodies: heads and trailers have methods of their own. Bytes that are read are given back
/// to the other side's window at once, because the proxy reads no more than it can pass on.
pub struct Stream {
    incoming: Incoming,
    /// Data that has come and has not been read.
    chunk: Bytes,
    outgoing: Outgoing,
    /// The part in the traffic of a session, of a stream to a backend.
    share: Option<Share>,
}

/// The message that is received.
enum Incoming {
    /// Nothing comes before the request has been sent.
    Nothing,
    /// The head of a response.
    Head(ResponseFuture),
    /// A body, and the trailers behind it.
    Body(RecvStream),
}

/// The message that is sent.
enum Outgoing {
    /// Nothing was sent to the client but interim responses.
    Silent(SendResponse<Bytes>),
    /// The head of a response waits, to be sent together with the data that follows.
    Response(SendResponse<Bytes>, Response<()>, bool),
    /// The head of a request waits in the same way.
    Request(Box<Unsent>),
    /// The session did not take the request.
    Refused(h2::Error),
    Body(SendStream<Bytes>),
    Ended,
}

impl Stream {
    /// Reads data of the body; 0 at its end.
    pub fn poll_read(&mut self, bytes: &mut [u8], context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let Incoming::Body(body) = &mut self.incoming else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        while self.chunk.is_empty() {
            match ready!(body.poll_data(context)) {
                Some(Ok(chunk)) => {
                    if let Some(share) = &mut self.share {
                        share.count(chunk.len());
                    }
                    self.chunk = chunk;
                }
                Some(Err(error)) => return Poll::Ready(Err(failure(error))),
                None => {
                    if let Some(share) = &mut self.share {
                        share.end();
                    }
                    return Poll::Ready(Ok(0));
                }
            }
        }
        let count = self.chunk.len().min(bytes.len());
        self.chunk.copy_to_slice(&mut bytes[..count]);
        let released = body.flow_control().release_capacity(count);
        Poll::Ready(released.map(|()| count).map_err(failure))
    }

    /// The trailers behind the body, at its end.
    pub fn poll_trailers(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Option<HeaderMap>>> {
        match &mut self.incoming {
            Incoming::Body(body) => body.poll_trailers(context).map_err(failure),
            Incoming::Nothing | Incoming::Head(_) => Poll::Ready(Ok(None)),
        }
    }

    /// Sends the head, if it has not been sent.
    pub fn flush_head(&mut self) -> io::Result<()> {
        match std::mem::replace(&mut self.outgoing, Outgoing::Ended) {
            Outgoing::Response(mut respond, head, is_complete) => {
                let sending = respond.send_response(head, is_complete).map_err(failure)?;
                if !is_complete {
                    self.outgoing = Outgoing::Body(sending);
                }
                Ok(())
            }
            Outgoing::Request(unsent) => self.send_request(*unsent),
            other => {
                self.outgoing = other;
                Ok(())
            }
        }
    }

    /// Sends as much of the body as the other side's window has room for.
    pub fn poll_write(
        &mut self,
        parts: &[IoSlice<'_>],
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        self.flush_head()?;
        let Outgoing::Body(sending) = &mut self.outgoing else {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        };
        let length: usize = parts.iter().map(|part| part.len()).sum();
        sending.reserve_capacity(length);
        let room = match sending.capacity() {
            0 => match ready!(sending.poll_capacity(context)) {
                Some(Ok(room)) => room,
                Some(Err(error)) => return Poll::Ready(Err(failure(error))),
                None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            },
            room => room,
        };
        let count = length.min(room);
        let mut data = BytesMut::with_capacity(count);
        for part in parts {
            let left = count - data.len();
            data.extend_from_slice(&part[..part.len().min(left)]);
        }
        sending.send_data(data.freeze(), false).map_err(failure)?;
        if let Some(share) = &mut self.share {
            share.count(count);
        }
        Poll::Ready(Ok(count))
    }

    /// Ends the message, with trailers if it has any.
    pub fn finish(&mut self, trailers: Option<HeaderMap>) -> io::Result<()> {
        self.flush_head()?;
        if let Outgoing::Body(sending) = &mut self.outgoing {
            match trailers {
                Some(trailers) => sending.send_trailers(trailers),
                None => sending.send_data(Bytes::new(), true),
            }
            .map_err(failure)?;
            self.outgoing = Outgoing::Ended;
        }
        Ok(())
    }

    /// Ends the stream so that the other side cannot take a partial message for the whole one. A complete message is left
    /// as it is.
    pub fn reset(self) {
        match self.outgoing {
            Outgoing::Silent(mut respond) | Outgoing::Response(mut respond, ..) => {
                respond.send_reset(Reason::INTERNAL_ERROR);
            }
            Outgoing::Body(mut sending) => sending.send_reset(Reason::INTERNAL_ERROR),
            Outgoing::Request(_) | Outgoing::Refused(_) | Outgoing::Ended => {}
        }
    }
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.incoming {
            Incoming::Nothing => out.write_str("a stream before its request"),
            Incoming::Head(head) => write!(out, "stream {:?}", head.stream_id()),
            Incoming::Body(body) => write!(out, "stream {:?}", body.stream_id()),
        }
    }
}

/// Adds a field to the map of a head or of trailers. The name becomes lower case, and the value has no white space around it,
/// as HTTP/2 demands. The field has been read as one, so the map's types take it.
pub fn append_field(map: &mut HeaderMap, name: &[u8], value: &[u8]) {
    let value = HeaderValue::from_bytes(value.trim_ascii());
    if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), value) {
        map.append(name, value);
    }
}

fn failure(error: h2::Error) -> io::Error {
    match error.is_io() {
        true => error
            .into_io()
            .unwrap_or_else(|| io::ErrorKind::ConnectionReset.into()),
        false => io::Error::new(io::ErrorKind::ConnectionReset, error),
    }
}
