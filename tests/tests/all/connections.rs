//! Connections to backends: kept open, and used again.

use std::{fs, thread};

use pace_tests::{Client, Gate, HttpBackend, Pace, wait_until};
use rustix::process::{Resource, Rlimit, prlimit};

use crate::sections::{EVERYTHING, ONE_WORKER, plain, pool};

#[test]
fn consecutive_requests_share_a_connection() {
    let backend = HttpBackend::named("one");
    let pace = one_worker(&backend, "");
    // The connection is the worker's, not the client's: any client uses it.
    for _ in 0..10 {
        let mut client = pace.client();
        for _ in 0..5 {
            assert_eq!(client.get("/").status, 200);
        }
    }
    assert_eq!((backend.requests().len(), backend.connections()), (50, 1));
}

#[test]
fn concurrent_requests_do_not_wait_for_each_other() {
    let gate = Gate::new();
    let backend = HttpBackend::behind(&gate, "one");
    let pace = one_worker(&backend, "");

    thread::scope(|scope| {
        let requests = [(); 4].map(|()| scope.spawn(|| pace.get("/").status));
        wait_until("all requests to arrive", || backend.requests().len() == 4);
        assert_eq!(pace.metrics().sum("pace_requests_in_flight", &[]), 4);
        gate.open();
        for request in requests {
            assert_eq!(request.join().expect("it was answered"), 200);
        }
    });
    assert_eq!(backend.connections(), 4);
    wait_until("all connections to be closed", || {
        pace.metrics().sum("pace_connections_open", &[]) == 0
    });
    assert_eq!(pace.metrics().sum("pace_requests_in_flight", &[]), 0);
    assert_eq!(pace.metrics().sum("pace_connections_total", &[]), 4);
}

#[test]
fn idle_connections_are_closed() {
    let backend = HttpBackend::named("one");
    let pace = one_worker(&backend, "idle_timeout_ms = 1");
    let mut client = pace.client();
    wait_until("a second connection", || {
        assert_eq!(client.get("/").status, 200);
        backend.connections() > 1
    });
}

/// A name that does not resolve must not stop other backends from being served.
#[test]
fn name_that_does_not_resolve_stops_neither_start_nor_reload() {
    let backend = HttpBackend::named("one");
    let config = |more: &str| {
        format!(
            "{ONE_WORKER}\n[[pools]]\nname = \"web\"\nbackends = [\"gone.invalid:80\", \"{}\"{more}]\n\n{EVERYTHING}",
            backend.url()
        )
    };
    let pace = Pace::with_config(&config(""));
    let mut client = pace.client();
    for _ in 0..4 {
        assert_eq!(client.get("/").text(), "one");
    }
    assert_eq!(pace.metrics().sum("pace_upstream_failures_total", &[]), 0);
    assert!(
        pace.log().contains("cannot find the address of gone.invalid"),
        "{}",
        pace.log()
    );
    let file = pace.directory().join("pace.toml");
    fs::write(file, config(", \"lost.invalid:80\"")).expect("it can be written");
    pace.wait_for_metric("pace_config_reloads_total", &[("result", "published")], 1);
    assert_eq!(client.get("/").text(), "one");
}

#[test]
fn pool_without_any_address_answers_503() {
    let pace = Pace::with_config(&format!(
        "{ONE_WORKER}\n[[pools]]\nname = \"web\"\nbackends = [\"gone.invalid:80\"]\n\n{EVERYTHING}"
    ));
    assert_eq!(pace.get("/").status, 503);
}

/// `localhost` may resolve to `::1` as well, where nothing listens.
#[test]
fn every_address_of_a_name_is_used() {
    let backend = HttpBackend::named("one");
    let port = backend
        .label()
        .rsplit(':')
        .next()
        .expect("a label has a port")
        .to_owned();
    let pace = Pace::with_config(&format!(
        "{ONE_WORKER}\n[[pools]]\nname = \"web\"\nbackends = [\"localhost:{port}\"]\n\n{EVERYTHING}"
    ));
    let mut client = pace.client();
    for _ in 0..4 {
        assert_eq!(client.get("/").text(), "one");
    }
}

fn one_worker(backend: &HttpBackend, more: &str) -> Pace {
    let pool = pool("web", &[backend]);
    Pace::with_config(&format!("{ONE_WORKER}\n{pool}{more}\n\n{EVERYTHING}"))
}

/// Idle connections make room for those with a request, and for those that have just come and will have one.
#[test]
fn idle_connections_are_closed_when_descriptors_run_out() {
    let backend = HttpBackend::named("one");
    let pace = Pace::with_config(&plain(&[&backend]));
    let few = Rlimit {
        current: Some(64),
        maximum: Some(64),
    };
    prlimit(Some(pace.process().pid()), Resource::Nofile, few).expect("the process is ours");
    let mut clients: Vec<Client> = (0..150).map(|_| pace.client()).collect();
    for group in clients.chunks_mut(25) {
        // All are there, and some have met the end of the descriptors, before one of them asks for anything.
        group.iter_mut().for_each(|client| client.write(""));
        for client in group {
            assert_eq!(client.get("/").text(), "one");
        }
    }
    pace.wait_for_log(&["cannot accept connections", "Too many open files"]);
    // Pace keeps serving like that, and as usual once there is room.
    drop(clients);
    for _ in 0..20 {
        assert_eq!(pace.get("/").text(), "one");
    }
}
