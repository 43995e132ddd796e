//! The standing of a backend.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::checks::Checks;
use super::conduct::Conduct;
use super::load::Load;
use super::queue::Queue;
use pace_config::pool::Upkeep;
use pace_hook::Health;

/// The standing of a pool's backend at one address: its load, health and record. All workers share it, and it outlives
/// configurations.
pub(super) struct Standing {
    pub(super) load: Load,
    pub(super) conduct: Conduct,
    /// The queue of the pool.
    pub(super) queue: Arc<Queue>,
    /// Whether balancers send requests here at present, as far as the host can know.
    is_wanted: AtomicBool,
    /// Whether only those get a place here who know that the backend drains.
    is_closed: AtomicBool,
    facts: Mutex<Facts>,
}

/// The facts that change rarely, and under the lock of the pool.
#[derive(Default)]
pub(super) struct Facts {
    /// Whether an operator has said that the backend gets nothing new.
    pub(super) is_draining: bool,
    pub(super) checks: Checks,
    /// The beginning of the slow start, until the backend gets its full share.
    pub(super) slow_since: Option<Instant>,
}

impl Standing {
    pub(super) fn new(queue: &Arc<Queue>) -> Standing {
        Standing {
            load: Load::default(),
            conduct: Conduct::new(),
            queue: Arc::clone(queue),
            is_wanted: AtomicBool::new(true),
            is_closed: AtomicBool::new(false),
            facts: Mutex::default(),
        }
    }

    /// Reads or changes the facts.
    pub(super) fn with<T>(&self, look: impl FnOnce(&mut Facts) -> T) -> T {
        look(&mut self.facts.lock())
    }

    /// Whether a free place here is offered to waiting requests. Each would decline one at a backend that gets nothing, and a queue
    /// is long just when backends are lost.
    pub(super) fn offers_places(&self) -> bool {
        self.is_wanted.load(Ordering::SeqCst) && !self.conduct.is_on_trial()
    }

    pub(super) fn set_wanted(&self, is_wanted: bool) {
        self.is_wanted.store(is_wanted, Ordering::SeqCst);
    }

    /// Whether only those get a place here who know that the backend drains. Asked behind the counting of a request, as an operator
    /// asks for the requests in flight behind [`Standing::set_closed`]: one of both sees the other.
    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::SeqCst)
    }

    /// Closes the backend to those who have chosen it before they could see that it drains, or opens it again.
    pub(super) fn set_closed(&self, is_closed: bool) {
        self.is_closed.store(is_closed, Ordering::SeqCst);
    }

    /// The state that plugins see. A backend on trial counts as healthy; the host bounds its requests.
    pub(super) fn health(&self) -> Health {
        let (is_draining, is_unhealthy) = self.with(|facts| (facts.is_draining, facts.checks.is_unhealthy()));
        match (is_draining, is_unhealthy, self.conduct.is_ejected()) {
            (true, _, _) => Health::Draining,
            (false, true, _) => Health::Unhealthy,
            (false, false, true) => Health::Ejected,
            (false, false, false) => Health::Healthy,
        }
    }

    /// Forgets all that the configuration no longer asks for.
    pub(super) fn keep_only(&self, upkeep: &Upkeep) {
        if upkeep.ejection.is_none() {
            self.conduct.reinstate();
        }
        self.with(|facts| {
            if upkeep.health_check.is_none() {
                facts.checks = Checks::default();
            }
            if upkeep.slow_start.is_zero() {
                facts.slow_since = None;
            }
        });
    }
}
