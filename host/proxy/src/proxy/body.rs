//! Collects the bodies that plugins want to see as a whole, and puts back what they have made of them.
//!
//! A body that nobody wants is not collected: it streams. A body that cannot be shown, because it is too large or broken, fails the
//! hooks of those that want it: if all of them fail open, it goes on untouched, as far as it was read and then as it comes.

use std::future::poll_fn;
use std::task::{Context as Task, Poll};

use bytes::Bytes;
use http::{Method, StatusCode};
use pace_content::body::{Access, Content};
use pace_content::collect::{CollectError, Collector};
use pace_content::decode::Codings;
use pace_content::headers;
use pace_wire::fields::{Fields, TooLarge};
use pace_wire::framing::{Framing, remove_framing};
use pace_wire::refusal::Refusal;
use pace_wire::request::RequestHead;
use pace_wire::response::ResponseHead;
use tokio::time::Instant;

use super::Proxy;
use super::answer::Disposition;
use super::attempt::{AttemptError, Upload, of_client};
use super::context::Context;
use super::refuse::Refused;
use crate::chain::{BodyFlow, Chain, Demand, Remaining, RequestFlow, ResponseFlow};
use crate::http1::{BackendConnection, Client, Passed, Pump, PumpError, Side};
use pace_hook::{Body, Failure, FailureReason, Hook, Reply, RequestState};

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
    /// The time that the client gives its call is over.
    OutOfTime,
    /// The client has gone.
    ClientGone,
}

/// The reason why a body was not collected.
enum Uncollected {
    /// The hooks of those that want it have failed, and one of them fails closed.
    Closed(FailureReason),
    /// The hooks of those that want it have failed, and the message goes on untouched.
    Open,
    /// The message ends here.
    Ended(AttemptError),
}

/// A sender's body that is being collected, and those that want it.
struct Collecting<'a> {
    body: Body,
    chain: &'a Chain,
    state: &'a RequestState,
    collector: Collector,
    begun: Instant,
    demand: Demand,
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
        let route = context.route.clone()?;
        let demand = route
            .chain
            .demand(Body::Request, &context.state, Remaining::ALL)?;
        let collected = self
            .collect_request(client, request, context, upload, (&route.chain, demand))
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
        let refused = match flow {
            BodyFlow::Decided(RequestFlow::Next) => {
                if let Some(attempting) = &mut context.attempting {
                    attempting.begin_with(&mut content, self.shared.bodies.permit());
                }
                match put_request(request, upload, content) {
                    Ok(()) => return None,
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
        (chain, demand): (&Chain, Demand),
    ) -> Result<Content, Uncollected> {
        if request.framing == Framing::None {
            return Ok(self.content(Bytes::new()));
        }
        let of = (Body::Request, chain, &context.state);
        let mut collecting = self.collecting(of, &request.fields, announced(request.framing), demand)?;
        if std::mem::take(&mut upload.awaits_continue) {
            ask_for_body(client, request, context)
                .await
                .map_err(Uncollected::Ended)?;
        }
        let collected = poll_fn(|task| {
            let source = (&mut client.transport, &mut client.input);
            match poll_collect(&mut upload.pump, source, &mut collecting.collector, task) {
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
        let Some(route) = context.route.clone() else {
            return Looked::Next;
        };
        let chain = &route.chain;
        let Some(demand) = chain.demand(Body::Response, &context.state, Remaining::ALL) else {
            return Looked::Next;
        };
        let access = access(request, backend.head.status());
        if request.method == Method::HEAD || backend.head.status() == StatusCode::NOT_MODIFIED {
            // The length would be that of a body which plugins may change.
            remove_framing(&mut backend.head.fields);
        } else if backend.head.status() == StatusCode::PARTIAL_CONTENT {
            if request.method == Method::GET && !context.has_asked_for_whole {
                return Looked::WantsWhole;
            }
            let failure = failure(
                FailureReason::BodyPartial,
                "the backend has sent a part of the whole",
            );
            return match chain.body_failed(Body::Response, &context.state, Remaining::ALL, |_| true, &failure)
            {
                true => Looked::Refused(Refused::ResponseBody(failure.reason)),
                false => Looked::Next,
            };
        }
        let collected = self
            .collect_response(
                client,
                (request, context),
                upload,
                (backend, download),
                (chain, demand),
            )
            .await;
        let mut content = match collected {
            Ok(Ok(content)) => content,
            Ok(Err(Uncollected::Open)) => return Looked::Next,
            Ok(Err(Uncollected::Closed(reason))) => return Looked::Refused(Refused::ResponseBody(reason)),
            Ok(Err(Uncollected::Ended(_))) => return Looked::ClientGone,
            Err(looked) => return looked,
        };
        let label = context.backend().map(str::to_owned);
        let flow = chain.response_body(
            Remaining::ALL,
            context.call_context(),
            request,
            (&mut *backend.head, label.as_deref()),
            (&mut content, access),
        );
        match flow {
            BodyFlow::Decided(ResponseFlow::Next) => {
                match put_response(&mut backend.head, download, content) {
                    Ok(()) => Looked::Next,
                    Err(TooLarge) => Looked::Broken("its head has no room for its length".to_owned()),
                }
            }
            BodyFlow::Decided(ResponseFlow::Respond(reply, remaining)) => Looked::Instead(reply, remaining),
            BodyFlow::Decided(ResponseFlow::Failed) => Looked::Refused(Refused::PluginFailed),
            BodyFlow::Unfit(reason) => Looked::Refused(Refused::ResponseBody(reason)),
        }
    }

    /// Collects a response, while the rest of the request goes to the backend.
    async fn collect_response(
        &self,
        client: &mut Client,
        (request, context): (&RequestHead, &Context),
        upload: &mut Upload,
        (backend, download): (&mut BackendConnection, &mut Pump),
        (chain, demand): (&Chain, Demand),
    ) -> Result<Result<Content, Uncollected>, Looked> {
        if download.is_read() && download.reader().trailers().is_none() {
            return Ok(Ok(self.content(Bytes::new())));
        }
        let of = (Body::Response, chain, &context.state);
        let declared = announced(backend.head.framing);
        let mut collecting = match self.collecting(of, &backend.head.fields, declared, demand) {
            Ok(collecting) => collecting,
            Err(uncollected) => return Ok(Err(uncollected)),
        };
        let silence = context.pool().settings.response_timeout;
        let mut progress = (0, Instant::now());
        let ended = poll_fn(|task| {
            if !upload.is_broken && !upload.pump.is_done() {
                let source = (&mut client.transport, &mut client.input);
                let scene = || context.scene(request);
                match upload.poll(source, &mut backend.transport, scene, task) {
                    Poll::Ready(Ok(Passed::Broken)) => {
                        return Poll::Ready(Err(Looked::Refused(upload.refused())));
                    }
                    Poll::Ready(Err(PumpError::Write(_))) => upload.is_broken = true,
                    Poll::Ready(Err(PumpError::Read(_))) => return Poll::Ready(Err(Looked::ClientGone)),
                    // A client that waits for 100 Continue is waited for by nobody.
                    Poll::Pending if upload.awaits_continue => {}
                    Poll::Pending if upload.pump.waits_for() == Side::Source => {
                        let until = upload.patience.wait(upload.pump.taken());
                        if client.alarm.poll(until, task).is_ready() {
                            return Poll::Ready(Err(Looked::ClientGone));
                        }
                    }
                    Poll::Ready(Ok(Passed::Whole)) | Poll::Pending => {
                        upload.patience.pause(upload.pump.taken());
                    }
                }
            }
            if (upload.is_broken || upload.pump.is_done()) && client.poll_gone(task).is_ready() {
                return Poll::Ready(Err(Looked::ClientGone));
            }
            let source = (&mut backend.transport, &mut backend.input);
            match poll_collect(download, source, &mut collecting.collector, task) {
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
                return Poll::Ready(Err(match context.has_deadline_of_client() {
                    true => Looked::OutOfTime,
                    false => Looked::Broken("the time of the request is over".to_owned()),
                }));
            }
            let moved = download.taken() + upload.pump.written();
            if moved != progress.0 {
                progress = (moved, Instant::now());
            }
            if client.alarm.poll(progress.1 + silence, task).is_ready() {
                return Poll::Ready(Err(Looked::Broken(format!("no bytes for {silence:?}"))));
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
        let Some(route) = context.route.clone() else {
            return Looked::Next;
        };
        let chain = &route.chain;
        let Some(demand) = chain.demand(Body::Response, &context.state, remaining) else {
            return Looked::Next;
        };
        let access = access(request, head.status());
        let of = (Body::Response, chain, &context.state);
        let collected = self
            .collecting(of, &head.fields, Some(body.len() as u64), demand)
            .and_then(|mut collecting| {
                let pushed = collecting.collector.push(body);
                match pushed.map(|()| collecting.collector.finish()) {
                    Ok(Ok(content)) => Ok(content),
                    Ok(Err((error, _))) | Err(error) => {
                        let failure = of_collecting(error, demand.limit);
                        Err(failed(of, remaining, &failure))
                    }
                }
            });
        let mut content = match collected {
            Ok(content) => content,
            Err(Uncollected::Closed(reason)) => return Looked::Refused(Refused::ResponseBody(reason)),
            Err(Uncollected::Open | Uncollected::Ended(_)) => return Looked::Next,
        };
        let flow = chain.response_body(
            remaining,
            context.call_context(),
            request,
            (&mut *head, None),
            (&mut content, access),
        );
        match flow {
            BodyFlow::Decided(ResponseFlow::Next) => {
                if content.is_changed() {
                    changed(&mut head.fields);
                }
                *body = content.into_outgoing();
                remove_framing(&mut head.fields);
                match head
                    .fields
                    .append("Content-Length", body.len().to_string().as_bytes())
                {
                    Ok(()) => Looked::Next,
                    Err(TooLarge) => Looked::Refused(Refused::PluginFailed),
                }
            }
            BodyFlow::Decided(ResponseFlow::Respond(reply, remaining)) => Looked::Instead(reply, remaining),
            BodyFlow::Decided(ResponseFlow::Failed) => Looked::Refused(Refused::PluginFailed),
            BodyFlow::Unfit(reason) => Looked::Refused(Refused::ResponseBody(reason)),
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

    fn collecting<'a>(
        &self,
        of: (Body, &'a Chain, &'a RequestState),
        fields: &Fields,
        declared: Option<u64>,
        demand: Demand,
    ) -> Result<Collecting<'a>, Uncollected> {
        let (body, chain, state) = of;
        let Ok(codings) = Codings::parse(fields.get_all("content-encoding")) else {
            let failure = failure(
                FailureReason::BodyEncoding,
                "its content-encoding is not one of gzip, deflate, br and zstd",
            );
            return Err(failed(of, Remaining::ALL, &failure));
        };
        match Collector::new(&codings, demand.limit, declared, &self.shared.bodies) {
            Ok(collector) => Ok(Collecting {
                body,
                chain,
                state,
                collector,
                begun: Instant::now(),
                demand,
            }),
            Err(error) => Err(failed(of, Remaining::ALL, &of_collecting(error, demand.limit))),
        }
    }
}

impl Collecting<'_> {
    /// Ready once none of the plugins waits for the body any more.
    fn poll_late(
        &mut self,
        mut alarm: impl FnMut(Instant, &mut Task<'_>) -> Poll<()>,
        task: &mut Task<'_>,
    ) -> Poll<CollectFault> {
        loop {
            if alarm(self.begun + self.demand.time, task).is_pending() {
                return Poll::Pending;
            }
            let waited = self.demand.time;
            let late = failure(
                FailureReason::BodyTimeout,
                &format!("the body was not there after {waited:?}"),
            );
            let is_closed = self.chain.body_failed(
                self.body,
                self.state,
                Remaining::ALL,
                |limits| limits.time <= waited,
                &late,
            );
            if is_closed {
                return Poll::Ready(CollectFault::Closed(late.reason));
            }
            match self.chain.demand(self.body, self.state, Remaining::ALL) {
                Some(demand) => self.demand.time = demand.time,
                None => return Poll::Ready(CollectFault::Open),
            }
        }
    }

    /// The content; or what becomes of the message, whose start is put back if it goes on.
    fn end(self, ended: Result<(), CollectFault>, pump: &mut Pump) -> Result<Content, Uncollected> {
        let of = (self.body, self.chain, self.state);
        let (failure, sent) = match ended {
            Ok(()) => match self.collector.finish() {
                Ok(content) => return Ok(content),
                Err((error, sent)) => (of_collecting(error, self.demand.limit), sent),
            },
            Err(CollectFault::Error(error)) => (
                of_collecting(error, self.demand.limit),
                self.collector.into_sent(),
            ),
            Err(CollectFault::Closed(reason)) => return Err(Uncollected::Closed(reason)),
            Err(CollectFault::Open) => {
                pump.put_back(self.collector.into_sent());
                return Err(Uncollected::Open);
            }
        };
        let uncollected = failed(of, Remaining::ALL, &failure);
        if let Uncollected::Open = uncollected {
            pump.put_back(sent);
        }
        Err(uncollected)
    }
}

/// The state of a body after some of it has been taken.
enum Collected {
    Whole,
    Failed(CollectFault),
    Broken(crate::http1::BodyError),
}

/// The reason why collecting a body ended before its end.
enum CollectFault {
    Error(CollectError),
    /// A plugin that fails closed no longer waits for it.
    Closed(FailureReason),
    /// Nobody waits for it any more.
    Open,
}

/// Takes the rest of a body.
fn poll_collect(
    pump: &mut Pump,
    (transport, buffer): (&mut crate::io::Transport, &mut crate::io::Buffer),
    collector: &mut Collector,
    task: &mut Task<'_>,
) -> Poll<Collected> {
    loop {
        match pump.poll_take((&mut *transport, &mut *buffer), task) {
            Poll::Ready(Ok(Some(data))) => {
                if let Err(error) = collector.push(buffer.slice(data)) {
                    return Poll::Ready(Collected::Failed(CollectFault::Error(error)));
                }
            }
            Poll::Ready(Ok(None)) => return Poll::Ready(Collected::Whole),
            Poll::Ready(Err(error)) => return Poll::Ready(Collected::Broken(error)),
            Poll::Pending => return Poll::Pending,
        }
    }
}

/// The bytes of a body that its head announces; `None` if only its end will tell.
pub(super) fn announced(framing: Framing) -> Option<u64> {
    match framing {
        Framing::None => Some(0),
        Framing::Length(length) => Some(length),
        Framing::Chunked | Framing::UntilClose => None,
    }
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

/// Has the request go on with the content that plugins have left.
fn put_request(request: &mut RequestHead, upload: &mut Upload, content: Content) -> Result<(), TooLarge> {
    if request.framing == Framing::None && content.size() == 0 {
        return Ok(());
    }
    if content.is_changed() {
        changed(&mut request.fields);
        lose_digests(upload.pump.reader().trailers_mut());
    }
    let body = content.into_outgoing();
    remove_framing(&mut request.fields);
    if upload.pump.reader().trailers().is_some() {
        request.framing = Framing::Chunked;
    } else {
        let length = body.len() as u64;
        request
            .fields
            .append("Content-Length", length.to_string().as_bytes())?;
        request.framing = Framing::Length(length);
    }
    upload.pump.frame(super::outbound::request_body(request));
    upload.pump.put(body);
    Ok(())
}

/// Has a response go on with the content that plugins have left.
fn put_response(head: &mut ResponseHead, download: &mut Pump, content: Content) -> Result<(), TooLarge> {
    if head.framing == Framing::None && content.size() == 0 {
        return Ok(());
    }
    if content.is_changed() {
        changed(&mut head.fields);
        lose_digests(download.reader().trailers_mut());
    }
    let body = content.into_outgoing();
    remove_framing(&mut head.fields);
    if download.reader().trailers().is_some() {
        head.framing = Framing::Chunked;
    } else {
        let length = body.len() as u64;
        head.fields
            .append("Content-Length", length.to_string().as_bytes())?;
        head.framing = Framing::Length(length);
    }
    download.put(body);
    Ok(())
}

/// Corrects the fields that speak of a body which a plugin has changed.
pub(super) fn changed(fields: &mut Fields) {
    for name in headers::LOST {
        fields.remove(name);
    }
    if let Some(etag) = fields
        .get("etag")
        .map(|etag| headers::weak_etag(etag).into_owned())
        && fields.set("ETag", &etag).is_err()
    {
        fields.remove("ETag");
    }
}

/// Removes digests of a body that a plugin has changed from its trailers.
pub(super) fn lose_digests(trailers: Option<&mut Fields>) {
    if let Some(trailers) = trailers {
        for name in headers::LOST_TRAILERS {
            trailers.remove(name);
        }
    }
}

/// The access that HTTP allows to the content of a response.
pub(super) fn access(request: &RequestHead, status: StatusCode) -> Access {
    let has_none = matches!(
        status,
        StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED
    );
    match has_none || request.method == Method::HEAD {
        true => Access::Nothing,
        false => Access::Edit,
    }
}

/// Records that those who want a body cannot have it.
fn failed(
    (body, chain, state): (Body, &Chain, &RequestState),
    remaining: Remaining,
    failure: &Failure,
) -> Uncollected {
    match chain.body_failed(body, state, remaining, |_| true, failure) {
        true => Uncollected::Closed(failure.reason),
        false => Uncollected::Open,
    }
}

fn of_collecting(error: CollectError, limit: u32) -> Failure {
    match error {
        CollectError::TooLarge => failure(
            FailureReason::BodyTooLarge,
            &format!("the body has more than {limit} bytes"),
        ),
        CollectError::Budget => failure(FailureReason::BodyBudget, "there is no memory for the body"),
        CollectError::Encoding(error) => failure(FailureReason::BodyEncoding, &error.to_string()),
    }
}

fn failure(reason: FailureReason, detail: &str) -> Failure {
    Failure {
        reason,
        detail: detail.to_owned(),
    }
}
