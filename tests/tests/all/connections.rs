//! Connections to backends: kept, and used again.

use std::{fs, thread};

use pace_tests::{Answer, Client, Gate, Origin, Pace, wait_until};
use rustix::process::{Resource, Rlimit, prlimit};

use crate::sections::{EVERYTHING, ONE_WORKER, plain, pool};

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

/// A name that cannot be found must not keep what can be served from being served.
#[test]
fn name_that_does_not_resolve_stops_neither_start_nor_reload() {
    let origin = Origin::named("one");
    let config = |more: &str| {
        format!(
            "{ONE_WORKER}\n[[pools]]\nname = \"web\"\nbackends = [\"gone.invalid:80\", \"{}\"{more}]\n\n{EVERYTHING}",
            origin.url()
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

/// `localhost` may be `::1` as well, where nobody listens.
#[test]
fn every_address_of_a_name_is_used() {
    let origin = Origin::named("one");
    let port = origin
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

fn one_worker(origin: &Origin, more: &str) -> Pace {
    let pool = pool("web", &[origin]);
    Pace::with_config(&format!("{ONE_WORKER}\n{pool}{more}\n\n{EVERYTHING}"))
}

/// Connections that wait for a request make room for those that have one.
#[test]
fn idle_connections_are_closed_when_descriptors_run_out() {
    let origin = Origin::named("one");
    let pace = Pace::with_config(&plain(&[&origin]));
    let few = Rlimit {
        current: Some(64),
        maximum: Some(64),
    };
    prlimit(Some(pace.process().pid()), Resource::Nofile, few).expect("the process is ours");
    let mut clients: Vec<Client> = (0..150).map(|_| pace.client()).collect();
    for client in &mut clients {
        assert_eq!(client.get("/").text(), "one");
    }
    pace.wait_for_log(&["cannot accept connections", "Too many open files"]);
    // It goes on like that, and comes back when there is room.
    drop(clients);
    for _ in 0..20 {
        assert_eq!(pace.get("/").text(), "one");
    }
}
