//! Connections to backends: kept, and used again.

use std::thread;

use pace_tests::{Answer, Gate, Origin, Pace, wait_until};

use crate::sections::{EVERYTHING, ONE_WORKER, pool};

#[test]
fn requests_after_one_another_share_a_connection() {
    let origin = Origin::named("one");
    let pace = one_worker(&origin, "");
    // Whoever asks: the connection is the worker's, not the client's.
    for _ in 0..10 {
        let mut client = pace.client();
        for _ in 0..5 {
            assert_eq!(client.get("/").status, 200);
        }
    }
    assert_eq!((origin.requests().len(), origin.connections()), (50, 1));
}

#[test]
fn requests_at_the_same_time_do_not_wait_for_each_other() {
    let gate = Gate::new();
    let together = gate.clone();
    let origin = Origin::new(move |_| {
        together.wait();
        Answer::new("one")
    });
    let pace = one_worker(&origin, "");

    thread::scope(|scope| {
        let requests = [(); 4].map(|()| scope.spawn(|| pace.get("/").status));
        wait_until("all requests to arrive", || origin.requests().len() == 4);
        assert_eq!(pace.metrics().sum("pace_requests_in_flight", &[]), 4);
        gate.open();
        for request in requests {
            assert_eq!(request.join().expect("it was answered"), 200);
        }
    });
    assert_eq!(origin.connections(), 4);
    wait_until("all connections to be closed", || {
        pace.metrics().sum("pace_connections_open", &[]) == 0
    });
    assert_eq!(pace.metrics().sum("pace_requests_in_flight", &[]), 0);
    assert_eq!(pace.metrics().sum("pace_connections_total", &[]), 4);
}

#[test]
fn idle_connections_are_let_go() {
    let origin = Origin::named("one");
    let pace = one_worker(&origin, "idle_timeout_ms = 1");
    let mut client = pace.client();
    wait_until("a second connection", || {
        assert_eq!(client.get("/").status, 200);
        origin.connections() > 1
    });
}

fn one_worker(origin: &Origin, more: &str) -> Pace {
    let pool = pool("web", &[origin]);
    Pace::with_config(&format!("{ONE_WORKER}\n{pool}{more}\n\n{EVERYTHING}"))
}
