//! What the client gets: a backend's response as the filters leave it, or another one instead of it.

use http::header::HeaderValue;
use http::{Method, StatusCode};
use pingora::Result;
use pingora::http::ResponseHeader;
use pingora_proxy::Session;

use super::Proxy;
use super::context::Context;
use super::error::{Refusal, reply};
use super::send;
use crate::chain::{Remaining, ResponseFlow};
use crate::hook::{CONTENT_TYPE_NAME, Reply};

/// What the response filters came to.
enum Filtered {
    AsIs,
    Instead(Reply, Remaining),
}

impl Proxy {
    /// Has the response filters see a backend's response. Returns what is sent instead, if they say so.
    pub(super) fn respond(
        &self,
        session: &Session,
        context: &mut Context,
        response: &mut ResponseHeader,
    ) -> Result<Option<(Box<ResponseHeader>, bytes::Bytes)>> {
        match self.filter_response(session, context, Remaining::ALL, response) {
            Filtered::AsIs => {
                tell_generations(session, context, response)?;
                send::without_body(response)
            }
            Filtered::Instead(reply, remaining) => self.replace(session, context, reply, remaining).map(Some),
        }
    }

    fn filter_response(
        &self,
        session: &Session,
        context: &Context,
        remaining: Remaining,
        response: &mut ResponseHeader,
    ) -> Filtered {
        let Some(route) = &context.route else {
            return Filtered::AsIs;
        };
        let flow = route.chain.response_filter(
            remaining,
            context.asker(),
            session.req_header(),
            response,
            context.backend(),
        );
        match flow {
            ResponseFlow::Next => Filtered::AsIs,
            ResponseFlow::Respond(reply, remaining) => Filtered::Instead(reply, remaining),
            ResponseFlow::Failed => {
                let failed = reply(Refusal::PluginFailed).expect("a failed plugin is answered for");
                Filtered::Instead(failed, Remaining::NONE)
            }
        }
    }

    /// A plugin's response as it will be sent: it has passed the response filters that remain.
    fn replace(
        &self,
        session: &Session,
        context: &mut Context,
        mut reply: Reply,
        mut remaining: Remaining,
    ) -> Result<(Box<ResponseHeader>, bytes::Bytes)> {
        context.answered = false;
        loop {
            let (mut head, body) = send::head_and_body(reply)?;
            match self.filter_response(session, context, remaining, &mut head) {
                Filtered::AsIs => return Ok((head, body)),
                Filtered::Instead(next, rest) => (reply, remaining) = (next, rest),
            }
        }
    }

    /// A plugin's answer as it will be sent: it has passed the response filters.
    pub(super) fn prepare(
        &self,
        session: &Session,
        context: &mut Context,
        reply: Reply,
    ) -> Result<(Box<ResponseHeader>, bytes::Bytes)> {
        let (mut head, body) = self.replace(session, context, reply, Remaining::ALL)?;
        tell_generations(session, context, &mut head)?;
        Ok((head, body))
    }

    /// Sends a plugin's answer.
    pub(super) async fn answer(
        &self,
        session: &mut Session,
        context: &mut Context,
        reply: Reply,
    ) -> Result<bool> {
        let (head, body) = self.prepare(session, context, reply)?;
        send::send(session, head, body).await?;
        Ok(true)
    }

    /// Answers with the metrics, for which there is no route.
    pub(super) async fn send_metrics(&self, session: &mut Session, context: &Context) -> Result<bool> {
        if !matches!(session.req_header().method, Method::GET | Method::HEAD) {
            return refuse(session, context, Refusal::MethodNotAllowed).await;
        }
        let reply = Reply {
            status: StatusCode::OK,
            headers: vec![(
                CONTENT_TYPE_NAME,
                HeaderValue::from_static(crate::telemetry::METRICS_CONTENT_TYPE),
            )],
            body: self.environment.metrics.render().into(),
        };
        let (head, body) = send::head_and_body(reply)?;
        send::send(session, head, body).await?;
        Ok(true)
    }
}

/// Sends Pace's own answer, which no plugin sees.
pub(super) async fn refuse(session: &mut Session, context: &Context, refusal: Refusal) -> Result<bool> {
    if let Some(reply) = reply(refusal) {
        let (mut head, body) = send::head_and_body(reply)?;
        tell_generations(session, context, &mut head)?;
        send::send(session, head, body).await?;
    }
    Ok(true)
}

/// Tells whoever asks with the header that `[admin] debug_header` names which generation of each plugin
/// has served the request.
pub(super) fn tell_generations(
    session: &Session,
    context: &Context,
    response: &mut ResponseHeader,
) -> Result<()> {
    let Some(header) = &context.snapshot.debug_header else {
        return Ok(());
    };
    match &context.route {
        Some(route) if session.req_header().headers.contains_key(header) => {
            response.insert_header("X-Pace-Generations", route.chain.generations())
        }
        _ => Ok(()),
    }
}
