//! A log that nobody reads, or that has no room: requests are answered all the same, and what is missing is told.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;

use pace_tests::{Client, Metrics, Origin, Pace, Setup, Signal, wait_until};
use socket2::{Domain, Socket, Type};

use crate::sections::plain;

/// A line for each request, and the lines are long, so that it does not take many to fill a pipe and Pace's queue.
fn target(number: usize) -> String {
    format!("/{number}/{}", "x".repeat(8000))
}

const DROPPED: &str = "pace_log_lines_dropped_total";

pub(crate) fn start(origin: &Origin) -> Pace {
    let config = plain(&[origin]);
    Setup::new()
        .env("RUST_LOG", "info")
        .config(&config)
        .log_through_pipe()
        .start()
}

/// Leaves the log unread until lines, and not only one, are dropped. How many requests have been answered.
pub(crate) fn fill(pace: &Pace) -> usize {
    pace.pause_log();
    let mut client = pace.client();
    let mut answered = 0;
    while answered % 20 != 0 || pace.metrics().sum(DROPPED, &[]) < 2 {
        assert_eq!(client.get(&target(answered)).status, 200);
        answered += 1;
        assert!(answered < 2000, "nothing is dropped");
    }
    answered
}

/// How many lines are missing where this one is.
fn missing(line: &str) -> Option<usize> {
    let (_, said) = line.split_once("WARN  pace::log] ")?;
    said.split_once(" log line")?.0.parse().ok()
}

#[test]
fn requests_are_answered_while_nobody_reads_and_every_line_is_there_or_counted() {
    let origin = Origin::named("one");
    let pace = start(&origin);
    let mut answered = fill(&pace);
    // Who asks for the metrics is answered, and so is everybody else.
    for _ in 0..20 {
        assert_eq!(pace.get(&target(answered)).status, 200);
        answered += 1;
    }

    pace.resume_log();
    pace.wait_for_log(&["WARN  pace::log]", "log lines were dropped"]);
    assert_eq!(pace.get("/after").status, 200);
    pace.wait_for_log(&["pace::access", "/after"]);
    let dropped = pace.metrics().sum(DROPPED, &[]);
    let log = pace.stop().stderr;

    // In their order and whole, and where some are missing a line says how many.
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
            assert_eq!(line.split(' ').nth(6), Some(&*expected));
            next += 1;
        }
    }
    assert_eq!(next, answered + 1);
    assert_eq!(told as u64, dropped);
}

#[test]
fn signals_end_a_process_whose_log_nobody_reads() {
    for signal in [Signal::TERM, Signal::INT, Signal::QUIT] {
        let origin = Origin::named("one");
        let pace = start(&origin);
        fill(&pace);
        pace.signal(signal);
        let exit = pace.wait();
        assert_eq!(exit.code, Some(0), "{signal:?}");
    }
}

#[test]
fn what_is_said_at_the_end_is_written_before_it() {
    let origin = Origin::named("one");
    let pace = start(&origin);
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
fn requests_are_answered_when_the_log_is_closed() {
    let origin = Origin::named("one");
    let pace = start(&origin);
    pace.close_log();
    // The one after which it is closed, and those after.
    wait_until("a line to be lost", || {
        assert_eq!(pace.get("/").status, 200);
        pace.metrics().sum(DROPPED, &[]) > 0
    });
    assert_eq!(pace.get("/").status, 200);
    assert_eq!(pace.stop().code, Some(0));
}

/// `/dev/full` is a disk that has no room.
#[test]
fn requests_are_answered_when_there_is_no_room_for_a_log() {
    let origin = Origin::named("one");
    let (address, admin) = (reserved(), reserved());
    let full = File::options()
        .write(true)
        .open("/dev/full")
        .expect("this is Linux");
    let starting = setup(&origin, &address.0, &admin.0).log_to(full).begin();
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

/// A pipe that does not wait, because somebody who shares it wants it so, is waited for.
#[test]
fn a_pipe_that_is_set_not_to_wait_gets_every_line() {
    const REQUESTS: usize = 40;
    let origin = Origin::named("one");
    let (address, admin) = (reserved(), reserved());
    let (reader, writer) = io::pipe().expect("there is room for a pipe");
    rustix::io::ioctl_fionbio(&writer, true).expect("a pipe can be set so");
    let starting = setup(&origin, &address.0, &admin.0).log_to(writer).begin();
    wait_until("Pace to listen", || Client::new(admin.0).connect().is_ok());
    // More than the pipe takes.
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

fn setup(origin: &Origin, address: &SocketAddr, admin: &SocketAddr) -> Setup {
    let config = plain(&[origin])
        .replacen("127.0.0.1:0", &address.to_string(), 1)
        .replacen("127.0.0.1:0", &admin.to_string(), 1);
    Setup::new().env("RUST_LOG", "info").config(&config)
}

/// A port that nobody else gets, and that Pace can listen on: nobody else does.
pub(crate) fn reserved() -> (SocketAddr, Socket) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("there is room for a socket");
    socket.set_reuse_address(true).expect("it is a socket of TCP");
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    socket.bind(&any.into()).expect("some port is free");
    let address = socket.local_addr().expect("it is bound");
    (address.as_socket().expect("it is IP"), socket)
}
