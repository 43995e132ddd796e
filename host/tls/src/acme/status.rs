//! The state of an authority's certificate.

use std::time::SystemTime;

/// The state that is shown to the operator, and measured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// The end of the held certificate's life.
    pub not_after: Option<SystemTime>,
    /// Whether an order is under way.
    pub ordering: bool,
    /// The time at which the next order is due.
    pub next_attempt: Option<SystemTime>,
    /// The number of failures since the last successful order.
    pub failures: u32,
    /// The last failure, until an order succeeds.
    pub last_failure: Option<Failure>,
}

/// An attempt that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The time of the failure.
    pub at: SystemTime,
    /// The step and the reason, in one line.
    pub why: String,
}
