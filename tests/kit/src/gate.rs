//! A gate that threads wait at until a test opens it.

use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

use crate::DEADLINE;

/// A gate that blocks the threads waiting at it until it is opened. Clones are the same gate.
///
/// A backend that waits at a gate is slow for exactly as long as the test wants.
#[derive(Clone, Default)]
pub struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    /// Creates a closed gate.
    pub fn new() -> Gate {
        Gate::default()
    }

    /// Closes the gate again.
    pub fn close(&self) {
        *self.0.0.lock() = false;
    }

    /// Opens the gate.
    pub fn open(&self) {
        let (open, changed) = &*self.0;
        *open.lock() = true;
        changed.notify_all();
    }

    /// Waits until the gate is open. Gives up after twice [`DEADLINE`], so that no thread stays when a test has
    /// failed.
    pub fn wait(&self) {
        let (open, changed) = &*self.0;
        changed.wait_while_for(&mut open.lock(), |open| !*open, 2 * DEADLINE);
    }
}
