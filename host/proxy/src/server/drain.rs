//! Tells connections that the process is about to end, or has run out of descriptors.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, watch};

/// The signals to all connections.
///
/// When the process is about to end, connections are closed after the response that is under way, and those that wait for a
/// request as soon as they have waited for [`LAST_REQUEST`]. When there are no descriptors left, only the latter are closed.
#[derive(Debug)]
pub struct Drain {
    phase: watch::Sender<Phase>,
    begun: AtomicBool,
    /// The signal of each worker. With a single one, all workers would contend for it with every request.
    signals: Box<[WorkerSignal]>,
    /// The number of times that descriptors have run out.
    shed: AtomicU64,
}

/// The phases of a process that serves, in their order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// The process serves.
    #[default]
    Serving,
    /// The process serves, and will soon accept no more connections: balancers have time to look elsewhere.
    Leaving,
    /// The process accepts no more connections.
    Draining,
    /// Another process has the sockets, and accepts in place of this one.
    HandedOver,
}

/// How long a connection may wait for its last request once the process is about to end or its descriptor is needed, from
/// when it began to wait.
///
/// A client that is about to use a connection cannot know that it is being closed, and its request would be lost. One that
/// has just connected, or sends request after request, sends the next one within this time; at the end of the process it is
/// told by `Connection: close`.
pub const LAST_REQUEST: Duration = Duration::from_millis(500);

/// The signal of a worker, apart from its neighbours in memory.
#[derive(Debug, Default)]
#[repr(align(128))]
struct WorkerSignal(Notify);

impl Default for Drain {
    fn default() -> Drain {
        Drain::new(1)
    }
}

impl Drain {
    /// The signals for this many workers.
    pub fn new(workers: usize) -> Drain {
        Drain {
            phase: watch::Sender::default(),
            begun: AtomicBool::new(false),
            signals: (0..workers).map(|_| WorkerSignal::default()).collect(),
            shed: AtomicU64::new(0),
        }
    }

    /// The phase of the process.
    pub fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// Enters a later phase. From [`Phase::Draining`] on workers stop accepting.
    pub fn enter(&self, phase: Phase) {
        self.phase.send_replace(phase);
    }

    /// Waits for a phase, or a later one.
    pub async fn entered(&self, phase: Phase) {
        // This cannot fail, since `self` holds the sender.
        let _ = self.phase.subscribe().wait_for(|now| *now >= phase).await;
    }

    /// Begins the end of the process.
    pub fn begin(&self) {
        self.begun.store(true, Ordering::Release);
        self.notify();
    }

    /// Whether the end of the process has begun.
    pub fn has_begun(&self) -> bool {
        self.begun.load(Ordering::Acquire)
    }

    /// Closes connections that wait for a request, to make room for others.
    pub fn shed_idle(&self) {
        self.shed.fetch_add(1, Ordering::AcqRel);
        self.notify();
    }

    fn notify(&self) {
        for WorkerSignal(worker) in &self.signals {
            worker.notify_waiters();
        }
    }

    /// The number of calls of [`Drain::shed_idle`].
    pub fn times_shed(&self) -> u64 {
        self.shed.load(Ordering::Acquire)
    }

    /// Waits until this worker's connections that wait for a request have to be closed, once they have waited for
    /// [`LAST_REQUEST`].
    pub async fn idle_must_end(&self, worker: usize) {
        let notified = self.signals[worker].0.notified();
        if !self.has_begun() {
            notified.await;
        }
        // A request may have arrived that the queue of events has not told of: it is asked once more before this goes on.
        tokio::task::yield_now().await;
    }
}
