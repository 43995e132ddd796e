//! Sends answers that do not come from a backend: replies of plugins, Pace's own answers, the metrics.

use bytes::Bytes;
use http::header::HeaderValue;
use http::{Method, StatusCode};
use pace_wire::encode;
use pace_wire::fields::TooLarge;
use pace_wire::framing::Framing;
use pace_wire::request::RequestHead;
use pace_wire::response::ResponseHead;

use super::Proxy;
use super::body::Looked;
use super::context::Context;
use super::grpc;
use super::outbound::{self, Delivery};
use super::refuse::{Refused, reply};
use crate::chain::{Remaining, ResponseFlow};
use crate::http1::{BodyReader, Client, Outgoing};
use crate::telemetry::notes::End;
use pace_hook::{CONTENT_TYPE_NAME, Reply};

/// The usual spelling of `Allow`.
pub(super) const ALLOW: Bytes = Bytes::from_static(b"Allow");

/// The disposition of the client's connection after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Disposition {
    /// The connection is kept: another request may follow.
    Keep,
    /// The connection is closed.
    Close,
    /// The connection is closed in stages, because the client may still be sending.
    Linger,
    /// The connection is reset: an orderly end would make the response look complete.
    Reset,
    /// The connection or the stream is reset once the client has what has passed of the response.
    BreakOff,
    /// The connection continues in HTTP/2.
    Streams,
}

impl Disposition {
    /// The disposition after the last answer of a connection. A client that has not asked for the end may have sent more,
    /// and closing a connection with unread bytes would destroy the answer.
    pub(super) fn of_last(client: &Client, request: &RequestHead) -> Disposition {
        match request.keeps_alive() || !client.input.is_empty() {
            true => Disposition::Linger,
            false => Disposition::Close,
        }
    }
}

/// The result of the response filters.
pub(super) enum Filtered {
    AsIs,
    Instead(Reply, Remaining),
}

impl Proxy {
    /// Runs the response filters on a response.
    pub(super) fn filter(
        &self,
        request: &RequestHead,
        context: &mut Context,
        remaining: Remaining,
        response: &mut ResponseHead,
    ) -> Filtered {
        let Some(route) = &context.route else {
            return Filtered::AsIs;
        };
        let flow = route.chain.response_filter(
            remaining,
            context.call_context(),
            request,
            response,
            context.backend(),
        );
        match flow {
            ResponseFlow::Next => Filtered::AsIs,
            ResponseFlow::Respond(reply, remaining) => Filtered::Instead(reply, remaining),
            ResponseFlow::Failed => {
                context.answered_for = Some(Refused::PluginFailed);
                Filtered::Instead(reply(Refused::PluginFailed), Remaining::NONE)
            }
        }
    }

    /// Sends a plugin's reply, after the remaining response filters have seen it. `body` is the unread rest of the request.
    pub(super) async fn answer(
        &self,
        client: &mut Client,
        request: &RequestHead,
        body: &mut BodyReader,
        context: &mut Context,
        (mut reply, mut remaining): (Reply, Remaining),
    ) -> Disposition {
        context.answered = false;
        let (mut head, mut content) = loop {
            let (mut head, mut content) = head_and_content(reply);
            context.response_size = Some(content.len() as u64);
            match self.filter(request, context, remaining, &mut head) {
                Filtered::AsIs => {}
                Filtered::Instead(next, rest) => {
                    (reply, remaining) = (next, rest);
                    continue;
                }
            }
            match self.filter_reply_body(request, context, remaining, (&mut head, &mut content)) {
                Looked::Instead(next, rest) => (reply, remaining) = (next, rest),
                Looked::Refused(refused) => {
                    return self.refuse(client, request, body, context, refused).await;
                }
                _ => break (head, content),
            }
        };
        let of_reply = (&mut head, &mut content);
        let filtered = self
            .filter_reply_streams(request, context, remaining, of_reply)
            .await;
        if let Err(refused) = filtered {
            return self.refuse(client, request, body, context, refused).await;
        }
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
    ) -> Disposition {
        let (mut head, content) = head_and_content(reply(refused));
        tell_generations(request, context, &mut head);
        context.answered_for = Some(refused);
        if let Refused::Request(refusal) = refused {
            context.refused = Some(refusal);
            head.options.close = true;
        }
        self.send(client, request, body, context, head, content).await
    }

    /// Sends an answer of Pace's own that refuses nothing, which no plugin sees either.
    pub(super) async fn send_reply(
        &self,
        client: &mut Client,
        request: &RequestHead,
        body: &mut BodyReader,
        context: &mut Context,
        reply: Reply,
    ) -> Disposition {
        let (head, content) = head_and_content(reply);
        self.send(client, request, body, context, head, content).await
    }

    /// Answers an OPTIONS whose `Max-Forwards` is used up.
    pub(super) async fn answer_options(
        &self,
        client: &mut Client,
        request: &RequestHead,
        body: &mut BodyReader,
        context: &mut Context,
    ) -> Disposition {
        let reply = Reply {
            status: StatusCode::OK,
            headers: Vec::new(),
            body: Bytes::new(),
        };
        self.send_reply(client, request, body, context, reply).await
    }

    /// Answers a request that no route is for: with 405 if there are routes for it with other methods (RFC 9110, section
    /// 15.5.6), otherwise with 404.
    pub(super) async fn answer_without_route(
        &self,
        client: &mut Client,
        request: &RequestHead,
        body: &mut BodyReader,
        context: &mut Context,
    ) -> Disposition {
        let front = context.snapshot.front(client.arrival.listener);
        let allowed = front.map_or_else(Vec::new, |front| front.router.allowed(request));
        if allowed.is_empty() {
            return self
                .refuse(client, request, body, context, Refused::NoRoute)
                .await;
        }
        // Methods are tokens, so a list of them is a field value.
        let allow = HeaderValue::try_from(allowed.join(", "));
        let mut reply = Reply::text(StatusCode::METHOD_NOT_ALLOWED, "no route for this method\n");
        reply.headers.extend(allow.ok().map(|allow| (ALLOW, allow)));
        self.send_reply(client, request, body, context, reply).await
    }

    /// Answers with the metrics, which have no route.
    pub(super) async fn send_metrics(
        &self,
        client: &mut Client,
        request: &RequestHead,
        body: &mut BodyReader,
        context: &mut Context,
    ) -> Disposition {
        if !matches!(request.method, Method::GET | Method::HEAD) {
            return self
                .refuse(client, request, body, context, Refused::MethodNotAllowed)
                .await;
        }
        let content_type = HeaderValue::from_static(crate::telemetry::METRICS_CONTENT_TYPE);
        let reply = Reply {
            status: StatusCode::OK,
            headers: vec![(CONTENT_TYPE_NAME, content_type)],
            body: self.shared.metrics.render().into(),
        };
        self.send_reply(client, request, body, context, reply).await
    }

    /// Sends a complete answer.
    async fn send(
        &self,
        client: &mut Client,
        request: &RequestHead,
        body: &mut BodyReader,
        context: &mut Context,
        mut head: ResponseHead,
        mut content: Bytes,
    ) -> Disposition {
        // A body that has come already need not end the connection.
        let is_read = body.read_over(&mut client.input);
        let keep = is_read && !head.options.close && self.keeps(client, request, context);
        if request.method == Method::HEAD {
            content = Bytes::new();
        }
        context.status = Some(head.status().as_u16());
        if grpc::is_call(request) {
            grpc::translate(&mut head, &mut content, context.is_late());
        }
        let mut wire = Vec::new();
        match client.transport.stream() {
            Some(stream) => stream.respond(outbound::stream_head(&head, None), content.is_empty()),
            None => {
                let delivery = Delivery {
                    body: Outgoing::Plain,
                    keep,
                };
                outbound::response_head(&mut wire, &head, request, delivery, None);
            }
        }
        context.body_bytes = content.len() as u64;
        let closes = head.options.close;
        if let Some(observed) = &mut context.observed {
            observed.response = Some(head);
        }
        let limit = context.snapshot.client.send;
        match client.send(&wire, &content, limit).await {
            Err(error) => {
                context.end = End::Client;
                log::debug!(target: "pace::proxy", "could not answer {}: {error}", context.client);
                Disposition::Close
            }
            Ok(()) if keep => Disposition::Keep,
            Ok(()) if is_read && !closes => Disposition::of_last(client, request),
            Ok(()) => Disposition::Linger,
        }
    }

    /// Whether client, configuration and process allow that the client's connection is kept after a response.
    pub(super) fn keeps(&self, client: &Client, request: &RequestHead, context: &Context) -> bool {
        request.keeps_alive()
            && client.may_ask_again()
            && context
                .snapshot
                .client
                .requests
                .is_none_or(|most| client.requests < most.get())
            && !self.drain.has_begun()
            // A listener that has been removed has no more requests.
            && context.snapshot.front(client.arrival.listener).is_some()
    }
}

/// Adds the generations of the plugins that served the request, if the request has the header that `[admin] debug_header`
/// names.
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
    // The limits of a reply's headers are below those of a message.
    debug_assert!(fits.is_ok());
    if has_no_length(reply.status) {
        return (head, Bytes::new());
    }
    let body = match reply.status {
        // A 205 has no content, and says so with its length (RFC 9110, section 15.3.6).
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

/// Whether a status has no `Content-Length` (RFC 9110, sections 15.3.5 and 15.4.5). Interim responses are not sent by this
/// module.
fn has_no_length(status: StatusCode) -> bool {
    matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}
