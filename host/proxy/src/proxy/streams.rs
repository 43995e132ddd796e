//! A connection of HTTP/2: many requests at once, each of which is served like any other.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::Request;
use http::request::Parts;
use http::uri::{Authority, PathAndQuery};
use log::info;
use pace_wire::refusal::Refusal;
use pace_wire::request::{Pseudo, RequestHead, Rules};
use tokio::task::yield_now;
use tokio::time::{Instant, timeout_at};

use super::Proxy;
use super::answer::Disposition;
use crate::http1::{Arrival, Client, Next};
use crate::http2::{self, Io, Seen};
use crate::io::{Alarm, Recycled, Stream, Transport, flushed};
use crate::telemetry::{Activity, Counting, Spoken};
use pace_base::logging::Limited;
use pace_config::ClientLimits;

/// How long a connection that is about to end may take to send its last frames.
const FAREWELL: Duration = Duration::from_secs(2);

/// The requests that a client may still begin after it has been told that its connection ends: those that crossed the
/// message. A client that does not answer the PING behind it (RFC 9113, section 6.8) would go on for ever.
const CROSSING: u32 = 200;

/// How long no request must be under way on a connection that has had its number of them, before it is told to end.
const LULL: Duration = Duration::from_millis(100);

/// The number of bytes that each field of a head counts for beside its own (RFC 9113, section 6.5.2).
const PER_FIELD: usize = 32;

/// The number of bytes that the four pseudo-header fields count for beside method, target and host.
const PSEUDO_FIELDS: usize = 4 * PER_FIELD + ":method:scheme:authority:path".len() + "https".len();

static ENDED: LazyLock<Limited> =
    LazyLock::new(|| Limited::new("connections of HTTP/2 that ended with an error"));

/// The next event of a connection.
#[expect(
    clippy::large_enum_variant,
    reason = "taken apart at once, and nearly always a request: a box would be one more allocation for each"
)]
enum Event {
    Request(Request<RecvStream>, SendResponse<Bytes>),
    /// The client sends frames without end that carry nothing.
    Flood,
    /// The connection must end after the requests that are under way.
    MustEnd,
    /// The connection has been idle for too long, or has had its requests and is idle now.
    Late,
    /// The connection is over.
    End,
}

impl Proxy {
    /// Serves a connection until the client closes it, is idle for too long, or the process is about to end.
    pub(super) async fn serve_streams(self: &Arc<Proxy>, io: Io, seen: Arc<Seen>, arrival: Arc<Arrival>) {
        let _counting = Counting::speaking(&arrival.connections, Spoken::Http2);
        let mut activity = Activity::none(&arrival.connections);
        let (limits, max_list) = {
            let snapshot = self.snapshot.load();
            (snapshot.client, max_list(&snapshot.rules, &snapshot.client))
        };
        let begun = timeout_at(Instant::now() + limits.head, http2::handshake(io, max_list)).await;
        let Ok(Ok(mut connection)) = begun else { return };
        let mut alarm = Alarm::new();
        let mut must_end = pin!(self.drain.idle_must_end(self.worker));
        let mut accepted = 0_u32;
        let mut crossing = 0;
        let mut is_ending = false;
        let mut idle_since = Some(Instant::now());
        loop {
            let event = poll_fn(|context| {
                let polled = connection.poll_accept(context);
                if let Poll::Ready(Some(Ok((request, respond)))) = polled {
                    return Poll::Ready(Event::Request(request, respond));
                }
                self.note(&seen, &arrival);
                if polled.is_ready() {
                    return Poll::Ready(Event::End);
                }
                if seen.take_flood() {
                    return Poll::Ready(Event::Flood);
                }
                if !is_ending && must_end.as_mut().poll(context).is_ready() {
                    return Poll::Ready(Event::MustEnd);
                }
                let is_active = connection.has_streams();
                activity.set(is_active);
                if is_active {
                    idle_since = None;
                    return Poll::Pending;
                }
                let limit = match is_ending {
                    true => FAREWELL,
                    false => lull(accepted, &limits).unwrap_or_default(),
                };
                let since = *idle_since.get_or_insert_with(Instant::now);
                alarm.poll(since + limit, context).map(|()| Event::Late)
            })
            .await;
            match event {
                Event::Request(request, respond) => {
                    seen.accept(respond.stream_id().as_u32());
                    accepted += 1;
                    crossing += u32::from(is_ending);
                    if crossing > CROSSING {
                        return;
                    }
                    if !is_ending && lull(accepted, &limits).is_none() {
                        is_ending = true;
                        connection.graceful_shutdown();
                    }
                    let (proxy, arrival, seen) = (Arc::clone(self), Arc::clone(&arrival), Arc::clone(&seen));
                    // A panic ends this task and with it the stream, nothing else.
                    tokio::spawn(async move { proxy.serve_stream(request, respond, arrival, &seen).await });
                }
                Event::Flood => {
                    is_ending = true;
                    idle_since = idle_since.map(|_| Instant::now());
                    connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
                }
                // No descriptors are left, and the one of an idle connection is of use elsewhere.
                Event::MustEnd if idle_since.is_none() && !self.drain.has_begun() => {
                    must_end.set(self.drain.idle_must_end(self.worker));
                }
                Event::MustEnd | Event::Late if !is_ending => {
                    is_ending = true;
                    idle_since = idle_since.map(|_| Instant::now());
                    connection.graceful_shutdown();
                }
                Event::MustEnd | Event::Late | Event::End => return,
            }
        }
    }

    /// Counts and logs requests that were refused before their heads could be read, and a connection that ended with an
    /// error.
    fn note(&self, seen: &Seen, arrival: &Arrival) {
        let metrics = &self.shared.metrics;
        seen.take(
            |refusal| self.refused_unread(arrival, refusal),
            |ending| {
                metrics.http2_ended(ending);
                if ENDED.admits() {
                    info!(target: "pace::proxy", "HTTP/2 with {} ended: {}", arrival.peer, ending.name());
                }
            },
        );
    }

    /// Serves one request.
    async fn serve_stream(
        &self,
        request: Request<RecvStream>,
        respond: SendResponse<Bytes>,
        arrival: Arc<Arrival>,
        seen: &Seen,
    ) {
        let (parts, body) = request.into_parts();
        let is_complete = body.is_end_stream();
        let transport = Transport::Stream(Box::new(Stream::new(body, respond)));
        let mut client = Client::new(transport, arrival);
        let snapshot = self.snapshot.load_full();
        let mut head = Recycled::<RequestHead>::take();
        let max_head = snapshot.client.head_bytes;
        let next = match read(&mut head, &parts, is_complete, &snapshot.rules, max_head) {
            Ok(()) => Next::Request,
            Err(refusal) => Next::Refused(refusal),
        };
        match self.take(&mut client, &mut head, snapshot, next).await {
            // The unread rest of the request is refused when the stream is dropped (RFC 9113, section 8.1).
            Disposition::Keep | Disposition::Linger => {}
            Disposition::BreakOff => {
                drop(head);
                let patience = self.snapshot.load().client.send;
                // What the client has not taken by then is lost with the reset.
                written(seen, &mut client, patience).await;
                client.transport.reset();
            }
            Disposition::Close | Disposition::Reset | Disposition::Streams => client.transport.reset(),
        }
    }
}

/// Waits until the data that a stream has sent are written: a reset takes out of the queue what is in it. They have room in the
/// windows, or they would not have been taken, so nothing but the socket holds them up, for other streams as well.
async fn written(seen: &Seen, client: &mut Client, patience: Duration) {
    // The task of the connection has its turn, and after that a further one if it was not done in the first.
    for _ in 0..2 {
        yield_now().await;
    }
    flushed(patience, || {
        let is_gone = client
            .poll_gone(&mut Context::from_waker(Waker::noop()))
            .is_ready();
        (seen.is_blocked() && !is_gone).then_some(0)
    })
    .await;
}

/// How long no request must be under way before a connection ends that has had so many; `None` if it ends at once.
///
/// When GOAWAY comes, browsers fail the requests that wait for a place, and some libraries those under way, or whose responses
/// they are about to read. So a connection that has had its number of requests waits for a lull, then for a moment without any,
/// and ends in the middle of others only if there is none.
fn lull(accepted: u32, limits: &ClientLimits) -> Option<Duration> {
    match limits.requests.map_or(0, |most| accepted / most) {
        0 => Some(limits.keepalive),
        1 => Some(LULL),
        2 => Some(Duration::ZERO),
        _ => None,
    }
}

/// Checks a head against the rules.
fn read(
    head: &mut RequestHead,
    parts: &Parts,
    is_complete: bool,
    rules: &Rules,
    max_head: usize,
) -> Result<(), Refusal> {
    let pseudo = Pseudo {
        method: parts.method.as_str(),
        authority: parts.uri.authority().map(Authority::as_str),
        path: parts.uri.path_and_query().map_or("", PathAndQuery::as_str),
        is_complete,
    };
    let fields = parts
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_bytes()));
    head.read_stream(&pseudo, fields, rules, max_head)
}

/// The limit of a head in the measure of HTTP/2. A head that is small enough for HTTP/1 is never above it; whether it
/// is, is found when it is read.
fn max_list(rules: &Rules, limits: &ClientLimits) -> u32 {
    let counted = rules.max_fields * PER_FIELD + PSEUDO_FIELDS;
    // The crate refuses what is as large.
    u32::try_from(limits.head_bytes + counted + 1).unwrap_or(u32::MAX)
}
