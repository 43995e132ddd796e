//! Answers that are made here: a plugin's, Pace's own, the metrics.

use bytes::Bytes;
use http::header::HeaderValue;
use http::{Method, StatusCode};
use pace_wire::encode;
use pace_wire::fields::TooLarge;
use pace_wire::framing::Framing;
use pace_wire::request::RequestHead;
use pace_wire::response::ResponseHead;

use super::Proxy;
use super::context::Context;
use super::outbound::{self, Delivery};
use super::refuse::{Refused, reply};
use crate::chain::{Remaining, ResponseFlow};
use crate::http1::{BodyReader, Client, Outgoing};
use pace_hook::{CONTENT_TYPE_NAME, Reply};

/// What becomes of the client's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    /// Another request may follow.
    Keep,
    /// It is closed.
    Close,
    /// It is closed in stages: the client may still be sending what nobody wants.
    Linger,
    /// It is reset: an orderly end would say that the response is complete.
    Reset,
}

impl After {
    /// Behind the last answer of a connection. A client that has not asked for the end may have sent more, and what is not
    /// read when the connection is closed takes the answer with it.
    pub(super) fn of_last(client: &Client, request: &RequestHead) -> After {
        match request.keeps_alive() || !client.input.is_empty() {
            true => After::Linger,
            false => After::Close,
        }
    }
}

/// What the response filters came to.
pub(super) enum Filtered {
    AsIs,
    Instead(Reply, Remaining),
}

impl Proxy {
    /// Has the response filters see a response.
    pub(super) fn filter(
        &self,
        request: &RequestHead,
        context: &Context,
        remaining: Remaining,
        response: &mut ResponseHead,
    ) -> Filtered {
        let Some(route) = &context.route else {
            return Filtered::AsIs;
        };
        let flow =
            route
                .chain
                .response_filter(remaining, context.asker(), request, response, context.backend());
        match flow {
            ResponseFlow::Next => Filtered::AsIs,
            ResponseFlow::Respond(reply, remaining) => Filtered::Instead(reply, remaining),
            ResponseFlow::Failed => Filtered::Instead(reply(Refused::PluginFailed), Remaining::NONE),
        }
    }

    /// Sends an answer, after the response filters that remain have seen it. `body` is what has not been read of the
    /// request.
    pub(super) async fn answer(
        &self,
        client: &mut Client,
        request: &RequestHead,
        body: &mut BodyReader,
        context: &mut Context,
        (mut reply, mut remaining): (Reply, Remaining),
    ) -> After {
        context.answered = false;
        let (mut head, content) = loop {
            let (mut head, content) = head_and_content(reply);
            match self.filter(request, context, remaining, &mut head) {
                Filtered::AsIs => break (head, content),
                Filtered::Instead(next, rest) => (reply, remaining) = (next, rest),
            }
        };
        tell_generations(request, context, &mut head);
        self.send(client, request, body, context, head, content).await
    }

    /// Sends Pace's own answer, which no plugin sees.
    pub(super) async fn refuse(
        &self,
        client: &mut Client,
        request: &RequestHead,
        body: &mut BodyReader,
        context: &mut Context,
        refused: Refused,
    ) -> After {
        let (mut head, content) = head_and_content(reply(refused));
        tell_generations(request, context, &mut head);
        if let Refused::Request(refusal) = refused {
            context.refused = Some(refusal);
            head.options.close = true;
        }
        self.send(client, request, body, context, head, content).await
    }

    /// Answers OPTIONS for a client that asks how far its requests get.
    pub(super) async fn answer_options(
        &self,
        client: &mut Client,
        request: &RequestHead,
        body: &mut BodyReader,
        context: &mut Context,
    ) -> After {
        let (head, content) = head_and_content(Reply {
            status: StatusCode::OK,
            headers: Vec::new(),
            body: Bytes::new(),
        });
        self.send(client, request, body, context, head, content).await
    }

    /// Answers with the metrics, for which there is no route.
    pub(super) async fn send_metrics(
        &self,
        client: &mut Client,
        request: &RequestHead,
        body: &mut BodyReader,
        context: &mut Context,
    ) -> After {
        if !matches!(request.method, Method::GET | Method::HEAD) {
            return self
                .refuse(client, request, body, context, Refused::MethodNotAllowed)
                .await;
        }
        let content_type = HeaderValue::from_static(crate::telemetry::METRICS_CONTENT_TYPE);
        let (head, content) = head_and_content(Reply {
            status: StatusCode::OK,
            headers: vec![(CONTENT_TYPE_NAME, content_type)],
            body: self.environment.metrics.render().into(),
        });
        self.send(client, request, body, context, head, content).await
    }

    /// Sends an answer that is complete.
    async fn send(
        &self,
        client: &mut Client,
        request: &RequestHead,
        body: &mut BodyReader,
        context: &mut Context,
        head: ResponseHead,
        content: Bytes,
    ) -> After {
        // What has been read already of the request's body need not end the connection.
        let is_read = body.read_over(&mut client.input);
        let keep = is_read && !head.options.close && self.keeps(client, request, context);
        let delivery = Delivery {
            body: Outgoing::Plain,
            keep,
        };
        let mut wire = Vec::new();
        outbound::response_head(&mut wire, &head, request, delivery, None);
        let content = match request.method {
            Method::HEAD => Bytes::new(),
            _ => content,
        };
        context.status = Some(head.status().as_u16());
        context.body_bytes = content.len() as u64;
        let limit = context.snapshot.client.send;
        match client.send(&wire, &content, limit).await {
            Err(error) => {
                log::debug!(target: "pace::proxy", "could not answer {}: {error}", context.client);
                After::Close
            }
            Ok(()) if keep => After::Keep,
            Ok(()) if is_read && !head.options.close => After::of_last(client, request),
            Ok(()) => After::Linger,
        }
    }

    /// Whether the client's connection is kept behind a response, as far as that is the client's and the operator's wish.
    pub(super) fn keeps(&self, client: &Client, request: &RequestHead, context: &Context) -> bool {
        request.keeps_alive()
            && client.may_ask_again()
            && context
                .snapshot
                .client
                .requests
                .is_none_or(|most| client.requests < most.get())
            && !self.drain.has_begun()
    }
}

/// Tells whoever asks with the header that `[admin] debug_header` names which generation of each plugin
/// has served the request.
pub(super) fn tell_generations(request: &RequestHead, context: &Context, response: &mut ResponseHead) {
    let (Some(header), Some(route)) = (&context.snapshot.debug_header, &context.route) else {
        return;
    };
    if request.fields.get(header.as_str()).is_some()
        && let Err(TooLarge) = response
            .fields
            .set("X-Pace-Generations", route.chain.generations().as_bytes())
    {
        log::debug!(target: "pace::proxy", "a response has no room for the generations");
    }
}

/// A reply as a message, framed by the length of its body.
fn head_and_content(reply: Reply) -> (ResponseHead, Bytes) {
    let mut head = ResponseHead::of_status(reply.status);
    let mut lines = reply.headers.iter();
    let fits = lines.try_for_each(|(name, value)| {
        let name = std::str::from_utf8(name).unwrap_or_default();
        head.fields.append(name, value.as_bytes())
    });
    // A reply's headers are bounded below what a message may have.
    debug_assert!(fits.is_ok());
    if has_no_length(reply.status) {
        return (head, Bytes::new());
    }
    let body = match reply.status {
        // It has none, and says so (RFC 9110, section 15.3.6).
        StatusCode::RESET_CONTENT => Bytes::new(),
        _ => reply.body,
    };
    let mut length = Vec::new();
    encode::decimal(&mut length, body.len() as u64);
    let fits = head.fields.append("Content-Length", &length);
    debug_assert!(fits.is_ok());
    if !body.is_empty() {
        head.framing = Framing::Length(body.len() as u64);
    }
    (head, body)
}

/// RFC 9110, sections 15.3.5 and 15.4.5. Interim responses are not sent from here.
fn has_no_length(status: StatusCode) -> bool {
    matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}
