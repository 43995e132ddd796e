//! What is noted of a request while it is served, for its line in the access log, its spans and its line of hook calls.
//!
//! Nothing is noted of a request that nobody is told of. The notes move to the threads that tell of it: those that serve format
//! nothing and write nothing.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use http::Version;
use pace_config::telemetry::LogField;
use pace_hook::{
    Annotation, AttemptFailure, FailureReason, Hook, Judgement, Opening, Reply, Selection, Verdict,
};
use pace_tls::server::Facts;
use parking_lot::Mutex;
use smallvec::SmallVec;

use super::access_log::AccessLog;
use super::hook_log;
use super::text::Text;
use super::tracing::{SpanId, Trace, Tracer};
use crate::upstream::Backend;

/// The notes of one request.
pub struct Notes {
    /// The access log that may have a line about the request.
    pub(super) log: Option<Arc<AccessLog>>,
    /// Whether the request is one of those that were drawn for the log.
    pub(super) is_drawn: bool,
    noted: Mutex<Noted>,
}

/// The present notes.
#[derive(Default)]
pub struct Noted {
    /// The trace, if the request is traced.
    pub trace: Option<Trace>,
    /// The tracer that its spans go to.
    pub tracer: Option<Arc<Tracer>>,
    /// The calls of hooks, in their order.
    pub calls: SmallVec<[HookCall; 4]>,
    /// The attempts, in their order.
    pub attempts: SmallVec<[AttemptNote; 1]>,
    /// The time of waiting for a place at a backend.
    pub queue: Duration,
    /// The fields that plugins have added.
    pub annotations: Vec<Annotation>,
    /// The facts that are known once the request is over.
    pub summary: Option<Summary>,
}

/// A call of a hook.
pub struct HookCall {
    /// The plugin.
    pub plugin: Arc<str>,
    /// The hook.
    pub hook: Hook,
    /// The result.
    pub said: Said,
    /// The backend that the plugin has picked.
    pub picked: Option<Arc<Backend>>,
    /// The start of the call.
    pub begun: Instant,
    /// The time that it took.
    pub time: Duration,
}

/// The result of a call of a hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// The message goes on.
    Next,
    /// The plugin answers with this status.
    Respond(u16),
    /// The plugin picks a backend.
    Pick,
    /// The plugin picks none.
    Pass,
    /// The plugin accepts the attempt.
    Accept,
    /// The plugin wants another attempt.
    Retry,
    /// The plugin has taken note.
    Done,
    /// The call failed, with this advice to the plugin's author.
    Failed(FailureReason, &'static str),
}

/// An attempt.
pub struct AttemptNote {
    /// The backend.
    pub backend: Arc<Backend>,
    /// The span of the attempt, if the request is traced.
    pub span: SpanId,
    /// The start of the attempt.
    pub begun: Instant,
    /// The time until there was a connection, unless one was at hand.
    pub connect: Option<Duration>,
    /// The time until the head of the response.
    pub head: Option<Duration>,
    /// The time until the attempt was over, if it failed.
    pub failed: Option<(Duration, AttemptFailure)>,
}

/// The facts that are known once a request is over.
pub struct Summary {
    /// The start of the request.
    pub begun: Instant,
    /// The same by the clock on the wall.
    pub time: SystemTime,
    /// The time from the request's head to the end of the response.
    pub duration: Duration,
    /// The time to the head of the response, if a backend gave one.
    pub first_byte: Option<Duration>,
    /// The client's address.
    pub client: IpAddr,
    /// `http` or `https`.
    pub scheme: &'static str,
    /// The version that the client spoke.
    pub version: Version,
    /// The facts about the TLS of the connection.
    pub tls: Option<Arc<Facts>>,
    /// The status that was sent; 499 if the client left before it got one.
    pub status: u16,
    /// How the response ended.
    pub end: End,
    /// The reason why the request was refused.
    pub refused: Option<&'static str>,
    /// The bytes of the request's body that were read.
    pub received: u64,
    /// The bytes of the response's body that were sent.
    pub sent: u64,
    /// The number of attempts.
    pub attempts: u32,
    /// The texts.
    pub text: Text,
}

/// How a response ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum End {
    /// The response was sent to its end.
    #[default]
    Complete,
    /// The client left, or took nothing any more.
    Client,
    /// The backend broke off.
    Backend,
    /// The time that the client gave its call was over.
    Deadline,
    /// The time that the configuration gives the whole request was over.
    Timeout,
    /// A plugin broke it off.
    Plugin,
}

impl End {
    /// Every end but the good one.
    pub const CUT: [End; 5] = [
        End::Client,
        End::Backend,
        End::Deadline,
        End::Timeout,
        End::Plugin,
    ];

    /// The name in the log and the metrics.
    pub fn name(self) -> &'static str {
        match self {
            End::Complete => "complete",
            End::Client => "client",
            End::Backend => "backend",
            End::Plugin => "plugin",
            End::Deadline => "deadline",
            End::Timeout => "timeout",
        }
    }
}

impl Notes {
    /// Begins the notes of a request that `log` may have a line about; `None` if nobody will be told of the request.
    pub fn begin(log: Option<&Arc<AccessLog>>) -> Option<Arc<Notes>> {
        let drawn = log.map(|log| (log, log.draws()));
        let drawn = drawn.filter(|(log, is_drawn)| *is_drawn || log.has_exceptions());
        if drawn.is_none() && !hook_log::is_on() {
            return None;
        }
        Some(Arc::new(Notes {
            log: drawn.map(|(log, _)| Arc::clone(log)),
            is_drawn: drawn.is_some_and(|(_, is_drawn)| is_drawn),
            noted: Mutex::default(),
        }))
    }

    /// Begins the notes of a request that is traced and has no line.
    pub fn of_trace() -> Arc<Notes> {
        Arc::new(Notes {
            log: None,
            is_drawn: false,
            noted: Mutex::default(),
        })
    }

    /// Whether the request has a line in the access log, with this status.
    pub fn has_line(&self, status: u16) -> bool {
        let log = self.log.as_ref();
        log.is_some_and(|log| log.wants(self.is_drawn, status))
    }

    /// Whether the request's line, if it has one, has this field.
    pub fn wants(&self, field: LogField) -> bool {
        self.log.as_ref().is_some_and(|log| log.has(field))
    }

    /// Whether the spans of the request are sent.
    pub fn is_traced(&self) -> bool {
        self.with(|noted| noted.tracer.is_some())
    }

    /// Calls `note` with the present notes.
    pub fn with<T>(&self, note: impl FnOnce(&mut Noted) -> T) -> T {
        note(&mut self.noted.lock())
    }

    /// The bytes of memory that the notes take, more or less.
    pub(super) fn weight(&self) -> usize {
        let noted = self.noted.lock();
        let text = noted.summary.as_ref().map_or(0, |summary| summary.text.size());
        let of =
            |annotation: &Annotation| size_of::<Annotation>() + annotation.key.len() + annotation.value.len();
        let annotations: usize = noted.annotations.iter().map(of).sum();
        size_of::<Notes>() + text + noted.calls.len() * size_of::<HookCall>() + annotations
    }
}

impl Noted {
    /// The last attempt.
    pub fn attempt(&mut self) -> Option<&mut AttemptNote> {
        self.attempts.last_mut()
    }
}

impl Said {
    /// The name in logs and spans.
    pub fn name(self) -> &'static str {
        match self {
            Said::Next => "next",
            Said::Respond(_) => "respond",
            Said::Pick => "pick",
            Said::Pass => "pass",
            Said::Accept => "accept",
            Said::Retry => "retry",
            Said::Done => "done",
            Said::Failed(..) => "failed",
        }
    }
}

impl From<&()> for Said {
    fn from((): &()) -> Said {
        Said::Done
    }
}

impl From<&Verdict> for Said {
    fn from(verdict: &Verdict) -> Said {
        match verdict {
            Verdict::Next => Said::Next,
            Verdict::Respond(reply) => Said::from(reply),
        }
    }
}

impl From<&Judgement> for Said {
    fn from(judgement: &Judgement) -> Said {
        match judgement {
            Judgement::Accept => Said::Accept,
            Judgement::Retry => Said::Retry,
            Judgement::Respond(reply) => Said::from(reply),
        }
    }
}

impl From<&Option<Opening>> for Said {
    fn from(opening: &Option<Opening>) -> Said {
        match opening {
            Some(_) => Said::Done,
            None => Said::Pass,
        }
    }
}

impl From<&Selection> for Said {
    fn from(selection: &Selection) -> Said {
        match selection {
            Selection::Pick(_) => Said::Pick,
            Selection::Pass => Said::Pass,
            Selection::Respond(reply) => Said::from(reply),
        }
    }
}

impl From<&Reply> for Said {
    fn from(reply: &Reply) -> Said {
        Said::Respond(reply.status.as_u16())
    }
}
