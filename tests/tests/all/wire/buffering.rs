//! `buffer_request_kb`: the start of a body is read before a backend is chosen.

use pace_tests::{Http2, HttpBackend, Pace, Request, Scripted, wait_until};

use super::{OK, all, status};

/// The size of the buffer in bytes.
const BUFFER: usize = 4 << 10;

/// A backend that answers each request once it has its body: `length` bytes, or chunks.
fn taking(length: usize) -> Scripted {
    Scripted::new(move |line| {
        while let Some(head) = line.head()? {
            match head.contains("chunked") {
                // No data of these tests has an empty line in it, so the first one ends the trailers.
                true => drop(line.head()?),
                false => drop(line.bytes(length)?),
            }
            line.write(OK)?;
        }
        Ok(())
    })
}

/// Starts Pace with one worker and a route for `/here` to these backends.
fn buffering(backends: &[&str]) -> Pace {
    impatient(backends, 20_000)
}

/// The same, with a limit for how long a body may be silent.
fn impatient(backends: &[&str], milliseconds: u32) -> Pace {
    let backends: Vec<_> = backends.iter().map(|label| format!("\"{label}\"")).collect();
    Pace::with_config(&format!(
        "[server]\nlisten = \"127.0.0.1:0\"\nworkers = 1\nbody_timeout_ms = {milliseconds}\n\n\
         [admin]\nlisten = \"127.0.0.1:0\"\n\n\
         [[pools]]\nname = \"web\"\nbackends = [{}]\nbuffer_request_kb = 4\n\n\
         [[routes]]\nmatch = {{ path_prefix = \"/here\" }}\npool = \"web\"\n",
        backends.join(", ")
    ))
}

fn attempts(pace: &Pace) -> u64 {
    pace.metrics().sum("pace_upstream_attempts_total", &[])
}

/// Waits until Pace has read what was sent, and waits for more.
fn wait_for_request_in_flight(pace: &Pace) {
    wait_until("the request is in flight", || {
        pace.metrics().sum("pace_requests_in_flight", &[]) == 1
    });
    // The only worker answers this after it has read what came before.
    assert_eq!(pace.get("/nowhere").status, 404);
}

#[test]
fn backend_is_asked_once_the_body_is_complete() {
    for (framing, first, rest) in [
        ("Content-Length: 8", "12", "345678"),
        (
            "Transfer-Encoding: chunked",
            "2\r\n12\r\n",
            "6\r\n345678\r\n0\r\nX-End: yes\r\n\r\n",
        ),
    ] {
        let backend = taking(8);
        let pace = buffering(&[&backend.label()]);
        let mut client = pace.client();
        client.write(format!(
            "POST /here HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n{first}"
        ));
        wait_for_request_in_flight(&pace);
        assert_eq!(attempts(&pace), 0, "{framing}");
        client.write(rest);
        assert_eq!(client.read("POST").expect("there is a response").text(), "ok");
        let received = backend.text();
        assert!(received.contains("12345678"), "{received}");
        assert_eq!(received.contains("X-End: yes"), framing.contains("chunked"));
    }
}

#[test]
fn body_larger_than_the_buffer_streams_on() {
    let size = 3 * BUFFER;
    let backend = taking(size);
    let pace = buffering(&[&backend.label()]);
    let mut client = pace.client();
    client.write(format!(
        "POST /here HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n"
    ));
    client.write(vec![b'x'; BUFFER - 1]);
    wait_for_request_in_flight(&pace);
    assert_eq!(attempts(&pace), 0);
    client.write("xx");
    wait_until("the backend has what was read", || {
        backend.text().matches('x').count() > BUFFER
    });
    client.write(vec![b'x'; size - BUFFER - 1]);
    assert_eq!(client.read("POST").expect("there is a response").text(), "ok");
    let received = backend.text();
    assert!(
        received.ends_with(&"x".repeat(size)),
        "nothing is lost or repeated"
    );
}

#[test]
fn whole_body_reaches_the_backend_that_is_asked_after_another_was_down() {
    let backend = taking(8);
    let down = HttpBackend::down();
    let pace = buffering(&[&down.label(), &backend.label()]);
    let mut client = pace.client();
    for _ in 0..4 {
        client.write("POST /here HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\n12345678");
        assert_eq!(client.read("POST").expect("there is a response").text(), "ok");
    }
    assert_eq!(backend.text().matches("\r\n\r\n12345678").count(), 4);
}

/// The backend is not asked, so nobody else has to wait or is to blame.
#[test]
fn body_that_does_not_come_or_is_malformed_is_refused_before_a_backend_is_asked() {
    for (framing, body, expected) in [
        ("Content-Length: 8", "12", 408),
        ("Transfer-Encoding: chunked", "2\r\n12\r\n", 408),
        ("Transfer-Encoding: chunked", "2\r\n12\r\nx", 400),
    ] {
        let backend = taking(8);
        let pace = impatient(&[&backend.label()], 100);
        let mut client = pace.client();
        client.write(format!(
            "POST /here HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n{body}"
        ));
        let answer = all(&mut client);
        assert_eq!(status(&answer), expected, "{answer}");
        assert_eq!(attempts(&pace), 0);
    }
}

#[test]
fn request_that_expects_100_continue_is_sent_to_the_backend_at_once() {
    let backend = Scripted::new(|line| {
        line.head()?;
        line.write("HTTP/1.1 100 Continue\r\n\r\n")?;
        line.bytes(2)?;
        line.write(OK)
    });
    let pace = buffering(&[&backend.label()]);
    let mut client = pace.client();
    client.write("POST /here HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
    wait_until("the backend asks for the body", || {
        client.received().windows(4).any(|four| four == b" 100")
    });
    client.write("hi");
    assert_eq!(client.read("POST").expect("there is a response").text(), "ok");
}

#[test]
fn client_that_leaves_before_its_body_is_complete_is_no_attempt() {
    let backend = taking(8);
    let pace = buffering(&[&backend.label()]);
    let mut client = pace.client();
    client.write("POST /here HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\n12");
    wait_for_request_in_flight(&pace);
    client.close();
    wait_until("the request is over", || {
        pace.metrics().sum(
            "http_requests_duration_seconds_count",
            &[("method", "POST"), ("status", "499")],
        ) == 1
    });
    assert_eq!(attempts(&pace), 0);
}

#[test]
fn body_of_a_stream_is_read_first_too() {
    let backend = HttpBackend::named("one");
    let pace = buffering(&[&backend.label()]);
    let mut client = Http2::connect(pace.address());
    let body = vec![b'x'; BUFFER / 2];
    let mut exchange = client
        .open(&Request::post("/here", Vec::new()), false)
        .expect("the connection is open");
    exchange.write(&body, false).expect("there is a window");
    wait_for_request_in_flight(&pace);
    assert_eq!(attempts(&pace), 0);
    exchange.write(&body, true).expect("there is a window");
    assert_eq!(exchange.response().expect("there is one").status, 200);
    assert_eq!(attempts(&pace), 1);
}
