//! Waiting for something to become true.

use std::thread;
use std::time::{Duration, Instant};

/// How long anything may take before a test gives up: far longer than it takes on a busy machine.
pub const DEADLINE: Duration = Duration::from_secs(20);

const PAUSE: Duration = Duration::from_millis(3);

/// Asks again and again until there is an answer.
///
/// # Panics
///
/// If there is none within [`DEADLINE`], saying `what` was waited for.
pub fn wait_for<T>(what: &str, answer: impl FnMut() -> Option<T>) -> T {
    wait_within(DEADLINE, what, answer)
}

/// [`wait_for`] with another deadline.
pub(crate) fn wait_within<T>(deadline: Duration, what: &str, mut answer: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + deadline;
    loop {
        if let Some(answer) = answer() {
            return answer;
        }
        assert!(Instant::now() < end, "waited {deadline:?} for {what}");
        thread::sleep(PAUSE);
    }
}

/// [`wait_for`] something that is only true or not.
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    wait_for(what, || condition().then_some(()));
}
