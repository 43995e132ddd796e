//! Times of day as text.

use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

/// Writes times such as `2026-01-31T12:00:00.123Z`, and computes what is before the point once per second.
#[derive(Debug, Default)]
pub(super) struct Clock {
    second: u64,
    /// The text without fraction and `Z`.
    text: String,
}

impl Clock {
    /// Appends a time.
    pub(super) fn write(&mut self, out: &mut Vec<u8>, time: SystemTime) {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        if self.text.is_empty() || self.second != since.as_secs() {
            self.second = since.as_secs();
            let second = i64::try_from(self.second).ok();
            let stamp = second.and_then(|second| jiff::Timestamp::from_second(second).ok());
            self.text = stamp.unwrap_or_default().to_string();
            self.text.truncate("2026-01-31T12:00:00".len());
        }
        // Writing into a vector does not fail.
        let _ = write!(out, "{}.{:03}Z", self.text, since.subsec_millis());
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn time_has_milliseconds() {
        let (mut clock, mut out) = (Clock::default(), Vec::new());
        for millis in [1_767_225_600_007, 1_767_225_601_999] {
            clock.write(&mut out, UNIX_EPOCH + Duration::from_millis(millis));
        }
        assert_eq!(out, b"2026-01-01T00:00:00.007Z2026-01-01T00:00:01.999Z");
    }
}
