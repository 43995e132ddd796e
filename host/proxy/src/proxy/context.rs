//! The state of a request while it is served.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pace_wire::known::Known;
use pace_wire::refusal::Refusal;
use pace_wire::request::RequestHead;
use prometheus::IntGauge;
use smallvec::SmallVec;

use crate::chain::CallContext;
use crate::client::ShownCertificate;
use crate::http1::Arrival;
use crate::snapshot::{Route, Snapshot};
use crate::telemetry::{HookCalls, RequestSummary};
use crate::upstream::{Backend, InFlight, Members, Pool};
use pace_base::logging::Limited;
use pace_hook::AttemptFailure;

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
    /// `http` or `https`: the scheme with which the client reached Pace, or a trusted peer.
    pub(super) scheme: &'static str,
    /// The certificate that the peer has shown.
    certificate: Option<Arc<ShownCertificate>>,
    /// The members of the route's pool when the first backend was chosen.
    pub(super) members: Option<Arc<Members>>,
    /// The number of attempts that were begun.
    pub(super) attempt: u32,
    /// The indices of the backends of these attempts.
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
    /// The present attempt, and its start.
    pub(super) current: Option<(InFlight, Instant)>,
    /// Whether the response comes from the backend of the present attempt.
    pub(super) answered: bool,
    /// The backend of the last attempt, whether it failed or not.
    last: Option<Arc<Backend>>,
    /// The status that was sent to the client.
    pub(super) status: Option<u16>,
    /// The number of bytes of the response's body.
    pub(super) body_bytes: u64,
    /// The refusal, if the request was malformed or did not arrive in time.
    pub(super) refused: Option<Refusal>,
    /// The record of hook calls, if its log line is enabled.
    pub(super) calls: Option<Box<HookCalls>>,
    _in_flight: CountedRequest,
}

impl Context {
    pub(super) fn new(snapshot: Arc<Snapshot>, arrival: &Arrival, in_flight: &IntGauge) -> Context {
        let peer = arrival.peer;
        Context {
            snapshot,
            started: Instant::now(),
            route: None,
            peer,
            client: peer,
            scheme: arrival.scheme(),
            certificate: arrival.certificate.clone(),
            members: None,
            attempt: 0,
            tried: SmallVec::new(),
            last_failure: None,
            grpc_timeout: None,
            has_replaced: false,
            crossed: 0,
            sessions_after: None,
            current: None,
            answered: false,
            last: None,
            status: None,
            body_bytes: 0,
            refused: None,
            calls: HookCalls::begin(),
            _in_flight: CountedRequest::new(in_flight),
        }
    }

    /// Begins an attempt at a backend of the route's pool.
    pub(super) fn begin_attempt(&mut self, index: u32) -> Arc<Backend> {
        let members = self.members.as_ref().expect("a backend was chosen among them");
        let backend = Arc::clone(members.backend(index));
        self.attempt += 1;
        self.tried.push(index);
        // The first attempt begins some microseconds after the request, which is not worth a read of the clock.
        let since = match self.attempt {
            1 => self.started,
            _ => Instant::now(),
        };
        self.current = Some((InFlight::begin(&backend), since));
        self.last = Some(Arc::clone(&backend));
        backend
    }

    /// The pool of the request's route.
    pub(super) fn pool(&self) -> &Arc<Pool> {
        &self.route.as_ref().expect("an attempt follows a route").pool
    }

    /// The deadline of the request, if its pool or its client sets one: the earlier one.
    pub(super) fn deadline(&self) -> Option<tokio::time::Instant> {
        let limits = [self.pool().settings.total_timeout, self.grpc_timeout];
        let limit = limits.into_iter().flatten().min()?;
        Some(tokio::time::Instant::from_std(self.started) + limit)
    }

    /// Whether the deadline is that of the client.
    pub(super) fn has_deadline_of_client(&self) -> bool {
        let of_pool = self.pool().settings.total_timeout;
        self.grpc_timeout
            .is_some_and(|of_client| of_pool.is_none_or(|of_pool| of_client < of_pool))
    }

    /// Whether a deadline has passed; a request without a route has none.
    pub(super) fn is_past_deadline(&self) -> bool {
        self.route.is_some() && self.is_late()
    }

    /// Whether the deadline has passed.
    pub(super) fn is_late(&self) -> bool {
        self.deadline()
            .is_some_and(|deadline| deadline <= tokio::time::Instant::now())
    }

    /// Whether there are backends that no attempt went to.
    pub(super) fn has_others(&self) -> bool {
        let members = self.members.as_ref().map_or(0, |members| members.len());
        members > self.tried.len()
    }

    /// Records that the backend of the present attempt has responded.
    pub(super) fn answered(&mut self) {
        if let Some((in_flight, since)) = &self.current {
            in_flight.backend().responded_in(since.elapsed());
        }
        self.answered = true;
    }

    /// The facts about the request for a call of the chain.
    pub(super) fn call_context(&self) -> CallContext<'_> {
        CallContext {
            client: self.client,
            scheme: self.scheme,
            certificate: self.certificate.as_deref().map(ShownCertificate::facts),
            calls: self.calls.as_deref(),
        }
    }

    /// The limit of log lines about the backend of the present attempt.
    pub(super) fn warnings(&self) -> Option<&Limited> {
        self.current
            .as_ref()
            .map(|(in_flight, _)| &in_flight.backend().warnings)
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
            .map(|(in_flight, _)| in_flight.backend().label.as_str())
    }
}

/// The summary of a request for log lines.
pub(super) fn summary(request: &RequestHead) -> RequestSummary<'_> {
    RequestSummary {
        method: request.method.as_str(),
        target: request.sent_target(),
        host: request.fields.first(Known::Host),
    }
}

/// Counts in the gauge of requests until it is dropped, however the request ends.
struct CountedRequest(IntGauge);

impl CountedRequest {
    fn new(gauge: &IntGauge) -> CountedRequest {
        gauge.inc();
        CountedRequest(gauge.clone())
    }
}

impl Drop for CountedRequest {
    fn drop(&mut self) {
        self.0.dec();
    }
}
