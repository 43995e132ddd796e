//! What systemd is told at `NOTIFY_SOCKET`.

use std::fs;
use std::os::unix::net::UnixDatagram;

use pace_tests::{Answer, DEADLINE, Gate, HttpBackend, Pace, Setup, Signal, wait_until};
use tempfile::TempDir;

use crate::sections::plain;

/// The socket of a manager of services.
struct Manager {
    socket: UnixDatagram,
    place: TempDir,
}

impl Manager {
    fn new() -> Manager {
        let place = tempfile::tempdir().expect("a temporary directory can be made");
        let socket = UnixDatagram::bind(place.path().join("notify")).expect("the directory is writable");
        socket.set_read_timeout(Some(DEADLINE)).expect("it is a time");
        Manager { socket, place }
    }

    fn setup(&self, config: &str) -> Setup {
        let path = self.place.path().join("notify");
        Setup::new()
            .env("NOTIFY_SOCKET", path.to_str().expect("it is UTF-8"))
            .config(config)
    }

    /// The next message, line by line. Signs of life are left out.
    fn next(&self) -> Vec<String> {
        loop {
            let lines = self.any();
            if lines != ["WATCHDOG=1"] {
                return lines;
            }
        }
    }

    fn any(&self) -> Vec<String> {
        let mut buffer = [0; 4096];
        let length = self.socket.recv(&mut buffer).expect("there is a message in time");
        let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
        text.lines().map(str::to_owned).collect()
    }
}

fn number(lines: &[String], key: &str) -> u64 {
    let value = lines
        .iter()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    let value = value.unwrap_or_else(|| panic!("{key} in {lines:?}"));
    value.parse().expect("it is a number")
}

fn config_file(pace: &Pace) -> std::path::PathBuf {
    pace.directory().join("pace.toml")
}

#[test]
fn start_reload_and_end_are_told() {
    let (manager, backend) = (Manager::new(), HttpBackend::named("one"));
    let config = plain(&[&backend]).replace("workers = 2", "workers = 2\ngrace_period_seconds = 100");
    let pace = manager.setup(&config).start();
    let ready = ["READY=1", "STATUS=serving"];
    assert_eq!(manager.next(), ready);

    pace.signal(Signal::HUP);
    let reloading = manager.next();
    assert_eq!(reloading[0], "RELOADING=1");
    let first = number(&reloading, "MONOTONIC_USEC");
    assert_eq!(manager.next(), ready);

    fs::write(config_file(&pace), "nonsense").expect("it is writable");
    pace.signal(Signal::HUP);
    assert!(number(&manager.next(), "MONOTONIC_USEC") > first);
    let refused = manager.next();
    assert_eq!(refused[0], "READY=1");
    assert!(refused[1].starts_with("STATUS=serving as before"), "{refused:?}");

    pace.signal(Signal::TERM);
    let stopping = manager.next();
    assert_eq!(stopping[0], "STOPPING=1");
    // The grace period and a little more, so that systemd does not kill the process before.
    assert_eq!(number(&stopping, "EXTEND_TIMEOUT_USEC"), 105_000_000);
    assert_eq!(pace.wait().code, Some(0));
}

#[test]
fn process_that_is_watched_shows_that_it_is_alive() {
    let (manager, backend) = (Manager::new(), HttpBackend::named("one"));
    let _pace = manager
        .setup(&plain(&[&backend]))
        .env("WATCHDOG_USEC", "200000")
        .start();
    assert_eq!(manager.any()[0], "READY=1");
    for _ in 0..3 {
        assert_eq!(manager.any(), ["WATCHDOG=1"]);
    }
}

#[test]
fn watchdog_of_another_process_gets_no_signs_of_life() {
    let (manager, backend) = (Manager::new(), HttpBackend::named("one"));
    let pace = manager
        .setup(&plain(&[&backend]))
        .env("WATCHDOG_USEC", "1000")
        .env("WATCHDOG_PID", "1")
        .start();
    assert_eq!(manager.any()[0], "READY=1");
    pace.signal(Signal::HUP);
    assert_eq!(manager.any()[0], "RELOADING=1");
}

#[test]
fn upgrade_tells_the_id_of_the_new_process() {
    let manager = Manager::new();
    let gate = Gate::new();
    let held = gate.clone();
    let backend = HttpBackend::new(move |_| {
        held.wait();
        Answer::new("served")
    });
    let pace = manager.setup(&plain(&[&backend])).start();
    assert_eq!(manager.next()[0], "READY=1");
    let mut client = pace.client();
    client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_until("the request to arrive", || backend.requests().len() == 1);
    let successor = pace.upgrade();
    let main = manager.next();
    assert_eq!(
        number(&main, "MAINPID"),
        u64::from(successor.pid().as_raw_nonzero().get().unsigned_abs())
    );
    assert_eq!(manager.next()[0], "READY=1");
    // The end of the old process is none of the service.
    gate.open();
    assert_eq!(pace.wait().code, Some(0));
    successor.signal(Signal::TERM);
    assert_eq!(manager.next()[0], "STOPPING=1");
}

#[test]
fn socket_that_cannot_be_used_is_told_and_does_no_harm() {
    let backend = HttpBackend::named("one");
    let pace = Setup::new()
        .env("NOTIFY_SOCKET", "/nowhere/notify")
        .config(&plain(&[&backend]))
        .start();
    pace.wait_for_log(&["WARN", "cannot notify the service manager at \"/nowhere/notify\""]);
    assert_eq!(pace.get("/").text(), "one");
}
