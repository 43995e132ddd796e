//! Slow clients and backends: every wait has an end, and the side that is late gets the blame.

use std::time::Duration;

use pace_tests::{Answer, Client, Gate, HttpBackend, Pace, Scripted, wait_until};

use super::{all, status};
use crate::sections::{EVERYTHING, pool};

/// Starts Pace with one worker, these keys in `[server]`, and one backend.
fn limited(server: &str, label: &str, pool: &str) -> Pace {
    Pace::with_config(&format!(
        "[server]\nlisten = \"127.0.0.1:0\"\nworkers = 1\n{server}\n\n[admin]\nlisten = \"127.0.0.1:0\"\n\n\
         [[pools]]\nname = \"web\"\nbackends = [\"{label}\"]\n{pool}\n\n{EVERYTHING}"
    ))
}

fn refused(pace: &Pace, reason: &str) -> u64 {
    pace.metrics()
        .sum("pace_requests_refused_total", &[("reason", reason)])
}

/// Sends one byte after the other until there is an answer, which there must be.
fn drip(client: &mut Client, bytes: &[u8]) -> String {
    for byte in bytes.iter().cycle() {
        if client.try_write([*byte]).is_err() || client.has_received() {
            break;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    all(client)
}

#[test]
fn endless_head_is_a_408() {
    let backend = HttpBackend::named("one");
    let pace = limited("head_timeout_ms = 100", &backend.label(), "");
    // The limit holds on a new connection and on a used one.
    for used in [false, true] {
        let mut client = pace.client();
        if used {
            assert_eq!(client.get("/").text(), "one");
        }
        client.write("GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ");
        let answer = drip(&mut client, b"a");
        assert_eq!(status(&answer), 408, "{answer}");
    }
    assert_eq!(refused(&pace, "head-timeout"), 2);
}

#[test]
fn connection_without_a_request_is_closed_without_an_answer() {
    let backend = HttpBackend::named("one");
    let pace = limited(
        "head_timeout_ms = 100\nkeepalive_timeout_ms = 100",
        &backend.label(),
        "",
    );
    let mut silent = pace.client();
    silent.connect().expect("Pace listens");
    assert_eq!(all(&mut silent), "");
    let mut idle = pace.client();
    assert_eq!(idle.get("/").text(), "one");
    assert_eq!(all(&mut idle), "");
    assert_eq!(refused(&pace, "head-timeout"), 0);
}

#[test]
fn connection_ends_after_its_maximum_of_requests() {
    let backend = HttpBackend::named("one");
    let pace = limited("keepalive_requests = 3", &backend.label(), "");
    let mut client = pace.client();
    for number in 1..=6 {
        let response = client.get("/");
        assert_eq!(
            response.header("connection"),
            (number % 3 == 0).then_some("close"),
            "{number}"
        );
    }
    assert_eq!(client.connections(), 2);
}

#[test]
fn stalled_body_is_a_408_and_no_failure_of_the_backend() {
    let backend = Scripted::new(|line| {
        line.head()?;
        line.end()
    });
    let pace = limited(
        "body_timeout_ms = 100",
        &backend.label(),
        "response_timeout_ms = 10000",
    );
    for framing in [
        "Content-Length: 10\r\n\r\n12345",
        "Transfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n",
    ] {
        let mut client = pace.client();
        client.write(format!("POST / HTTP/1.1\r\nHost: a\r\n{framing}"));
        let answer = all(&mut client);
        assert_eq!(status(&answer), 408, "{answer}");
    }
    assert_eq!(refused(&pace, "body-timeout"), 2);
    assert_eq!(pace.metrics().sum("pace_upstream_failures_total", &[]), 0);
}

/// The body is slower than a response may be, and as quick as a body must be.
#[test]
fn slow_but_steady_body_is_waited_for() {
    let backend = HttpBackend::named("one");
    let pace = limited(
        "body_timeout_ms = 1000\nbody_bytes_per_second = 1",
        &backend.label(),
        "response_timeout_ms = 50\nfirst_byte_timeout_ms = 5000",
    );
    let mut client = pace.client();
    client.write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n");
    for byte in b"0123456789" {
        std::thread::sleep(Duration::from_millis(20));
        client.write([*byte]);
    }
    assert_eq!(client.read("POST").expect("there is a response").text(), "one");
    assert_eq!(backend.request().body, b"0123456789");
}

#[test]
fn dripped_body_is_a_408() {
    let backend = Scripted::new(|line| {
        line.head()?;
        line.end()
    });
    let pace = limited(
        "body_timeout_ms = 100\nbody_bytes_per_second = 100000",
        &backend.label(),
        "",
    );
    let mut client = pace.client();
    client.write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
    let answer = drip(&mut client, b"b");
    assert_eq!(status(&answer), 408, "{answer}");
}

#[test]
fn client_that_stops_reading_is_dropped() {
    let backend = HttpBackend::new(|_| Answer::new(vec![b'x'; 64 << 20]));
    let pace = limited(
        "send_timeout_ms = 100",
        &backend.label(),
        "response_timeout_ms = 10000",
    );
    let mut client = pace.client();
    client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_until("the response to begin", || client.has_received());
    wait_until("the request to be over", || {
        pace.metrics().sum("pace_requests_in_flight", &[]) == 0
    });
    assert_eq!(pace.metrics().sum("pace_upstream_failures_total", &[]), 0);
}

#[test]
fn quiet_upgraded_connection_ends_after_its_configured_time() {
    let backend = Scripted::new(|line| {
        line.head()?;
        line.write("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nhello")?;
        line.end()
    });
    let pace = limited("upgrade_timeout_ms = 100", &backend.label(), "");
    let mut client = pace.client();
    client.write("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
    let answer = all(&mut client);
    assert!(answer.ends_with("\r\n\r\nhello"), "{answer}");
    pace.wait_for_log(&[
        "the upgraded connection to",
        &backend.label(),
        "nothing was said for 100ms",
    ]);
}

#[test]
fn late_first_byte_of_a_response_is_a_504() {
    let backend = Scripted::new(|line| {
        line.head()?;
        line.end()
    });
    for keys in [
        "first_byte_timeout_ms = 100",
        "total_timeout_ms = 100",
        "response_timeout_ms = 100",
    ] {
        let pace = limited("", &backend.label(), keys);
        let mut client = pace.client();
        assert_eq!(client.get("/").status, 504, "{keys}");
        assert_eq!(
            pace.metrics().sum("pace_upstream_attempts_total", &[]),
            1,
            "{keys}"
        );
    }
}

/// Each piece is in time, and all of them together are not.
#[test]
fn steady_response_ends_at_its_total_time() {
    let backend = Scripted::new(|line| {
        line.head()?;
        line.write("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")?;
        loop {
            line.write("x")?;
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    let pace = limited("", &backend.label(), "total_timeout_ms = 200");
    let mut client = pace.client();
    client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let answer = all(&mut client);
    assert_eq!(status(&answer), 200);
    assert!(answer.len() < 100_000, "{}", answer.len());
    pace.wait_for_log(&["broke off: the time of the request is over"]);
}

#[test]
fn connections_are_bounded_in_total_and_for_each_client() {
    let backend = HttpBackend::named("one");
    for (keys, reason) in [
        ("max_connections = 2", "max-connections"),
        ("max_connections_per_client = 2", "max-connections-per-client"),
    ] {
        let pace = limited(keys, &backend.label(), "");
        let mut clients = [pace.client(), pace.client()];
        for client in &mut clients {
            assert_eq!(client.get("/").status, 200);
        }
        let mut third = pace.client();
        third.connect().expect("Pace listens");
        let answer = all(&mut third);
        assert_eq!(status(&answer), 503, "{answer}");
        assert!(answer.ends_with("too many connections\n"), "{answer}");
        pace.wait_for_metric("pace_connections_refused_total", &[("reason", reason)], 1);
        let mut other = pace.client_from("127.0.0.9");
        other.connect().expect("Pace listens");
        if reason == "max-connections" {
            assert_eq!(status(&all(&mut other)), 503);
        } else {
            assert_eq!(other.get("/").status, 200, "another client has its own");
        }
        drop(clients);
        wait_until("there to be room", || {
            pace.client()
                .try_send(&pace_tests::Request::get("/"))
                .is_ok_and(|response| response.status == 200)
        });
    }
}

/// A pipelined request, or the empty line that old clients send behind a body, does not affect the first
/// request.
#[test]
fn early_bytes_do_not_affect_the_response() {
    let gate = Gate::new();
    let slow = gate.clone();
    let backend = HttpBackend::new(move |request| {
        if request.target == "/slow" {
            slow.wait();
        }
        Answer::new(request.target.clone())
    });
    let pace = limited("", &backend.label(), "");
    let mut client = pace.client();
    client.write("POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi");
    wait_until("the request to arrive", || backend.requests().len() == 1);
    client.write("\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\nGET /3 HTTP/1.1\r\nHost: a\r\n\r\n");
    gate.open();
    for target in ["/slow", "/2", "/3"] {
        assert_eq!(client.read("GET").expect("there is a response").text(), target);
    }
    assert_eq!(client.connections(), 1);
}

/// RFC 9112, section 9.6: the client has sent its request, and still receives.
#[test]
fn client_that_half_closes_still_gets_its_answer() {
    let gate = Gate::new();
    let backend = HttpBackend::behind(&gate, "one");
    let pace = limited("", &backend.label(), "");
    for request in [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi",
    ] {
        let before = backend.requests().len();
        let mut client = pace.client();
        client.write(request);
        client.finish();
        wait_until("the request to arrive", || backend.requests().len() > before);
        gate.open();
        let answer = all(&mut client);
        assert!(answer.ends_with("\r\n\r\none"), "{answer}");
    }
}

/// An answer that comes before the body has been sent is delivered, however much of the body is on its way.
#[test]
fn early_answer_to_an_upload_arrives() {
    let backend = Scripted::new(|line| {
        line.head()?;
        line.write("HTTP/1.1 413 Content Too Large\r\nContent-Length: 4\r\nConnection: close\r\n\r\ntoo ")?;
        line.end()
    });
    let pace = limited("", &backend.label(), "");
    let body = vec![b'x'; 8 << 20];
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8388608\r\n\r\n";
    for _ in 0..3 {
        let mut client = pace.client();
        let answer = client.upload(head, &body).expect("there is a response");
        assert_eq!(answer.status, 413);
    }
    let nowhere = Pace::with_config(&format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n\n{}\n[[routes]]\nmatch = {{ path_prefix = \"/other\" }}\npool = \"web\"\n",
        pool("web", &[&HttpBackend::down()])
    ));
    for _ in 0..3 {
        let mut client = nowhere.client();
        let answer = client.upload(head, &body).expect("there is a response");
        assert_eq!(answer.status, 404);
    }
}

/// RFC 9110, section 10.1.1: a client that waits for permission to send its body has its answer now.
#[test]
fn final_answer_to_an_expectation_ends_the_exchange() {
    let backend = Scripted::new(|line| {
        while line.head()?.is_some() {
            line.write("HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno")?;
        }
        Ok(())
    });
    let pace = limited("", &backend.label(), "");
    let mut client = pace.client();
    client.write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n");
    let answer = all(&mut client);
    assert_eq!(status(&answer), 401);
    assert!(
        answer.contains("Connection: close\r\n") && answer.ends_with("no"),
        "{answer}"
    );
    pace.wait_for_metric("http_requests_duration_seconds_count", &[("status", "401")], 1);
    let fast = "http_requests_duration_seconds_bucket";
    assert_eq!(pace.metrics().sum(fast, &[("status", "401"), ("le", "10")]), 1);
    // An answer of Pace's own does the same.
    let mut client = pace.client();
    client.write("POST / HTTP/1.1\r\nHost: a b\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(status(&all(&mut client)), 400);
}
