//! The life of a request, from top to bottom.
//!
//! ```text
//! request_filter ──▶ plain? ── yes ──▶ forward: attempt ──▶ (origin) ──▶ respond ───────┐
//!   checks, route,     │                  ▲       │                                     │
//!   request-filter,    no                 └─ failed                                     ▼
//!   select-upstream    ▼                                                       (client), logging
//!                upstream_peer ──▶ upstream_request_filter ──▶ (origin)                 ▲
//!                   │     ▲                                       │                     │
//!                   ▼     └─ failed: fail_to_connect,             ▼                     │
//!                connect            error_while_proxy      response_filter ─────────────┤
//!                                                fail_to_proxy, where nothing else answers
//! ```
//!
//! A [plain](plain) request, which is a head and nothing else, is exchanged with its backend from within
//! `request_filter`. The others go through Pingora's phases. Both ask the same hooks, try again by the same rules
//! and fail in the same words.
//!
//! | file | what it does |
//! |---|---|
//! | `choose` | asks the hook for the backend of the next attempt |
//! | `forward`, `plain`, `exchange`, `idle` | which requests are plain, and their way to a backend and back |
//! | `failure`, `error` | what becomes of an attempt that failed, and what the client is told |
//! | `answer`, `send` | what plugins make of a response, and what is sent instead of it |
//! | `client`, `nominated` | who asks, and which headers end at this hop |
//! | `message` | Pingora's messages as plugins see them |
//! | `context`, `peer` | what is known of one request, and of the connection that it wants |
//!
//! Nobody else sees both Pingora's phases and the plugins.

mod answer;
mod choose;
mod client;
mod context;
mod error;
mod exchange;
mod failure;
mod forward;
mod idle;
mod message;
mod nominated;
mod peer;
mod plain;
mod send;

pub use idle::Idle;

use std::sync::{Arc, LazyLock};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use http::header::{HOST, TRANSFER_ENCODING, UPGRADE};
use http::{StatusCode, Version};
use log::warn;
use pingora::connectors::TransportConnector;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::modules::http::HttpModules;
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType, Result};
use pingora_proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session};

use self::answer::{refuse, tell_generations};
use self::choose::{Selected, select};
use self::client::{FORWARDED_FOR, client, forwarded, peer_address};
use self::context::Context;
use self::error::{Refusal, refusal, reply, unasked_upgrade};
use self::failure::{asked, response_begun};
use crate::chain::RequestFlow;
use crate::escape::Line;
use crate::hook::RequestHead;
use crate::logging::Limited;
use crate::snapshot::{Environment, Snapshot};
use crate::telemetry::access_log;

/// The proxy, one per worker. What it serves with is shared and can be replaced while it serves.
pub struct Proxy {
    snapshot: Arc<ArcSwap<Snapshot>>,
    environment: Arc<Environment>,
    /// Makes the connections for plain requests, which `idle` keeps.
    connector: TransportConnector,
    idle: Arc<Idle>,
}

impl Proxy {
    /// A proxy that serves each request with the newest snapshot. Connections that it does not use are left in
    /// `idle`, which somebody has to [sweep](Idle::sweep).
    pub fn new(snapshot: Arc<ArcSwap<Snapshot>>, environment: Arc<Environment>, idle: Arc<Idle>) -> Proxy {
        Proxy {
            snapshot,
            environment,
            connector: TransportConnector::new(None),
            idle,
        }
    }
}

/// The types of the errors by which a phase tells Pingora to stop. What the client gets instead is in the
/// context.
const ANSWERED: ErrorType = ErrorType::Custom("answered by Pace");

#[async_trait]
impl ProxyHttp for Proxy {
    type CTX = Context;

    fn new_ctx(&self) -> Context {
        Context::new(
            self.snapshot.load_full(),
            &self.environment.metrics.requests_in_flight,
        )
    }

    /// Pingora's own modules (compression) are policy, and not used.
    fn init_downstream_modules(&self, _modules: &mut HttpModules) {}

    /// The request's head is there. Says whether it has been answered already.
    async fn request_filter(&self, session: &mut Session, context: &mut Context) -> Result<bool> {
        context.peer = peer_address(session);
        context.client = client(session, context);
        if !is_acceptable(session.req_header()) || nominated::remove(session.req_header_mut()).is_err() {
            return refuse(session, context, Refusal::BadRequest).await;
        }
        if context.snapshot.metrics_endpoint.as_deref() == Some(session.req_header().path()) {
            return self.send_metrics(session, context).await;
        }

        let head = session.req_header();
        let route = context.snapshot.router.find(|| head.authority(), head.path());
        context.route = route.map(Arc::clone);
        let Some(route) = &context.route else {
            return refuse(session, context, Refusal::NoRoute).await;
        };

        match route
            .chain
            .request_filter(context.asker(), session.req_header_mut())
        {
            RequestFlow::Next => {}
            RequestFlow::Respond(reply) => return self.answer(session, context, reply).await,
            RequestFlow::Failed => return refuse(session, context, Refusal::PluginFailed).await,
        }

        // The first attempt's backend is chosen here rather than in `upstream_peer`, because an answer
        // from here leaves the client's connection usable.
        let Some(first) = self.choose(session, context).await? else {
            return Ok(true);
        };
        if plain::is_plain(session.as_downstream_mut()) {
            self.forward(session, context, first).await?;
            return Ok(true);
        }
        context.picked = Some(first);
        Ok(false)
    }

    /// An attempt begins: where does it go?
    async fn upstream_peer(&self, session: &mut Session, context: &mut Context) -> Result<Box<HttpPeer>> {
        let index = match context.picked.take() {
            Some(first) => first,
            None => match select(session, context) {
                Selected::Backend(index) => index,
                Selected::Reply(reply) => {
                    context.instead = Some(self.prepare(session, context, reply)?);
                    return Err(Error::new_in(ANSWERED));
                }
                Selected::Refused(refusal) => {
                    context.instead = reply(refusal).map(send::head_and_body).transpose()?;
                    return Err(Error::new_in(ANSWERED));
                }
            },
        };
        let pool = context.begin_attempt(index);
        Ok(Box::new(peer::peer(&pool, &pool.backends[index as usize])))
    }

    /// The request's head as the origin will get it, once per attempt.
    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        context: &mut Context,
    ) -> Result<()> {
        request.insert_header(FORWARDED_FOR, forwarded(session, context)?)
    }

    /// No connection could be made.
    fn fail_to_connect(
        &self,
        session: &mut Session,
        _peer: &HttpPeer,
        context: &mut Context,
        error: Box<Error>,
    ) -> Box<Error> {
        // Nothing has been sent, so the method does not matter.
        self.attempt_failed(session, context, error, true)
    }

    /// A connection was made, and the attempt failed on it.
    fn error_while_proxy(
        &self,
        _peer: &HttpPeer,
        session: &mut Session,
        mut error: Box<Error>,
        context: &mut Context,
        reused: bool,
    ) -> Box<Error> {
        if context.instead.is_some() {
            error.set_retry(false);
            return error;
        }
        self.exchange_failed(session, context, error, reused)
    }

    /// The response's head is there; nothing has been sent to the client.
    async fn response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        context: &mut Context,
    ) -> Result<()> {
        let switches = response.status == StatusCode::SWITCHING_PROTOCOLS;
        if response.status.is_informational() && !switches {
            return Ok(());
        }
        if switches && !session.req_header().headers.contains_key(UPGRADE) {
            return Err(unasked_upgrade());
        }
        context.answered();
        if switches {
            // What follows is not HTTP any more, and its head is not for plugins to change.
            return Ok(());
        }
        if session.req_header().version < Version::HTTP_11 {
            // It has never heard of chunks (RFC 9112, section 6.1): the body ends with the connection.
            response.remove_header(&TRANSFER_ENCODING);
            session.set_keepalive(None);
        }
        match self.respond(session, context, response)? {
            None => Ok(()),
            Some(instead) => {
                context.instead = Some(instead);
                Err(Error::new_in(ANSWERED))
            }
        }
    }

    /// Nothing went as it should: what does the client get?
    async fn fail_to_proxy(
        &self,
        session: &mut Session,
        error: &Error,
        context: &mut Context,
    ) -> FailToProxy {
        let instead = context
            .instead
            .take()
            .map(Ok)
            .or_else(|| reply(refusal(error)).map(send::head_and_body));
        let instead = instead.and_then(|answer| {
            let (mut head, body) = answer.ok()?;
            tell_generations(session, context, &mut head).ok()?;
            Some((head, body))
        });
        let mut error_code = 0;
        if let (Some((head, body)), false) = (instead, response_begun(session)) {
            error_code = head.status.as_u16();
            // Pingora closes the connection after this, so the client is told.
            session.set_keepalive(None);
            if let Err(error) = send::send(session, head, body).await {
                log::debug!("could not answer {}: {error}", context.client);
            }
        }
        FailToProxy {
            error_code,
            can_reuse_downstream: false,
        }
    }

    /// The request is over, one way or another.
    async fn logging(&self, session: &mut Session, error: Option<&Error>, context: &mut Context) {
        let duration = context.started.elapsed();
        let status = match session.response_written() {
            Some(head) => head.status,
            None => CLIENT_CLOSED_REQUEST,
        };
        let method = session.req_header().method.as_str();
        self.environment
            .metrics
            .request_finished(method, status.as_u16(), duration);
        access_log(&crate::telemetry::Access {
            client: context.client,
            method,
            target: session.req_header().raw_path(),
            status: status.as_u16(),
            body_bytes: session.body_bytes_sent(),
            duration,
            route: context.route.as_ref().map(|route| route.name.as_str()),
            backend: context.backend(),
            attempts: context.attempt,
        });
        if let Some(calls) = &context.calls {
            calls.write(method, session.req_header().raw_path(), status.as_u16());
        }
        if let Some(error) = error
            && !context.explained
            && *error.etype() != ANSWERED
            && refusal(error) != Refusal::ClientGone
        {
            static FAILED: LazyLock<Limited> = LazyLock::new(|| Limited::new("requests that failed"));
            if FAILED.admits() {
                warn!("{}: {}", asked(session), Line(error));
            }
        }
    }

    /// Failed attempts and requests have lines of their own, in our words.
    fn suppress_error_log(&self, _session: &Session, _context: &Context, _error: &Error) -> bool {
        true
    }

    fn suppress_proxy_warn_log(
        &self,
        _session: &Session,
        _context: &Context,
        _error: &Error,
        _which: ProxyWarnLogContext,
    ) -> bool {
        true
    }
}

/// The status that stands for a client that left before its response, in metrics and log (nginx's word).
const CLIENT_CLOSED_REQUEST: StatusCode = match StatusCode::from_u16(499) {
    Ok(status) => status,
    Err(_) => panic!("499 is a status"),
};

/// What Pingora lets through and HTTP does not: a target that is no text, and a request of HTTP/1.1 without
/// exactly one Host (RFC 9112, section 3.2).
fn is_acceptable(head: &RequestHeader) -> bool {
    let hosts = head.headers.get_all(HOST).iter().count();
    head.raw_path_is_utf8() && (hosts == 1 || (hosts == 0 && head.version != Version::HTTP_11))
}
