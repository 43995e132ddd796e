//! Backends, and the requests on their way to them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use pace_tls::ServerName;

use super::Address;
use super::conduct::{Conduct, Trial};
use super::standing::Standing;
use super::sticky::StickyId;
use crate::telemetry::{BackendMetrics, Metrics};
use pace_base::logging::Limited;

/// A server at one address.
pub struct Backend {
    /// The number that identifies connections to this address, made under this name: no other backend has it.
    pub number: u64,
    /// The name of the backend for plugins, metrics and the log: as the configuration spells it, or its address if a name
    /// has several.
    pub label: String,
    /// The address where it listens.
    pub address: Address,
    /// The name that it proves to have in the handshake of TLS; `None` if its connections are not encrypted.
    pub name: Option<ServerName<'static>>,
    /// The limit of log lines about its failures.
    pub warnings: Limited,
    /// Its counters and gauges.
    pub metrics: BackendMetrics,
    /// The name of the backend in cookies.
    pub sticky: StickyId,
    pub(super) standing: Arc<Standing>,
}

impl Backend {
    pub(super) fn new(
        pool: &str,
        label: String,
        address: Address,
        name: Option<ServerName<'static>>,
        metrics: &Metrics,
        standing: Arc<Standing>,
    ) -> Backend {
        static NEXT_NUMBER: AtomicU64 = AtomicU64::new(0);
        Backend {
            number: NEXT_NUMBER.fetch_add(1, Ordering::Relaxed),
            metrics: metrics.backend(pool, &label),
            warnings: Limited::new(format!("failed attempts at {label}")),
            sticky: StickyId::new(pool, &address),
            label,
            address,
            name,
            standing,
        }
    }

    /// The value of `Host` for a request that has none.
    pub fn authority(&self) -> &str {
        match self.address {
            Address::Tcp(_) => &self.label,
            Address::Unix(_) => "localhost",
        }
    }

    /// The requests that were sent and are not complete, over all workers.
    pub fn in_flight(&self) -> u32 {
        self.standing.load.in_flight()
    }

    /// The recent time to the response head in nanoseconds; `None` before the first response.
    pub fn latency(&self) -> Option<u64> {
        self.standing.load.latency()
    }

    /// Whether another request may be sent now: the backend has fewer than it may have, no trial is under way, and it does not drain.
    pub fn has_room(&self) -> bool {
        let standing = &self.standing;
        self.in_flight() < standing.queue.limit()
            && !standing.conduct.is_being_tried()
            && !standing.is_closed()
    }

    /// The record of its attempts.
    pub(super) fn conduct(&self) -> &Conduct {
        &self.standing.conduct
    }
}

/// A place at a backend: the right of a request to be in flight there. Dropping it gives the place to the request of the pool that
/// has waited longest.
pub struct InFlight {
    backend: Arc<Backend>,
    /// The trial that the request was when it took the place.
    trial: Option<Trial>,
    /// Whether another request has the place, or it is free already.
    is_gone: bool,
}

/// The outcome of asking for a place.
pub enum Entry {
    /// The request has a place.
    Place(InFlight),
    /// The backend has as many requests as it may have.
    Full,
    /// Another request is the backend's trial.
    OnTrial,
    /// The backend is silent, and has just been ejected for it.
    Ejected,
    /// The backend drains, which the request did not know when it chose.
    Draining,
}

impl InFlight {
    /// Takes a place at a backend, if there is one. A backend that drains takes those who know it (`knows_of_drain`).
    pub(super) fn enter(backend: &Arc<Backend>, knows_of_drain: bool) -> Entry {
        let conduct = backend.conduct();
        let mut trial = None;
        if conduct.is_on_trial() {
            trial = conduct.begin_trial();
            if trial.is_none() {
                return Entry::OnTrial;
            }
        }
        match InFlight::take(backend, knows_of_drain) {
            Some(mut place) => {
                place.trial = trial;
                Entry::Place(place)
            }
            None => {
                if let Some(trial) = trial {
                    conduct.end_trial(trial);
                }
                match backend.standing.is_closed() && !knows_of_drain {
                    true => Entry::Draining,
                    false => Entry::Full,
                }
            }
        }
    }

    /// Takes a place at a backend that has fewer requests than it may have, even during its trial. One that drains takes those who
    /// know it.
    pub fn take(backend: &Arc<Backend>, knows_of_drain: bool) -> Option<InFlight> {
        let Standing { load, queue, .. } = &*backend.standing;
        let place = load.enter(queue.limit()).then(|| InFlight::taken(backend))?;
        (knows_of_drain || !backend.standing.is_closed()).then_some(place)
    }

    /// A place that is counted already.
    pub(super) fn taken(backend: &Arc<Backend>) -> InFlight {
        InFlight {
            backend: Arc::clone(backend),
            trial: None,
            is_gone: false,
        }
    }

    /// The backend of the place.
    pub fn backend(&self) -> &Arc<Backend> {
        &self.backend
    }

    /// Whether the request is the backend's trial.
    pub(super) fn is_trial(&self) -> bool {
        self.trial
            .is_some_and(|trial| self.backend.conduct().is_tried_by(trial))
    }

    /// Forgets the place, which is still counted.
    pub(super) fn forget(mut self) {
        self.is_gone = true;
    }

    /// Makes the place free, without offering it to those who wait.
    pub(super) fn free(self) {
        let backend = Arc::clone(&self.backend);
        self.forget();
        backend.standing.load.leave();
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if self.is_gone {
            return;
        }
        let standing = &*self.backend.standing;
        let Standing { load, queue, .. } = standing;
        if let Some(trial) = self.trial {
            standing.conduct.end_trial(trial);
        }
        // No waiting request is overlooked: it looks for a free place after it has been counted as waiting, and this looks for
        // waiting requests after it has freed a place. One of both sees the other, whatever the order. The same holds for those
        // who change what is asked here, and look for free places afterwards.
        loop {
            let may_pass = load.in_flight() <= queue.limit() && standing.offers_places();
            if may_pass && !queue.is_empty() && queue.hand_over(&self.backend) {
                return;
            }
            load.leave();
            if queue.is_empty() || !standing.offers_places() || !load.enter(queue.limit()) {
                return;
            }
        }
    }
}
