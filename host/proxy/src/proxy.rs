//! The life of a request, from top to bottom.
//!
//! ```text
//! head ──▶ checks, route ──▶ request-filter ──▶ select-upstream ──▶ attempt ──▶ response-filter ──▶ relay ──▶ log, count
//!             │                   │                │     ▲             │              │               │
//!             ▼                   ▼                ▼     └── failed ───┤              ▼               ▼
//!           refuse              answer       answer, refuse          refuse        answer       keep, close, linger
//! ```
//!
//! Every request takes this way, whatever its method, version and body. One task serves a connection of HTTP/1 from its
//! first byte to its last; each stream of HTTP/2 has a task of its own.
//!
//! | file | what it does |
//! |---|---|
//! | `streams` | serves many requests at once on a connection of HTTP/2 |
//! | `choose`, `sticky` | the backend of the next attempt: asks the plugins, and waits for a place; keeps a client at its backend |
//! | `forward`, `attempt`, `watch` | make attempts one after the other; one attempt; whether its backend still answers |
//! | `retry` | whether, when and where another attempt is made |
//! | `attempt_edits` | the changes that plugins make to one attempt, and their judgement of it |
//! | `reach`, `connect` | reaches a backend on a connection or a session; makes a connection |
//! | `body` | collects bodies that plugins want to see as a whole, and puts back what they have made of them |
//! | `deliver` | passes a response on, or switches to another protocol |
//! | `mirror` | sends copies of requests to another pool |
//! | `fixed` | answers of routes without a pool |
//! | `answer`, `refuse` | send Pace's own answers; the answer to each fault |
//! | `outbound` | writes the heads that are sent |
//! | `front` | answers of a listener before any route |
//! | `client`, `certificate`, `hops` | identify the client; tell its certificate; limit the hops of a request |
//! | `idle`, `sessions`, `held` | keep connections to backends for the next request; share them; count them |
//! | `grpc` | deadlines of calls of gRPC, and answers in their words |
//! | `outcome` | tells plugins how a request ended |
//! | `context` | the state of one request |
//! | `trace`, `finish` | give a request its id and its trace; count it when it is over, and tell of it |

mod answer;
mod attempt;
mod attempt_edits;
mod body;
mod certificate;
mod choose;
mod client;
mod connect;
mod context;
mod deliver;
mod finish;
mod fixed;
mod forward;
mod front;
mod grpc;
mod held;
mod hops;
mod idle;
mod mirror;
mod outbound;
mod outcome;
mod reach;
mod refuse;
mod retry;
mod sessions;
mod stages;
mod sticky;
mod streams;
mod trace;
mod watch;

pub use held::{BackendConnections, Held, HeldConnections};
pub use idle::Idle;
pub use sessions::Sessions;

use std::sync::Arc;

use arc_swap::ArcSwap;
use http::StatusCode;
use pace_tls::server::Frontend;
use pace_wire::framing::Framing;
use pace_wire::known::Known;
use pace_wire::refusal::Refusal;
use pace_wire::request::RequestHead;

use self::answer::Disposition;
use self::attempt::AttemptError;
use self::body::announced;
use self::choose::{Selected, select_first};
use self::context::{Context, Counted};
use self::refuse::Refused;
use crate::chain::{Remaining, RequestFlow};
use crate::http1::{BodyReader, Client, Next, WaitOutcome};
use crate::http2::Io;
use crate::io::{Recycled, Transport};
use crate::listeners::ListenerId;
use crate::server::Drain;
use crate::snapshot::{Shared, Snapshot};
use crate::telemetry::{Counting, Spoken};
use pace_config::ConnectionLimits;
use pace_hook::{Ending, Hook};

/// The proxy of one worker. A clone is the same one. All proxies share the snapshot, which can be replaced while they serve.
#[derive(Clone)]
pub struct Proxy {
    snapshot: Arc<ArcSwap<Snapshot>>,
    shared: Arc<Shared>,
    idle: Arc<Idle>,
    sessions: Arc<Sessions>,
    drain: Arc<Drain>,
    /// The number of the worker.
    worker: usize,
}

/// The status in metrics and log of a request whose client left before the response, as in nginx.
const CLIENT_CLOSED_REQUEST: StatusCode = match StatusCode::from_u16(499) {
    Ok(status) => status,
    Err(_) => panic!("499 is a status"),
};

impl Proxy {
    /// A proxy that serves each request with the newest snapshot, until the process begins to `drain`. It leaves unused
    /// connections to backends in `idle`, and shares those in `sessions`; the worker must sweep [the one](Idle::sweep) and
    /// [the other](Sessions::sweep).
    pub fn new(
        snapshot: Arc<ArcSwap<Snapshot>>,
        shared: Arc<Shared>,
        idle: Arc<Idle>,
        sessions: Arc<Sessions>,
        drain: Arc<Drain>,
        worker: usize,
    ) -> Proxy {
        Proxy {
            snapshot,
            shared,
            idle,
            sessions,
            drain,
            worker,
        }
    }

    /// The limits of client connections.
    pub fn connection_limits(&self) -> ConnectionLimits {
        self.snapshot.load().connections
    }

    /// The TLS of a listener, if it has any.
    pub fn frontend(&self, listener: ListenerId) -> Option<Arc<Frontend>> {
        self.snapshot.load().front(listener)?.frontend.clone()
    }

    /// Serves a connection from its first request to its end.
    pub async fn serve(self: &Arc<Proxy>, mut client: Client) {
        if client.speaks_http2() {
            return self.switch_to_streams(client).await;
        }
        let counting = Counting::speaking(&client.arrival.connections, Spoken::Http1);
        loop {
            let limits = self.snapshot.load().client;
            match client.wait(&limits, self.drain.idle_must_end(self.worker)).await {
                WaitOutcome::Byte => {}
                WaitOutcome::End => return client.transport.close(),
                WaitOutcome::Stop => return client.linger().await,
            }
            // The boxed future is freed after each request, so a waiting connection does not hold its memory.
            let disposition = Box::pin(self.request(&mut client)).await;
            match disposition {
                Disposition::Keep => {}
                Disposition::Close => return client.transport.close(),
                Disposition::Linger => return client.linger().await,
                Disposition::Reset => return client.transport.reset(),
                Disposition::BreakOff => {
                    let patience = self.snapshot.load().client.send;
                    return client.break_off(patience).await;
                }
                Disposition::Streams => {
                    drop(counting);
                    return self.switch_to_streams(client).await;
                }
            }
        }
    }

    async fn switch_to_streams(self: &Arc<Proxy>, client: Client) {
        let Client {
            transport,
            input,
            arrival,
            ..
        } = client;
        let patience = self.snapshot.load().client.send;
        let (io, seen) = Io::of_client(transport, input, patience);
        Box::pin(self.serve_streams(io, seen, arrival)).await;
    }

    /// Reads a request, answers it, logs and counts it.
    async fn request(&self, client: &mut Client) -> Disposition {
        let snapshot = self.snapshot.load_full();
        let mut request = Recycled::<RequestHead>::take();
        let next = client
            .read_head(&mut request, &snapshot.rules, &snapshot.client)
            .await;
        self.take(client, &mut request, snapshot, next).await
    }

    /// Answers a request that was read or refused, logs and counts it.
    async fn take(
        &self,
        client: &mut Client,
        request: &mut RequestHead,
        snapshot: Arc<Snapshot>,
        next: Next,
    ) -> Disposition {
        let spoken = match client.transport {
            Transport::Stream(_) => Spoken::Http2,
            _ => Spoken::Http1,
        };
        let counted = Counted::of_client(&client.arrival, spoken);
        let mut context = Context::new(snapshot, &client.arrival, counted);
        let disposition = match next {
            Next::End => return Disposition::Close,
            Next::Preface => return Disposition::Streams,
            Next::Request => self.respond(client, request, &mut context).await,
            Next::Refused(refusal) => {
                let mut none = BodyReader::done();
                self.refuse(
                    client,
                    request,
                    &mut none,
                    &mut context,
                    Refused::Request(refusal),
                )
                .await
            }
        };
        self.finished(&client.arrival, request, &context);
        disposition
    }

    /// Answers a request whose head is valid: the story of a request, in order.
    async fn respond(
        &self,
        client: &mut Client,
        request: &mut RequestHead,
        context: &mut Context,
    ) -> Disposition {
        let mut body = BodyReader::of_request(request, &context.snapshot.rules);
        let identified = client::identify(client, request, context);
        if identified
            .and_then(|()| certificate::tell(client, request, context))
            .and_then(|()| trace::identify(request, context))
            .is_err()
        {
            let refused = Refused::Request(Refusal::HeadTooLarge);
            return self.refuse(client, request, &mut body, context, refused).await;
        }
        match front::before_routing(&context.snapshot, client, request) {
            None => {}
            Some(Ok(reply)) => return self.send_reply(client, request, &mut body, context, reply).await,
            Some(Err(refused)) => return self.refuse(client, request, &mut body, context, refused).await,
        }
        if context.snapshot.metrics_endpoint.as_deref() == Some(request.target.path()) {
            return self.send_metrics(client, request, &mut body, context).await;
        }

        if let Some(via) = &context.snapshot.via
            && request.fields.all(Known::Via).any(|value| via.is_in(value))
        {
            return self
                .refuse(client, request, &mut body, context, Refused::Loop)
                .await;
        }
        if !hops::take_one(request) {
            return self.answer_options(client, request, &mut body, context).await;
        }
        let front = context.snapshot.front(client.arrival.listener);
        let route = front.and_then(|front| front.router.find(request));
        let Some(route) = route.map(Arc::clone) else {
            return self
                .answer_without_route(client, request, &mut body, context)
                .await;
        };
        context.take_route(&route);
        context.request_size = announced(request.framing);
        context.observed = route.chain.has(Hook::Finished).then(Box::default);
        context.attempting = route.chain.has(Hook::AttemptFilter).then(Box::default);

        if let (Some(most), Framing::Length(length)) = (route.body_limit, request.framing)
            && length > most
        {
            let refused = Refused::Request(Refusal::BodyTooLarge);
            return self.refuse(client, request, &mut body, context, refused).await;
        }
        match route.chain.request_filter(context.call_context(), request) {
            RequestFlow::Next => {}
            RequestFlow::Respond(reply) => {
                let reply = (reply, Remaining::ALL);
                return self.answer(client, request, &mut body, context, reply).await;
            }
            RequestFlow::Failed => {
                return self
                    .refuse(client, request, &mut body, context, Refused::PluginFailed)
                    .await;
            }
        }

        let mut upload = forward::begin(body, request, context);
        // The time runs while a body is collected for its filters, and again by what these have made of the field.
        context.grpc_timeout = grpc::timeout(request);
        if let Some(disposition) = self
            .filter_request_body(client, request, context, &mut upload)
            .await
        {
            context.received = upload.pump.received();
            return disposition;
        }

        if let Some(answer) = fixed::answer(&route, request, context) {
            context.received = upload.pump.received();
            let body = upload.pump.reader();
            return match answer {
                Ok(reply) => {
                    let reply = (reply, Remaining::ALL);
                    self.answer(client, request, body, context, reply).await
                }
                Err(refused) => self.refuse(client, request, body, context, refused).await,
            };
        }

        if let Err(refused) = self.open_request_streams(request, context, &mut upload) {
            context.received = upload.pump.received();
            let body = upload.pump.reader();
            return self.refuse(client, request, body, context, refused).await;
        }
        context.grpc_timeout = grpc::timeout(request);
        context.choose_pool(request);
        self.ask_for_decodable(request, context);
        if let (Some(attempting), Framing::None) = (&mut context.attempting, request.framing) {
            attempting.begin_without_body(self.shared.bodies.permit());
        }
        forward::prepare(&mut upload, request, context);
        let read = forward::read_ahead(client, request, context, &mut upload).await;
        let selected = match read {
            Ok(()) => select_first(client, request, context, &mut upload)
                .await
                .ok_or(AttemptError::ClientGone),
            Err(error) => Err(error),
        };
        let disposition = match selected {
            Ok(Selected::Backend(first)) => self.forward(client, request, context, &mut upload, first).await,
            Ok(Selected::Reply(reply)) => {
                let (body, reply) = (upload.pump.reader(), (reply, Remaining::ALL));
                self.answer(client, request, body, context, reply).await
            }
            Ok(Selected::Refused(refused)) => {
                let body = upload.pump.reader();
                self.refuse(client, request, body, context, refused).await
            }
            Err(AttemptError::Request(refusal)) => {
                let (body, refused) = (upload.pump.reader(), Refused::Request(refusal));
                self.refuse(client, request, body, context, refused).await
            }
            Err(_) => Disposition::Close,
        };
        context.received = upload.pump.received();
        if let Some(mut stages) = upload.stages.take() {
            // A body that was not wanted to its end is cut, however the request has ended otherwise.
            let how = match outcome::ending(context) {
                how @ (Ending::ClientGone | Ending::BackendFailed) => how,
                _ => Ending::Cut,
            };
            stages.end(context.scene(request), how);
        }
        disposition
    }
}
