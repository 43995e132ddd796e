//! A sender's body that is being collected, and the plugins that want it.

use std::task::{Context as Task, Poll};

use bytes::Bytes;
use pace_content::body::Content;
use pace_content::collect::{CollectError, Collector};
use pace_content::decode::Codings;
use pace_wire::fields::Fields;
use pace_wire::known::Known;
use tokio::time::Instant;

use super::super::Proxy;
use super::super::attempt::AttemptError;
use crate::chain::{Chain, Demand, Remaining};
use crate::http1::{BodyError, Pump};
use crate::io::{Buffer, Transport};
use pace_config::BodyLimits;
use pace_hook::{Body, Failure, FailureReason, RequestState};

/// The plugins of a request that a body is for: those that remain and have not skipped it.
#[derive(Clone, Copy)]
pub(super) struct Audience<'a> {
    pub(super) body: Body,
    pub(super) chain: &'a Chain,
    pub(super) state: &'a RequestState,
    pub(super) remaining: Remaining,
}

/// The reason why a body was not collected.
pub(super) enum Uncollected {
    /// The hooks of those that want it have failed, and one of them fails closed.
    Closed(FailureReason),
    /// The hooks of those that want it have failed, and the message goes on untouched.
    Open,
    /// The message ends here.
    Ended(AttemptError),
}

/// A sender's body that is being collected, and those that want it.
pub(super) struct Collecting<'a> {
    audience: Audience<'a>,
    collector: Collector,
    /// The time since which the body is waited for, once it has been found not to be there.
    begun: Option<Instant>,
    demand: Demand,
}

/// The state of a body after some of it has been taken.
pub(super) enum Collected {
    Whole,
    Failed(CollectFault),
    Broken(BodyError),
}

/// The reason why collecting a body ended before its end.
pub(super) enum CollectFault {
    Error(CollectError),
    /// A plugin that fails closed no longer waits for it.
    Closed(FailureReason),
    /// Nobody waits for it any more.
    Open,
}

impl<'a> Audience<'a> {
    /// The wish for the body; `None` if nobody wants it.
    pub(super) fn demand(self) -> Option<Demand> {
        self.chain.demand(self.body, self.state, self.remaining)
    }

    /// Records that those who want the body cannot have it.
    pub(super) fn failed(self, failure: &Failure) -> Uncollected {
        match self.body_failed(|_| true, failure) {
            true => Uncollected::Closed(failure.reason),
            false => Uncollected::Open,
        }
    }

    /// Records that those with these limits cannot have the body. Returns whether one of them fails closed.
    fn body_failed(self, concerns: impl Fn(&BodyLimits) -> bool, failure: &Failure) -> bool {
        self.chain
            .body_failed(self.body, self.state, self.remaining, concerns, failure)
    }

    fn collecting_failed(self, error: &CollectError, demand: Demand) -> Uncollected {
        self.failed(&Failure::uncollected(error, demand.limit as usize))
    }
}

impl Proxy {
    /// The content of a body that is there as a whole, for which nothing has to be waited and counted, and as it was sent: it is lent
    /// from the buffer, and [stays there](Content::give_back) if nobody changes it. `is_shared` says that it is copied for others in
    /// any case. `None` if it is not such a body, or there is no room for the copy.
    pub(super) fn content_at_hand(
        &self,
        fields: &Fields,
        demand: &Demand,
        pump: &Pump,
        buffer: &mut Buffer,
        is_shared: bool,
    ) -> Option<Content> {
        let place = pump.at_hand(buffer)?;
        if place.len() > demand.limit as usize || fields.has(Known::ContentEncoding) {
            return None;
        }
        let bodies = &self.shared.bodies;
        let permit = match is_shared {
            true => bodies.admit(place.len())?,
            false => bodies.permit(),
        };
        Some(Content::lent(buffer.lend(), place).with_permit(permit))
    }

    /// Begins to collect a body of which `declared` bytes are announced, if its end will not tell.
    pub(super) fn collecting<'a>(
        &self,
        audience: Audience<'a>,
        fields: &Fields,
        declared: Option<u64>,
        demand: Demand,
    ) -> Result<Collecting<'a>, Uncollected> {
        let Ok(codings) = Codings::parse(fields.all(Known::ContentEncoding)) else {
            return Err(audience.failed(&Failure::unknown_coding()));
        };
        match Collector::new(&codings, demand.limit, declared, &self.shared.bodies) {
            Ok(collector) => Ok(Collecting {
                audience,
                collector,
                begun: None,
                demand,
            }),
            Err(error) => Err(audience.collecting_failed(&error, demand)),
        }
    }
}

impl Collecting<'_> {
    /// Takes the rest of the body.
    pub(super) fn poll(
        &mut self,
        pump: &mut Pump,
        (transport, buffer): (&mut Transport, &mut Buffer),
        task: &mut Task<'_>,
    ) -> Poll<Collected> {
        if self.collector.takes_whole() {
            let admit = |memory| self.collector.admits(memory);
            match pump.take_whole((&mut *transport, &mut *buffer), admit, task) {
                Ok(Some(whole)) => {
                    self.collector.put(whole);
                    return Poll::Ready(Collected::Whole);
                }
                Ok(None) => {}
                Err(error) => return Poll::Ready(Collected::Broken(error)),
            }
        }
        loop {
            match pump.poll_take((&mut *transport, &mut *buffer), task) {
                Poll::Ready(Ok(Some(data))) => {
                    if let Err(error) = self.collector.push(buffer.slice(data)) {
                        return Poll::Ready(Collected::Failed(CollectFault::Error(error)));
                    }
                }
                Poll::Ready(Ok(None)) => return Poll::Ready(Collected::Whole),
                Poll::Ready(Err(error)) => return Poll::Ready(Collected::Broken(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Ready once none of the plugins waits for the body any more.
    pub(super) fn poll_late(
        &mut self,
        mut alarm: impl FnMut(Instant, &mut Task<'_>) -> Poll<()>,
        task: &mut Task<'_>,
    ) -> Poll<CollectFault> {
        let begun = *self.begun.get_or_insert_with(Instant::now);
        loop {
            if alarm(begun + self.demand.time, task).is_pending() {
                return Poll::Pending;
            }
            let waited = self.demand.time;
            let failure = Failure {
                reason: FailureReason::BodyTimeout,
                detail: format!("the body was not there after {waited:?}"),
            };
            if self
                .audience
                .body_failed(|limits| limits.time <= waited, &failure)
            {
                return Poll::Ready(CollectFault::Closed(failure.reason));
            }
            match self.audience.demand() {
                Some(demand) => self.demand.time = demand.time,
                None => return Poll::Ready(CollectFault::Open),
            }
        }
    }

    /// The content of a body that is there already.
    pub(super) fn take(mut self, body: &Bytes) -> Result<Content, Uncollected> {
        let pushed = self.collector.push(body);
        let finished = pushed.and_then(|()| self.collector.finish().map_err(|(error, _)| error));
        finished.map_err(|error| self.audience.collecting_failed(&error, self.demand))
    }

    /// The content; or what becomes of the message, whose start is put back if it goes on.
    pub(super) fn end(
        self,
        ended: Result<(), CollectFault>,
        pump: &mut Pump,
    ) -> Result<Content, Uncollected> {
        let (error, sent) = match ended {
            Ok(()) => match self.collector.finish() {
                Ok(content) => return Ok(content),
                Err(failed) => failed,
            },
            Err(CollectFault::Error(error)) => (error, self.collector.into_sent()),
            Err(CollectFault::Closed(reason)) => return Err(Uncollected::Closed(reason)),
            Err(CollectFault::Open) => {
                pump.put_back(self.collector.into_sent());
                return Err(Uncollected::Open);
            }
        };
        let uncollected = self.audience.collecting_failed(&error, self.demand);
        if let Uncollected::Open = uncollected {
            pump.put_back(sent);
        }
        Err(uncollected)
    }
}
