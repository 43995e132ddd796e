//! A request to a backend, and the head of its response.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::client::SendRequest;
use http::Request;
use http::response::Parts;

use super::{Incoming, Outgoing, Share, Stream};

/// A request whose head has not been sent.
pub(super) struct Unsent {
    sender: SendRequest<Bytes>,
    head: Request<()>,
    is_complete: bool,
}

/// The reason why a stream has no response.
#[derive(Debug)]
pub enum Unanswered {
    /// The session did not take the request, so the backend has seen nothing of it.
    Unsent(h2::Error),
    /// The stream, or its session, has ended.
    Ended(h2::Error),
}

impl Stream {
    /// A stream for a request. Its head is sent together with the data that follows, or when it is
    /// [flushed](Stream::flush_head). Nothing follows a `complete` request.
    pub fn to_backend(
        sender: SendRequest<Bytes>,
        head: Request<()>,
        is_complete: bool,
        share: Share,
    ) -> Stream {
        Stream {
            incoming: Incoming::Nothing,
            chunk: Bytes::new(),
            outgoing: Outgoing::Request(Box::new(Unsent {
                sender,
                head,
                is_complete,
            })),
            share: Some(share),
        }
    }

    /// The next head of the response, interim or final, and whether nothing follows it.
    pub fn poll_head(&mut self, context: &mut Context<'_>) -> Poll<Result<(Parts, bool), Unanswered>> {
        let answer = match (&mut self.incoming, &self.outgoing) {
            (Incoming::Head(answer), _) => answer,
            (_, Outgoing::Refused(_)) => return Poll::Ready(Err(self.take_refusal())),
            // It is sent by the same task, which then asks again.
            _ => return Poll::Pending,
        };
        if let Poll::Ready(Some(interim)) = answer.poll_informational(context) {
            let (parts, ()) = interim.map_err(Unanswered::Ended)?.into_parts();
            self.count(&parts);
            return Poll::Ready(Ok((parts, false)));
        }
        let response = ready!(Pin::new(answer).poll(context)).map_err(Unanswered::Ended)?;
        let (parts, body) = response.into_parts();
        self.count(&parts);
        let is_complete = body.is_end_stream();
        if is_complete && let Some(share) = &mut self.share {
            share.end();
        }
        self.incoming = Incoming::Body(body);
        Poll::Ready(Ok((parts, is_complete)))
    }

    /// Whether the whole session has heard nothing since the last bytes that were sent or came for this request.
    pub fn session_is_silent(&self) -> bool {
        self.share.as_ref().is_some_and(Share::is_silent)
    }

    pub(super) fn send_request(&mut self, unsent: Unsent) -> io::Result<()> {
        let Unsent {
            mut sender,
            head,
            is_complete,
        } = unsent;
        match sender.send_request(head, is_complete) {
            Ok((answer, sending)) => {
                self.incoming = Incoming::Head(answer);
                if !is_complete {
                    self.outgoing = Outgoing::Body(sending);
                }
                if let Some(share) = &mut self.share {
                    share.count(0);
                }
                Ok(())
            }
            Err(error) => {
                self.outgoing = Outgoing::Refused(error);
                Err(io::ErrorKind::NotConnected.into())
            }
        }
    }

    fn take_refusal(&mut self) -> Unanswered {
        match std::mem::replace(&mut self.outgoing, Outgoing::Ended) {
            Outgoing::Refused(error) => Unanswered::Unsent(error),
            _ => Unanswered::Ended(h2::Reason::INTERNAL_ERROR.into()),
        }
    }

    fn count(&mut self, parts: &Parts) {
        if let Some(share) = &mut self.share {
            let fields = parts.headers.iter();
            share.count(
                fields
                    .map(|(name, value)| name.as_str().len() + value.len())
                    .sum(),
            );
        }
    }
}
