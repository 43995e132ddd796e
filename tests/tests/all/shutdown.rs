//! Shutdown: requests in flight are completed, and nothing else is waited for.

use std::thread;

use pace_tests::{Answer, Gate, HttpBackend, Pace, Request, Signal, wait_until};

use crate::sections::plain;

#[test]
fn request_in_flight_is_completed() {
    for signal in [Signal::TERM, Signal::INT, Signal::QUIT] {
        let gate = Gate::new();
        let backend = slow(&gate);
        let pace = graceful(&backend, 3600);

        thread::scope(|scope| {
            let request = scope.spawn(|| pace.get("/slow"));
            wait_until("the request to arrive", || backend.requests().len() == 1);
            pace.signal(signal);
            wait_until("new connections to be refused", || !pace.accepts());
            gate.open();
            let response = request.join().expect("it was answered");
            assert_eq!((response.status, response.text()), (200, "served"));
        });
        let exit = pace.wait();
        assert_eq!(exit.code, Some(0), "{signal:?}: {exit:#?}");
    }
}

/// nginx reopens its log on it.
#[test]
fn signal_of_other_servers_does_not_end_pace() {
    let gate = Gate::new();
    let backend = slow(&gate);
    let pace = graceful(&backend, 3600);
    thread::scope(|scope| {
        let request = scope.spawn(|| pace.get("/slow"));
        wait_until("the request to arrive", || backend.requests().len() == 1);
        pace.signal(Signal::USR1);
        pace.wait_for_log(&["INFO", "SIGUSR1: nothing to open again"]);
        gate.open();
        let response = request.join().expect("it was answered");
        assert_eq!((response.status, response.text()), (200, "served"));
    });
    assert_eq!(pace.get("/").status, 200);

    // The signal does nothing during the shutdown either.
    let gate = Gate::new();
    let backend = slow(&gate);
    let pace = graceful(&backend, 3600);
    thread::scope(|scope| {
        let request = scope.spawn(|| pace.get("/slow"));
        wait_until("the request to arrive", || backend.requests().len() == 1);
        pace.signal(Signal::TERM);
        wait_until("new connections to be refused", || !pace.accepts());
        pace.signal(Signal::USR1);
        pace.wait_for_log(&["SIGUSR1: nothing to open again"]);
        gate.open();
        assert_eq!(request.join().expect("it was answered").status, 200);
    });
    assert_eq!(pace.wait().code, Some(0));
}

/// An hour of grace is no reason to wait for idle clients.
#[test]
fn shutdown_does_not_wait_for_idle_connections() {
    let backend = HttpBackend::named("one");
    let pace = graceful(&backend, 3600);
    let mut silent = pace.client();
    silent.connect().expect("Pace accepts connections");
    let mut idle = pace.client();
    assert_eq!(idle.get("/").status, 200);

    let exit = pace.stop();
    assert_eq!(exit.code, Some(0), "{exit:#?}");
    assert!(idle.try_send(&Request::get("/")).is_err());
}

#[test]
fn connection_ends_after_its_request_in_flight() {
    let gate = Gate::new();
    let backend = slow(&gate);
    let pace = graceful(&backend, 3600);
    let mut client = pace.client();

    client.write("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_until("the request to arrive", || backend.requests().len() == 1);
    pace.signal(Signal::TERM);
    wait_until("new connections to be refused", || !pace.accepts());
    gate.open();
    let all = client.read_to_end();
    assert!(all.ends_with(b"served"), "{}", all.escape_ascii());
    assert_eq!(pace.wait().code, Some(0));
}

#[test]
fn upload_in_flight_is_completed() {
    let gate = Gate::new();
    let rest = gate.clone();
    let backend = HttpBackend::new(move |_| {
        let rest = rest.clone();
        Answer::chunks((0..100).map(move |number| {
            if number == 1 {
                rest.wait();
            }
            vec![b'a'; 10_000]
        }))
    });
    let pace = graceful(&backend, 3600);
    let mut client = pace.client();

    client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_until("the body to begin", || client.received().len() > 10_000);
    pace.signal(Signal::TERM);
    wait_until("new connections to be refused", || !pace.accepts());
    gate.open();
    let response = client.read("GET").expect("the response is whole");
    assert_eq!(response.body.len(), 1_000_000);
    assert_eq!(pace.wait().code, Some(0));
}

#[test]
fn request_longer_than_the_grace_period_is_cut() {
    let gate = Gate::new();
    let backend = slow(&gate);
    let pace = graceful(&backend, 1);
    let mut client = pace.client();

    client.write("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_until("the request to arrive", || backend.requests().len() == 1);
    let exit = pace.stop();
    assert_eq!(exit.code, Some(0), "{exit:#?}");
    assert!(
        exit.stderr
            .contains("the grace period is over: 1 connection is cut (0 upgraded)"),
        "{exit:#?}"
    );
    assert_eq!(client.read_to_end(), b"");
    gate.open();
}

#[test]
fn second_signal_ends_pace_at_once() {
    let gate = Gate::new();
    let backend = slow(&gate);
    let pace = graceful(&backend, 3600);
    let mut client = pace.client();

    client.write("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_until("the request to arrive", || backend.requests().len() == 1);
    pace.signal(Signal::TERM);
    wait_until("new connections to be refused", || !pace.accepts());
    pace.signal(Signal::TERM);
    let exit = pace.wait();
    assert_eq!(exit.code, Some(0), "{exit:#?}");
    gate.open();
}

#[test]
fn health_endpoint_reports_the_shutdown() {
    let gate = Gate::new();
    let backend = slow(&gate);
    let pace = graceful(&backend, 3600);
    assert_eq!(pace.admin().get("/health").text(), "ok\n");

    let mut client = pace.client();
    client.write("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_until("the request to arrive", || backend.requests().len() == 1);
    pace.signal(Signal::TERM);
    wait_until("new connections to be refused", || !pace.accepts());
    let health = pace.admin().get("/health");
    assert_eq!((health.status, health.text()), (503, "draining\n"));
    gate.open();
    assert_eq!(pace.wait().code, Some(0));
}

/// A backend that answers `/slow` when the gate is open.
fn slow(gate: &Gate) -> HttpBackend {
    let gate = gate.clone();
    HttpBackend::new(move |request| {
        if request.target == "/slow" {
            gate.wait();
        }
        Answer::new("served")
    })
}

fn graceful(backend: &HttpBackend, seconds: u32) -> Pace {
    let grace = format!("workers = 2\ngrace_period_seconds = {seconds}");
    Pace::with_config(&plain(&[backend]).replace("workers = 2", &grace))
}
