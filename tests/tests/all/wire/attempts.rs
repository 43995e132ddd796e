//! The number of attempts: the configured one, and one more for an idle connection that had ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use pace_tests::Scripted;

use super::{OK, before};

/// A backend that answers the first request of the first connections, and hangs up on every other.
fn hangs_up(answers: usize) -> (Scripted, Arc<AtomicUsize>) {
    let heads = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&heads);
    let backend = Scripted::new(move |line| {
        let mut requests = 0;
        while line.head()?.is_some() {
            count.fetch_add(1, Ordering::SeqCst);
            if line.index >= answers || requests > 0 {
                return Ok(());
            }
            requests += 1;
            line.write(OK)?;
        }
        Ok(())
    });
    (backend, heads)
}

#[test]
fn attempts_are_as_configured_plus_one_for_a_stale_connection() {
    for retries in [0, 1, 3] {
        for request in [
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi",
        ] {
            // The first request leaves an idle connection on which the backend hangs up.
            let (backend, heads) = hangs_up(1);
            let pace = before(&backend, &format!("max_retries = {retries}"));
            let mut client = pace.client();
            assert_eq!(client.get("/").text(), "ok");
            let method = &request[..3];
            client.write(request);
            assert_eq!(client.read(method).expect("there is a response").status, 502);
            // One attempt on the idle connection, one on its replacement, and no other: the only backend is
            // not tried twice.
            assert_eq!(
                heads.load(Ordering::SeqCst),
                1 + 2,
                "{method} with {retries} retries"
            );
            assert_eq!(pace.metrics().sum("pace_upstream_attempts_total", &[]), 1 + 2);
            assert_eq!(pace.metrics().sum("pace_upstream_failures_total", &[]), 1);
        }
    }
}

#[test]
fn only_one_stale_connection_is_tried() {
    let (backend, heads) = hangs_up(usize::MAX);
    let pace = before(&backend, "max_retries = 0");
    // Four concurrent requests leave four idle connections, on each of which the next request is lost.
    let mut clients: Vec<_> = (0..4).map(|_| pace.client()).collect();
    for client in &mut clients {
        client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    for client in &mut clients {
        assert_eq!(client.read("GET").expect("there is a response").text(), "ok");
    }
    let before = heads.load(Ordering::SeqCst);
    assert_eq!(
        clients[0].get("/").text(),
        "ok",
        "the replacement is a new connection"
    );
    assert_eq!(heads.load(Ordering::SeqCst), before + 2);
}

#[test]
fn post_on_a_stale_connection_is_not_retried() {
    let (backend, heads) = hangs_up(1);
    let pace = before(&backend, "max_retries = 5");
    let mut client = pace.client();
    assert_eq!(client.get("/").text(), "ok");
    client.write("POST /pay HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n10");
    assert_eq!(client.read("POST").expect("there is a response").status, 502);
    assert_eq!(heads.load(Ordering::SeqCst), 1 + 1);
}
