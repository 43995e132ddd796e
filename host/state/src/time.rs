//! The sources of time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::Now;

/// A source of time: the machine's clocks, or one moved by hand.
///
/// Plugins see this time, in their clock and in their windows. Their limits and measurements always use the
/// machine's.
#[derive(Clone, Default)]
pub enum Time {
    /// The machine's clocks.
    #[default]
    Real,
    /// A clock moved by hand, for tests.
    Manual(Arc<ManualTime>),
}

impl Time {
    /// Nanoseconds since an arbitrary moment; never goes back.
    pub fn monotonic(&self) -> u64 {
        match self {
            Time::Real => nanoseconds(since_start()),
            Time::Manual(time) => time.monotonic.load(Ordering::Relaxed),
        }
    }

    /// Nanoseconds since 1970-01-01T00:00:00Z.
    pub fn wall(&self) -> u64 {
        match self {
            Time::Real => nanoseconds(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()),
            Time::Manual(time) => time.wall.load(Ordering::Relaxed),
        }
    }

    /// The moment of an event in a window. It is monotonic, so that setting a clock back gives no key a
    /// second budget.
    pub fn now(&self) -> Now {
        Now::from_millis(match self {
            Time::Real => u64::try_from(since_start().as_millis()).unwrap_or(u64::MAX),
            Time::Manual(time) => time.monotonic.load(Ordering::Relaxed) / NANOS_PER_MILLI,
        })
    }
}

/// Time that stands still until it is moved.
pub struct ManualTime {
    monotonic: AtomicU64,
    wall: AtomicU64,
}

/// The nanoseconds that have passed when manual time begins: events may be older than a test, and the longest
/// window is seven days.
const BEFORE_THE_TEST: u64 = 30 * 24 * 3600 * 1_000_000_000;

const NANOS_PER_MILLI: u64 = 1_000_000;

impl ManualTime {
    /// A clock that stands at so many nanoseconds since 1970-01-01T00:00:00Z.
    pub fn at(wall: u64) -> Arc<ManualTime> {
        Arc::new(ManualTime {
            monotonic: AtomicU64::new(BEFORE_THE_TEST),
            wall: AtomicU64::new(wall),
        })
    }

    /// Advances the time. It stops at the largest value.
    pub fn advance(&self, duration: Duration) {
        for clock in [&self.monotonic, &self.wall] {
            let later = clock
                .load(Ordering::Relaxed)
                .saturating_add(nanoseconds(duration));
            clock.store(later, Ordering::Relaxed);
        }
    }

    /// Sets the wall clock, forwards or back, as an operator might; no time passes.
    pub fn set_wall(&self, wall: u64) {
        self.wall.store(wall, Ordering::Relaxed);
    }
}

fn since_start() -> Duration {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    START.elapsed()
}

/// A number of nanoseconds, at most 584 years.
fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manual_time_stands_still_until_it_is_moved() {
        let manual = ManualTime::at(5);
        let time = Time::Manual(Arc::clone(&manual));
        let begin = (time.monotonic(), time.wall(), time.now());
        assert_eq!(begin, (time.monotonic(), time.wall(), time.now()));

        manual.advance(Duration::from_millis(1500));
        assert_eq!(time.monotonic(), begin.0 + 1_500_000_000);
        assert_eq!(time.wall(), 1_500_000_005);
        assert_eq!(
            time.now(),
            Now::from_millis(BEFORE_THE_TEST / NANOS_PER_MILLI + 1500)
        );
    }

    #[test]
    fn manual_time_set_wall_lets_no_time_pass() {
        let manual = ManualTime::at(1_000);
        let time = Time::Manual(Arc::clone(&manual));
        let before = (time.monotonic(), time.now());
        manual.set_wall(3);
        assert_eq!(time.wall(), 3);
        assert_eq!((time.monotonic(), time.now()), before);
    }

    #[test]
    fn manual_time_stops_at_its_end() {
        let manual = ManualTime::at(u64::MAX - 1);
        manual.advance(Duration::MAX);
        assert_eq!(Time::Manual(manual).wall(), u64::MAX);
    }

    #[test]
    fn real_time_does_not_go_back() {
        let (first, now) = (Time::Real.monotonic(), Time::Real.now());
        assert!(Time::Real.monotonic() >= first);
        assert!(Time::Real.now() >= now);
    }
}
