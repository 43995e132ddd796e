//! Tells connections that the process is about to end, or has run out of descriptors.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::{Notify, watch};

/// The signals to all connections.
///
/// When the process is about to end, connections are closed after the response that is under way, and those that wait for a
/// request at once. When there are no descriptors left, only the latter are closed.
#[derive(Debug)]
pub struct Drain {
    accepting_ended: watch::Sender<bool>,
    begun: AtomicBool,
    /// The signal of each worker. With a single one, all workers would contend for it with every request.
    signals: Box<[WorkerSignal]>,
    /// The number of times that descriptors have run out.
    shed: AtomicU64,
}

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
            accepting_ended: watch::Sender::default(),
            begun: AtomicBool::new(false),
            signals: (0..workers).map(|_| WorkerSignal::default()).collect(),
            shed: AtomicU64::new(0),
        }
    }

    /// Makes workers stop listening.
    pub fn stop_accepting(&self) {
        self.accepting_ended.send_replace(true);
    }

    /// Waits until workers have to stop listening.
    pub async fn accepting_ended(&self) {
        // This cannot fail, since `self` holds the sender.
        let _ = self.accepting_ended.subscribe().wait_for(|ended| *ended).await;
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

    /// Waits until this worker's connections that wait for a request have to be closed.
    pub async fn idle_must_end(&self, worker: usize) {
        let notified = self.signals[worker].0.notified();
        if !self.has_begun() {
            notified.await;
        }
        // A request may have arrived that the queue of events has not told of: it is asked once more before this goes on.
        tokio::task::yield_now().await;
    }
}
