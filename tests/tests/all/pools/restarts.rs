//! Backends that are restarted one after the other.

use pace_tests::{HttpBackend, wait_until};

use super::{after, start, under_load};

/// The names of the backends.
const NAMES: [&str; 5] = ["one", "two", "three", "four", "five"];

fn restart_each(keys: &str) {
    let mut backends = NAMES.map(HttpBackend::named);
    let pace = start(&backends.each_ref(), keys);
    let answered = under_load(&pace, 8, |answered| {
        after(answered, 100);
        for backend in &mut backends {
            backend.stop();
            after(answered, 200);
            backend.start();
            let before = backend.requests().len();
            wait_until("it to have requests again", || {
                backend.requests().len() > before + 5
            });
        }
    });
    assert!(answered > 1000);
}

/// Connections break without a word, and nobody listens for a while.
#[test]
fn rolling_restart_fails_no_request_with_ejection() {
    restart_each("ejection = { failures = 3, for_ms = 100 }");
}

#[test]
fn rolling_restart_fails_no_request_with_health_checks() {
    restart_each("health_check = { kind = 'tcp', interval_ms = 20, unhealthy_after = 1, healthy_after = 1 }");
}
