//! Waits for something to become true.

use std::thread;
use std::time::{Duration, Instant};

/// How long anything may take before a test gives up: far longer than it takes on a busy machine.
pub const DEADLINE: Duration = Duration::from_secs(20);

const PAUSE: Duration = Duration::from_millis(3);

/// Asks again and again until there is an answer.
///
/// # Panics
///
/// If there is none within [`DEADLINE`]; `what` names the thing waited for in the message.
pub fn wait_for<T>(what: &str, answer: impl FnMut() -> Option<T>) -> T {
    ask_within(DEADLINE, answer).unwrap_or_else(|| panic!("waited {DEADLINE:?} for {what}"))
}

/// Asks again and again until there is an answer; `None` if there is none within the deadline. Asks at least
/// once.
pub fn ask_within<T>(deadline: Duration, mut answer: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + deadline;
    loop {
        let last = Instant::now() >= end;
        let answer = answer();
        if answer.is_some() || last {
            return answer;
        }
        thread::sleep(PAUSE);
    }
}

/// Asks again and again until the condition holds, as [`wait_for`] does.
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    wait_for(what, || condition().then_some(()));
}
