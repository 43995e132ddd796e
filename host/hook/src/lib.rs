//! The interface between the request path and the plugins, independent of HTTP/1.1 and of wasmtime.
//!
//! The request path hands its messages over as these views, `pace-sandbox` implements [`Plugin`] over wasm,
//! and the proxy's `chain` joins the two without knowing either. The words are those of the contract in
//! `wit/`.

mod advice;
mod attempt;
mod body;
mod certificate;
mod facts;
pub mod field;
mod hooks;
mod message;
mod outcome;
mod reply;
mod state;
mod stream;

use std::fmt;

use http::StatusCode;
use http::header::HeaderValue;

use field::FieldName;
use pace_content::body::Content;

pub use attempt::{Attempt, AttemptAccess, Judgement};
pub use certificate::ClientCertificate;
pub use facts::{Pools, RequestFacts};
pub use field::EditError;
pub use hooks::{Hook, Hooks, PerHook};
pub use outcome::{Ending, Outcome};
pub use reply::{CONTENT_TYPE_NAME, Reply};
pub use state::{Annotation, Body, RequestState};
pub use stream::{Heads, Message, Opening};

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
    /// Replaces every value of the name by `value`, which the name accepts.
    fn set_header(&mut self, name: &FieldName, value: HeaderValue) -> Result<(), EditError>;
    /// Adds a value, which the name accepts.
    fn append_header(&mut self, name: &FieldName, value: HeaderValue) -> Result<(), EditError>;
    /// Removes every value. Returns whether there was one.
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
    /// The text after the first `?`.
    fn query(&self) -> Option<&str>;
    /// The version of HTTP that the client speaks: `1.0`, `1.1` or `2`.
    fn version(&self) -> &'static str;
    /// The path by which the route was chosen, before any plugin changed it.
    fn routed_path(&self) -> &str;
    /// The target exactly as the client has sent it.
    fn original_target(&self) -> &str;
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

/// The backends that an attempt can choose from. Indices are below [`Candidates::count`].
pub trait Candidates {
    /// The number of backends.
    fn count(&self) -> u32;
    /// A version that changes with the pool's backends, weights and health.
    fn version(&self) -> u64;
    /// The pool's name.
    fn pool(&self) -> &str;
    /// Why the previous attempt failed.
    fn last_failure(&self) -> Option<AttemptFailure>;
    /// The backend of the previous attempt, if that went to the same pool.
    fn last_failed(&self) -> Option<u32>;
    /// Whether this request has been sent to this backend before.
    fn tried(&self, index: u32) -> bool;
    /// The address as configured.
    fn address(&self, index: u32) -> &str;
    /// The backend's share of requests.
    fn weight(&self, index: u32) -> u32;
    /// The backend's state.
    fn health(&self, index: u32) -> Health;
    /// Requests sent and not complete.
    fn in_flight(&self, index: u32) -> u32;
    /// Recent time to the response head, in nanoseconds.
    fn latency(&self, index: u32) -> Option<u64>;
}

/// The head of the request that a hook runs for, with the access that the hook has.
pub enum RequestAccess<'a> {
    /// The request can be edited: nothing has been sent.
    Edit(&'a mut dyn RequestHead),
    /// The request is on its way and can only be read.
    Read(&'a dyn RequestHead),
}

/// The head of a response that a hook runs for, with the access that the hook has.
pub enum ResponseAccess<'a> {
    /// The response can be edited: nothing has been sent.
    Edit(&'a mut dyn ResponseHead),
    /// The response has been sent and can only be read.
    Read(&'a dyn ResponseHead),
}

/// The view of a request that every hook has.
pub struct RequestScope<'a> {
    /// The request's head.
    pub head: RequestAccess<'a>,
    /// The facts about the request that its head does not tell.
    pub facts: &'a RequestFacts<'a>,
}

/// A plugin with its configuration, ready to be called from any worker thread.
///
/// Each hook has a method, which is called only if [`Plugin::hooks`] names the hook; the others may be left out.
pub trait Plugin: Send + Sync {
    /// The name in the configuration.
    fn name(&self) -> &str;
    /// The generation of the plugin.
    fn generation(&self) -> u64;
    /// The hooks that the plugin exports.
    fn hooks(&self) -> Hooks;

    /// Runs `request-filter`.
    fn request_filter(&self, _request: RequestScope<'_>) -> Result<Verdict, Failure> {
        Err(Failure::no_such_hook())
    }

    /// Runs `request-body-filter` with the whole body.
    fn request_body(&self, _request: RequestScope<'_>, _body: &mut Content) -> Result<Verdict, Failure> {
        Err(Failure::no_such_hook())
    }

    /// Runs `request-stream-filter.open`. `None`: the message passes without this plugin.
    fn open_request_stream(&self, _heads: Heads<'_>) -> Result<Option<Opening>, Failure> {
        Err(Failure::no_such_hook())
    }

    /// Runs `attempt-filter.prepare` for an attempt, counted from 1. `body` is the whole body that the attempt is to send, if that
    /// is there.
    fn prepare(
        &self,
        _request: RequestScope<'_>,
        _attempt: &mut dyn Attempt,
        _body: Option<&mut Content>,
        _number: u32,
    ) -> Result<Verdict, Failure> {
        Err(Failure::no_such_hook())
    }

    /// Runs `attempt-filter.judge` for an attempt, counted from 1. `response` is what it has brought, and the backend that it is
    /// from; `None` if it has failed.
    fn judge(
        &self,
        _request: RequestScope<'_>,
        _attempt: &dyn Attempt,
        _response: Option<(&dyn ResponseHead, Option<&str>)>,
        _number: u32,
    ) -> Result<Judgement, Failure> {
        Err(Failure::no_such_hook())
    }

    /// Runs `select-upstream` for an attempt, counted from 1.
    fn select_upstream(
        &self,
        _request: RequestScope<'_>,
        _candidates: &dyn Candidates,
        _attempt: u32,
    ) -> Result<Selection, Failure> {
        Err(Failure::no_such_hook())
    }

    /// Runs `response-filter`. `backend` is the one that answered; `None` if a plugin did.
    fn response_filter(
        &self,
        _request: RequestScope<'_>,
        _response: &mut dyn ResponseHead,
        _backend: Option<&str>,
    ) -> Result<Verdict, Failure> {
        Err(Failure::no_such_hook())
    }

    /// Runs `response-body-filter` with the whole body. `backend` is as for [`Plugin::response_filter`].
    fn response_body(
        &self,
        _request: RequestScope<'_>,
        _response: &mut dyn ResponseHead,
        _backend: Option<&str>,
        _body: &mut Content,
    ) -> Result<Verdict, Failure> {
        Err(Failure::no_such_hook())
    }

    /// Runs `response-stream-filter.open`. `None`: the message passes without this plugin.
    fn open_response_stream(&self, _heads: Heads<'_>) -> Result<Option<Opening>, Failure> {
        Err(Failure::no_such_hook())
    }

    /// Runs `finished`. `response` is the head that was sent to the client, and the backend that it is from.
    fn finished(
        &self,
        _request: RequestScope<'_>,
        _response: Option<(&dyn ResponseHead, Option<&str>)>,
        _outcome: &Outcome<'_>,
    ) -> Result<(), Failure> {
        Err(Failure::no_such_hook())
    }
}

/// The decision of a filter.
#[derive(Debug, PartialEq)]
pub enum Verdict {
    /// The request goes on.
    Next,
    /// The request is answered with this.
    Respond(Reply),
}

/// The decision of `select-upstream`.
#[derive(Debug, PartialEq)]
pub enum Selection {
    /// The backend with this index.
    Pick(u32),
    /// The next plugin decides.
    Pass,
    /// The request is answered with this.
    Respond(Reply),
}

/// The state of a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Health {
    /// No check or failure speaks against the backend.
    Healthy,
    /// The backend's health check fails.
    Unhealthy,
    /// The backend gets no requests for a while.
    Ejected,
    /// The backend only finishes its present requests.
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

    /// The name in the contract.
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
    /// The backend refused the connection.
    ConnectionRefused,
    /// No connection was made in time.
    ConnectionTimeout,
    /// No connection was made for another reason.
    ConnectionFailed,
    /// The TLS handshake failed.
    Tls,
    /// The connection was closed before the response began.
    Closed,
    /// No response came in time.
    ResponseTimeout,
    /// The response was not HTTP.
    Protocol,
    /// The response had this status, 200 to 599, on which the route retries.
    Status(u16),
    /// Any other failure.
    Other,
}

impl AttemptFailure {
    /// Every failure that its name describes in full: all but [`AttemptFailure::Status`].
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

    /// The status of Pace's own answer, if no other attempt follows and no plugin answers.
    pub fn answer(self) -> StatusCode {
        match self {
            AttemptFailure::ConnectionRefused
            | AttemptFailure::ConnectionTimeout
            | AttemptFailure::ConnectionFailed
            | AttemptFailure::Tls => StatusCode::SERVICE_UNAVAILABLE,
            AttemptFailure::ResponseTimeout => StatusCode::GATEWAY_TIMEOUT,
            AttemptFailure::Closed
            | AttemptFailure::Protocol
            | AttemptFailure::Status(_)
            | AttemptFailure::Other => StatusCode::BAD_GATEWAY,
        }
    }

    /// The name in the log and the metrics.
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

/// A hook call without a result. Its instance has been dropped.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The kind of failure.
    pub reason: FailureReason,
    /// Details for the log: the trap with its backtrace, the text of `configure`, the illegal value.
    pub detail: String,
}

/// The kind of a failure; the label `reason` of `pace_plugin_failures_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureReason {
    /// The code trapped: a panic, an unreachable instruction, a function called in the wrong hook.
    Trap,
    /// The call passed its time limit.
    Deadline,
    /// The call passed its memory limit.
    Memory,
    /// The call returned an illegal value.
    IllegalOutput,
    /// A new instance could not be made, or `configure` refused.
    Configure,
    /// The plugin was not called: it failed too often recently.
    BreakerOpen,
    /// The message's object was in an instance that is gone.
    InstanceLost,
    /// The plugin has as many messages open as it may.
    TooManyStreams,
    /// A line or an event was longer than the plugin is shown.
    UnitTooLarge,
    /// The body was larger than the plugin is shown, as sent or decoded.
    BodyTooLarge,
    /// The body was not there in time.
    BodyTimeout,
    /// There was no memory for the body.
    BodyBudget,
    /// The body cannot be decoded.
    BodyEncoding,
    /// The backend sends a part of the body only.
    BodyPartial,
}

impl FailureReason {
    /// Every reason, for the metrics.
    pub const ALL: [FailureReason; 14] = [
        FailureReason::Trap,
        FailureReason::Deadline,
        FailureReason::Memory,
        FailureReason::IllegalOutput,
        FailureReason::Configure,
        FailureReason::BreakerOpen,
        FailureReason::InstanceLost,
        FailureReason::TooManyStreams,
        FailureReason::UnitTooLarge,
        FailureReason::BodyTooLarge,
        FailureReason::BodyTimeout,
        FailureReason::BodyBudget,
        FailureReason::BodyEncoding,
        FailureReason::BodyPartial,
    ];

    /// The name in the log and the metrics.
    pub fn name(self) -> &'static str {
        match self {
            FailureReason::Trap => "trap",
            FailureReason::Deadline => "deadline",
            FailureReason::Memory => "memory",
            FailureReason::IllegalOutput => "illegal-output",
            FailureReason::Configure => "configure",
            FailureReason::BreakerOpen => "breaker-open",
            FailureReason::InstanceLost => "instance-lost",
            FailureReason::TooManyStreams => "too-many-streams",
            FailureReason::UnitTooLarge => "unit-too-large",
            FailureReason::BodyTooLarge => "body-too-large",
            FailureReason::BodyTimeout => "body-timeout",
            FailureReason::BodyBudget => "body-budget",
            FailureReason::BodyEncoding => "body-encoding",
            FailureReason::BodyPartial => "body-partial",
        }
    }

    /// Whether a failure for this reason is the plugin's own, and counts for its breaker and its trial. The others are caused
    /// by the message, which is a client's or a backend's, or follow from a failure that was counted.
    pub fn is_of_plugin(self) -> bool {
        match self {
            FailureReason::Trap
            | FailureReason::Deadline
            | FailureReason::Memory
            | FailureReason::IllegalOutput
            | FailureReason::Configure => true,
            FailureReason::BreakerOpen
            | FailureReason::InstanceLost
            | FailureReason::TooManyStreams
            | FailureReason::UnitTooLarge
            | FailureReason::BodyTooLarge
            | FailureReason::BodyTimeout
            | FailureReason::BodyBudget
            | FailureReason::BodyEncoding
            | FailureReason::BodyPartial => false,
        }
    }
}

impl Failure {
    /// The failure of calling a hook that the plugin does not export.
    pub fn no_such_hook() -> Failure {
        Failure {
            reason: FailureReason::Trap,
            detail: "it has no such hook".to_owned(),
        }
    }
}

impl std::error::Error for Failure {}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.reason.name(), self.detail)
    }
}
