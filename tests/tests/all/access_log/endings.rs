//! How responses end, by their lines and in the metrics.

use std::time::Duration;

use pace_tests::{Answer, Client, Gate, HttpBackend, Request};
use serde_json::json;

use super::{object, objects, start};
use crate::swapping::reconfigure;

/// Ends a connection so that the other side notices at once.
fn reset(client: Client) {
    let socket = socket2::SockRef::from(client.wire().socket());
    let set = socket.set_linger(Some(Duration::ZERO));
    set.expect("it is a socket of TCP");
}

#[test]
fn response_that_the_backend_breaks_off_is_told_from_a_complete_one() {
    let backend =
        HttpBackend::new(|_| Answer::raw("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nten bytes."));
    let pace = start(&backend, "");
    let mut client = pace.client();
    client.transmit(&Request::get("/")).expect("it is sent");
    let _cut = client.try_read_to_end();
    let line = object(&pace);
    assert_eq!(
        (&line["status"], &line["end"], &line["bytes_sent"]),
        (&json!(200), &json!("backend"), &json!(10))
    );
    pace.wait_for_metric("pace_responses_cut_total", &[("by", "backend")], 1);
}

#[test]
fn response_that_the_client_leaves_is_told_from_a_complete_one() {
    let gate = Gate::new();
    let backend = HttpBackend::new({
        let gate = gate.clone();
        move |_| Answer::halves("piece", &gate, "piece")
    });
    let pace = start(&backend, "");
    let mut client = pace.client();
    client.transmit(&Request::get("/")).expect("it is sent");
    client.read_head("GET").expect("it has begun");
    reset(client);
    let line = object(&pace);
    gate.open();
    assert_eq!((&line["status"], &line["end"]), (&json!(200), &json!("client")));
    pace.wait_for_metric("pace_responses_cut_total", &[("by", "client")], 1);
}

#[test]
fn response_that_takes_longer_than_the_whole_request_may_is_told_from_one_that_is_broken_off() {
    let gate = Gate::new();
    let backend = HttpBackend::new({
        let gate = gate.clone();
        move |_| Answer::halves("piece", &gate, "piece")
    });
    let pace = start(&backend, "");
    let (status, _) = reconfigure(&pace, |text| {
        text.replace("[[pools]]", "[[pools]]\ntotal_timeout_ms = 100")
    });
    assert_eq!(status, 200);
    let mut client = pace.client();
    client.transmit(&Request::get("/")).expect("it is sent");
    let _cut = client.try_read_to_end();
    let line = object(&pace);
    gate.open();
    assert_eq!((&line["status"], &line["end"]), (&json!(200), &json!("timeout")));
    pace.wait_for_metric("pace_responses_cut_total", &[("by", "timeout")], 1);
    assert_eq!(pace.metrics().sum("pace_responses_cut_total", &[]), 1);
}

#[test]
fn client_that_leaves_before_the_response_has_status_499() {
    let gate = Gate::new();
    let backend = HttpBackend::new({
        let gate = gate.clone();
        move |_| {
            gate.wait();
            Answer::new("late")
        }
    });
    let pace = start(&backend, "");
    let mut client = pace.client();
    client.transmit(&Request::get("/")).expect("it is sent");
    pace.wait_for_metric("pace_upstream_attempts_total", &[], 1);
    reset(client);
    let line = object(&pace);
    gate.open();
    assert_eq!((&line["status"], &line["end"]), (&json!(499), &json!("client")));
    assert_eq!(pace.metrics().sum("pace_responses_cut_total", &[]), 0);
}

#[test]
fn request_without_a_backend_has_the_failure_of_its_attempt() {
    let down = HttpBackend::down();
    let pace = start(&down, "");
    assert_eq!(pace.get("/").status, 503);
    assert_eq!(pace.get("/").status, 503);
    for line in objects(&pace, 2) {
        assert_eq!(
            (&line["status"], &line["end"], &line["failure"], &line["backend"]),
            (
                &json!(503),
                &json!("complete"),
                &json!("connection-refused"),
                &json!(down.label())
            )
        );
    }
}
