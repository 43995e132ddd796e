//! Pools that look after themselves: backends that die, hang, drain and come back, and clients that notice as little of it as can
//! be.

mod backups;
mod checks;
mod draining;
mod ejection;
mod names;
mod queue;
mod restarts;
mod sticky;
mod unix;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use pace_tests::{Gate, HttpBackend, Pace, Request, Response};

use crate::sections::{EVERYTHING, SERVER, pool};

/// A Pace with a pool of these backends, and further keys of it.
fn start(backends: &[&HttpBackend], keys: &str) -> Pace {
    Pace::with_config(&config(backends, keys))
}

fn config(backends: &[&HttpBackend], keys: &str) -> String {
    format!("{SERVER}\n{}{keys}\n\n{EVERYTHING}", pool("web", backends))
}

/// A backend that answers with its name, as long as its gate is open.
fn gated(name: &'static str) -> (HttpBackend, Gate) {
    let gate = Gate::new();
    gate.open();
    (HttpBackend::behind(&gate, name), gate)
}

/// The requests of clients that a backend has had, without health checks.
fn served(backend: &HttpBackend) -> usize {
    let requests = backend.requests();
    requests
        .iter()
        .filter(|request| request.target != "/healthz")
        .count()
}

/// Asks the admin listener to `drain` or `enable` a backend of the pool `web`.
fn tell(pace: &Pace, backend: &str, what: &str) -> Response {
    let target = format!("/pools/web/backends/{backend}/{what}");
    pace.admin().send(&Request::post(&target, ""))
}

/// Sends requests from many clients at once until `during` has ended. Each must be answered with 200. Returns their number.
fn under_load(pace: &Pace, clients: usize, during: impl FnOnce(&AtomicUsize)) -> usize {
    let (is_over, answered) = (Arc::new(AtomicBool::new(false)), AtomicUsize::new(0));
    /// Stops the clients, also when the test has failed.
    struct Stop(Arc<AtomicBool>);
    impl Drop for Stop {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    thread::scope(|scope| {
        for _ in 0..clients {
            scope.spawn(|| {
                let mut client = pace.client();
                while !is_over.load(Ordering::Relaxed) {
                    let response = client.get("/");
                    assert_eq!(response.status, 200, "{response:?}");
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let _stop = Stop(Arc::clone(&is_over));
        during(&answered);
    });
    answered.into_inner()
}

/// Waits until so many more requests have been answered.
fn after(answered: &AtomicUsize, more: usize) {
    let enough = answered.load(Ordering::Relaxed) + more;
    pace_tests::wait_until("more answers", || answered.load(Ordering::Relaxed) >= enough);
}
