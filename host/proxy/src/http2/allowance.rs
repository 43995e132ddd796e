//! Limits the frames that carry nothing.

use tokio::time::Instant;

/// The number of frames that a client has at the beginning, and at most.
const MOST: u32 = 1000;

/// The number of frames that each second gives back.
const PER_SECOND: u128 = 100;

/// The number of frames that each frame of a message gives back. It is Envoy's: a client that reads in small pieces
/// opens its window as often for one frame of data.
const PER_MESSAGE: u32 = 10;

/// An allowance of frames that belong to no message: PING, SETTINGS, WINDOW_UPDATE, PRIORITY and frames of unknown
/// types. Each costs the client a few bytes and this side an answer or some work, and no window bounds them (RFC 9113,
/// section 10.5).
///
/// A quiet connection may carry a hundred in each second for as long as it likes. A connection with messages may carry
/// ten for each frame of these: some clients send PING for each frame of data, to measure the connection.
#[derive(Debug)]
pub(super) struct Allowance {
    left: u32,
    /// The moment when time last gave frames back.
    since: Instant,
}

impl Allowance {
    pub(super) fn new(now: Instant) -> Allowance {
        Allowance {
            left: MOST,
            since: now,
        }
    }

    /// Takes one frame. Returns `false` if none is left. The clock is read only when all have been taken.
    pub(super) fn take(&mut self, now: impl FnOnce() -> Instant) -> bool {
        if self.left == 0 {
            let now = now();
            let earned = (now - self.since).as_millis() * PER_SECOND / 1000;
            self.left = u32::try_from(earned).unwrap_or(MOST).min(MOST);
            self.since = now;
        }
        let is_allowed = self.left > 0;
        self.left = self.left.saturating_sub(1);
        is_allowed
    }

    /// Gives frames back for a frame of a message.
    pub(super) fn give(&mut self) {
        self.left = (self.left + PER_MESSAGE).min(MOST);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn frames_are_given_back_by_time_and_by_messages() {
        let start = Instant::now();
        let at = |millis| move || start + Duration::from_millis(millis);
        let mut allowance = Allowance::new(start);
        assert!((0..MOST).all(|_| allowance.take(at(0))));
        assert!(!allowance.take(at(9)));
        // The look at the clock has begun the time anew.
        assert!(!allowance.take(at(18)));
        assert!(allowance.take(at(28)) && !allowance.take(at(28)));
        allowance.give();
        assert!((0..PER_MESSAGE).all(|_| allowance.take(at(28))));
        assert!(!allowance.take(at(28)));
        let week = 7 * 86_400_000;
        assert!((0..MOST).all(|_| allowance.take(at(week))));
        assert!(!allowance.take(at(week)));
    }

    #[test]
    fn hundred_frames_a_second_are_allowed_for_ever() {
        let start = Instant::now();
        let mut allowance = Allowance::new(start);
        for nth in 0..100_000 {
            let now = start + Duration::from_millis(10 * nth);
            assert!(allowance.take(|| now), "{nth}");
        }
    }
}
