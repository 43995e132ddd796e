//! Configured retries: after which failures, how many, for how long, and at most a share of the pool's
//! requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use pace_tests::{Pace, Scripted, wait_until};

use super::OK;
use crate::sections::{EVERYTHING, ONE_WORKER};

/// A backend that sends the same bytes to each request, whatever its body, and counts the requests.
fn saying(bytes: &'static str) -> (Scripted, Arc<AtomicUsize>) {
    let heads = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&heads);
    let backend = Scripted::new(move |line| {
        while let Some(head) = line.head()? {
            count.fetch_add(1, Ordering::SeqCst);
            if head.contains("Content-Length: 2") {
                line.bytes(2)?;
            }
            match bytes {
                "" => return line.end(),
                bytes => line.write(bytes)?,
            }
        }
        Ok(())
    });
    (backend, heads)
}

/// Starts Pace with one worker and several backends.
fn before(backends: &[&Scripted], retry: &str) -> Pace {
    let labels: Vec<_> = backends
        .iter()
        .map(|backend| format!("\"{}\"", backend.label()))
        .collect();
    Pace::with_config(&format!(
        "{ONE_WORKER}\n[[pools]]\nname = \"web\"\nbackends = [{}]\n{retry}\n\n{EVERYTHING}",
        labels.join(", ")
    ))
}

const BUSY: &str = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy";

#[test]
fn configured_status_is_followed_by_another_attempt() {
    let (bad, tries) = saying(BUSY);
    let (good, _) = saying(OK);
    let pace = before(&[&bad, &good], "retry = { attempts = 2, on = [\"503\"] }");
    let mut client = pace.client();
    for _ in 0..6 {
        assert_eq!(client.get("/").text(), "ok");
    }
    assert!(tries.load(Ordering::SeqCst) > 0, "it had its turn");
    let failed = pace
        .metrics()
        .sum("pace_upstream_failures_total", &[("reason", "status")]);
    assert_eq!(failed, tries.load(Ordering::SeqCst) as u64);
    // A request that may have been processed is not sent again.
    for _ in 0..2 {
        client.write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi");
        client.read("POST").expect("there is a response");
    }
    let metrics = pace.metrics();
    assert_eq!(
        metrics.sum(
            "http_requests_duration_seconds_count",
            &[("method", "POST"), ("status", "503")]
        ),
        1
    );
}

#[test]
fn status_of_the_last_attempt_is_passed_on() {
    let (one, first) = saying(BUSY);
    let (two, second) = saying(BUSY);
    let pace = before(&[&one, &two], "retry = { attempts = 3, on = [\"503\"] }");
    let response = pace.get("/");
    assert_eq!((response.status, response.text()), (503, "busy"));
    assert_eq!(
        (first.load(Ordering::SeqCst), second.load(Ordering::SeqCst)),
        (1, 1)
    );
}

#[test]
fn only_configured_failures_are_followed_by_another_attempt() {
    let (hangs_up, tries) = saying("");
    let (good, _) = saying(OK);
    let pace = before(
        &[&hangs_up, &good],
        "response_timeout_ms = 100\nretry = { attempts = 2, on = [\"connect\"] }",
    );
    let mut client = pace.client();
    let mut statuses: Vec<_> = (0..2).map(|_| client.get("/").status).collect();
    statuses.sort_unstable();
    assert_eq!((statuses, tries.load(Ordering::SeqCst)), (vec![200, 504], 1));
}

#[test]
fn attempt_that_takes_too_long_is_followed_by_another() {
    let (silent, _) = saying("");
    let (good, _) = saying(OK);
    for retry in [
        "retry = { attempts = 2, per_try_ms = 100 }",
        "first_byte_timeout_ms = 100\nretry = { attempts = 2, on = [\"timeout\"] }",
    ] {
        let pace = before(&[&silent, &good], retry);
        let mut client = pace.client();
        for _ in 0..4 {
            assert_eq!(client.get("/").text(), "ok", "{retry}");
        }
        let failed = pace
            .metrics()
            .sum("pace_upstream_failures_total", &[("reason", "response-timeout")]);
        assert!(failed > 0, "it had its turn");
    }
}

#[test]
fn further_attempts_are_bounded_to_a_share_of_the_first_ones() {
    let (bad, _) = saying(BUSY);
    let (worse, _) = saying(BUSY);
    let pace = before(
        &[&bad, &worse],
        "retry = { attempts = 2, on = [\"503\"], budget_percent = 10 }",
    );
    let mut client = pace.client();
    for _ in 0..100 {
        assert_eq!(client.get("/").status, 503);
    }
    let attempts = pace.metrics().sum("pace_upstream_attempts_total", &[]);
    assert_eq!(attempts, 100 + 10 + 10, "ten are always there");
}

/// The body of a request that may be repeated is kept up to a bound.
#[test]
fn request_with_a_body_too_large_to_keep_is_not_retried() {
    for (size, kept_kb, status) in [
        (1000, 64, 200),
        (1000, 0, 502),
        (100_000, 64, 502),
        (100_000, 128, 200),
    ] {
        let dying = Scripted::new(move |line| {
            line.head()?;
            line.bytes(size)?;
            Ok(())
        });
        let good = Scripted::new(move |line| {
            line.head()?;
            let body = line.bytes(size)?;
            assert!(body.iter().all(|byte| *byte == b'x'));
            line.write(OK)
        });
        let pace = before(&[&dying, &good], &format!("retry_body_kb = {kept_kb}"));
        let mut client = pace.client();
        let body = "x".repeat(size);
        client.write(format!(
            "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n{body}"
        ));
        let response = client.read("PUT").expect("there is a response");
        assert_eq!(response.status, status, "{size} bytes, {kept_kb} KiB kept");
    }
}

#[test]
fn two_keys_for_the_number_of_attempts_are_an_error() {
    let message = |retries: u32| {
        let exit = pace_tests::Setup::new()
            .args(["check"])
            .config(&format!(
                "[upstreams]\nbackends = [\"127.0.0.1:1\"]\nmax_retries = {retries}\nretry = {{ attempts = 3 }}\n"
            ))
            .run();
        exit.stderr.clone()
    };
    assert!(
        message(1)
            .contains("`max_retries` in [upstreams]: `retry.attempts`, which counts the first attempt too")
    );
    assert!(
        !message(2).contains("retry.attempts"),
        "the same number is said twice"
    );
}

/// No other backend would be asked, so the present answer is better than none.
#[test]
fn status_to_retry_is_passed_on_without_another_backend() {
    let (busy, _) = saying(BUSY);
    let (spare, tries) = saying(OK);
    let pace = Pace::with_config(&format!(
        "{ONE_WORKER}\n[[pools]]\nname = \"web\"\nbackends = [\"{}\", {{ address = \"{}\", weight = 0 }}]\n\
         retry = {{ on = [\"503\"] }}\n\n{EVERYTHING}",
        busy.label(),
        spare.label()
    ));
    let mut client = pace.client();
    for _ in 0..3 {
        let answer = client.get("/");
        assert_eq!((answer.status, answer.text()), (503, "busy"));
    }
    assert_eq!(tries.load(Ordering::SeqCst), 0);
    assert_eq!(busy.received().len(), 1, "its connection is kept");
}

/// The time of an attempt counts only while the backend is waited for.
#[test]
fn attempt_does_not_time_out_while_the_client_is_waited_for() {
    let (backend, heads) = saying(OK);
    let pace = before(&[&backend], "retry = { attempts = 1, per_try_ms = 300 }");
    let mut client = pace.client();
    client.write("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n");
    wait_until("the head at the backend", || heads.load(Ordering::SeqCst) == 1);
    std::thread::sleep(std::time::Duration::from_millis(700));
    client.write("hi");
    assert_eq!(client.read("PUT").expect("there is an answer").status, 200);
}

#[test]
fn pause_between_attempts_ends_at_the_requests_deadline() {
    let (silent, _) = saying("HTTP/1.1 500 Oh\r\n");
    let pace = before(
        &[&silent],
        "response_timeout_ms = 50\ntotal_timeout_ms = 500\nretry = { on = [\"timeout\"], backoff_ms = 60000 }",
    );
    assert_eq!(pace.get("/").status, 504);
}

/// A backend may have begun to process the part of a request that it has read.
#[test]
fn request_that_may_have_been_begun_is_not_retried_after_a_timeout() {
    let (silent, tries) = saying("HTTP/1.1");
    let good = Scripted::saying(OK);
    let pace = before(
        &[&silent, &good],
        "response_timeout_ms = 200\nretry = { on = [\"timeout\", \"closed\"], per_try_ms = 200 }",
    );
    let mut answers = Vec::new();
    for _ in 0..2 {
        let mut client = pace.client();
        client.write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
        answers.push(client.read("POST").expect("there is an answer").status);
    }
    answers.sort_unstable();
    assert_eq!(answers, [200, 504]);
    assert_eq!(tries.load(Ordering::SeqCst), 1);
}

/// After the client has been told to send its body, its own time counts; before that, the attempt's.
#[test]
fn time_between_100_and_the_body_counts_for_the_client() {
    let backend = Scripted::new(|line| {
        while line.head()?.is_some() {
            line.write("HTTP/1.1 103 Early Hints\r\n\r\n")?;
            std::thread::sleep(std::time::Duration::from_millis(600));
            line.write("HTTP/1.1 100 Continue\r\n\r\n")?;
            line.bytes(2)?;
            line.write(OK)?;
        }
        Ok(())
    });
    let pace = Pace::with_config(&format!(
        "[server]\nlisten = \"127.0.0.1:0\"\nworkers = 1\nbody_timeout_ms = 400\n\n[admin]\nlisten = \"127.0.0.1:0\"\n\n\
         [[pools]]\nname = \"web\"\nbackends = [\"{}\"]\nretry = {{ attempts = 1, per_try_ms = 800 }}\n\n{EVERYTHING}",
        backend.label()
    ));
    let head = "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n";
    let told = |client: &pace_tests::Client| client.received().windows(4).any(|four| four == b" 100");
    // One attempt has 800 ms, of which the backend uses 600.
    let mut client = pace.client();
    client.write(head);
    wait_until("the word", || told(&client));
    std::thread::sleep(std::time::Duration::from_millis(300));
    client.write("hi");
    assert_eq!(client.read("PUT").expect("there is an answer").status, 200);
    // A client that sends nothing more gets an answer after its own time, not after the backend's 60 s.
    let mut client = pace.client();
    client.write(head);
    assert_eq!(client.read("PUT").expect("there is an answer").status, 408);
    assert_eq!(pace.metrics().sum("pace_upstream_failures_total", &[]), 0);
}

/// A pause that outlasts the request would end in an answer of Pace's own.
#[test]
fn status_is_passed_on_without_time_for_another_attempt() {
    let (one, _) = saying(BUSY);
    let (two, _) = saying(BUSY);
    let pace = before(
        &[&one, &two],
        "total_timeout_ms = 2000\nretry = { on = [\"503\"], backoff_ms = 3000 }",
    );
    assert_eq!(pace.get("/").text(), "busy");
}
