//! The answer to a client's request.

use std::io;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::Response;

use super::{Incoming, Outgoing, Stream, failure};

impl Stream {
    /// A stream whose request has been accepted.
    pub fn new(request: RecvStream, respond: SendResponse<Bytes>) -> Stream {
        Stream {
            incoming: Incoming::Body(request),
            chunk: Bytes::new(),
            outgoing: Outgoing::Silent(respond),
            share: None,
        }
    }

    /// Sends an interim response, before the final one.
    pub fn inform(&mut self, head: Response<()>) -> io::Result<()> {
        match &mut self.outgoing {
            Outgoing::Silent(respond) => respond.send_informational(head).map_err(failure),
            _ => Ok(()),
        }
    }

    /// Begins the response. Its head is sent together with the data that follows, or when it is
    /// [flushed](Stream::flush_head). Nothing follows a `complete` response.
    pub fn respond(&mut self, head: Response<()>, complete: bool) {
        self.outgoing = match std::mem::replace(&mut self.outgoing, Outgoing::Ended) {
            Outgoing::Silent(respond) | Outgoing::Response(respond, ..) => {
                Outgoing::Response(respond, head, complete)
            }
            other => other,
        };
    }

    /// Ends the stream because its time is over.
    pub fn cancel(&mut self) {
        match std::mem::replace(&mut self.outgoing, Outgoing::Ended) {
            Outgoing::Silent(mut respond) | Outgoing::Response(mut respond, ..) => {
                respond.send_reset(Reason::CANCEL);
            }
            Outgoing::Body(mut sending) => sending.send_reset(Reason::CANCEL),
            Outgoing::Request(_) | Outgoing::Refused(_) | Outgoing::Ended => {}
        }
    }

    /// Ready when the client no longer wants an answer.
    pub fn poll_reset(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        let reset = match &mut self.outgoing {
            Outgoing::Silent(respond) | Outgoing::Response(respond, ..) => {
                ready!(respond.poll_reset(context))
            }
            Outgoing::Body(sending) => ready!(sending.poll_reset(context)),
            Outgoing::Request(_) | Outgoing::Refused(_) | Outgoing::Ended => return Poll::Pending,
        };
        Poll::Ready(match reset {
            Ok(reason) => failure(h2::Error::from(reason)),
            Err(error) => failure(error),
        })
    }
}
