//! What passes between the request path and the plugins, in terms of neither HTTP/1.1 nor wasmtime.
//!
//! The request path hands its messages over as these views, `pace-sandbox` implements [`Plugin`] over wasm, and the proxy's
//! `chain` joins the two without knowing either. The words are those of the contract in `wit/`.

mod advice;
pub mod field;
mod message;
mod reply;

use std::fmt;
use std::net::IpAddr;

use http::header::HeaderValue;

use field::FieldName;

pub use field::EditError;
pub use reply::{CONTENT_TYPE_NAME, Reply};

/// The contract that plugins are built for: the package in `wit/`.
pub const CONTRACT: &str = "pace:plugin@0.1.0";

/// The headers of a message, as plugins see them.
pub trait Headers {
    /// The first value of this name.
    fn header(&self, name: &str) -> Option<&[u8]>;
    /// Every value of this name, in order.
    fn header_values(&self, name: &str) -> Vec<&[u8]>;
    /// Calls `each` with every header, names in lower case.
    fn for_each_header(&self, each: &mut dyn FnMut(&str, &[u8]));
    /// Replaces every value of the name by this one, which the name accepts.
    fn set_header(&mut self, name: &FieldName, value: HeaderValue) -> Result<(), EditError>;
    /// Adds a value, which the name accepts.
    fn append_header(&mut self, name: &FieldName, value: HeaderValue) -> Result<(), EditError>;
    /// Removes every value; says whether there was one.
    fn remove_header(&mut self, name: &FieldName) -> Result<bool, EditError>;
}

/// The head of the request.
pub trait RequestHead: Headers {
    /// The method in the case in which it was sent.
    fn method(&self) -> &str;
    /// Host and optional port as sent.
    fn authority(&self) -> Option<&str>;
    /// The path as sent, without query.
    fn path(&self) -> &str;
    /// What follows the first `?`.
    fn query(&self) -> Option<&str>;
    /// Replaces path and query.
    fn set_path_and_query(&mut self, value: &str) -> Result<(), EditError>;
}

/// The head of the response.
pub trait ResponseHead: Headers {
    /// The status, 200 to 599.
    fn status(&self) -> u16;
    /// Changes the status.
    fn set_status(&mut self, status: u16) -> Result<(), EditError>;
}

/// The backends among which an attempt chooses. Indices are below [`Candidates::count`].
pub trait Candidates {
    /// How many there are.
    fn count(&self) -> u32;
    /// Changes with the pool's backends, weights and health.
    fn version(&self) -> u64;
    /// The pool's name.
    fn pool(&self) -> &str;
    /// Why the attempt before this one failed.
    fn last_failure(&self) -> Option<AttemptFailure>;
    /// Whether this request has been there.
    fn tried(&self, index: u32) -> bool;
    /// The address as configured.
    fn address(&self, index: u32) -> &str;
    /// The share of requests.
    fn weight(&self, index: u32) -> u32;
    /// Its state.
    fn health(&self, index: u32) -> Health;
    /// Requests sent and not complete.
    fn in_flight(&self, index: u32) -> u32;
    /// Recent time to the response head, in nanoseconds.
    fn latency(&self, index: u32) -> Option<u64>;
}

/// The request a hook runs for, and what it may do to it.
pub enum RequestAccess<'a> {
    /// Edits are still possible: nothing has been sent.
    Edit(&'a mut dyn RequestHead),
    /// The request is on its way; it can be read.
    Read(&'a dyn RequestHead),
}

/// What every hook can see.
pub struct RequestScope<'a> {
    /// The request's head.
    pub head: RequestAccess<'a>,
    /// Who asks, see `client`.
    pub client: IpAddr,
    /// `http` or `https`.
    pub scheme: &'static str,
}

/// One call of a hook: the request, and what only this hook can see.
pub struct Call<'a> {
    /// The request.
    pub request: RequestScope<'a>,
    /// What belongs to the hook.
    pub stage: Stage<'a>,
}

/// What belongs to a hook.
pub enum Stage<'a> {
    /// `request-filter`.
    RequestFilter,
    /// `select-upstream`.
    SelectUpstream {
        /// Among whom to choose.
        candidates: &'a dyn Candidates,
        /// 1 for the first attempt.
        attempt: u32,
    },
    /// `response-filter`.
    ResponseFilter {
        /// The response's head.
        response: &'a mut dyn ResponseHead,
        /// Who answered; `None` if a plugin did.
        backend: Option<&'a str>,
    },
}

/// A plugin with its configuration, ready to be called from any worker thread.
///
/// Every method may be called only for hooks that [`Plugin::hooks`] names, with a [`Call`] whose stage is
/// that hook's.
pub trait Plugin: Send + Sync {
    /// The name in the configuration.
    fn name(&self) -> &str;
    /// Which of its versions this is.
    fn generation(&self) -> u64;
    /// The hooks it exports.
    fn hooks(&self) -> Hooks;
    /// Runs `request-filter`.
    fn request_filter(&self, call: Call<'_>) -> Result<Verdict, Failure>;
    /// Runs `select-upstream`.
    fn select_upstream(&self, call: Call<'_>) -> Result<Selection, Failure>;
    /// Runs `response-filter`.
    fn response_filter(&self, call: Call<'_>) -> Result<Verdict, Failure>;
}

/// A set of hooks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hooks {
    /// `request-filter` is exported.
    pub request_filter: bool,
    /// `select-upstream` is exported.
    pub select_upstream: bool,
    /// `response-filter` is exported.
    pub response_filter: bool,
}

impl Hooks {
    /// The hooks in the set, in the order of a request.
    pub fn iter(self) -> impl Iterator<Item = Hook> {
        [
            self.request_filter.then_some(Hook::RequestFilter),
            self.select_upstream.then_some(Hook::SelectUpstream),
            self.response_filter.then_some(Hook::ResponseFilter),
        ]
        .into_iter()
        .flatten()
    }

    /// Whether this hook is in the set.
    pub fn contains(self, hook: Hook) -> bool {
        match hook {
            Hook::RequestFilter => self.request_filter,
            Hook::SelectUpstream => self.select_upstream,
            Hook::ResponseFilter => self.response_filter,
        }
    }

    /// No hook at all.
    pub fn is_empty(self) -> bool {
        self == Hooks::default()
    }
}

/// A hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// `request-filter`.
    RequestFilter,
    /// `select-upstream`.
    SelectUpstream,
    /// `response-filter`.
    ResponseFilter,
}

impl Hook {
    /// Every hook, in the order of a request.
    pub const ALL: [Hook; 3] = [Hook::RequestFilter, Hook::SelectUpstream, Hook::ResponseFilter];

    /// As the contract, the metrics and the log spell it.
    pub fn name(self) -> &'static str {
        match self {
            Hook::RequestFilter => "request-filter",
            Hook::SelectUpstream => "select-upstream",
            Hook::ResponseFilter => "response-filter",
        }
    }
}

/// What a filter decided.
#[derive(Debug, PartialEq)]
pub enum Verdict {
    /// Go on.
    Next,
    /// Answer with this.
    Respond(Reply),
}

/// What `select-upstream` decided.
#[derive(Debug, PartialEq)]
pub enum Selection {
    /// The backend with this index.
    Pick(u32),
    /// Ask the next plugin.
    Pass,
    /// Answer with this.
    Respond(Reply),
}

/// The state of a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Health {
    /// Nothing speaks against it.
    Healthy,
    /// Its health check fails.
    Unhealthy,
    /// Taken out for a while.
    Ejected,
    /// Finishes what it has.
    Draining,
}

impl Health {
    /// Every state.
    pub const ALL: [Health; 4] = [
        Health::Healthy,
        Health::Unhealthy,
        Health::Ejected,
        Health::Draining,
    ];

    /// As the contract spells it.
    pub fn name(self) -> &'static str {
        match self {
            Health::Healthy => "healthy",
            Health::Unhealthy => "unhealthy",
            Health::Ejected => "ejected",
            Health::Draining => "draining",
        }
    }
}

/// Why an attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptFailure {
    /// Nobody listens.
    ConnectionRefused,
    /// No connection in time.
    ConnectionTimeout,
    /// No connection for another reason.
    ConnectionFailed,
    /// The TLS handshake failed.
    Tls,
    /// Closed before the response began.
    Closed,
    /// No response in time.
    ResponseTimeout,
    /// Not HTTP.
    Protocol,
    /// Answered with this status, 200 to 599, on which the route retries.
    Status(u16),
    /// None of these.
    Other,
}

impl AttemptFailure {
    /// Every failure of which there is no more to say than its name: all but [`AttemptFailure::Status`].
    pub const ALL: [AttemptFailure; 8] = [
        AttemptFailure::ConnectionRefused,
        AttemptFailure::ConnectionTimeout,
        AttemptFailure::ConnectionFailed,
        AttemptFailure::Tls,
        AttemptFailure::Closed,
        AttemptFailure::ResponseTimeout,
        AttemptFailure::Protocol,
        AttemptFailure::Other,
    ];

    /// As the log and the metrics spell it.
    pub fn name(self) -> &'static str {
        match self {
            AttemptFailure::ConnectionRefused => "connection-refused",
            AttemptFailure::ConnectionTimeout => "connection-timeout",
            AttemptFailure::ConnectionFailed => "connection-failed",
            AttemptFailure::Tls => "tls",
            AttemptFailure::Closed => "closed",
            AttemptFailure::ResponseTimeout => "response-timeout",
            AttemptFailure::Protocol => "protocol",
            AttemptFailure::Status(_) => "status",
            AttemptFailure::Other => "other",
        }
    }
}

/// A hook that came to no result. The instance it ran in is gone.
#[derive(Clone, Debug)]
pub struct Failure {
    /// What kind of failure.
    pub reason: FailureReason,
    /// For the log: the trap with its backtrace, the text of `configure`, the illegal value.
    pub detail: String,
}

/// What kind of failure; the label `reason` of `pace_plugin_failures_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureReason {
    /// The code trapped: a panic, an unreachable instruction, a function called in the wrong hook.
    Trap,
    /// It passed its time limit.
    Deadline,
    /// It passed its memory limit.
    Memory,
    /// It returned what may not be returned.
    IllegalOutput,
    /// A new instance could not be made, or `configure` refused.
    Configure,
    /// It was not called: it failed too often lately.
    BreakerOpen,
}

impl FailureReason {
    /// Every reason, for the metrics.
    pub const ALL: [FailureReason; 6] = [
        FailureReason::Trap,
        FailureReason::Deadline,
        FailureReason::Memory,
        FailureReason::IllegalOutput,
        FailureReason::Configure,
        FailureReason::BreakerOpen,
    ];

    /// As the log and the metrics spell it.
    pub fn name(self) -> &'static str {
        match self {
            FailureReason::Trap => "trap",
            FailureReason::Deadline => "deadline",
            FailureReason::Memory => "memory",
            FailureReason::IllegalOutput => "illegal-output",
            FailureReason::Configure => "configure",
            FailureReason::BreakerOpen => "breaker-open",
        }
    }
}

impl std::error::Error for Failure {}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.reason.name(), self.detail)
    }
}
