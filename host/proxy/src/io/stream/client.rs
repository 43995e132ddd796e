//! The answer to a client's request.

use std::io;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::Response;
use tokio::sync::oneshot;

use super::{Incoming, Outgoing, Stream, failure};

/// Data without a byte, which tells when it is dropped.
struct Mark(#[expect(dead_code, reason = "it tells by being dropped")] oneshot::Sender<()>);

impl AsRef<[u8]> for Mark {
    fn as_ref(&self) -> &[u8] {
        &[]
    }
}

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

    /// Waits until the data that was written has left the queue of this stream, out of which a reset would take it.
    pub async fn flushed(&mut self) {
        let Outgoing::Body(sending) = &mut self.outgoing else {
            return;
        };
        let (mark, passed) = oneshot::channel();
        // The queue is in order, so when the mark is dropped, everything before it has been sent, or never will be.
        if sending.send_data(Bytes::from_owner(Mark(mark)), false).is_ok() {
            let _ = passed.await;
        }
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
