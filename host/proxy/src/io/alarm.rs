//! The alarm: one timer for all waits of a connection.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::time::{Instant, Sleep, sleep_until};

/// A timer that is set again and again, and hardly ever goes off.
///
/// Each step of a request has a deadline, and nearly all steps end long before theirs. The timer that is registered with the
/// runtime is therefore left alone as long as it goes off no later than the deadline, and is moved only when it has gone off
/// too early. That happens once in as long as a deadline is away, instead of once for each step.
#[derive(Default)]
pub struct Alarm {
    timer: Option<Pin<Box<Sleep>>>,
}

impl Alarm {
    /// An alarm that is not set.
    pub fn new() -> Alarm {
        Alarm::default()
    }

    /// Ready if the deadline has passed. Otherwise the task is woken at the deadline, or earlier.
    pub fn poll(&mut self, deadline: Instant, context: &mut Context<'_>) -> Poll<()> {
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if timer.deadline() > deadline {
            timer.as_mut().reset(deadline);
        }
        while timer.as_mut().poll(context).is_ready() {
            if timer.deadline() >= deadline {
                return Poll::Ready(());
            }
            timer.as_mut().reset(deadline);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn alarm_with_a_later_deadline_goes_off_at_that() {
        let mut alarm = Alarm::new();
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let polled = poll_fn(|context| Poll::Ready(alarm.poll(after(10), context))).await;
        assert!(polled.is_pending());
        poll_fn(|context| alarm.poll(after(60), context)).await;
        assert_eq!(Instant::now(), after(60));
        poll_fn(|context| alarm.poll(after(61), context)).await;
        assert_eq!(Instant::now(), after(61));
    }

    #[tokio::test(start_paused = true)]
    async fn alarm_with_an_earlier_deadline_goes_off_at_that() {
        let mut alarm = Alarm::new();
        let start = Instant::now();
        let polled =
            poll_fn(|context| Poll::Ready(alarm.poll(start + Duration::from_secs(60), context))).await;
        assert!(polled.is_pending());
        poll_fn(|context| alarm.poll(start + Duration::from_secs(1), context)).await;
        assert_eq!(Instant::now(), start + Duration::from_secs(1));
        poll_fn(|context| alarm.poll(start, context)).await;
        assert_eq!(
            Instant::now(),
            start + Duration::from_secs(1),
            "a deadline that has passed is no wait"
        );
    }
}
