//! Load at a constant rate.
//!
//! Requests are due at equal distances, and each latency counts from when the request was due: if the proxy
//! is slow, the requests that wait for a connection meanwhile are slow too. A closed loop, which sends a
//! request only after the previous answer, would leave these out, and with them most of what clients see of a
//! pause ("coordinated omission").

use super::reactor::BACKENDS;
use super::{Generator, Load};
use anyhow::{Context, Result};
use mio::unix::SourceFd;
use mio::{Interest, Token};
use rustix::fs::Timespec;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create, timerfd_settime,
};
use std::collections::VecDeque;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

/// The token of the timer: larger than the number of connections.
const TIMER: Token = Token(BACKENDS.0 + 1);

/// The times at which requests are due.
struct Schedule {
    start: Instant,
    /// Requests per second.
    rate: f64,
    count: u64,
}

impl Schedule {
    /// The time when the request with this number, counted from 0, is due.
    fn due(&self, number: u64) -> Instant {
        self.start + Duration::from_secs_f64(number as f64 / self.rate)
    }
}

impl Generator<'_> {
    /// Sends `rate` requests per second for `duration`, and waits for the last answers.
    ///
    /// # Errors
    ///
    /// A connection was closed, an answer is malformed, or no more answers come.
    pub(crate) fn drive_at(&mut self, rate: f64, duration: Duration) -> Result<Load> {
        let timer = Timer::new()?;
        let descriptor = timer.0.as_raw_fd();
        self.reactor
            .registry()
            .register(&mut SourceFd(&descriptor), TIMER, Interest::READABLE)?;
        let load = self.follow(rate, duration, &timer);
        self.reactor.registry().deregister(&mut SourceFd(&descriptor))?;
        load
    }

    fn follow(&mut self, rate: f64, duration: Duration, timer: &Timer) -> Result<Load> {
        let mut load = Load::default();
        // The connection that has waited longest is next, so that all are used.
        let mut idle: VecDeque<usize> = (0..self.connections.len()).collect();
        let schedule = Schedule {
            start: Instant::now(),
            rate,
            count: (rate * duration.as_secs_f64()).ceil() as u64,
        };
        let mut next = 0;
        loop {
            let mut now = Instant::now();
            while next < schedule.count && schedule.due(next) <= now {
                let Some(index) = idle.pop_front() else {
                    break;
                };
                self.line.send(&mut self.connections, index, schedule.due(next))?;
                next += 1;
                now = Instant::now();
            }
            if next < schedule.count {
                if !idle.is_empty() {
                    timer.set(schedule.due(next).saturating_duration_since(now))?;
                }
            } else if idle.len() == self.connections.len() {
                break;
            }
            self.reactor.wait()?;
            for event in &self.reactor.events {
                let index = event.token().0;
                let Some(connection) = self.connections.get_mut(index) else {
                    continue;
                };
                if load.take(connection, &mut self.line)?.is_some() {
                    idle.push_back(index);
                }
            }
        }
        load.elapsed = schedule.start.elapsed();
        Ok(load)
    }
}

/// A timer that wakes a poll to the microsecond; the poll's own timeouts are whole milliseconds.
struct Timer(OwnedFd);

impl Timer {
    fn new() -> Result<Timer> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        Ok(Timer(
            timerfd_create(TimerfdClockId::Monotonic, flags).context("cannot make a timer")?,
        ))
    }

    fn set(&self, after: Duration) -> Result<()> {
        // A timer set to zero would never expire.
        let after = after.max(Duration::from_nanos(1));
        let value = Itimerspec {
            it_interval: Timespec {
                tv_sec: 0,
                tv_nsec: 0,
            },
            it_value: Timespec {
                tv_sec: after.as_secs().cast_signed(),
                tv_nsec: after.subsec_nanos().into(),
            },
        };
        timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &value).context("cannot set a timer")?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{backend, connected};
    use super::*;
    use crate::proxies::http::response;

    #[test]
    fn every_due_request_is_sent() {
        let load = connected(4, &mut backend(response(3, 100)))
            .drive_at(1000.0, Duration::from_millis(50))
            .and_then(Load::succeeded)
            .expect("the backend answers");
        assert_eq!(load.latencies.len(), 50);
    }

    /// All requests are due at once, and one connection serves them in turn: each waits for all before it.
    #[test]
    fn latency_includes_the_wait_for_a_connection() {
        let load = connected(1, &mut backend(response(3, 100)))
            .drive_at(1e9, Duration::from_nanos(100))
            .and_then(Load::succeeded)
            .expect("the backend answers");
        assert_eq!(load.latencies.len(), 100);
        assert!(load.latencies.is_sorted(), "{:?}", load.latencies);
    }
}
