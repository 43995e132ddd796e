//! The end of the process, as connections see it.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// Whether the process is about to end: connections are closed behind the response that is under way, and those that wait for
/// a request at once.
#[derive(Debug, Default)]
pub struct Drain {
    begun: AtomicBool,
    told: Notify,
}

impl Drain {
    /// From now on.
    pub fn begin(&self) {
        self.begun.store(true, Ordering::Release);
        self.told.notify_waiters();
    }

    /// Whether it has begun.
    pub fn has_begun(&self) -> bool {
        self.begun.load(Ordering::Acquire)
    }

    /// Waits until it has.
    pub async fn begun(&self) {
        let told = self.told.notified();
        if !self.has_begun() {
            told.await;
        }
    }
}
