//! The watch over an attempt whose backend may hang.
//!
//! A hanging backend keeps its connections open, and a request there fails only when its time is over. Once the backend is known to
//! be silent, another attempt elsewhere serves the client better.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context as Task, Poll};
use std::time::Duration;

use pace_config::RetryOn;
use tokio::time::{Instant, timeout_at};

use super::attempt::AttemptError;
use super::context::Context;
use crate::io::Alarm;

/// The times at which an attempt checks whether its backend is silent. Without ejection there are none.
pub(super) struct Watch {
    next: Option<Instant>,
    /// The time until the check after that. It doubles each time, so that long requests cost few checks.
    wait: Duration,
    /// Whether the attempt counts as unanswered.
    is_counted: bool,
    /// Whether the attempt has waited for so long that the backend may be silent.
    is_long: bool,
    /// Whether the pool ejects.
    is_on: bool,
}

impl Watch {
    /// Begins the watch over the present attempt.
    pub(super) fn begin(context: &Context) -> Watch {
        let current = context.current.as_ref();
        let wait = current.and_then(|(place, _)| context.pool().patience(place));
        Watch {
            next: wait.map(|wait| Instant::now() + wait),
            wait: wait.unwrap_or_default(),
            is_counted: false,
            is_long: false,
            is_on: context.pool().settings.upkeep.ejection.is_some(),
        }
    }

    /// Ends the watch, because no other backend takes the request.
    pub(super) fn end(&mut self) {
        self.next = None;
    }

    /// Notes that the whole request has been sent, and that an answer is due.
    pub(super) fn sent(&mut self, context: &Context) {
        if self.is_on && !self.is_counted {
            let now = Instant::now();
            self.count(context, now);
            self.next = self.next.map(|_| now + self.wait);
        }
    }

    /// Notes that the attempt has failed. One that its client has left, before the backend had the time that it usually needs, is no
    /// sign of silence: otherwise a client could have backends ejected.
    pub(super) fn failed(&self, context: &Context, error: &AttemptError) {
        if let Some((place, _)) = &context.current
            && self.is_counted
            && !self.is_long
            && error.failure().is_none()
        {
            context.pool().withdrawn(place.backend());
        }
    }

    /// Ready when the backend is silent and the attempt can be made elsewhere.
    pub(super) fn poll(
        &mut self,
        context: &Context,
        is_repeatable: impl Fn() -> bool,
        alarm: &mut Alarm,
        task: &mut Task<'_>,
    ) -> Poll<()> {
        while let Some(next) = self.next
            && alarm.poll(next, task).is_ready()
        {
            if self.look(context) && is_repeatable() {
                return Poll::Ready(());
            }
        }
        Poll::Pending
    }

    /// Waits for a connection. Until it is there nothing has been sent, so that any request can go elsewhere.
    pub(super) async fn during<T>(
        &mut self,
        context: &Context,
        connecting: impl Future<Output = Result<T, Arc<AttemptError>>>,
    ) -> Result<T, Arc<AttemptError>> {
        let begun = self.next.map(|_| Instant::now());
        let mut connecting = pin!(connecting);
        while let (Some(begun), Some(next)) = (begun, self.next) {
            if let Ok(connected) = timeout_at(next, connecting.as_mut()).await {
                return connected;
            }
            self.count(context, begun);
            if self.look(context) {
                return Err(Arc::new(AttemptError::GivenUp));
            }
        }
        connecting.await
    }

    fn count(&mut self, context: &Context, since: Instant) {
        if !std::mem::replace(&mut self.is_counted, true)
            && let Some((place, _)) = &context.current
        {
            context.pool().begun(place.backend(), since);
        }
    }

    /// Whether the backend is silent, and the pool wants another attempt then.
    fn look(&mut self, context: &Context) -> bool {
        let now = Instant::now();
        self.is_long = true;
        self.next = Some(now + self.wait);
        self.wait *= 2;
        let Some((place, _)) = &context.current else {
            return false;
        };
        // The backend may be ejected here even if this attempt goes on.
        let is_given_up = context.pool().is_given_up(place, now);
        let retry = &context.pool().settings.retry;
        is_given_up && context.has_attempt_after(context.attempt) && retry.on.contains(&RetryOn::Closed)
    }
}
