//! The counters of mirrors.

use prometheus::IntCounter;

/// The result of copying a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MirrorResult {
    /// A backend of the mirror has responded.
    Answered,
    /// No backend has responded, or not in time.
    Failed,
    /// No copy was sent: as many were on their way as may be.
    TooMany,
    /// No copy was sent: not all of the body was at hand.
    Incomplete,
}

impl MirrorResult {
    /// Every result.
    pub const ALL: [MirrorResult; 4] = [
        MirrorResult::Answered,
        MirrorResult::Failed,
        MirrorResult::TooMany,
        MirrorResult::Incomplete,
    ];

    /// The result in the spelling of the metrics.
    pub fn name(self) -> &'static str {
        match self {
            MirrorResult::Answered => "answered",
            MirrorResult::Failed => "failed",
            MirrorResult::TooMany => "too-many",
            MirrorResult::Incomplete => "incomplete",
        }
    }
}

/// The counters of one mirror, looked up.
#[derive(Clone)]
pub struct MirrorMetrics([IntCounter; MirrorResult::ALL.len()]);

impl MirrorMetrics {
    pub(super) fn new(counter: impl FnMut(MirrorResult) -> IntCounter) -> MirrorMetrics {
        MirrorMetrics(MirrorResult::ALL.map(counter))
    }

    /// Counts a request.
    pub fn count(&self, result: MirrorResult) {
        self.0[result as usize].inc();
    }
}
