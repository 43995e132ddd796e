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
//! This is the only file that sees both Pingora's phases and the plugins.

mod context;
mod error;
mod exchange;
mod idle;
mod message;
mod nominated;
mod peer;
mod plain;
mod send;

pub use idle::Idle;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use http::header::{HOST, HeaderValue, TRANSFER_ENCODING, UPGRADE};
use http::{Method, StatusCode, Version};
use log::warn;
use pingora::connectors::TransportConnector;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::modules::http::HttpModules;
use pingora::protocols::Stream;
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorSource, ErrorType, OrErr, Result};
use pingora_proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session};

use self::context::Context;
use self::error::{Refusal, attempt_failure, refusal, refusal_after, reply, unasked_upgrade};
use self::exchange::Exchange;
use crate::chain::{Remaining, RequestFlow, ResponseFlow, SelectFlow};
use crate::client::{client_address, forwarded_for};
use crate::hook::{AttemptFailure, CONTENT_TYPE_NAME, Reply, RequestHead};
use crate::snapshot::{Environment, Snapshot};
use crate::telemetry::access_log;
use crate::upstream::Attempts;

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
            warn!("{} {}: {error}", method, self.request_summary(session, context));
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

const FORWARDED_FOR: &str = "x-forwarded-for";

/// Tells whoever asks with the header that `[admin] debug_header` names which generation of each plugin
/// has served the request.
fn tell_generations(session: &Session, context: &Context, response: &mut ResponseHeader) -> Result<()> {
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

/// The value of `X-Forwarded-For` for the origin.
fn forwarded(session: &Session, context: &Context) -> Result<HeaderValue> {
    let fields = || {
        let fields = session.req_header().headers.get_all(FORWARDED_FOR).iter();
        fields.map(HeaderValue::as_bytes)
    };
    forwarded_for(context.peer, &context.snapshot.trusted_proxies, fields)
        .or_err(ErrorType::InternalError, "the value of X-Forwarded-For")
}

/// What Pingora lets through and HTTP does not: a target that is no text, and a request of HTTP/1.1 without
/// exactly one Host (RFC 9112, section 3.2).
fn is_acceptable(head: &RequestHeader) -> bool {
    let hosts = head.headers.get_all(HOST).iter().count();
    head.raw_path_is_utf8() && (hosts == 1 || (hosts == 0 && head.version != Version::HTTP_11))
}

/// Whether the client has got the head of its response.
fn response_begun(session: &Session) -> bool {
    session
        .response_written()
        .is_some_and(|head| !head.status.is_informational())
}

/// What asking for a backend came to.
enum Selected {
    Backend(u32),
    Reply(Reply),
    Refused(Refusal),
}

/// Asks the route's plugins for the backend of the next attempt.
fn select(session: &Session, context: &Context) -> Selected {
    let route = context.route.as_ref().expect("a backend is chosen for a route");
    let candidates = Attempts {
        pool: &route.pool,
        tried: &context.tried,
        last_failure: context.last_failure,
    };
    let attempt = context.attempt + 1;
    match route
        .chain
        .select_upstream(context.asker(), session.req_header(), &candidates, attempt)
    {
        SelectFlow::Pick(index) => Selected::Backend(index),
        SelectFlow::Respond(reply) => Selected::Reply(reply),
        SelectFlow::NoneLeft => {
            Selected::Refused(context.last_failure.map_or(Refusal::NoBackend, refusal_after))
        }
        SelectFlow::Failed => Selected::Refused(Refusal::PluginFailed),
    }
}

/// What the response filters came to.
enum Filtered {
    AsIs,
    Instead(Reply, Remaining),
}

impl Proxy {
    /// Asks for the backend of the next attempt. `None` if the client has been answered instead.
    async fn choose(&self, session: &mut Session, context: &mut Context) -> Result<Option<u32>> {
        match select(session, context) {
            Selected::Backend(index) => return Ok(Some(index)),
            Selected::Reply(reply) => self.answer(session, context, reply).await?,
            Selected::Refused(refusal) => refuse(session, context, refusal).await?,
        };
        Ok(None)
    }

    /// Sends a plain request to one backend after the other until one answers, and passes its answer on.
    async fn forward(&self, session: &mut Session, context: &mut Context, first: u32) -> Result<()> {
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

    /// Has the response filters see a backend's response. Returns what is sent instead, if they say so.
    fn respond(
        &self,
        session: &Session,
        context: &mut Context,
        response: &mut ResponseHeader,
    ) -> Result<Option<(Box<ResponseHeader>, bytes::Bytes)>> {
        match self.filter_response(session, context, Remaining::ALL, response) {
            Filtered::AsIs => tell_generations(session, context, response).map(|()| None),
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

    fn prepare(
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
    async fn answer(&self, session: &mut Session, context: &mut Context, reply: Reply) -> Result<bool> {
        let (head, body) = self.prepare(session, context, reply)?;
        send::send(session, head, body).await?;
        Ok(true)
    }

    /// An attempt failed on its connection. Books it, and decides whether there is another one.
    fn exchange_failed(
        &self,
        session: &Session,
        context: &mut Context,
        mut error: Box<Error>,
        reused: bool,
    ) -> Box<Error> {
        // What may have reached an origin is sent again only if doing it twice is doing it once (RFC 9110,
        // section 9.2.2), and only if its body is still at hand. A backend that was silent for the whole
        // response timeout is not asked to be again: the client has waited long enough.
        let repeatable = !response_begun(session)
            && *error.esource() == ErrorSource::Upstream
            && attempt_failure(error.etype()) != AttemptFailure::ResponseTimeout
            && session.req_header().method.is_idempotent()
            && !session.as_ref().retry_buffer_truncated();
        if repeatable && reused && context.ask_again() {
            // The backend had closed the connection while it was idle. That says nothing about the backend,
            // so it is not a failed attempt: the same one gets a new connection.
            error.set_retry(true);
            return error;
        }
        self.attempt_failed(session, context, error, repeatable)
    }

    /// Books the end of an attempt, and decides whether there is another one.
    fn attempt_failed(
        &self,
        session: &Session,
        context: &mut Context,
        mut error: Box<Error>,
        repeatable: bool,
    ) -> Box<Error> {
        let failure = attempt_failure(error.etype());
        let route = context.route.as_ref().expect("an attempt follows a route");
        let again = repeatable && context.attempt <= route.pool.max_retries;
        error.set_retry(again);
        if *error.esource() != ErrorSource::Upstream || response_begun(session) {
            // The client's doing, or a response that broke off: the attempt itself had come to an answer.
            return error;
        }
        if let Some((in_flight, since)) = context.current.take() {
            let backend = &in_flight.backend().label;
            self.environment
                .metrics
                .attempt_failed(&route.pool.name, backend, failure);
            if refusal(&error) != Refusal::ClientGone {
                warn!(
                    "attempt {} of {} at {backend} failed after {:.1?} ({}): {}; {}",
                    context.attempt,
                    self.request_summary(session, context),
                    since.elapsed(),
                    failure.name(),
                    error.root_cause(),
                    if again {
                        "another is made"
                    } else {
                        "no other is made"
                    },
                );
                context.explained = true;
            }
        }
        context.last_failure = Some(failure);
        error
    }

    async fn send_metrics(&self, session: &mut Session, context: &Context) -> Result<bool> {
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
async fn refuse(session: &mut Session, context: &Context, refusal: Refusal) -> Result<bool> {
    if let Some(reply) = reply(refusal) {
        let (mut head, body) = send::head_and_body(reply)?;
        tell_generations(session, context, &mut head)?;
        send::send(session, head, body).await?;
    }
    Ok(true)
}

/// Who asks: the peer, or who a trusted peer says it is.
fn client(session: &Session, context: &Context) -> IpAddr {
    let trusted = &context.snapshot.trusted_proxies;
    if trusted.is_empty() {
        return context.peer;
    }
    let forwarded_for = session.req_header().headers.get_all(FORWARDED_FOR);
    let forwarded_for = forwarded_for.iter().map(HeaderValue::as_bytes);
    client_address(context.peer, trusted, forwarded_for)
}

/// The other end of the connection, or what its PROXY header said.
fn peer_address(session: &Session) -> IpAddr {
    session
        .client_addr()
        .and_then(|address| address.as_inet())
        .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| {
            address.ip().to_canonical()
        })
}
