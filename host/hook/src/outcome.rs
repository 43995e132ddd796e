//! The outcome of a request, which `finished` takes note of.

use std::time::Duration;

use crate::AttemptFailure;

/// The outcome of a request.
#[derive(Clone, Debug)]
pub struct Outcome<'a> {
    /// The way in which the request ended.
    pub ending: Ending,
    /// The status that was sent to the client, if one was.
    pub status: Option<u16>,
    /// Bytes of the request's body that were taken from the client, without framing.
    pub request_bytes: u64,
    /// Bytes of the response's body that were given to the client's connection, without framing.
    pub response_bytes: u64,
    /// Attempts that were begun.
    pub attempts: u32,
    /// The backend of the last attempt, as configured.
    pub backend: Option<&'a str>,
    /// The pool of the last attempt.
    pub pool: Option<&'a str>,
    /// Why the last attempt failed, if it did.
    pub failure: Option<AttemptFailure>,
    /// The time from the head of the request to the end of everything.
    pub total: Duration,
    /// The time from the head of the request to the first attempt.
    pub queue: Option<Duration>,
    /// The time that the last attempt took to have a connection.
    pub connect: Option<Duration>,
    /// The time from the beginning of the last attempt to the head of its response.
    pub first_byte: Option<Duration>,
}

/// The way in which a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The client has been sent a whole response, or the other protocol to which its connection was switched has ended.
    Complete,
    /// The client left before, or did not take the response in time.
    ClientGone,
    /// The backend did not answer in time or at all, or broke its response off.
    BackendFailed,
    /// The request was broken off on this side.
    Cut,
    /// Pace answered the request itself.
    Refused,
    /// A plugin failed closed.
    PluginFailed,
}

impl Ending {
    /// Every way, in the order of the contract.
    pub const ALL: [Ending; 6] = [
        Ending::Complete,
        Ending::ClientGone,
        Ending::BackendFailed,
        Ending::Cut,
        Ending::Refused,
        Ending::PluginFailed,
    ];

    /// The name in the contract.
    pub fn name(self) -> &'static str {
        match self {
            Ending::Complete => "complete",
            Ending::ClientGone => "client-gone",
            Ending::BackendFailed => "backend-failed",
            Ending::Cut => "cut",
            Ending::Refused => "refused",
            Ending::PluginFailed => "plugin-failed",
        }
    }
}
