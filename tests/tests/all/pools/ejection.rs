//! Ejection of backends whose attempts fail, or that hang.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use pace_tests::{Answer, Http2, HttpBackend, Pace, Request, wait_until};
use socket2::{Domain, Socket, Type};

use super::{after, gated, start, under_load};
use crate::sections::{EVERYTHING, SERVER};
use crate::swapping::reconfigure;

fn ejections(pace: &Pace, backend: &HttpBackend) -> u64 {
    let labels = [("pool", "web"), ("backend", &*backend.label())];
    pace.metrics().sum("pace_upstream_ejections_total", &labels)
}

fn attempts(pace: &Pace, backend: &HttpBackend) -> u64 {
    let labels = [("backend", &*backend.label())];
    pace.metrics().sum("pace_upstream_attempts_total", &labels)
}

#[test]
fn backend_whose_attempts_fail_in_a_row_is_ejected() {
    let (down, up) = (HttpBackend::down(), HttpBackend::named("up"));
    let pace = start(&[&down, &up], "ejection = { failures = 3, for_ms = 60000 }");
    let mut client = pace.client();
    for _ in 0..20 {
        assert_eq!(client.get("/").text(), "up");
    }
    assert_eq!(attempts(&pace, &down), 3);
    assert_eq!(ejections(&pace, &down), 1);
    let entry = pace.backend("web", &down.label());
    assert_eq!(entry["health"], "ejected");
    assert!(
        entry["ejected_for_ms"]
            .as_u64()
            .is_some_and(|left| left <= 60_000)
    );
    pace.wait_for_log(&[
        "WARN",
        &down.label(),
        "is ejected for 60s: 3 attempts in a row have failed, the last with connection-refused",
    ]);
    let labels = [("backend", &*down.label())];
    assert_eq!(pace.metrics().sum("pace_upstream_healthy", &labels), 0);
}

/// Each time that the ejection is over, one request is risked, and only one.
#[test]
fn ejected_backend_is_tried_with_one_request_until_one_goes_well() {
    let (mut flaky, up) = (HttpBackend::down(), HttpBackend::named("up"));
    let pace = start(
        &[&flaky, &up],
        "ejection = { failures = 3, for_ms = 30 }\nretry = { budget_percent = 100 }",
    );
    let mut client = pace.client();
    wait_until("some trials", || {
        assert_eq!(client.get("/").text(), "up");
        ejections(&pace, &flaky) >= 3
    });
    assert_eq!(attempts(&pace, &flaky), 3 + (ejections(&pace, &flaky) - 1));
    flaky.start();
    wait_until("it to be back", || client.get("/").text() == "up again");
    pace.wait_for_log(&["INFO", &flaky.label(), "answers again"]);
    let mut both = [(); 2].map(|()| client.get("/").text().to_owned());
    both.sort();
    assert_eq!(both, ["up", "up again"]);
}

/// 502, 503 and 504 say that a backend cannot serve. What else a request causes must not take backends out.
#[test]
fn gateway_statuses_eject_and_others_do_not() {
    let up = HttpBackend::named("up");
    for (status, is_ejected) in [
        (500, false),
        (501, false),
        (404, false),
        (502, true),
        (503, true),
        (504, true),
    ] {
        let failing = HttpBackend::new(move |_| Answer::status(status));
        let pace = start(&[&failing, &up], "ejection = { failures = 3, for_ms = 60000 }");
        let mut client = pace.client();
        for _ in 0..10 {
            client.get("/");
        }
        assert_eq!(ejections(&pace, &failing), u64::from(is_ejected), "{status}");
    }
}

#[test]
fn all_backends_are_asked_when_all_fail() {
    let down = [HttpBackend::down(), HttpBackend::down(), HttpBackend::down()];
    let pace = start(
        &down.each_ref(),
        "max_retries = 2\nretry = { budget_percent = 100 }\nejection = { failures = 1, for_ms = 60000, max_percent = 100 }",
    );
    let mut client = pace.client();
    for _ in 0..3 {
        assert_eq!(client.get("/").status, 503);
    }
    for backend in &down {
        assert_eq!(pace.backend("web", &backend.label())["health"], "ejected");
        assert!(attempts(&pace, backend) >= 2, "it was asked again");
    }
}

#[test]
fn ejection_survives_a_reload_and_ends_with_its_configuration() {
    let (down, up) = (HttpBackend::down(), HttpBackend::named("up"));
    let pace = start(&[&down, &up], "ejection = { failures = 2, for_ms = 60000 }");
    let mut client = pace.client();
    for _ in 0..6 {
        assert_eq!(client.get("/").text(), "up");
    }
    let slower = |text: String| text.replace("failures = 2", "failures = 4");
    assert_eq!(reconfigure(&pace, slower).0, 200);
    assert_eq!(pace.backend("web", &down.label())["health"], "ejected");
    let without = |text: String| text.replace("ejection = { failures = 4, for_ms = 60000 }", "");
    assert_eq!(reconfigure(&pace, without).0, 200);
    assert_eq!(pace.backend("web", &down.label())["health"], "healthy");
}

const CLIENTS: usize = 16;

/// A process that is stopped accepts connections and reads nothing. It costs the requests that were under way, and those that each
/// client sends until it is noticed; all of them are answered by another backend.
#[test]
fn backend_that_hangs_costs_no_request_and_gets_no_more() {
    let ((hangs, gate), (up, _open)) = (gated("hangs"), gated("up"));
    let pace = start(
        &[&hangs, &up],
        "ejection = { failures = 5, for_ms = 60000 }\nresponse_timeout_ms = 60000",
    );
    under_load(&pace, CLIENTS, |answered| {
        after(answered, 400);
        gate.close();
        let before = hangs.requests().len();
        wait_until("it to be ejected", || ejections(&pace, &hangs) == 1);
        after(answered, 1000);
        let sent = hangs.requests().len() - before;
        assert!(
            sent <= CLIENTS,
            "{sent} requests were sent to a backend that answers none"
        );
    });
    pace.wait_for_log(&[
        "WARN",
        &hangs.label(),
        "or until it answers: it has answered nothing for",
    ]);
    let given_up = [("backend", &*hangs.label()), ("reason", "response-timeout")];
    let given_up = pace.metrics().sum("pace_upstream_failures_total", &given_up);
    assert!((1..=CLIENTS as u64).contains(&given_up), "{given_up}");
    gate.open();
}

/// A POST may have been processed and is never sent again: it waits, and its answer brings the backend back.
#[test]
fn request_that_must_not_be_repeated_waits_for_a_backend_that_hangs() {
    let ((hangs, gate), (up, _open)) = (gated("hangs"), gated("up"));
    let pace = start(
        &[&hangs, &up],
        "ejection = { failures = 2, for_ms = 60000 }\nretry = { budget_percent = 100 }",
    );
    let mut client = pace.client();
    for _ in 0..4 {
        client.get("/");
    }
    gate.close();
    thread::scope(|scope| {
        let posts: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| pace.client().send(&Request::post("/pay", "10")).status))
            .collect();
        let has_two = |backend: &HttpBackend| {
            let requests = backend.requests();
            requests.iter().filter(|request| request.method == "POST").count() == 2
        };
        wait_until("each to have two of them", || has_two(&hangs) && has_two(&up));
        pace.wait_for_health(&hangs.label(), "ejected");
        assert_eq!(client.get("/").text(), "up");
        gate.open();
        for post in posts {
            assert_eq!(post.join().expect("it was answered"), 200);
        }
        assert!(has_two(&hangs) && has_two(&up), "none was sent twice");
    });
    pace.wait_for_health(&hangs.label(), "healthy");
    pace.wait_for_log(&["INFO", &hangs.label(), "answers again"]);
}

/// A listener whose backlog can be filled: then the system answers no attempt to connect.
struct Overrun {
    address: SocketAddr,
    is_stopped: Arc<AtomicBool>,
    _listener: TcpListener,
    waiting: Vec<TcpStream>,
}

impl Overrun {
    /// Answers one request on each connection, until it is stopped.
    fn new() -> Overrun {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("there are sockets");
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        socket.bind(&any.into()).expect("there are ports");
        socket.listen(1).expect("nobody else listens there");
        let listener = TcpListener::from(socket);
        let address = listener.local_addr().expect("it is bound");
        let is_stopped = Arc::new(AtomicBool::new(false));
        let (accepting, stopped) = (listener.try_clone().expect("it is open"), Arc::clone(&is_stopped));
        thread::spawn(move || {
            while let Ok((mut stream, _)) = accepting.accept() {
                if stopped.load(Ordering::SeqCst) {
                    // The test ends with the process, and this thread with it.
                    thread::park();
                }
                let _ = answer_once(&mut stream);
            }
        });
        Overrun {
            address,
            is_stopped,
            _listener: listener,
            waiting: Vec::new(),
        }
    }

    /// Accepts nothing any more, and fills the backlog.
    fn stop(&mut self) {
        self.is_stopped.store(true, Ordering::SeqCst);
        while let Ok(stream) = TcpStream::connect_timeout(&self.address, Duration::from_millis(300)) {
            self.waiting.push(stream);
            assert!(self.waiting.len() < 100, "the backlog has an end");
        }
    }
}

fn answer_once(stream: &mut TcpStream) -> std::io::Result<()> {
    use std::io::{Read, Write};
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte)? > 0 {
        head.push(byte[0]);
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nfirst")
}

/// A Pace before both, that waits for a connection for as long as it takes.
fn pace_before(overrun: &Overrun, up: &HttpBackend) -> Pace {
    Pace::with_config(&format!(
        "{SERVER}\n[[pools]]\nname = 'web'\nbackends = ['{}', '{}']\nconnect_timeout_ms = 60000\n\
         ejection = {{ failures = 5, for_ms = 60000 }}\n\n{EVERYTHING}",
        overrun.address,
        up.label()
    ))
}

#[test]
fn backend_whose_backlog_is_full_costs_no_request() {
    let mut overrun = Overrun::new();
    let up = HttpBackend::named("up");
    let pace = pace_before(&overrun, &up);
    let label = overrun.address.to_string();
    let mut client = pace.client();
    wait_until("it to answer", || client.get("/").text() == "first");
    overrun.stop();
    under_load(&pace, CLIENTS, |answered| {
        pace.wait_for_health(&label, "ejected");
        after(answered, 500);
    });
}

/// Nothing is known of how fast such a backend would answer, but for how fast others do.
#[test]
fn backend_that_has_never_accepted_a_connection_costs_no_request() {
    let mut overrun = Overrun::new();
    overrun.stop();
    let up = HttpBackend::named("up");
    let pace = pace_before(&overrun, &up);
    let label = overrun.address.to_string();
    under_load(&pace, 4 * CLIENTS, |answered| {
        pace.wait_for_health(&label, "ejected");
        after(answered, 500);
    });
}

/// Such a process accepts connections, or the system does so for it.
#[test]
fn backend_that_hangs_from_the_beginning_costs_no_request() {
    let ((hangs, gate), up) = (gated("hangs"), HttpBackend::named("up"));
    gate.close();
    let pace = start(
        &[&hangs, &up],
        "ejection = { failures = 5, for_ms = 60000 }\nresponse_timeout_ms = 60000\nretry = { budget_percent = 100 }",
    );
    under_load(&pace, CLIENTS, |answered| {
        pace.wait_for_health(&hangs.label(), "ejected");
        after(answered, 500);
    });
    assert!(hangs.requests().len() <= CLIENTS, "each client lost time once");
    gate.open();
}

/// Its trial has all the time that a request has, or it would never be known to be as slow as that.
#[test]
fn backend_that_is_much_slower_than_the_others_comes_back_after_its_trial() {
    let ((slow, gate), up) = (gated("slow"), HttpBackend::named("up"));
    gate.close();
    let pace = start(&[&slow, &up], "ejection = { failures = 2, for_ms = 300 }");
    thread::scope(|scope| {
        let early: Vec<_> = (0..4).map(|_| scope.spawn(|| pace.get("/"))).collect();
        for request in early {
            assert_eq!(request.join().expect("it is answered").text(), "up");
        }
        assert_eq!(ejections(&pace, &slow), 1);
        let before = slow.requests().len();
        let trial = scope.spawn(|| {
            let mut client = pace.client();
            loop {
                let answer = client.get("/").text().to_owned();
                if answer == "slow" {
                    break;
                }
            }
        });
        wait_until("the trial", || slow.requests().len() > before);
        // Longer than a backend that has never answered may be silent. Nothing can be waited for: nothing is to happen.
        thread::sleep(Duration::from_millis(1500));
        gate.open();
        trial.join().expect("its answer comes from the slow backend");
    });
    pace.wait_for_health(&slow.label(), "healthy");
    assert_eq!(ejections(&pace, &slow), 1);
}

/// The trial request of a backend that still hangs is answered by another. One failure is enough here, because of few clients only
/// one may reach the backend after its last answer.
#[test]
fn trial_of_a_backend_that_still_hangs_costs_no_request() {
    let ((hangs, gate), (up, _open)) = (gated("hangs"), gated("up"));
    let pace = start(
        &[&hangs, &up],
        "ejection = { failures = 1, for_ms = 50 }\nretry = { budget_percent = 100 }",
    );
    under_load(&pace, 4, |answered| {
        after(answered, 50);
        gate.close();
        wait_until("some trials", || ejections(&pace, &hangs) >= 3);
        gate.open();
        pace.wait_for_log(&["INFO", &hangs.label(), "answers again"]);
        let before = hangs.requests().len();
        wait_until("requests to it", || hangs.requests().len() > before + 10);
    });
}

/// A client could have backends ejected that are well.
#[test]
fn requests_that_their_clients_leave_eject_nobody() {
    let ((one, gate), (two, other_gate)) = (gated("one"), gated("two"));
    let pace = start(&[&one, &two], "ejection = { failures = 2, for_ms = 60000 }");
    let mut http2 = Http2::connect(pace.address());
    let mut ask = |count: usize| -> Vec<_> {
        gate.close();
        other_gate.close();
        let before = one.requests().len() + two.requests().len();
        let request = Request::get("/");
        let streams = (0..count).map(|_| http2.open(&request, true).expect("it is open"));
        let streams = streams.collect();
        wait_until("them to be under way", || {
            one.requests().len() + two.requests().len() == before + count
        });
        streams
    };
    // Backends that take their time may be silent for three times as long.
    let slow = ask(2);
    thread::sleep(Duration::from_millis(800));
    gate.open();
    other_gate.open();
    for stream in slow {
        assert_eq!(stream.response().expect("it is answered").status, 200);
    }
    for mut stream in ask(8) {
        stream.reset();
    }
    let labels = [one.label(), two.label()];
    wait_until("all to have left", || {
        let mut backends = labels.iter().map(|label| pace.backend("web", label));
        backends.all(|backend| backend["in_flight"] == 0)
    });
    // Nothing can be waited for: nothing is to happen.
    thread::sleep(Duration::from_millis(3000));
    gate.open();
    other_gate.open();
    for _ in 0..4 {
        assert_eq!(pace.get("/").status, 200);
    }
    assert_eq!(ejections(&pace, &one) + ejections(&pace, &two), 0);
}

/// A backend that is slow to read a large request is not silent: nobody expects an answer yet.
#[test]
fn backend_that_waits_for_the_rest_of_requests_is_not_ejected() {
    let (one, two) = (
        HttpBackend::new(|request| Answer::new(request.body.len().to_string())),
        HttpBackend::new(|request| Answer::new(request.body.len().to_string())),
    );
    let pace = start(&[&one, &two], "ejection = { failures = 1, for_ms = 60000 }");
    let mut client = pace.client();
    for _ in 0..4 {
        client.get("/");
    }
    let mut slow: Vec<_> = (0..4).map(|_| pace.client()).collect();
    for client in &mut slow {
        client.write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n1");
    }
    wait_until("all of them to be on their way", || {
        let labels = [one.label(), two.label()];
        let in_flight = labels.map(|label| pace.backend("web", &label)["in_flight"].as_u64());
        in_flight.into_iter().flatten().sum::<u64>() == 4
    });
    // Far longer than a backend may be silent. Nothing can be waited for: nothing is to happen.
    thread::sleep(Duration::from_millis(700));
    for _ in 0..4 {
        assert_eq!(client.get("/").text(), "0");
    }
    assert_eq!(ejections(&pace, &one) + ejections(&pace, &two), 0);
    for client in &mut slow {
        client.write("23");
        assert_eq!(client.read("POST").expect("it is answered").text(), "3");
    }
}
