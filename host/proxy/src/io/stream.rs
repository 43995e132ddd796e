//! One request and its response on a connection of HTTP/2, as bytes in both directions.

use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Response};

/// A stream of a client.
///
/// The bytes are those of the bodies: heads and trailers have methods of their own. Bytes that are read are given
/// back to the client's window at once, because the proxy reads no more than it can pass on.
pub struct Stream {
    request: RecvStream,
    /// Data that has come and has not been read.
    chunk: Bytes,
    state: State,
}

enum State {
    /// Nothing was sent but interim responses.
    Silent(SendResponse<Bytes>),
    /// The head of the response waits, to be sent together with the data that follows.
    Held(SendResponse<Bytes>, Response<()>, bool),
    Sending(SendStream<Bytes>),
    Ended,
}

impl Stream {
    /// A stream whose request has been accepted.
    pub fn new(request: RecvStream, respond: SendResponse<Bytes>) -> Stream {
        Stream {
            request,
            chunk: Bytes::new(),
            state: State::Silent(respond),
        }
    }

    /// Reads data of the request's body; 0 at its end.
    pub fn poll_read(&mut self, bytes: &mut [u8], context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        while self.chunk.is_empty() {
            match ready!(self.request.poll_data(context)) {
                Some(Ok(chunk)) => self.chunk = chunk,
                Some(Err(error)) => return Poll::Ready(Err(failure(error))),
                None => return Poll::Ready(Ok(0)),
            }
        }
        let count = self.chunk.len().min(bytes.len());
        self.chunk.copy_to_slice(&mut bytes[..count]);
        let released = self.request.flow_control().release_capacity(count);
        Poll::Ready(released.map(|()| count).map_err(failure))
    }

    /// The trailers of the request, at its end.
    pub fn poll_trailers(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Option<HeaderMap>>> {
        self.request.poll_trailers(context).map_err(failure)
    }

    /// Sends an interim response, before the final one.
    pub fn inform(&mut self, head: Response<()>) -> io::Result<()> {
        match &mut self.state {
            State::Silent(respond) => respond.send_informational(head).map_err(failure),
            State::Held(..) | State::Sending(_) | State::Ended => Ok(()),
        }
    }

    /// Begins the response. Its head is sent together with the data that follows, or when it is
    /// [flushed](Stream::flush_head). Nothing follows a `complete` response.
    pub fn respond(&mut self, head: Response<()>, complete: bool) {
        self.state = match std::mem::replace(&mut self.state, State::Ended) {
            State::Silent(respond) | State::Held(respond, ..) => State::Held(respond, head, complete),
            other => other,
        };
    }

    /// Sends the head of the response, if it has not been sent.
    pub fn flush_head(&mut self) -> io::Result<()> {
        let (mut respond, head, complete) = match std::mem::replace(&mut self.state, State::Ended) {
            State::Held(respond, head, complete) => (respond, head, complete),
            other => {
                self.state = other;
                return Ok(());
            }
        };
        let sending = respond.send_response(head, complete).map_err(failure)?;
        if !complete {
            self.state = State::Sending(sending);
        }
        Ok(())
    }

    /// Sends as much of the response's body as the client's window has room for.
    pub fn poll_write(
        &mut self,
        parts: &[IoSlice<'_>],
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        self.flush_head()?;
        let State::Sending(sending) = &mut self.state else {
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
        let sent = sending.send_data(data.freeze(), false);
        Poll::Ready(sent.map(|()| count).map_err(failure))
    }

    /// Ends the response, with trailers if it has any.
    pub fn finish(&mut self, trailers: Option<HeaderMap>) -> io::Result<()> {
        self.flush_head()?;
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Sending(mut sending) => match trailers {
                Some(trailers) => sending.send_trailers(trailers),
                None => sending.send_data(Bytes::new(), true),
            }
            .map_err(failure),
            _ => Ok(()),
        }
    }

    /// Ready when the client no longer wants an answer.
    pub fn poll_reset(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        let reset = match &mut self.state {
            State::Silent(respond) | State::Held(respond, ..) => ready!(respond.poll_reset(context)),
            State::Sending(sending) => ready!(sending.poll_reset(context)),
            State::Ended => return Poll::Pending,
        };
        Poll::Ready(match reset {
            Ok(reason) => failure(h2::Error::from(reason)),
            Err(error) => failure(error),
        })
    }

    /// Ends the stream so that the client cannot take a partial response for the whole one. A complete response is
    /// left as it is.
    pub fn reset(self) {
        match self.state {
            State::Silent(mut respond) | State::Held(mut respond, ..) => {
                respond.send_reset(Reason::INTERNAL_ERROR);
            }
            State::Sending(mut sending) => sending.send_reset(Reason::INTERNAL_ERROR),
            State::Ended => {}
        }
    }

    /// The number of the stream on its connection.
    pub fn id(&self) -> u32 {
        self.request.stream_id().as_u32()
    }
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "stream {}", self.id())
    }
}

/// Adds a field to the map of a head or of trailers. The name becomes lower case, as HTTP/2 demands. The field has
/// been read as one, so the map's types take it.
pub fn append_field(map: &mut HeaderMap, name: &[u8], value: &[u8]) {
    if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
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
