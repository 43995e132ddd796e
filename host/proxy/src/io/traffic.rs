//! The account of a connection that many requests share.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The bytes that a backend sends on a session of HTTP/2, and the part of them that some request used.
///
/// The account tells a dead session from one on which a single request waits, and ends a flooded one: frames that belong to no
/// message, such as PING and SETTINGS, cost time and have no window that bounds them.
#[derive(Debug, Default)]
pub struct Traffic {
    heard: AtomicU64,
    used: AtomicU64,
    /// The bytes that may still be read before other tasks have their turn.
    turn: AtomicU64,
}

/// One request's share in a session's traffic.
#[derive(Debug)]
pub struct Share {
    traffic: Arc<Traffic>,
    /// The bytes that the session had heard when the last of them were for this request.
    heard: u64,
    /// The bytes that may still come for the request when it is given up.
    window: u64,
}

/// The bytes of a frame before its content (RFC 9113, section 4.1).
const FRAME_HEAD: u64 = 9;

/// The most bytes that are read in one go. No window bounds interim responses, so the requests that they are for must have
/// their turn in time to count them.
const TURN: u64 = 64 << 10;

/// A session is flooded if it has heard more than this many times the bytes that were used, and the allowance. nginx bounds
/// the bytes of clients in this way.
const FLOOD_FACTOR: u64 = 8;
const ALLOWANCE: u64 = 1 << 20;

impl Traffic {
    /// Begins another turn of reading.
    pub fn begin_turn(&self) {
        self.turn.store(TURN, Ordering::Relaxed);
    }

    /// Whether more may be read in this turn.
    pub fn has_turn(&self) -> bool {
        self.turn.load(Ordering::Relaxed) > 0
    }

    /// Counts bytes that have been read. An error if too few of all bytes were used.
    pub fn hear(&self, count: usize) -> io::Result<()> {
        let count = count as u64;
        let left = self.turn.load(Ordering::Relaxed).saturating_sub(count);
        self.turn.store(left, Ordering::Relaxed);
        let heard = self.heard.fetch_add(count, Ordering::Relaxed) + count;
        let used = self.used.load(Ordering::Relaxed);
        match heard / FLOOD_FACTOR > used + ALLOWANCE {
            true => Err(io::Error::other(
                "the backend sends frames that belong to no response without end",
            )),
            false => Ok(()),
        }
    }

    fn heard(&self) -> u64 {
        self.heard.load(Ordering::Relaxed)
    }
}

impl Share {
    /// The share of a request of which nothing has been sent. `window` is how many bytes may come before they are read.
    pub fn new(traffic: Arc<Traffic>, window: u32) -> Share {
        Share {
            heard: traffic.heard(),
            traffic,
            window: window.into(),
        }
    }

    /// Counts a message's bytes, or a part of them, that came in a frame or went in one.
    pub fn count(&mut self, bytes: usize) {
        let count = bytes as u64 + FRAME_HEAD;
        self.traffic.used.fetch_add(count, Ordering::Relaxed);
        self.heard = self.traffic.heard();
    }

    /// Notes that nothing more comes.
    pub fn end(&mut self) {
        self.window = 0;
    }

    /// Whether the session has heard nothing since there was something for this request.
    pub fn is_silent(&self) -> bool {
        self.heard == self.traffic.heard()
    }
}

impl Drop for Share {
    /// Counts the bytes that may still be on their way to a request that was given up.
    fn drop(&mut self) {
        self.traffic.used.fetch_add(self.window, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hear(traffic: &Traffic, bytes: u64) -> io::Result<()> {
        traffic.begin_turn();
        traffic.hear(usize::try_from(bytes).expect("it is small"))
    }

    #[test]
    fn session_that_sends_much_of_no_use_is_flooded() {
        let traffic = Traffic::default();
        assert!(hear(&traffic, FLOOD_FACTOR * ALLOWANCE).is_ok());
        assert!(hear(&traffic, FLOOD_FACTOR).is_err());
    }

    #[test]
    fn bytes_of_responses_and_those_on_their_way_to_requests_that_were_given_up_are_no_flood() {
        let traffic = Arc::new(Traffic::default());
        let window = 256 << 10;
        for _ in 0..200 {
            let mut share = Share::new(Arc::clone(&traffic), window);
            share.count(100);
            drop(share);
            assert!(hear(&traffic, 100 + u64::from(window)).is_ok());
        }
    }

    #[test]
    fn share_is_silent_until_its_session_hears_something() {
        let traffic = Arc::new(Traffic::default());
        let mut share = Share::new(Arc::clone(&traffic), 1);
        assert!(share.is_silent());
        hear(&traffic, 10).expect("it is little");
        assert!(!share.is_silent());
        share.count(1);
        assert!(share.is_silent());
    }

    #[test]
    fn turn_ends_after_its_bytes() {
        let traffic = Traffic::default();
        assert!(!traffic.has_turn());
        hear(&traffic, TURN - 1).expect("it is little");
        assert!(traffic.has_turn());
        traffic.hear(1).expect("it is little");
        assert!(!traffic.has_turn());
    }
}
