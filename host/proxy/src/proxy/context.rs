//! What Pace remembers of a request while it is served.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use pace_wire::known::Known;
use pace_wire::refusal::Refusal;
use pace_wire::request::RequestHead;
use prometheus::IntGauge;
use smallvec::SmallVec;

use crate::chain::Asker;
use crate::snapshot::{Route, Snapshot};
use crate::telemetry::{Asked, HookCalls};
use crate::upstream::{Backend, InFlight, Members, Pool};
use pace_base::logging::Limited;
use pace_hook::AttemptFailure;

/// Attempts that are remembered without an allocation.
const USUAL_ATTEMPTS: usize = 4;

/// The state of one request.
pub(super) struct Context {
    /// The configuration that the request began with and will end with.
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) started: Instant,
    pub(super) route: Option<Arc<Route>>,
    /// The other end of the connection, or what its PROXY header said.
    pub(super) peer: IpAddr,
    /// Who asks: the peer, or who a trusted peer says it is.
    pub(super) client: IpAddr,
    /// `http` or `https`: how the client reached Pace, or a trusted peer.
    pub(super) scheme: &'static str,
    /// The backends of the route's pool when the first was chosen.
    pub(super) members: Option<Arc<Members>>,
    /// Attempts begun.
    pub(super) attempt: u32,
    /// The backends of the attempts begun.
    pub(super) tried: SmallVec<[u32; USUAL_ATTEMPTS]>,
    pub(super) last_failure: Option<AttemptFailure>,
    /// An idle connection has turned out to be dead, and was replaced.
    pub(super) has_replaced: bool,
    /// The attempt that is going on, and since when.
    pub(super) current: Option<(InFlight, Instant)>,
    /// The backend whose response reached us.
    pub(super) answered: bool,
    /// The backend of the last attempt, whatever came of it.
    last: Option<Arc<Backend>>,
    /// The status that the client got.
    pub(super) status: Option<u16>,
    /// Bytes of the response's body.
    pub(super) body_bytes: u64,
    /// Why the request was none.
    pub(super) refused: Option<Refusal>,
    /// What the hooks said, if anybody wants to read of it.
    pub(super) calls: Option<Box<HookCalls>>,
    _in_flight: CountedRequest,
}

impl Context {
    pub(super) fn new(snapshot: Arc<Snapshot>, peer: IpAddr, in_flight: &IntGauge) -> Context {
        Context {
            snapshot,
            started: Instant::now(),
            route: None,
            peer,
            client: peer,
            scheme: "http",
            members: None,
            attempt: 0,
            tried: SmallVec::new(),
            last_failure: None,
            has_replaced: false,
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
        // The first begins some microseconds after the request: asking the clock again is not worth it.
        let since = match self.attempt {
            1 => self.started,
            _ => Instant::now(),
        };
        self.current = Some((InFlight::begin(&backend), since));
        self.last = Some(Arc::clone(&backend));
        backend
    }

    /// The pool of the route that the request has.
    pub(super) fn pool(&self) -> &Arc<Pool> {
        &self.route.as_ref().expect("an attempt follows a route").pool
    }

    /// When the request must have been answered.
    pub(super) fn deadline(&self) -> Option<tokio::time::Instant> {
        let limit = self.pool().settings.total_timeout?;
        Some(tokio::time::Instant::from_std(self.started) + limit)
    }

    /// Whether it should have been.
    pub(super) fn is_late(&self) -> bool {
        self.deadline()
            .is_some_and(|deadline| deadline <= tokio::time::Instant::now())
    }

    /// Whether there are backends where the request has not been.
    pub(super) fn has_others(&self) -> bool {
        let members = self.members.as_ref().map_or(0, |members| members.len());
        members > self.tried.len()
    }

    /// The backend of the attempt that is going on has answered.
    pub(super) fn answered(&mut self) {
        if let Some((in_flight, since)) = &self.current {
            in_flight.backend().responded_in(since.elapsed());
        }
        self.answered = true;
    }

    pub(super) fn asker(&self) -> Asker<'_> {
        Asker {
            client: self.client,
            scheme: self.scheme,
            calls: self.calls.as_deref(),
        }
    }

    /// How often something is said of the backend that answers.
    pub(super) fn warnings(&self) -> Option<&Limited> {
        self.current
            .as_ref()
            .map(|(in_flight, _)| &in_flight.backend().warnings)
    }

    /// The label of the backend that was asked last.
    pub(super) fn last_backend(&self) -> Option<&str> {
        self.last.as_ref().map(|backend| backend.label.as_str())
    }

    /// The label of the backend that answered.
    pub(super) fn backend(&self) -> Option<&str> {
        self.current
            .as_ref()
            .filter(|_| self.answered)
            .map(|(in_flight, _)| in_flight.backend().label.as_str())
    }
}

/// A request, as it is called in the log.
pub(super) fn asked(request: &RequestHead) -> Asked<'_> {
    Asked {
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
