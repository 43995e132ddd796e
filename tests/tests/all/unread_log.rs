//! A log that is not read, or has no room: requests are answered all the same, and missing lines are counted.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;

use pace_tests::{Client, HttpBackend, Metrics, Pace, Setup, Signal, wait_until};
use socket2::{Domain, Socket, Type};

use crate::sections::plain;

/// A target so long that few access log lines fill a pipe and Pace's queue.
fn target(number: usize) -> String {
    format!("/{number}/{}", "x".repeat(8000))
}

const DROPPED: &str = "pace_log_lines_dropped_total";

pub(crate) fn start(backend: &HttpBackend) -> Pace {
    let config = plain(&[backend]);
    Setup::new()
        .env("RUST_LOG", "info")
        .config(&config)
        .log_through_pipe()
        .start()
}

/// Leaves the log unread until several lines are dropped. Returns the number of requests answered on this connection.
pub(crate) fn fill(pace: &Pace, client: &mut Client) -> usize {
    pace.pause_log();
    let mut answered = 0;
    while answered % 20 != 0 || pace.metrics().sum(DROPPED, &[]) < 2 {
        assert_eq!(client.get(&target(answered)).status, 200);
        answered += 1;
        assert!(answered < 2000, "nothing is dropped");
    }
    answered
}

/// The number of missing lines that this line reports.
fn missing(line: &str) -> Option<usize> {
    let (_, said) = line.split_once("WARN  pace::log] ")?;
    said.split_once(" log line")?.0.parse().ok()
}

#[test]
fn unread_log_blocks_no_request_and_lines_are_written_or_counted() {
    let backend = HttpBackend::named("one");
    let pace = start(&backend);
    // Only on one connection is a request's line sure to be written before that of the next.
    let mut client = pace.client();
    let mut answered = fill(&pace, &mut client);
    // Requests for the metrics are answered, and so are all others.
    for _ in 0..20 {
        assert_eq!(client.get(&target(answered)).status, 200);
        answered += 1;
    }

    pace.resume_log();
    pace.wait_for_log(&["WARN  pace::log]", "log lines were dropped"]);
    assert_eq!(client.get("/after").status, 200);
    pace.wait_for_log(&["pace::access", "/after"]);
    let dropped = pace.metrics().sum(DROPPED, &[]);
    let log = pace.stop().stderr;

    // The lines are in order and whole, and where some are missing a line has their number.
    let (mut next, mut told) = (0, 0);
    for line in log.lines() {
        if let Some(missing) = missing(line) {
            next += missing;
            told += missing;
        } else if line.contains("pace::access") {
            let expected = if next < answered {
                target(next)
            } else {
                "/after".to_owned()
            };
            assert!(line.contains(&format!(" path={expected} ")), "{line}");
            next += 1;
        }
    }
    assert_eq!(next, answered + 1);
    assert_eq!(told as u64, dropped);
}

#[test]
fn signal_ends_a_process_with_an_unread_log() {
    for signal in [Signal::TERM, Signal::INT, Signal::QUIT] {
        let backend = HttpBackend::named("one");
        let pace = start(&backend);
        fill(&pace, &mut pace.client());
        pace.signal(signal);
        let exit = pace.wait();
        assert_eq!(exit.code, Some(0), "{signal:?}");
    }
}

#[test]
fn last_lines_are_written_before_the_end() {
    let backend = HttpBackend::named("one");
    let pace = start(&backend);
    let mut client = pace.client();
    for number in 0..300 {
        assert_eq!(client.get(&format!("/{number}")).status, 200);
    }
    let log = pace.stop().stderr;
    assert_eq!(log.matches("pace::access").count(), 300, "{log}");
    assert!(
        log.lines()
            .last()
            .is_some_and(|line| line.ends_with("all connections are done")),
        "{log}"
    );
}

#[test]
fn closed_log_blocks_no_request() {
    let backend = HttpBackend::named("one");
    let pace = start(&backend);
    pace.close_log();
    // Lines are lost from the one on after which the log was closed.
    wait_until("a line to be lost", || {
        assert_eq!(pace.get("/").status, 200);
        pace.metrics().sum(DROPPED, &[]) > 0
    });
    assert_eq!(pace.get("/").status, 200);
    assert_eq!(pace.stop().code, Some(0));
}

/// `/dev/full` is a disk without room.
#[test]
fn full_disk_for_the_log_blocks_no_request() {
    let backend = HttpBackend::named("one");
    let (address, admin) = (reserved(), reserved());
    let full = File::options()
        .write(true)
        .open("/dev/full")
        .expect("this is Linux");
    let starting = setup(&backend, &address.0, &admin.0).log_to(full).begin();
    wait_until("Pace to listen", || Client::new(admin.0).connect().is_ok());
    for _ in 0..10 {
        assert_eq!(Client::new(address.0).get("/").status, 200);
    }
    wait_until("the lines to be counted", || {
        let metrics = Client::new(admin.0).get("/metrics");
        Metrics::parse(metrics.text()).sum(DROPPED, &[]) >= 10
    });
    starting.signal(Signal::TERM);
    assert_eq!(starting.wait().code, Some(0));
}

/// A non-blocking pipe, which another process that shares it may have made so, is waited for.
#[test]
fn nonblocking_pipe_gets_every_line() {
    const REQUESTS: usize = 40;
    let backend = HttpBackend::named("one");
    let (address, admin) = (reserved(), reserved());
    let (reader, writer) = io::pipe().expect("there is room for a pipe");
    rustix::io::ioctl_fionbio(&writer, true).expect("a pipe can be set so");
    let starting = setup(&backend, &address.0, &admin.0).log_to(writer).begin();
    wait_until("Pace to listen", || Client::new(admin.0).connect().is_ok());
    // These are more lines than the pipe takes.
    let mut client = Client::new(address.0);
    for number in 0..REQUESTS {
        assert_eq!(client.get(&target(number)).status, 200);
    }
    let mut lines = BufReader::new(reader).lines();
    let mut requests = 0;
    while requests < REQUESTS {
        let line = lines.next().expect("there are more").expect("it is text");
        if line.contains("pace::access") {
            assert!(line.contains(&target(requests)), "{line}");
            requests += 1;
        }
    }
    starting.signal(Signal::TERM);
    assert_eq!(starting.wait().code, Some(0));
}

fn setup(backend: &HttpBackend, address: &SocketAddr, admin: &SocketAddr) -> Setup {
    let config = plain(&[backend])
        .replacen("127.0.0.1:0", &address.to_string(), 1)
        .replacen("127.0.0.1:0", &admin.to_string(), 1);
    Setup::new().env("RUST_LOG", "info").config(&config)
}

/// A port that no other process gets, and that Pace can listen on: nothing else listens.
pub(crate) fn reserved() -> (SocketAddr, Socket) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("there is room for a socket");
    socket.set_reuse_address(true).expect("it is a socket of TCP");
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    socket.bind(&any.into()).expect("some port is free");
    let address = socket.local_addr().expect("it is bound");
    (address.as_socket().expect("it is IP"), socket)
}
