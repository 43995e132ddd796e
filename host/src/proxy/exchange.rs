//! A plain request and its response on a connection to a backend.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderValue, StatusCode, Version};
use pingora::http::ResponseHeader;
use pingora::protocols::Stream;
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::v1::client::HttpSession as BackendSession;
use pingora::protocols::http::v1::server::HttpSession as ClientSession;
use pingora::time::timeout;
use pingora::{Error, ErrorSource, ErrorType, OkOrErr, OrErr, Result};
use tokio::io::AsyncWriteExt;

use super::error::unasked_upgrade;

/// A request that has been sent. Dropped before its end, it closes the connection.
pub(super) struct Exchange {
    backend: BackendSession,
}

impl Exchange {
    /// Sends a request. `limit` is how long the backend may be silent, now and whenever something is expected of it.
    pub(super) async fn begin(mut stream: Stream, head: &[u8], limit: Duration) -> Result<Exchange> {
        let send = async {
            stream.write_all(head).await?;
            stream.flush().await
        };
        match timeout(limit, send).await {
            Ok(sent) => sent.or_err(ErrorType::WriteError, "while the request was sent"),
            Err(_) => Error::e_explain(ErrorType::WriteTimedout, "while the request was sent"),
        }
        .map_err(Error::into_up)?;
        let mut backend = BackendSession::new(stream);
        backend.read_timeout = Some(limit);
        Ok(Exchange { backend })
    }

    /// The head of the response, framed as the client will get it. Interim responses before it are passed on.
    pub(super) async fn response(&mut self, client: &mut ClientSession) -> Result<Box<ResponseHeader>> {
        loop {
            unless_gone(client, self.backend.read_response())
                .await?
                .map_err(Error::into_up)?;
            let head = self.backend.resp_header().map(|head| Box::new(head.clone()));
            let mut head = head.or_err(ErrorType::InternalError, "a response that was read has no head")?;
            if head.status == StatusCode::SWITCHING_PROTOCOLS {
                return Err(unasked_upgrade());
            }
            if head.status.is_informational() {
                let sent = client.write_response_header(head).await;
                sent.map_err(Error::into_down)?;
                continue;
            }
            if !self.backend.is_body_done()
                && !head.headers.contains_key(TRANSFER_ENCODING)
                && !head.headers.contains_key(CONTENT_LENGTH)
            {
                // It ends with the connection to the backend. The client's is kept, so it needs another end.
                head.set_version(Version::HTTP_11);
                head.insert_header(TRANSFER_ENCODING, HeaderValue::from_static("chunked"))?;
            }
            return Ok(head);
        }
    }

    /// Passes the response on, from its head to its end. If it breaks off, the client gets what there was of it, and
    /// its connection is closed.
    pub(super) async fn pass_on(
        &mut self,
        client: &mut ClientSession,
        head: Box<ResponseHeader>,
    ) -> Result<()> {
        let passed = self.pass_all_on(client, head).await;
        if matches!(&passed, Err(error) if *error.esource() == ErrorSource::Upstream) {
            // Sends what has been gathered.
            client.shutdown().await;
        }
        passed
    }

    async fn pass_all_on(&mut self, client: &mut ClientSession, head: Box<ResponseHeader>) -> Result<()> {
        let sent = client.write_response_header(head).await;
        sent.map_err(Error::into_down)?;
        while !self.backend.is_body_done() {
            let piece = unless_gone(client, self.backend.read_body_ref()).await?;
            match piece.map_err(Error::into_up)? {
                // Nothing would be the end of a chunked body.
                Some([]) => {}
                Some(piece) => {
                    client.write_body(piece).await.map_err(Error::into_down)?;
                }
                None => break,
            }
        }
        client.finish_body().await.map_err(Error::into_down)?;
        Ok(())
    }

    /// The connection, if it can be used for another request. It is closed if there is something left of the response.
    pub(super) async fn end(mut self) -> Option<Stream> {
        self.backend.respect_keepalive();
        self.backend.reuse().await
    }
}

/// The client's side of a plain request.
pub(super) fn http1(session: &mut ServerSession) -> Result<&mut ClientSession> {
    match session {
        ServerSession::H1(client) => Ok(client),
        ServerSession::H2(_) | ServerSession::Subrequest(_) | ServerSession::Custom(_) => {
            Error::e_explain(ErrorType::InternalError, "a plain request is one of HTTP/1.1")
        }
    }
}

/// Waits for something, but no longer than the client does.
async fn unless_gone<T>(client: &mut ClientSession, wait: impl Future<Output = T>) -> Result<T> {
    let mut wait = pin!(wait);
    let mut gone = pin!(client.read_body_or_idle(true));
    poll_fn(|context| {
        if let Poll::Ready(done) = wait.as_mut().poll(context) {
            return Poll::Ready(Ok(done));
        }
        match gone.as_mut().poll(context) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error.into_down())),
            // Pingora answers so where there may be a body, which is never here.
            Poll::Ready(Ok(_)) => Poll::Ready(Error::e_explain(
                ErrorType::InternalError,
                "a body of a request without one",
            )),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}
