//! How it stands with the certificates of an authority.

use std::time::SystemTime;

/// What is shown to the operator, and measured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Until when the certificate that is held is valid.
    pub not_after: Option<SystemTime>,
    /// An order is under way.
    pub ordering: bool,
    /// When the next one is due.
    pub next_attempt: Option<SystemTime>,
    /// Failures since the last order that went well.
    pub failures: u32,
    /// The last failure, until an order has gone well.
    pub last_failure: Option<Failure>,
}

/// An attempt that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// When.
    pub at: SystemTime,
    /// At which step and why, in one line.
    pub why: String,
}
