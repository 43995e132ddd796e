//! The limit of handshakes under way at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts the handshakes of a worker and refuses those beyond its cap, so that their memory is bounded and their signatures
/// do not keep established connections waiting for long.
#[derive(Clone, Debug)]
pub struct Handshakes {
    under_way: Arc<AtomicUsize>,
    cap: usize,
}

/// One handshake, counted until this is dropped.
#[derive(Debug)]
#[must_use = "the handshake is counted only as long as this is kept"]
pub struct UnderWay(Arc<AtomicUsize>);

impl Handshakes {
    /// Creates a counter that allows up to `cap` at a time.
    pub fn new(cap: usize) -> Handshakes {
        Handshakes {
            under_way: Arc::default(),
            cap,
        }
    }

    /// Begins a handshake, unless `cap` are under way.
    pub fn begin(&self) -> Option<UnderWay> {
        let counted = UnderWay(self.under_way.clone());
        // The count tells nothing else, so its order to other memory does not matter. A refused handshake is counted
        // for an instant, which can refuse another one at the cap and never lets one more in.
        if self.under_way.fetch_add(1, Ordering::Relaxed) < self.cap {
            Some(counted)
        } else {
            None
        }
    }

    /// The number of handshakes under way.
    pub fn count(&self) -> usize {
        self.under_way.load(Ordering::Relaxed)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handshake_beyond_the_cap_is_refused_until_another_ends() {
        let handshakes = Handshakes::new(2);
        let first = handshakes.begin().unwrap();
        let second = handshakes.begin().unwrap();
        assert!(handshakes.begin().is_none());
        assert_eq!(handshakes.count(), 2);
        drop(first);
        let third = handshakes.begin().unwrap();
        assert!(handshakes.clone().begin().is_none());
        drop((second, third));
        assert_eq!(handshakes.count(), 0);
    }
}
