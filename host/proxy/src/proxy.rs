//! The life of a request, from top to bottom.
//!
//! ```text
//! head ──▶ checks, route ──▶ request-filter ──▶ select-upstream ──▶ attempt ──▶ response-filter ──▶ relay ──▶ log, count
//!             │                   │                │     ▲             │              │               │
//!             ▼                   ▼                ▼     └── failed ───┤              ▼               ▼
//!           refuse              answer       answer, refuse          refuse        answer       keep, close, linger
//! ```
//!
//! There is one way for every request, whatever its method, version and body. Each is served by one task, from its
//! connection's first byte to its last.
//!
//! | file | what it does |
//! |---|---|
//! | `choose` | asks the hook for the backend of the next attempt |
//! | `forward`, `attempt` | attempts one after the other; one attempt |
//! | `deliver` | from the response's head to its end, or to another protocol |
//! | `answer`, `refuse` | what is answered here, and what the client is told of each fault |
//! | `outbound` | the heads that are sent |
//! | `client`, `hops` | who asks, and how far it may go |
//! | `idle` | connections to backends that wait for their next request |
//! | `message` | messages as plugins see them |
//! | `context` | what is known of one request |

mod answer;
mod attempt;
mod choose;
mod client;
mod context;
mod deliver;
mod forward;
mod hops;
mod idle;
mod outbound;
mod refuse;

pub use idle::Idle;

use std::sync::Arc;

use arc_swap::ArcSwap;
use http::StatusCode;
use pace_wire::known::Known;
use pace_wire::refusal::Refusal;
use pace_wire::request::RequestHead;

use self::answer::After;
use self::choose::{Selected, select};
use self::context::Context;
use self::refuse::Refused;
use crate::chain::{Remaining, RequestFlow};
use crate::http1::{BodyReader, Client, Next, Waited};
use crate::io::Recycled;
use crate::server::Drain;
use crate::snapshot::{Environment, Snapshot};
use crate::telemetry::{Access, access_log};
use pace_config::ConnectionLimits;

/// The proxy, one per worker. What it serves with is shared and can be replaced while it serves.
pub struct Proxy {
    snapshot: Arc<ArcSwap<Snapshot>>,
    environment: Arc<Environment>,
    idle: Arc<Idle>,
    drain: Arc<Drain>,
    /// The number of its worker.
    worker: usize,
}

/// The status that stands for a client that left before its response, in metrics and log (nginx's word).
const CLIENT_CLOSED_REQUEST: StatusCode = match StatusCode::from_u16(499) {
    Ok(status) => status,
    Err(_) => panic!("499 is a status"),
};

impl Proxy {
    /// A proxy that serves each request with the newest snapshot, until the process begins to `drain`. Connections that it
    /// does not use are left in `idle`, which somebody has to [sweep](Idle::sweep).
    pub fn new(
        snapshot: Arc<ArcSwap<Snapshot>>,
        environment: Arc<Environment>,
        idle: Arc<Idle>,
        drain: Arc<Drain>,
        worker: usize,
    ) -> Proxy {
        Proxy {
            snapshot,
            environment,
            idle,
            drain,
            worker,
        }
    }

    /// How many connections there may be.
    pub fn connection_limits(&self) -> ConnectionLimits {
        self.snapshot.load().connections
    }

    /// Serves a connection from its first request to its end.
    pub async fn serve(&self, mut client: Client) {
        loop {
            let limits = self.snapshot.load().client;
            match client.wait(&limits, self.drain.idle_must_end(self.worker)).await {
                Waited::Byte => {}
                Waited::End => return,
                Waited::Stop => return client.linger().await,
            }
            // What a request needs is held while there is one, and not by a connection that waits.
            let after = Box::pin(self.request(&mut client)).await;
            match after {
                After::Keep => {}
                After::Close => return,
                After::Linger => return client.linger().await,
                After::Reset => return client.transport.reset(),
            }
        }
    }

    /// Reads a request, answers it, and says so.
    async fn request(&self, client: &mut Client) -> After {
        let snapshot = self.snapshot.load_full();
        let mut request = Recycled::<RequestHead>::take();
        let next = client
            .read_head(&mut request, &snapshot.rules, &snapshot.client)
            .await;
        let mut context = Context::new(
            snapshot,
            client.peer,
            &self.environment.metrics.requests_in_flight,
        );
        let after = match next {
            Next::End => return After::Close,
            Next::Request => self.respond(client, &mut request, &mut context).await,
            Next::Refused(refusal) => {
                let mut none = BodyReader::done();
                self.refuse(
                    client,
                    &request,
                    &mut none,
                    &mut context,
                    Refused::Request(refusal),
                )
                .await
            }
        };
        self.finished(&request, &context);
        after
    }

    /// The story of a request whose head is valid.
    async fn respond(&self, client: &mut Client, request: &mut RequestHead, context: &mut Context) -> After {
        let mut body = BodyReader::of_request(request.framing, &context.snapshot.rules);
        if client::identify(client, request, context).is_err() {
            let refused = Refused::Request(Refusal::HeadTooLarge);
            return self.refuse(client, request, &mut body, context, refused).await;
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
        let path = match request.target.path() {
            // All of the server: as much as its root is.
            "*" => "/",
            path => path,
        };
        let route = context.snapshot.router.find(|| request.authority(), path);
        context.route = route.map(Arc::clone);
        let Some(route) = &context.route else {
            return self
                .refuse(client, request, &mut body, context, Refused::NoRoute)
                .await;
        };

        match route.chain.request_filter(context.asker(), request) {
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

        match select(request, context) {
            Selected::Backend(first) => self.forward(client, request, context, first).await,
            Selected::Reply(reply) => {
                let reply = (reply, Remaining::ALL);
                self.answer(client, request, &mut body, context, reply).await
            }
            Selected::Refused(refused) => self.refuse(client, request, &mut body, context, refused).await,
        }
    }

    /// The request is over, one way or another.
    fn finished(&self, request: &RequestHead, context: &Context) {
        let duration = context.started.elapsed();
        let status = context.status.unwrap_or(CLIENT_CLOSED_REQUEST.as_u16());
        let metrics = &self.environment.metrics;
        metrics.request_finished(request.method.as_str(), status, duration);
        if let Some(refusal) = context.refused {
            metrics.refused(refusal);
        }
        access_log(&Access {
            client: context.client,
            method: request.method.as_str(),
            target: request.sent_target(),
            status,
            body_bytes: context.body_bytes,
            duration,
            route: context.route.as_ref().map(|route| route.name.as_str()),
            backend: context.last_backend(),
            attempts: context.attempt,
            refused: context.refused.map(|refusal| refusal.name()),
        });
        if let Some(calls) = &context.calls {
            calls.write(request.method.as_str(), request.sent_target(), status);
        }
    }
}
