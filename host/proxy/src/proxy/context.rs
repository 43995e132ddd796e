//! The state of a request while it is served.

mod pools;
mod times;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pace_wire::known::Known;
use pace_wire::refusal::Refusal;
use pace_wire::request::RequestHead;
use pace_wire::target::Target;
use prometheus::IntGauge;
use smallvec::SmallVec;

use super::attempt_edits::Attempting;
use super::outcome::Observed;
use super::refuse::Refused;
use crate::chain::{CallContext, Scene};
use crate::client::ShownCertificate;
use crate::http1::Arrival;
use crate::route::{Mirror, Route};
use crate::snapshot::Snapshot;
use crate::telemetry::notes::{AttemptNote, End, Noted};
use crate::telemetry::tracing::{Trace, Traceparent};
use crate::telemetry::{Counting, Notes, RequestSummary, RouteMetrics, Spoken};
use crate::upstream::{Backend, Entry, InFlight, Members};
use pace_base::logging::Limited;
use pace_hook::{AttemptFailure, Hook, Pools, RequestFacts, RequestState};

/// The number of attempts that are recorded without an allocation.
const USUAL_ATTEMPTS: usize = 4;

/// The state of one request.
pub(super) struct Context {
    /// The snapshot that the request began with and will end with.
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) started: Instant,
    pub(super) route: Option<Arc<Route>>,
    /// The address at the other end of the connection, or the one that its PROXY header names.
    pub(super) peer: IpAddr,
    /// The client's address: the peer, or the one that a trusted peer names.
    pub(super) client: IpAddr,
    /// Whether the peer is trusted, so that its word about client and scheme holds.
    pub(super) peer_is_trusted: bool,
    /// `http` or `https`: the scheme with which the client reached Pace, or a trusted peer.
    pub(super) scheme: &'static str,
    /// The certificate that the peer has shown.
    certificate: Option<Arc<ShownCertificate>>,
    /// The target for the backend, if that is another than the client's.
    rewritten: Option<Target>,
    /// The prefix that was taken from the target, and those that others have taken before.
    prefix: Option<Vec<u8>>,
    /// The pool that was chosen, by its index among those of the route, once one is.
    choice: Option<usize>,
    /// The pool of the attempt that is prepared or made, by the same index, if a plugin has named one for it.
    elsewhere: Option<usize>,
    /// The pool of the last attempt that was begun.
    begun_at: usize,
    /// The other pools in which backends were looked up for the request.
    visits: Vec<Visit>,
    /// The attempts as plugins prepare and judge them; `None` if the route has no such plugin.
    pub(super) attempting: Option<Box<Attempting>>,
    /// The values that the hooks of the request leave for each other and for Pace.
    pub(super) state: RequestState,
    /// The bytes of the request's body as its client has announced them.
    pub(super) request_size: Option<u64>,
    /// The bytes of the response's body as its backend has announced them.
    pub(super) response_size: Option<u64>,
    /// Whether the backend was asked for the whole after it had sent a part.
    pub(super) has_asked_for_whole: bool,
    /// The members of the pool when a backend was chosen last.
    pub(super) members: Option<Arc<Members>>,
    /// The number of attempts that were begun.
    pub(super) attempt: u32,
    /// The indices of the backends of those attempts that went to this pool.
    pub(super) tried: SmallVec<[u32; USUAL_ATTEMPTS]>,
    pub(super) last_failure: Option<AttemptFailure>,
    /// The time that the client of a gRPC call gives it.
    pub(super) grpc_timeout: Option<Duration>,
    /// Whether an idle connection turned out to be dead and was replaced, or a stream was refused.
    pub(super) has_replaced: bool,
    /// How often the request was sent on a session that took no more.
    pub(super) crossed: u32,
    /// Sessions with a backend up to this number are not used, as one of them turned out to be dead.
    pub(super) sessions_after: Option<u64>,
    /// The place at the backend that was chosen, until an attempt begins there.
    pub(super) place: Option<InFlight>,
    /// A place that the request is offered while it waits for one.
    pub(super) offered: Option<InFlight>,
    /// Whether the request has waited for a place.
    pub(super) has_waited: bool,
    /// The present attempt, and its start.
    pub(super) current: Option<(InFlight, Instant)>,
    /// Whether the response comes from the backend of the present attempt.
    pub(super) answered: bool,
    /// The backend of the last attempt, whether it failed or not.
    pub(super) last: Option<Arc<Backend>>,
    /// The status that was sent to the client.
    pub(super) status: Option<u16>,
    /// The number of bytes of the response's body.
    pub(super) body_bytes: u64,
    /// The refusal, if the request was malformed or did not arrive in time.
    pub(super) refused: Option<Refusal>,
    /// The reason why Pace itself answered, if it did.
    pub(super) answered_for: Option<Refused>,
    /// The number of bytes of the request's body that were read.
    pub(super) received: u64,
    /// The time from the request's head to that of the response, if a backend gave one.
    pub(super) first_byte: Option<Duration>,
    /// How the response ended.
    pub(super) end: End,
    /// The failure of the present attempt.
    pub(super) failure: Option<AttemptFailure>,
    /// The facts for plugins that are told how requests end; `None` if the route has no such plugin.
    pub(super) observed: Option<Box<Observed>>,
    /// The trace that the request belongs to, if any is followed.
    pub(super) trace: Option<Trace>,
    /// The notes of the request, if anybody is told of it.
    pub(super) notes: Option<Arc<Notes>>,
    _in_flight: Counted,
}

/// A pool in which backends were looked up for the request, while it goes to another.
struct Visit {
    pool: usize,
    members: Option<Arc<Members>>,
    tried: SmallVec<[u32; USUAL_ATTEMPTS]>,
}

impl Context {
    pub(super) fn new(snapshot: Arc<Snapshot>, arrival: &Arrival, in_flight: Counted) -> Context {
        let peer = arrival.peer;
        let notes = Notes::begin(snapshot.sinks.access_log.as_ref());
        Context {
            snapshot,
            started: Instant::now(),
            route: None,
            peer,
            client: peer,
            peer_is_trusted: false,
            scheme: arrival.scheme(),
            certificate: arrival.certificate.clone(),
            rewritten: None,
            prefix: None,
            choice: None,
            elsewhere: None,
            begun_at: 0,
            visits: Vec::new(),
            attempting: None,
            state: RequestState::default(),
            request_size: Some(0),
            response_size: None,
            has_asked_for_whole: false,
            members: None,
            attempt: 0,
            tried: SmallVec::new(),
            last_failure: None,
            grpc_timeout: None,
            has_replaced: false,
            crossed: 0,
            sessions_after: None,
            place: None,
            offered: None,
            has_waited: false,
            current: None,
            answered: false,
            last: None,
            status: None,
            body_bytes: 0,
            refused: None,
            answered_for: None,
            received: 0,
            first_byte: None,
            end: End::default(),
            failure: None,
            observed: None,
            trace: None,
            notes,
            _in_flight: in_flight,
        }
    }

    /// Takes a place for the request at a chosen backend.
    pub(super) fn enter(&mut self, index: u32) -> Entered {
        let members = self.members.as_ref().expect("a backend was chosen among them");
        let backend = members.backend(index);
        let is_offered = |offered: &mut InFlight| Arc::ptr_eq(offered.backend(), backend);
        if let Some(offered) = self.offered.take_if(is_offered) {
            self.place = Some(offered);
            return Entered::Yes;
        }
        match self
            .pool()
            .enter(backend, members.drains(index), tokio::time::Instant::now)
        {
            Entry::Place(place) => {
                self.place = Some(place);
                Entered::Yes
            }
            Entry::Full => Entered::Full,
            Entry::OnTrial => Entered::OnTrial(Arc::clone(backend)),
            Entry::Ejected => Entered::Ejected(Arc::clone(backend)),
            Entry::Draining => Entered::Draining,
        }
    }

    /// Takes a place for the request at a backend, even one on trial. Returns its index; `None` if the backend has no room.
    pub(super) fn enter_anyway(&mut self, backend: &Arc<Backend>) -> Option<u32> {
        let members = self.members.as_ref()?;
        let index = members.index_of(backend)?;
        self.place = Some(InFlight::take(backend, members.drains(index))?);
        Some(index)
    }

    /// Begins an attempt at a backend of the pool, in the place that was taken there.
    pub(super) fn begin_attempt(&mut self, index: u32) -> Arc<Backend> {
        let place = self.place.take().expect("a backend is chosen with a place there");
        let backend = Arc::clone(place.backend());
        self.attempt += 1;
        self.tried.push(index);
        self.begun_at = self.pool_index();
        // The first attempt begins some microseconds after the request, which is not worth a read of the clock.
        let since = match (self.attempt, self.has_waited, &self.observed, &self.attempting) {
            (1, false, None, None) => self.started,
            _ => Instant::now(),
        };
        if self.attempt > 1 {
            self.pool().metrics.retries.inc();
        }
        self.failure = None;
        if let Some(observed) = &mut self.observed {
            observed.first_attempt.get_or_insert(since);
            (observed.connect, observed.first_byte) = (None, None);
        }
        backend.metrics.attempts.inc();
        self.current = Some((place, since));
        self.last = Some(Arc::clone(&backend));
        let is_sampled = self.trace.is_some_and(|trace| trace.is_sampled);
        self.note(|noted| {
            noted.attempts.push(AttemptNote {
                backend: Arc::clone(&backend),
                span: if is_sampled { Trace::new_span() } else { [0; 8] },
                begun: Instant::now(),
                connect: None,
                head: None,
                failed: None,
            });
        });
        backend
    }

    /// Undoes the present attempt, whose connection was dead, and keeps its place for another.
    pub(super) fn take_back_attempt(&mut self) -> Option<u32> {
        let (place, _) = self.current.take()?;
        self.place = Some(place);
        self.attempt -= 1;
        self.note(|noted| drop(noted.attempts.pop()));
        self.tried.pop()
    }

    /// Takes a route, which the request has from now on.
    pub(super) fn take_route(&mut self, route: &Arc<Route>) {
        debug_assert!(self.route.is_none(), "a request takes one route");
        self.route = Some(Arc::clone(route));
        if let Some(metrics) = self.route_metrics() {
            metrics.begun();
        }
    }

    /// The metrics of the request's route.
    pub(super) fn route_metrics(&self) -> Option<&RouteMetrics> {
        self.route.as_ref()?.metrics.as_deref()
    }

    /// The route, if any of its plugins has the hook.
    pub(super) fn route_with(&self, hook: Hook) -> Option<Arc<Route>> {
        self.route.as_ref().filter(|route| route.chain.has(hook)).cloned()
    }

    /// The request's route.
    pub(super) fn route(&self) -> &Route {
        self.route.as_ref().expect("an attempt follows a route")
    }

    /// Where copies of the request go, if they do.
    pub(super) fn mirror(&self) -> Option<&Mirror> {
        self.forward().mirror.as_ref()
    }

    /// The state of a copy of the request, which takes this route.
    pub(super) fn of_copy(&self, arrival: &Arrival, route: Arc<Route>, in_flight: Counted) -> Context {
        let mut copy = Context::new(Arc::clone(&self.snapshot), arrival, in_flight);
        (copy.client, copy.scheme) = (self.client, self.scheme);
        // Nobody is told of a copy, which belongs to the trace of its request.
        (copy.notes, copy.trace) = (None, self.trace);
        copy.take_route(&route);
        copy
    }

    /// Rewrites the target for the backend, if the route has it rewritten.
    pub(super) fn rewrite(&mut self, request: &RequestHead) -> Result<(), Refusal> {
        let Some(rewrite) = &self.route().rewrite.path else {
            return Ok(());
        };
        let rewritten = rewrite.apply(&request.target, self.snapshot.rules.encoded_slashes)?;
        let prefix = rewritten.is_stripped.then(|| {
            // A trusted peer has taken its prefix away before.
            let before = request.fields.first(Known::XForwardedPrefix).unwrap_or_default();
            [before, rewrite.strip().as_bytes()].concat()
        });
        (self.rewritten, self.prefix) = (Some(rewritten.target), prefix);
        Ok(())
    }

    /// The target for the backend, and the prefix that was taken from it.
    pub(super) fn target<'a>(&'a self, request: &'a RequestHead) -> (&'a str, Option<&'a [u8]>) {
        let target = self.rewritten.as_ref().unwrap_or(&request.target);
        let of_attempt = self
            .attempting
            .as_ref()
            .and_then(|attempting| attempting.target());
        (of_attempt.unwrap_or(target.as_str()), self.prefix.as_deref())
    }

    /// The head that the present attempt sends.
    pub(super) fn head<'a>(&'a self, request: &'a RequestHead) -> &'a RequestHead {
        match &self.attempting {
            Some(attempting) => attempting.head(request),
            None => request,
        }
    }

    /// `Host` in place of the head's, if the route has it replaced and no plugin has for the present attempt.
    pub(super) fn host(&self) -> Option<&str> {
        let has_own = self
            .attempting
            .as_ref()
            .is_some_and(|attempting| attempting.has_host());
        self.route().rewrite.host.as_deref().filter(|_| !has_own)
    }

    /// Records that the backend of the present attempt has responded with this status.
    pub(super) fn answered(&mut self, status: u16) {
        if let Some((place, since)) = &self.current {
            let now = Instant::now();
            let time = now.duration_since(*since);
            self.pool().answered(place, status, time);
            self.pool().metrics.duration.observe(time);
            self.first_byte = Some(now.duration_since(self.started));
            if let Some(observed) = &mut self.observed {
                observed.first_byte = Some(time);
            }
            self.note(|noted| {
                if let Some(attempt) = noted.attempt() {
                    attempt.head = Some(now.duration_since(attempt.begun));
                }
            });
        }
        self.answered = true;
    }

    /// Records that the present attempt has a connection.
    pub(super) fn connected(&mut self) {
        if let (Some(observed), Some((_, since))) = (&mut self.observed, &self.current) {
            observed.connect = Some(since.elapsed());
        }
    }

    /// Records that the present attempt has failed, and tells the pool.
    pub(super) fn failed(&mut self, failure: AttemptFailure) {
        self.failure = Some(failure);
        if let Some((place, _)) = &self.current {
            self.begun_pool().failed(place, failure);
        }
    }

    /// Notes something, if anybody is told of the request.
    pub(super) fn note(&self, note: impl FnOnce(&mut Noted)) {
        if let Some(notes) = &self.notes {
            notes.with(note);
        }
    }

    /// The time, if anybody is told of the request and the time that something takes is to be noted.
    pub(super) fn noted_time(&self) -> Option<Instant> {
        self.notes.as_ref().map(|_| Instant::now())
    }

    /// `traceparent` for the present attempt, if the request belongs to a trace.
    pub(super) fn traceparent(&self) -> Option<Traceparent> {
        let trace = self.trace?;
        let of_attempt = self.notes.as_ref().filter(|_| trace.is_sampled);
        let span = of_attempt.and_then(|notes| notes.with(|noted| Some(noted.attempt()?.span)));
        Some(trace.traceparent(span.unwrap_or(trace.span)))
    }

    /// The facts about the request for a call of the chain.
    pub(super) fn call_context(&self) -> CallContext<'_> {
        let route = self.route();
        let split = route.forward().map(|forward| &forward.split);
        let only = split.and_then(|split| split.has_one_pool().then_some(0));
        CallContext {
            facts: RequestFacts {
                client: self.client,
                peer: self.peer,
                peer_is_trusted: self.peer_is_trusted,
                scheme: self.scheme,
                certificate: self.certificate.as_deref().map(ShownCertificate::facts),
                route: &route.name,
                pools: split.map(|split| split as &dyn Pools),
                pool: self.choice.or(only),
                request_size: self.request_size,
                response_size: self.response_size,
                step: 0,
                state: &self.state,
            },
            notes: self.notes.as_deref(),
        }
    }

    /// The heads that stream filters can look at, before there is a response.
    pub(super) fn scene<'a>(&'a self, request: &'a RequestHead) -> Scene<'a> {
        Scene {
            context: self.call_context(),
            request,
            response: None,
        }
    }

    /// The limit of log lines about the backend of the present attempt.
    pub(super) fn warnings(&self) -> Option<&Limited> {
        self.current.as_ref().map(|(place, _)| &place.backend().warnings)
    }

    /// The label of the backend of the last attempt.
    pub(super) fn last_backend(&self) -> Option<&str> {
        self.last.as_ref().map(|backend| backend.label.as_str())
    }

    /// The label of the backend that responded.
    pub(super) fn backend(&self) -> Option<&str> {
        self.current
            .as_ref()
            .filter(|_| self.answered)
            .map(|(place, _)| place.backend().label.as_str())
    }
}

/// The outcome of asking for a place at a chosen backend.
pub(super) enum Entered {
    /// The request has a place.
    Yes,
    /// The backend has as many requests as it may have.
    Full,
    /// Another request is the backend's trial.
    OnTrial(Arc<Backend>),
    /// The backend has just been ejected.
    Ejected(Arc<Backend>),
    /// The backend drains, which the members did not show.
    Draining,
}

/// The summary of a request for log lines.
pub(super) fn summary(request: &RequestHead) -> RequestSummary<'_> {
    RequestSummary {
        method: request.method.as_str(),
        target: request.sent_target(),
        host: request.fields.first(Known::Host),
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        if let Some(metrics) = self.route_metrics() {
            metrics.ended();
        }
    }
}

/// Counts a request until it is dropped, however the request ends.
pub(super) enum Counted {
    /// A request of a client.
    OfClient { _counting: Counting },
    /// Any other, in this gauge.
    InGauge(IntGauge),
}

impl Counted {
    pub(super) fn of_client(arrival: &Arrival, spoken: Spoken) -> Counted {
        Counted::OfClient {
            _counting: Counting::request(&arrival.connections, spoken),
        }
    }

    pub(super) fn in_gauge(gauge: &IntGauge) -> Counted {
        gauge.inc();
        Counted::InGauge(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        match self {
            Counted::OfClient { .. } => {}
            Counted::InGauge(gauge) => gauge.dec(),
        }
    }
}
