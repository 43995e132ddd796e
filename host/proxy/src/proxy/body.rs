//! Collects the bodies that plugins want to see as a whole, and puts back what they have made of them.
//!
//! A body that nobody wants is not collected: it streams. A body that cannot be shown, because it is too large or broken, fails the
//! hooks of those that want it: if all of them fail open, it goes on untouched, as far as it was read and then as it comes.

mod collecting;
mod head;

use std::future::poll_fn;
use std::task::Poll;

use bytes::Bytes;
use http::{Method, StatusCode};
use pace_content::body::Content;
use pace_content::headers;
use pace_wire::fields::TooLarge;
use pace_wire::framing::Framing;
use pace_wire::refusal::Refusal;
use pace_wire::request::RequestHead;
use pace_wire::response::ResponseHead;
use tokio::time::Instant;

use self::collecting::{Audience, Collected, Uncollected};
use self::head::put;
pub(super) use self::head::{access, announce, announced, changed, forget_length_of_nothing, lose_digests};
use super::Proxy;
use super::answer::Disposition;
use super::attempt::{AttemptError, Sending, Upload, of_client};
use super::context::Context;
use super::refuse::Refused;
use crate::chain::{BodyFlow, Demand, Remaining, RequestFlow, ResponseFlow};
use crate::http1::{BackendConnection, Client, Pump};
use crate::io::Buffer;
use pace_hook::{Body, Failure, Hook, Reply};

/// The interim response by which a client is asked for the body that it holds back (RFC 9110, section 15.2.1).
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// The way of a response after the plugins that want its body.
pub(super) enum Looked {
    /// It is sent on.
    Next,
    /// Another is sent in its place, which the plugins that remain have not seen.
    Instead(Reply, Remaining),
    /// It cannot be sent.
    Refused(Refused),
    /// It is a part of a whole that is to be asked for.
    WantsWhole,
    /// The backend has broken it off.
    Broken(String),
    /// The backend has not sent it in time.
    Late(AttemptError),
    /// The time that the client gives its call is over.
    OutOfTime,
    /// The client has gone.
    ClientGone,
}

impl From<Uncollected> for Looked {
    fn from(uncollected: Uncollected) -> Looked {
        match uncollected {
            Uncollected::Open => Looked::Next,
            Uncollected::Closed(reason) => Looked::Refused(Refused::ResponseBody(reason)),
            Uncollected::Ended(_) => Looked::ClientGone,
        }
    }
}

impl From<BodyFlow<ResponseFlow>> for Looked {
    fn from(flow: BodyFlow<ResponseFlow>) -> Looked {
        match flow {
            BodyFlow::Decided(ResponseFlow::Next) => Looked::Next,
            BodyFlow::Decided(ResponseFlow::Respond(reply, remaining)) => Looked::Instead(reply, remaining),
            BodyFlow::Decided(ResponseFlow::Failed) => Looked::Refused(Refused::PluginFailed),
            BodyFlow::Unfit(reason) => Looked::Refused(Refused::ResponseBody(reason)),
        }
    }
}

impl Proxy {
    /// Shows the request's body to the plugins that want it. Returns what becomes of the client's connection, if the request ends here.
    pub(super) async fn filter_request_body(
        &self,
        client: &mut Client,
        request: &mut RequestHead,
        context: &mut Context,
        upload: &mut Upload,
    ) -> Option<Disposition> {
        let route = context.route_with(Hook::RequestBodyFilter)?;
        let audience = Audience {
            body: Body::Request,
            chain: &route.chain,
            state: &context.state,
            remaining: Remaining::ALL,
        };
        let demand = audience.demand()?;
        let collected = self
            .collect_request(client, request, context, upload, (audience, demand))
            .await;
        let mut content = match collected {
            Ok(content) => content,
            Err(Uncollected::Open) => return None,
            Err(Uncollected::Closed(reason)) => {
                let (body, refused) = (upload.pump.reader(), Refused::RequestBody(reason));
                return Some(self.refuse(client, request, body, context, refused).await);
            }
            Err(Uncollected::Ended(AttemptError::Request(refusal))) => {
                let (body, refused) = (upload.pump.reader(), Refused::Request(refusal));
                return Some(self.refuse(client, request, body, context, refused).await);
            }
            Err(Uncollected::Ended(_)) => return Some(Disposition::Close),
        };
        let flow = route
            .chain
            .request_body(context.call_context(), request, &mut content);
        let mut passes = flow == BodyFlow::Decided(RequestFlow::Next);
        if passes && let Some(attempting) = &mut context.attempting {
            attempting.begin_with(&mut content, self.shared.bodies.permit());
            passes = false;
        }
        if stays(&mut content, passes, &mut upload.pump, &mut client.input) {
            return None;
        }
        let refused = match flow {
            BodyFlow::Decided(RequestFlow::Next) => {
                let head = (&mut request.fields, &mut request.framing);
                match put(head, &mut upload.pump, content) {
                    Ok(()) => {
                        upload.pump.frame(super::outbound::request_body(request));
                        return None;
                    }
                    Err(TooLarge) => Refused::Request(Refusal::HeadTooLarge),
                }
            }
            BodyFlow::Decided(RequestFlow::Respond(reply)) => {
                let (body, reply) = (upload.pump.reader(), (reply, Remaining::ALL));
                return Some(self.answer(client, request, body, context, reply).await);
            }
            BodyFlow::Decided(RequestFlow::Failed) => Refused::PluginFailed,
            BodyFlow::Unfit(reason) => Refused::RequestBody(reason),
        };
        let body = upload.pump.reader();
        Some(self.refuse(client, request, body, context, refused).await)
    }

    async fn collect_request(
        &self,
        client: &mut Client,
        request: &mut RequestHead,
        context: &Context,
        upload: &mut Upload,
        (audience, demand): (Audience<'_>, Demand),
    ) -> Result<Content, Uncollected> {
        if request.framing == Framing::None {
            return Ok(self.content(Bytes::new()));
        }
        let is_shared = context.attempting.is_some();
        let (pump, buffer) = (&upload.pump, &mut client.input);
        if !upload.awaits_continue
            && let Some(content) = self.content_at_hand(&request.fields, &demand, pump, buffer, is_shared)
        {
            return Ok(content);
        }
        let declared = announced(request.framing);
        let mut collecting = self.collecting(audience, &request.fields, declared, demand)?;
        if std::mem::take(&mut upload.awaits_continue) {
            ask_for_body(client, request, context)
                .await
                .map_err(Uncollected::Ended)?;
        }
        let collected = poll_fn(|task| {
            let source = (&mut client.transport, &mut client.input);
            match collecting.poll(&mut upload.pump, source, task) {
                Poll::Ready(Collected::Whole) => {
                    upload.patience.pause(upload.pump.taken());
                    return Poll::Ready(Ok(Ok(())));
                }
                Poll::Ready(Collected::Failed(error)) => return Poll::Ready(Ok(Err(error))),
                Poll::Ready(Collected::Broken(error)) => return Poll::Ready(Err(of_client(error))),
                Poll::Pending => {}
            }
            let patience = upload.patience.wait(upload.pump.taken());
            let until = context
                .deadline()
                .map_or(patience, |deadline| deadline.min(patience));
            if client.alarm.poll(until, task).is_ready() {
                return Poll::Ready(Err(AttemptError::Request(Refusal::BodyTimeout)));
            }
            collecting
                .poll_late(|end, task| client.alarm.poll(end, task), task)
                .map(|failed| Ok(Err(failed)))
        })
        .await;
        match collected {
            Ok(ended) => collecting.end(ended, &mut upload.pump),
            Err(error) => Err(Uncollected::Ended(error)),
        }
    }

    /// Shows a response's body to the plugins that want it. `download` has its reader, and has sent nothing.
    pub(super) async fn filter_response_body(
        &self,
        client: &mut Client,
        request: &RequestHead,
        context: &mut Context,
        upload: &mut Upload,
        backend: &mut BackendConnection,
        download: &mut Pump,
    ) -> Looked {
        let Some(route) = context.route_with(Hook::ResponseBodyFilter) else {
            return Looked::Next;
        };
        let audience = Audience {
            body: Body::Response,
            chain: &route.chain,
            state: &context.state,
            remaining: Remaining::ALL,
        };
        let Some(demand) = audience.demand() else {
            return Looked::Next;
        };
        let access = access(request, backend.head.status());
        if !forget_length_of_nothing(request, &mut backend.head)
            && backend.head.status() == StatusCode::PARTIAL_CONTENT
        {
            if can_ask_for_whole(request, context, upload) {
                return Looked::WantsWhole;
            }
            return audience.failed(&Failure::body_partial()).into();
        }
        let collected = self
            .collect_response(
                client,
                (request, context),
                upload,
                (backend, download),
                (audience, demand),
            )
            .await;
        let mut content = match collected {
            Ok(Ok(content)) => content,
            Ok(Err(uncollected)) => return uncollected.into(),
            Err(looked) => return looked,
        };
        let label = context.backend().map(str::to_owned);
        let flow = route.chain.response_body(
            Remaining::ALL,
            context.call_context(),
            request,
            (&mut *backend.head, label.as_deref()),
            (&mut content, access),
        );
        let passes = flow == BodyFlow::Decided(ResponseFlow::Next);
        if stays(&mut content, passes, download, &mut backend.input) {
            return Looked::Next;
        }
        match Looked::from(flow) {
            Looked::Next => {
                let head = &mut *backend.head;
                match put((&mut head.fields, &mut head.framing), download, content) {
                    Ok(()) => Looked::Next,
                    Err(TooLarge) => Looked::Broken("its head has no room for its length".to_owned()),
                }
            }
            looked => looked,
        }
    }

    /// Collects a response, while the rest of the request goes to the backend.
    async fn collect_response(
        &self,
        client: &mut Client,
        (request, context): (&RequestHead, &Context),
        upload: &mut Upload,
        (backend, download): (&mut BackendConnection, &mut Pump),
        (audience, demand): (Audience<'_>, Demand),
    ) -> Result<Result<Content, Uncollected>, Looked> {
        if download.is_read() && download.reader().trailers().is_none() {
            return Ok(Ok(self.content(Bytes::new())));
        }
        if let Some(content) =
            self.content_at_hand(&backend.head.fields, &demand, download, &mut backend.input, false)
        {
            return Ok(Ok(content));
        }
        let declared = announced(backend.head.framing);
        let mut collecting = match self.collecting(audience, &backend.head.fields, declared, demand) {
            Ok(collecting) => collecting,
            Err(uncollected) => return Ok(Err(uncollected)),
        };
        let silence = context.pool().settings.response_timeout;
        let mut progress = (0, Instant::now());
        let ended = poll_fn(|task| {
            let scene = || context.scene(request);
            let waits_for_client = match upload.send(client, &mut backend.transport, scene, task) {
                Sending::GoesOn => false,
                // A client that waits for 100 Continue is waited for by nobody.
                Sending::WaitsForClient => !upload.awaits_continue,
                Sending::BrokenOff => return Poll::Ready(Err(Looked::Refused(upload.refused()))),
                Sending::Failed(error) => {
                    return Poll::Ready(Err(match of_client(error) {
                        AttemptError::Request(refusal) => Looked::Refused(Refused::Request(refusal)),
                        _ => Looked::ClientGone,
                    }));
                }
            };
            if waits_for_client {
                let until = upload.patience.wait(upload.pump.taken());
                if client.alarm.poll(until, task).is_ready() {
                    return Poll::Ready(Err(Looked::Refused(Refused::Request(Refusal::BodyTimeout))));
                }
            }
            if (upload.is_broken || upload.pump.is_done()) && client.poll_gone(task).is_ready() {
                return Poll::Ready(Err(Looked::ClientGone));
            }
            let source = (&mut backend.transport, &mut backend.input);
            match collecting.poll(download, source, task) {
                Poll::Ready(Collected::Whole) => return Poll::Ready(Ok(Ok(()))),
                Poll::Ready(Collected::Failed(error)) => return Poll::Ready(Ok(Err(error))),
                Poll::Ready(Collected::Broken(error)) => {
                    return Poll::Ready(Err(Looked::Broken(error.to_string())));
                }
                Poll::Pending => {}
            }
            if let Some(until) = context.deadline()
                && client.alarm.poll(until, task).is_ready()
            {
                return Poll::Ready(Err(match waits_for_client {
                    _ if context.has_deadline_of_client() => Looked::OutOfTime,
                    true => Looked::Refused(Refused::Request(Refusal::BodyTimeout)),
                    false => Looked::Late(AttemptError::Late("request")),
                }));
            }
            // The backend may wait for the rest of the request, for which only the client can be blamed.
            let moved = download.taken() + upload.pump.written();
            if moved != progress.0 || waits_for_client {
                progress = (moved, Instant::now());
            }
            if client.alarm.poll(progress.1 + silence, task).is_ready() {
                return Poll::Ready(Err(Looked::Late(AttemptError::Silent(silence))));
            }
            collecting
                .poll_late(|end, task| client.alarm.poll(end, task), task)
                .map(|failed| Ok(Err(failed)))
        })
        .await?;
        Ok(collecting.end(ended, download))
    }

    /// Shows the body of a plugin's reply to the plugins that remain and want it. An error is the answer that is sent instead.
    pub(super) fn filter_reply_body(
        &self,
        request: &RequestHead,
        context: &mut Context,
        remaining: Remaining,
        (head, body): (&mut ResponseHead, &mut Bytes),
    ) -> Looked {
        let Some(route) = context.route_with(Hook::ResponseBodyFilter) else {
            return Looked::Next;
        };
        let audience = Audience {
            body: Body::Response,
            chain: &route.chain,
            state: &context.state,
            remaining,
        };
        let Some(demand) = audience.demand() else {
            return Looked::Next;
        };
        let access = access(request, head.status());
        let collected = self
            .collecting(audience, &head.fields, Some(body.len() as u64), demand)
            .and_then(|collecting| collecting.take(body));
        let mut content = match collected {
            Ok(content) => content,
            Err(uncollected) => return uncollected.into(),
        };
        let flow = route.chain.response_body(
            remaining,
            context.call_context(),
            request,
            (&mut *head, None),
            (&mut content, access),
        );
        match Looked::from(flow) {
            Looked::Next => {
                if content.is_changed() {
                    changed(&mut head.fields);
                }
                *body = content.into_outgoing();
                match announce(&mut head.fields, body) {
                    Ok(_) => Looked::Next,
                    Err(TooLarge) => Looked::Refused(Refused::PluginFailed),
                }
            }
            looked => looked,
        }
    }

    /// Has the backend asked for no coding that cannot be decoded, if a plugin may want to see the response's body.
    pub(super) fn ask_for_decodable(&self, request: &mut RequestHead, context: &Context) {
        let chain = &context.route().chain;
        let demand = chain.demand(Body::Response, &context.state, Remaining::ALL);
        if demand.is_none() && !chain.has(Hook::ResponseStreamFilter) {
            return;
        }
        if let Some(value) = headers::decodable(request.fields.get_all("accept-encoding"))
            && request.fields.set("Accept-Encoding", &value).is_err()
        {
            request.fields.remove("Accept-Encoding");
        }
    }

    fn content(&self, body: Bytes) -> Content {
        Content::body(body).with_permit(self.shared.bodies.permit())
    }
}

/// Gives memory back that was lent for content. Returns whether the body is sent on from there, because it `passes` and nobody has
/// changed it; else it is taken.
fn stays(content: &mut Content, passes: bool, pump: &mut Pump, buffer: &mut Buffer) -> bool {
    let Some(memory) = content.give_back() else {
        return false;
    };
    buffer.give_back(memory);
    let stays = passes && !content.is_changed();
    match stays {
        true => pump.leave_at_hand(buffer),
        false => pump.take_at_hand(buffer),
    }
    stays
}

/// Whether the backend can be asked for the whole of which it has sent a part.
pub(super) fn can_ask_for_whole(request: &RequestHead, context: &Context, upload: &Upload) -> bool {
    let is_asked_for = request.method == Method::GET && !context.has_asked_for_whole;
    is_asked_for && upload.pump.can_begin_again()
}

/// Asks a client for the body that it holds back. The backend is not asked any more whether it wants it.
async fn ask_for_body(
    client: &mut Client,
    request: &mut RequestHead,
    context: &Context,
) -> Result<(), AttemptError> {
    let sent = match client.transport.stream() {
        Some(stream) => {
            let mut head = http::Response::new(());
            *head.status_mut() = StatusCode::CONTINUE;
            stream.inform(head)
        }
        None => {
            client
                .send(CONTINUE, &Bytes::new(), context.snapshot.client.send)
                .await
        }
    };
    request.fields.remove("Expect");
    sent.map_err(|_| AttemptError::ClientGone)
}
