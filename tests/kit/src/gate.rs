//! A door that a test opens.

use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

use crate::DEADLINE;

/// Holds up whoever waits at it until it is opened. Clones are the same gate.
///
/// An origin that waits at a gate is slow for exactly as long as the test wants.
#[derive(Clone, Default)]
pub struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    /// A closed gate.
    pub fn new() -> Gate {
        Gate::default()
    }

    /// Lets everybody through, from now on.
    pub fn open(&self) {
        let (open, changed) = &*self.0;
        *open.lock() = true;
        changed.notify_all();
    }

    /// Waits until it is open. Gives up after a while, so that no thread stays when a test has failed.
    pub fn wait(&self) {
        let (open, changed) = &*self.0;
        changed.wait_while_for(&mut open.lock(), |open| !*open, 2 * DEADLINE);
    }
}
