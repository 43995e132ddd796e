//! The keys of session tickets, which outlive listeners and their configurations.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use rustls::server::ProducesTickets;

use super::client_certificates::Policy;

/// Keys with which session tickets are encrypted: random, replaced every 6 hours, known to this process alone.
///
/// A process has one such object for all its listeners and all that ever replace them: new keys on reload would end
/// every session. There are keys for each policy about client certificates. A resumed session is not verified again,
/// so with one key for all, a client without a certificate could resume where one is demanded, or one with a
/// certificate of an authority that is no longer trusted.
#[derive(Default)]
pub struct Tickets(Mutex<HashMap<Policy, Arc<dyn ProducesTickets>>>);

/// The most policies whose keys are kept. Policies are few; past this number, those of removed listeners are
/// forgotten.
const KEPT: usize = 64;

impl Tickets {
    /// Creates an object without keys.
    pub fn new() -> Tickets {
        Tickets::default()
    }

    pub(super) fn of(&self, policy: Policy) -> Result<Arc<dyn ProducesTickets>, rustls::Error> {
        let mut keys = self.0.lock();
        if let Some(found) = keys.get(&policy) {
            return Ok(found.clone());
        }
        if keys.len() >= KEPT {
            keys.retain(|_, keys| Arc::strong_count(keys) > 1);
        }
        let made = rustls::crypto::aws_lc_rs::Ticketer::new()?;
        keys.insert(policy, made.clone());
        Ok(made)
    }
}

impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tickets")
            .field("policies", &self.0.lock().len())
            .finish()
    }
}
