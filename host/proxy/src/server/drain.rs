//! The end of the process, as connections see it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::{Notify, watch};

/// What all connections are told.
///
/// The process is about to end: connections are closed behind the response that is under way, and those that wait for a
/// request at once. Or there are no descriptors left: then only the latter are.
#[derive(Debug)]
pub struct Drain {
    accepting_ended: watch::Sender<bool>,
    begun: AtomicBool,
    /// For each worker: all would contend for one, with every request.
    told: Box<[Told]>,
    /// How often descriptors have run out.
    shed: AtomicU64,
}

/// Apart from its neighbours in memory.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Told(Notify);

impl Default for Drain {
    fn default() -> Drain {
        Drain::new(1)
    }
}

impl Drain {
    /// For so many workers.
    pub fn new(workers: usize) -> Drain {
        Drain {
            accepting_ended: watch::Sender::default(),
            begun: AtomicBool::new(false),
            told: (0..workers).map(|_| Told::default()).collect(),
            shed: AtomicU64::new(0),
        }
    }

    /// From now on nobody listens.
    pub fn stop_accepting(&self) {
        self.accepting_ended.send_replace(true);
    }

    /// Waits for that.
    pub async fn accepting_ended(&self) {
        // It cannot fail: this is the sender.
        let _ = self.accepting_ended.subscribe().wait_for(|ended| *ended).await;
    }

    /// From now on.
    pub fn begin(&self) {
        self.begun.store(true, Ordering::Release);
        self.tell();
    }

    /// Whether it has begun.
    pub fn has_begun(&self) -> bool {
        self.begun.load(Ordering::Acquire)
    }

    /// Has connections that wait for a request make room for others.
    pub fn shed_idle(&self) {
        self.shed.fetch_add(1, Ordering::AcqRel);
        self.tell();
    }

    fn tell(&self) {
        for Told(worker) in &self.told {
            worker.notify_waiters();
        }
    }

    /// How often that was.
    pub fn times_shed(&self) -> u64 {
        self.shed.load(Ordering::Acquire)
    }

    /// Waits until a connection of this worker that waits for a request has to be closed.
    pub async fn idle_must_end(&self, worker: usize) {
        let told = self.told[worker].0.notified();
        if !self.has_begun() {
            told.await;
        }
    }
}
