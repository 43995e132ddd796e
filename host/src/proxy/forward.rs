//! A plain request on its way to a backend and back.

use pingora::protocols::Stream;
use pingora::{Error, Result};
use pingora_proxy::Session;

use super::Proxy;
use super::answer::tell_generations;
use super::client::forwarded;
use super::context::Context;
use super::exchange::{self, Exchange};
use super::{peer, plain, send};

impl Proxy {
    /// Sends a plain request to one backend after the other until one answers, and passes its answer on.
    pub(super) async fn forward(
        &self,
        session: &mut Session,
        context: &mut Context,
        first: u32,
    ) -> Result<()> {
        let mut next = Some(first);
        while let Some(index) = next {
            match self.attempt(session, context, index).await {
                Ok(()) => break,
                Err(error) if error.retry() => {}
                Err(error) => return Err(error),
            }
            next = match context.picked.take() {
                // The same one once more.
                Some(index) => Some(index),
                None => self.choose(session, context).await?,
            };
        }
        Ok(())
    }

    /// One attempt of a plain request. The error says whether there may be another.
    async fn attempt(&self, session: &mut Session, context: &mut Context, index: u32) -> Result<()> {
        let pool = context.begin_attempt(index);
        let backend = &pool.backends[index as usize];
        let idle = match context.has_found_stale() {
            false => self.idle.take(backend.address, pool.idle_timeout),
            // The others may be as dead.
            true => None,
        };
        let reused = idle.is_some();
        let connection = match idle {
            Some(connection) => connection,
            None => {
                let connected = self.connector.new_stream(&peer::peer(&pool, backend)).await;
                // Nothing has been sent, so the method does not matter.
                connected.map_err(|error| self.attempt_failed(session, context, error.into_up(), true))?
            }
        };
        match self.exchange(session, context, connection).await {
            Ok(None) => Ok(()),
            Ok(Some(connection)) => {
                self.idle.put(backend.address, connection, pool.idle_timeout);
                Ok(())
            }
            Err(error) => Err(self.exchange_failed(session, context, error, reused)),
        }
    }

    /// Sends a plain request and passes the response on. Returns the connection if it can be used again.
    async fn exchange(
        &self,
        session: &mut Session,
        context: &mut Context,
        connection: Stream,
    ) -> Result<Option<Stream>> {
        let head = plain::head_to_send(session.req_header(), &forwarded(session, context)?);
        let limit = context.pool().response_timeout;
        let mut exchange = Exchange::begin(connection, &head, limit).await?;
        let mut response = exchange
            .response(exchange::http1(session.as_downstream_mut())?)
            .await?;
        context.answered();
        if let Some((mut head, body)) = self.respond(session, context, &mut response)? {
            // What the backend has to say is not wanted: it need not wait until the client has read this.
            let connection = exchange.end().await;
            tell_generations(session, context, &mut head)?;
            send::send(session, head, body).await.map_err(Error::into_down)?;
            return Ok(connection);
        }
        exchange
            .pass_on(exchange::http1(session.as_downstream_mut())?, response)
            .await?;
        Ok(exchange.end().await)
    }
}
