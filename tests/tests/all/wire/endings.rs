//! Ends of responses and of connections: nothing is cut, nothing follows an incomplete message, and nothing
//! waits for ever.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use pace_tests::{DEADLINE, HttpBackend, Pace, Scripted, Signal, wait_until};
use socket2::{Domain, Socket, Type};

use super::{OK, all, before, status};
use crate::sections::EVERYTHING;

/// Starts Pace with one worker, these keys in `[server]`, and backends with these labels.
fn pace(server: &str, labels: &[String], pool: &str) -> Pace {
    Pace::with_config(&format!(
        "[server]\nlisten = \"127.0.0.1:0\"\nworkers = 1\n{server}\n\n[admin]\nlisten = \"127.0.0.1:0\"\n\n\
         [[pools]]\nname = \"web\"\nbackends = {labels:?}\n{pool}\n\n{EVERYTHING}"
    ))
}

/// A client whose system buffers only a few KiB that it does not read.
fn narrow(address: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("there are sockets");
    socket.set_recv_buffer_size(4096).expect("it may be small");
    socket.connect(&address.into()).expect("Pace listens");
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(DEADLINE)).expect("it is a socket");
    stream
}

fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A reset ends the connection as well.
    let _ = stream.read_to_end(&mut bytes);
    bytes
}

const LARGE: usize = 1_000_000;

fn large() -> Scripted {
    let body = "x".repeat(LARGE);
    Scripted::saying(format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n{body}"
    ))
}

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// Bytes sent to a connection that is being closed reset it, and the reset would destroy the answer on its
/// way.
#[test]
fn last_answer_is_not_cut_by_further_bytes_of_the_client() {
    let backend = large();
    let last = pace("keepalive_requests = 1", &[backend.label()], "");
    let mut client = narrow(last.address());
    client.write_all(GET).expect("Pace reads");
    let mut begin = [0; 2048];
    client.read_exact(&mut begin).expect("the answer begins");
    // The client cannot know yet that this request is one too many.
    client.write_all(GET).expect("Pace reads");
    assert!(begin.len() + rest(&mut client).len() > LARGE);

    let close = pace("", &[backend.label()], "");
    let mut client = narrow(close.address());
    client
        .write_all(
            &[
                b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
                &GET.repeat(100)[..],
            ]
            .concat(),
        )
        .expect("Pace reads");
    assert!(rest(&mut client).len() > LARGE);
}

#[test]
fn answer_on_its_way_is_not_cut_by_the_end_of_the_process() {
    let backend = large();
    let pace = pace("", &[backend.label()], "");
    let mut client = narrow(pace.address());
    client.write_all(GET).expect("Pace reads");
    let mut begin = [0; 2048];
    client.read_exact(&mut begin).expect("the answer begins");
    let reading = thread::spawn(move || {
        let mut client = client;
        let mut read = begin.len();
        let mut bytes = [0; 4096];
        while let Ok(count @ 1..) = client.read(&mut bytes) {
            read += count;
            // The client sends another request while the process ends.
            let _ = client.write_all(GET);
            thread::sleep(Duration::from_micros(200));
        }
        read
    });
    pace.signal(Signal::TERM);
    let exit = pace.wait();
    assert_eq!(exit.code, Some(0), "{exit:?}");
    assert!(reading.join().expect("it reads") > LARGE);
}

/// An interim response that a client has read in part goes on with its rest or not at all.
#[test]
fn partial_interim_response_is_followed_by_nothing() {
    let hints = {
        let link = format!("Link: {}\r\n", "a".repeat(900));
        format!("HTTP/1.1 103 Early Hints\r\n{}\r\n", link.repeat(60))
    };
    let flooding = move || {
        let hints = hints.clone();
        Scripted::new(move |line| {
            line.head()?;
            for _ in 0..60 {
                line.write(&hints)?;
            }
            line.end()
        })
    };
    let second = Scripted::saying(OK);
    for (request, limits) in [
        (
            &b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..],
            "total_timeout_ms = 300",
        ),
        (
            b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "retry = { attempts = 2, per_try_ms = 200 }",
        ),
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
            "response_timeout_ms = 300",
        ),
    ] {
        let first = flooding();
        let labels = [first.label(), second.label()];
        let labels = if limits.contains("retry") {
            &labels[..]
        } else {
            &labels[..1]
        };
        let pace = pace("", labels, limits);
        let mut client = narrow(pace.address());
        client.write_all(request).expect("Pace reads");
        wait_until("a request at the backend", || {
            !first.received().is_empty() || labels.len() > 1
        });
        if request.starts_with(b"POST") {
            let mut begin = [0; 1024];
            client.read_exact(&mut begin).expect("the first response comes");
            client.write_all(b"ZZ\r\n").expect("Pace reads");
        }
        wait_until("the answer, or the end", || {
            pace.metrics().sum("pace_requests_in_flight", &[]) == 0
        });
        let text = String::from_utf8_lossy(&rest(&mut client)).into_owned();
        let heads = text.matches("HTTP/1.1 ").count();
        let whole = text.matches("\r\n\r\n").count();
        let is_answered = text.ends_with("ok");
        assert!(
            is_answered || heads <= whole + 1,
            "{limits}: {heads} heads, {whole} whole"
        );
        assert!(
            !text.contains("aHTTP/1.1"),
            "{limits}: a response in the middle of another"
        );
    }
}

/// A client that reads nothing has `send_timeout_ms`, whatever it sends meanwhile.
#[test]
fn dripped_upload_does_not_hold_an_unread_connection() {
    let body = "x".repeat(20_000_000);
    let backend = Scripted::new(move |line| {
        line.head()?;
        line.write(format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ))?;
        line.end()
    });
    let pace = pace(
        "send_timeout_ms = 300\nbody_timeout_ms = 300",
        &[backend.label()],
        "",
    );
    let mut client = narrow(pace.address());
    client
        .write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n")
        .expect("Pace reads");
    wait_until("the end of the connection", || {
        thread::sleep(Duration::from_millis(20));
        client.write_all(b"x").is_err()
    });
}

#[test]
fn endless_empty_lines_are_refused() {
    let backend = HttpBackend::named("one");
    let pace = pace("head_timeout_ms = 60000", &[backend.label()], "");
    let mut client = pace.client();
    client.write("\r\n".repeat(8) + "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_eq!(status(&all(&mut client)), 200, "old clients send a few");
    let mut client = pace.client();
    client.write("\r\n".repeat(1000));
    assert_eq!(status(&all(&mut client)), 400);
}

/// A head that ends where a read ends leaves nothing behind that looks like the beginning of the next.
#[test]
fn idle_timeout_is_the_same_after_a_head_of_any_size() {
    let pace = Pace::with_config(
        "[server]\nlisten = \"127.0.0.1:0\"\nworkers = 1\nhead_timeout_ms = 200\n\n[metrics]\n\n\
         [upstreams]\nbackends = [\"127.0.0.1:1\"]",
    );
    for size in [16_383, 16_384, 16_385, 32_768, 65_536] {
        let head = "GET /metrics HTTP/1.1\r\nHost: a\r\nX: ";
        let mut client = pace.client();
        let filler = "x".repeat(size - head.len() - 4);
        assert_eq!(client.exchange(format!("{head}{filler}\r\n\r\n")).status, 200);
        // The pause is longer than a head may take.
        thread::sleep(Duration::from_millis(400));
        assert_eq!(client.get("/metrics").status, 200, "after a head of {size} bytes");
        assert_eq!(
            client.connections(),
            1,
            "on the same connection, after {size} bytes"
        );
    }
}

/// A response without content that declares some may be followed by it, which would be taken for the next
/// answer.
#[test]
fn connection_is_not_reused_after_forbidden_content() {
    let backend = Scripted::saying("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n");
    let pace = pace("", &[backend.label()], "");
    let mut client = pace.client();
    for _ in 0..3 {
        assert_eq!(client.get("/").status, 204);
    }
    assert_eq!(backend.received().len(), 3);
}

/// The client may not send yet, and the backend has to answer first.
#[test]
fn slow_response_to_an_expectation_arrives() {
    let streaming = Scripted::new(|line| {
        line.head()?;
        line.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        for _ in 0..8 {
            thread::sleep(Duration::from_millis(100));
            line.write("1\r\nx\r\n")?;
        }
        line.write("0\r\n\r\n")?;
        line.end()
    });
    let thinking = Scripted::new(|line| {
        line.head()?;
        thread::sleep(Duration::from_millis(600));
        line.write(OK)?;
        line.end()
    });
    for backend in [streaming, thinking] {
        let pace = pace("body_timeout_ms = 200", &[backend.label()], "");
        let mut client = pace.client();
        client.write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n");
        let answer = all(&mut client);
        assert_eq!(status(&answer), 200, "{answer}");
        assert!(
            answer.ends_with("0\r\n\r\n") || answer.ends_with("ok"),
            "{answer}"
        );
    }
}

/// A client that is not told of the end sends the rest of its body, and then its next request.
#[test]
fn connection_is_kept_for_a_body_that_ends_after_its_response() {
    let backend = Scripted::new(|line| {
        while line.head()?.is_some() {
            line.write("HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno")?;
        }
        Ok(())
    });
    let pace = before(&backend, "");
    for (framing, body) in [
        ("Content-Length: 5", "hello"),
        ("Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\n\r\n"),
    ] {
        let mut client = pace.client();
        client.write(format!("POST / HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n"));
        let early = client.read("POST").expect("there is a response");
        assert_eq!((early.status, early.last), (413, false));
        client.write(format!("{body}GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert_eq!(client.read("GET").expect("the connection is kept").status, 413);
    }
}
