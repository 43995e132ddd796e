//! Reaches a backend: on a connection that waits for a request, on a new one, or on a session that others use too.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use http::uri::Scheme;
use pace_tls::alpn::Alpn;
use pace_wire::framing::Framing;
use pace_wire::refusal::Refusal;
use pace_wire::request::RequestHead;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::Proxy;
use super::attempt::{AttemptError, Timeouts, Upload};
use super::connect::{connect, encrypted};
use super::context::Context;
use super::outbound::{self, AddedFields};
use super::sessions::{self, Asked, Place, Target, Ticket, Turn};
use crate::http1::{BackendConnection, Client, Outgoing};
use crate::io::{Stream, Transport};
use crate::server::LAST_REQUEST;
use crate::upstream::Backend;
use pace_config::Protocol;

/// The way of a request to its backend.
pub(super) enum Way {
    /// A connection of HTTP/1.1, and whether it has had other requests.
    Connection(Transport, bool),
    /// A place on a session of HTTP/2.
    Session(Ticket),
}

/// The place of a connection to a backend, which it returns to when its response is complete.
pub(super) struct Lease {
    /// The number of the backend.
    pub(super) backend: u64,
    /// Whether there have been other requests on the connection.
    pub(super) is_reused: bool,
    /// The place on a session, which is free again when this is dropped.
    pub(super) place: Option<Place>,
}

impl Lease {
    /// Has the session take no more requests until it has given a sign of life, if nothing came on it since there was something
    /// for the request: it may be dead.
    pub(super) fn doubt_if_silent(&self, backend: &mut BackendConnection) {
        if let Some(place) = &self.place
            && backend.session_is_silent()
        {
            place.doubt();
        }
    }
}

/// The next step to a backend.
enum Step {
    Take(Way),
    /// A connection of HTTP/1.1 is made.
    Connect,
    /// A place on a session is waited for.
    Wait(oneshot::Receiver<Turn>),
}

/// The time that waiting connections get to close when descriptors have run out, before the next try.
const SHED_PAUSE: Duration = Duration::from_millis(50);

/// The longest time for which descriptors are tried again: by then every connection of HTTP/1.1 that waits for a request has
/// closed.
const SHED_PATIENCE: Duration = LAST_REQUEST.saturating_add(SHED_PAUSE);

impl Way {
    /// Makes a request ready to be sent. Nothing has been sent yet.
    pub(super) fn begin(
        self,
        request: &RequestHead,
        upload: &mut Upload,
        added: &AddedFields<'_>,
        to: &Backend,
    ) -> Result<(BackendConnection, Lease), Refusal> {
        upload.is_broken = false;
        let (transport, is_reused, place) = match self {
            Way::Connection(transport, is_reused) => {
                upload.pump.frame(outbound::request_body(request));
                upload
                    .pump
                    .begin(|out| outbound::request_head(out, request, added));
                (transport, is_reused, None)
            }
            Way::Session(Ticket { place, sender, share }) => {
                let scheme = match to.name {
                    Some(_) => Scheme::HTTPS,
                    None => Scheme::HTTP,
                };
                let head = outbound::stream_request(request, added, scheme)?;
                upload.pump.frame(Outgoing::Stream);
                upload.pump.begin(|_| {});
                let is_complete = request.framing == Framing::None;
                let stream = Stream::to_backend(sender, head, is_complete, share);
                (Transport::Stream(Box::new(stream)), place.is_reused, Some(place))
            }
        };
        let lease = Lease {
            backend: to.number,
            is_reused,
            place,
        };
        Ok((BackendConnection::new(transport), lease))
    }

    /// Notes how long it took to get here.
    pub(super) fn note(&self, context: &Context) {
        context.note(|noted| {
            let Some(attempt) = noted.attempts.last_mut() else {
                return;
            };
            match self {
                Way::Connection(_, true) => {}
                Way::Connection(_, false) => attempt.connect = Some(attempt.begun.elapsed()),
                // A place on a session that others use was waited for.
                Way::Session(ticket) if ticket.place.is_reused => noted.queue += attempt.begun.elapsed(),
                Way::Session(_) => attempt.connect = Some(attempt.begun.elapsed()),
            }
        });
    }

    /// Whether the backend may refuse a request of any method before it has looked at it.
    pub(super) fn may_be_refused(&self) -> bool {
        matches!(self, Way::Session(_))
    }
}

impl Proxy {
    /// Finds a way to a backend, or makes one. If the process has no descriptors left, connections that wait for a request are
    /// closed first.
    pub(super) async fn reach(
        &self,
        client: &mut Client,
        request: &RequestHead,
        context: &Context,
        to: &Arc<Backend>,
        timeouts: &Timeouts,
    ) -> Result<Way, Arc<AttemptError>> {
        let mut step = match self.step(request, context, to) {
            Step::Take(way) => return Ok(way),
            step => step,
        };
        let full = context.pool().settings.connect_timeout;
        let limit = timeouts.up_to(full);
        let until = Instant::now() + limit;
        let mut room_until = None;
        loop {
            let reached = match step {
                Step::Take(way) => return Ok(way),
                Step::Connect => self
                    .connect(client, context, to, until)
                    .await
                    .map(|transport| Way::Connection(transport, false))
                    .map_err(Arc::new),
                Step::Wait(told) => {
                    match wait(client, told, until, || self.no_place(context, to, limit)).await? {
                        Turn::Place(ticket) => Ok(Way::Session(ticket)),
                        Turn::Http1(Some(transport)) => Ok(Way::Connection(transport, false)),
                        Turn::Http1(None) => {
                            step = Step::Connect;
                            continue;
                        }
                        Turn::Failed(error) => Err(error),
                    }
                }
            };
            match reached {
                Err(error)
                    if matches!(*error, AttemptError::Exhausted(_))
                        && room_until.is_none_or(|end| Instant::now() < end) =>
                {
                    if room_until.is_none() {
                        room_until = Some(until.min(Instant::now() + SHED_PATIENCE));
                        self.make_room();
                    }
                    pause(client).await?;
                    step = self.step(request, context, to);
                }
                Err(_) if limit < full && context.is_late() => {
                    return Err(Arc::new(AttemptError::OutOfTime));
                }
                reached => return reached,
            }
        }
    }

    /// Takes a connection or a place that is there, or decides how one is got.
    fn step(&self, request: &RequestHead, context: &Context, to: &Arc<Backend>) -> Step {
        let speaks_http2 = match (context.pool().settings.protocol, &to.name) {
            (Protocol::Http1, _) | (Protocol::Auto, None) => false,
            // A stream switches to no other protocol.
            (Protocol::Auto, Some(_)) if request.wants_upgrade() => false,
            (Protocol::Auto, Some(_)) => {
                match self.sessions.spoken(sessions::key(context.pool(), to)) {
                    Some(alpn) => alpn == Alpn::Http2,
                    // The backend has not been asked lately, and a connection that waits for a request is at hand.
                    None => match self.idle_connection(context, to) {
                        Some(way) => return Step::Take(way),
                        None => true,
                    },
                }
            }
            (Protocol::Http2, _) => true,
        };
        if !speaks_http2 {
            return match self.idle_connection(context, to) {
                Some(way) => Step::Take(way),
                None => Step::Connect,
            };
        }
        let target = Target {
            pool: Arc::clone(context.pool()),
            backend: Arc::clone(to),
            keepalive: context.snapshot.connections.tcp_keepalive,
        };
        match self.sessions.ask(target, context.sessions_after) {
            Asked::Place(ticket) => Step::Take(Way::Session(ticket)),
            Asked::Wait(told) => Step::Wait(told),
        }
    }

    /// The reason why there was no place on a session in time.
    fn no_place(&self, context: &Context, to: &Backend, limit: Duration) -> AttemptError {
        match self.sessions.has_one(sessions::key(context.pool(), to)) {
            true => AttemptError::Crowded(limit),
            false => AttemptError::Unopened(limit),
        }
    }

    fn idle_connection(&self, context: &Context, to: &Backend) -> Option<Way> {
        match context.has_replaced {
            false => {
                let transport = self.idle.take(context.pool(), to.number)?;
                Some(Way::Connection(transport, true))
            }
            // Other idle connections may be as dead as the one that was replaced.
            true => None,
        }
    }

    /// Connects to a backend, to speak HTTP/1.1.
    async fn connect(
        &self,
        client: &mut Client,
        context: &Context,
        to: &Backend,
        until: Instant,
    ) -> Result<Transport, AttemptError> {
        let keepalive = context.snapshot.connections.tcp_keepalive;
        let transport = connect(to, keepalive, until, &mut client.alarm).await?;
        match (transport, &to.name, context.pool().connector()) {
            (Transport::Plain(stream), Some(name), Some(connector)) => {
                encrypted(Box::pin(connector.connect_http1(stream, name.clone(), until)).await)
            }
            (transport, ..) => Ok(transport),
        }
    }

    /// Closes connections that wait for a request, to make descriptors free.
    fn make_room(&self) {
        self.idle.clear();
        self.sessions.clear();
        self.drain.shed_idle();
    }
}

/// Gives connections that are to close some time.
async fn pause(client: &mut Client) -> Result<(), AttemptError> {
    let until = Instant::now() + SHED_PAUSE;
    poll_fn(|context| match client.poll_gone(context) {
        Poll::Ready(_) => Poll::Ready(Err(AttemptError::ClientGone)),
        Poll::Pending => client.alarm.poll(until, context).map(Ok),
    })
    .await
}

/// Waits for a place on a session, for as long as for a connection.
async fn wait(
    client: &mut Client,
    mut told: oneshot::Receiver<Turn>,
    until: Instant,
    no_place: impl Fn() -> AttemptError,
) -> Result<Turn, Arc<AttemptError>> {
    poll_fn(|context| {
        if let Poll::Ready(turn) = Pin::new(&mut told).poll(context) {
            return Poll::Ready(turn.map_err(|_| no_place()));
        }
        if client.poll_gone(context).is_ready() {
            return Poll::Ready(Err(AttemptError::ClientGone));
        }
        client.alarm.poll(until, context).map(|()| Err(no_place()))
    })
    .await
    .map_err(Arc::new)
}
