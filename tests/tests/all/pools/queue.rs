//! Bounds of requests under way, and the queue of those beyond.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use pace_tests::{Answer, Client, Http2, HttpBackend, Pace, Request, wait_until};

use super::{gated, start};
use crate::swapping::reconfigure;

fn queued(pace: &Pace) -> u64 {
    pace.metrics().sum("pace_upstream_queued", &[("pool", "web")])
}

fn turned_away(pace: &Pace, reason: &str) -> u64 {
    let labels = [("pool", "web"), ("reason", reason)];
    pace.metrics().sum("pace_upstream_turned_away_total", &labels)
}

/// Sends a request, and waits for nothing.
fn ask(pace: &Pace, target: &str) -> Client {
    let mut client = pace.client();
    client.transmit(&Request::get(target)).expect("Pace accepts it");
    client
}

fn answer(mut client: Client) -> (u16, String) {
    let response = client.read("GET").expect("it is answered");
    (response.status, response.text().to_owned())
}

#[test]
fn request_goes_to_the_next_backend_when_one_is_full_and_waits_when_all_are() {
    let ((one, gate), (two, other_gate)) = (gated("one"), gated("two"));
    let pace = start(&[&one, &two], "max_in_flight = 2\nqueue_ms = 60000");
    gate.close();
    other_gate.close();
    let first: Vec<_> = (0..4).map(|_| ask(&pace, "/")).collect();
    wait_until("both to be full", || {
        one.requests().len() + two.requests().len() == 4
    });
    assert_eq!((one.requests().len(), two.requests().len()), (2, 2));
    let waiting = ask(&pace, "/waits");
    wait_until("the fifth to wait", || queued(&pace) == 1);
    assert_eq!(pace.pools()[0]["queued"], 1);
    other_gate.open();
    assert_eq!(answer(waiting), (200, "two".to_owned()));
    assert_eq!(queued(&pace), 0);
    gate.open();
    let mut answers: Vec<_> = first.into_iter().map(|client| answer(client).1).collect();
    answers.sort();
    assert_eq!(answers, ["one", "one", "two", "two"]);
    assert_eq!(
        turned_away(&pace, "queue-full") + turned_away(&pace, "queue-timeout"),
        0
    );
}

#[test]
fn waiting_requests_are_served_in_the_order_of_arrival() {
    let (one, gate) = gated("one");
    let pace = start(&[&one], "max_in_flight = 1\nqueue_ms = 60000");
    gate.close();
    let mut clients = vec![ask(&pace, "/0")];
    wait_until("the first to be under way", || one.requests().len() == 1);
    for number in 1..8 {
        clients.push(ask(&pace, &format!("/{number}")));
        wait_until("it to wait", || queued(&pace) == number);
    }
    gate.open();
    for client in clients {
        assert_eq!(answer(client).0, 200);
    }
    let order: Vec<_> = one.requests().into_iter().map(|request| request.target).collect();
    assert_eq!(order, ["/0", "/1", "/2", "/3", "/4", "/5", "/6", "/7"]);
}

#[test]
fn request_that_finds_the_queue_full_or_waits_for_too_long_is_a_503() {
    let (one, gate) = gated("one");
    let pace = start(&[&one], "max_in_flight = 1\nmax_queued = 1\nqueue_ms = 60000");
    gate.close();
    let first = ask(&pace, "/");
    wait_until("the first to be under way", || one.requests().len() == 1);
    let second = ask(&pace, "/");
    wait_until("the second to wait", || queued(&pace) == 1);
    let refused = pace.get("/");
    assert_eq!(
        (refused.status, refused.text()),
        (503, "every backend has as many requests as it may have\n")
    );
    assert_eq!(turned_away(&pace, "queue-full"), 1);

    let shorter = |text: String| {
        text.replace(
            "max_queued = 1\nqueue_ms = 60000",
            "max_queued = 2\nqueue_ms = 100",
        )
    };
    assert_eq!(reconfigure(&pace, shorter).0, 200);
    let refused = pace.get("/");
    assert_eq!(
        (refused.status, refused.text()),
        (503, "every backend has as many requests as it may have\n")
    );
    assert_eq!(turned_away(&pace, "queue-timeout"), 1);
    gate.open();
    assert_eq!((answer(first).0, answer(second).0), (200, 200));
    assert_eq!(one.requests().len(), 2);
}

#[test]
fn pool_without_a_queue_answers_at_once() {
    let (one, gate) = gated("one");
    let pace = start(&[&one], "max_in_flight = 1\nmax_queued = 0\nqueue_ms = 60000");
    gate.close();
    let first = ask(&pace, "/");
    wait_until("the first to be under way", || one.requests().len() == 1);
    assert_eq!(pace.get("/").status, 503);
    gate.open();
    assert_eq!(answer(first).0, 200);
}

/// The body of a waiting request may have come in part, and the rest comes when it is sent on.
#[test]
fn waiting_request_keeps_its_body() {
    let (one, gate) = gated("one");
    let pace = start(&[&one], "max_in_flight = 1\nqueue_ms = 60000");
    gate.close();
    let first = ask(&pace, "/");
    wait_until("the first to be under way", || one.requests().len() == 1);
    let body: Vec<u8> = (0..300_000).map(|at| (at % 251) as u8).collect();
    thread::scope(|scope| {
        let post = scope.spawn(|| pace.client().send(&Request::post("/", body.clone())).status);
        wait_until("the second to wait", || queued(&pace) == 1);
        gate.open();
        assert_eq!(post.join().expect("it is answered"), 200);
    });
    assert_eq!(answer(first).0, 200);
    assert!(one.requests()[1].body == body, "it has arrived whole");
}

#[test]
fn wait_counts_in_the_time_of_the_request() {
    let (one, gate) = gated("one");
    let pace = start(
        &[&one],
        "max_in_flight = 1\nqueue_ms = 60000\ntotal_timeout_ms = 300",
    );
    gate.close();
    let first = ask(&pace, "/");
    wait_until("the first to be under way", || one.requests().len() == 1);
    let late = pace.get("/");
    assert_eq!(
        (late.status, late.text()),
        (504, "the backend gave no answer in time\n")
    );
    assert_eq!(answer(first).0, 504);
    gate.open();
    assert_eq!(pace.get("/").status, 200);
}

#[test]
fn client_that_leaves_frees_its_place_in_the_queue() {
    let (one, gate) = gated("one");
    let pace = start(&[&one], "max_in_flight = 1\nmax_queued = 1\nqueue_ms = 60000");
    gate.close();
    let first = ask(&pace, "/");
    wait_until("the first to be under way", || one.requests().len() == 1);
    for _ in 0..3 {
        let leaves = ask(&pace, "/left");
        wait_until("it to wait", || queued(&pace) == 1);
        drop(leaves);
        wait_until("it to have left", || queued(&pace) == 0);
    }
    let mut http2 = Http2::connect(pace.address());
    let mut stream = http2.open(&Request::get("/left"), true).expect("it is open");
    wait_until("the stream to wait", || queued(&pace) == 1);
    stream.reset();
    wait_until("it to have left", || queued(&pace) == 0);
    let stays = ask(&pace, "/stays");
    wait_until("it to wait", || queued(&pace) == 1);
    gate.open();
    assert_eq!((answer(first).0, answer(stays).0), (200, 200));
    let targets: Vec<_> = one.requests().into_iter().map(|request| request.target).collect();
    assert_eq!(targets, ["/", "/stays"], "those who left were not asked for");
}

/// A bound is for all workers together.
#[test]
fn bound_of_a_backend_holds_over_all_workers() {
    let most = Arc::new(AtomicUsize::new(0));
    let backend = |name: &'static str| {
        let (under_way, most) = (AtomicUsize::new(0), Arc::clone(&most));
        HttpBackend::new(move |_| {
            most.fetch_max(under_way.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            thread::yield_now();
            under_way.fetch_sub(1, Ordering::SeqCst);
            Answer::new(name)
        })
    };
    let (one, two) = (backend("one"), backend("two"));
    let pace = start(&[&one, &two], "max_in_flight = 2\nqueue_ms = 60000");
    thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                let mut client = pace.client();
                for _ in 0..40 {
                    assert_eq!(client.get("/").status, 200);
                }
            });
        }
    });
    assert!(most.load(Ordering::SeqCst) <= 2);
    assert_eq!(one.requests().len() + two.requests().len(), 640);
    wait_until("all places to be free", || {
        let labels = [one.label(), two.label()];
        labels
            .iter()
            .all(|label| pace.backend("web", label)["in_flight"] == 0)
    });
    assert_eq!(queued(&pace), 0);
}

/// Another attempt takes a place that is free, or none: it does not wait.
#[test]
fn failed_request_does_not_wait_for_another_backend() {
    let (one, gate) = gated("one");
    let down = HttpBackend::down();
    let pace = start(&[&down, &one], "max_in_flight = 1\nqueue_ms = 60000");
    gate.close();
    let first = ask(&pace, "/");
    wait_until("the backend to be full", || one.requests().len() == 1);
    assert_eq!(pace.get("/").status, 503);
    gate.open();
    assert_eq!(answer(first).0, 200);
}

/// The room of a backend that comes back goes to waiting requests before newcomers.
#[test]
fn waiting_request_gets_the_room_of_a_backend_that_comes_back() {
    let ((one, gate), two) = (gated("one"), HttpBackend::named("two"));
    let pace = start(&[&one, &two], "max_in_flight = 1\nqueue_ms = 60000");
    super::tell(&pace, &two.label(), "drain");
    gate.close();
    let first = ask(&pace, "/");
    wait_until("the first to be under way", || one.requests().len() == 1);
    let second = ask(&pace, "/");
    wait_until("the second to wait", || queued(&pace) == 1);
    super::tell(&pace, &two.label(), "enable");
    assert_eq!(answer(second), (200, "two".to_owned()));
    gate.open();
    assert_eq!(answer(first).0, 200);
}

#[test]
fn lifted_bound_admits_waiting_requests() {
    let (one, gate) = gated("one");
    let pace = start(&[&one], "max_in_flight = 1\nqueue_ms = 60000");
    gate.close();
    let first = ask(&pace, "/");
    wait_until("the first to be under way", || one.requests().len() == 1);
    let second = ask(&pace, "/");
    wait_until("the second to wait", || queued(&pace) == 1);
    let lifted = |text: String| text.replace("max_in_flight = 1\nqueue_ms = 60000", "");
    assert_eq!(reconfigure(&pace, lifted).0, 200);
    wait_until("both to be under way", || one.requests().len() == 2);
    gate.open();
    assert_eq!((answer(first).0, answer(second).0), (200, 200));
}

/// A look-up or a reload may take a backend out for a moment, and its requests are under way for longer.
#[test]
fn backend_that_goes_and_comes_back_has_its_requests_still() {
    let ((one, gate), two) = (gated("one"), HttpBackend::named("two"));
    let pace = start(&[&one], "max_in_flight = 1\nqueue_ms = 60000");
    gate.close();
    let first = ask(&pace, "/first");
    wait_until("the first to be under way", || one.requests().len() == 1);
    for (from, to) in [(&one, &two), (&two, &one)] {
        let replaced = |text: String| text.replace(&from.label(), &to.label());
        assert_eq!(reconfigure(&pace, replaced).0, 200);
    }
    assert_eq!(pace.backend("web", &one.label())["in_flight"], 1);
    let second = ask(&pace, "/second");
    wait_until("the second to wait", || queued(&pace) == 1);
    gate.open();
    assert_eq!((answer(first).0, answer(second).0), (200, 200));
}
