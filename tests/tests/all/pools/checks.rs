//! Health checks, and their effects.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use pace_tests::{Answer, Authority, Gate, Http2Backend, HttpBackend, Pace, Setup, wait_until};

use super::{config, served, start};
use crate::sections::{EVERYTHING, SERVER};
use crate::swapping::reconfigure;

const CHECKS: &str = "health_check = { path = '/healthz', interval_ms = 20, timeout_ms = 5000 }";

/// A backend whose checks pass or fail as the test wants, and which answers everything else.
fn checked(name: &'static str) -> (HttpBackend, Arc<AtomicBool>) {
    let is_well = Arc::new(AtomicBool::new(true));
    let answer = Arc::clone(&is_well);
    let backend = HttpBackend::new(move |request| match request.target.as_str() {
        "/healthz" if answer.load(Ordering::Relaxed) => Answer::status(204),
        "/healthz" => Answer::status(503),
        _ => Answer::new(name),
    });
    (backend, is_well)
}

fn healthy(pace: &Pace, backend: &HttpBackend) -> u64 {
    let labels = [("pool", "web"), ("backend", &*backend.label())];
    pace.metrics().sum("pace_upstream_healthy", &labels)
}

#[test]
fn unhealthy_backend_gets_no_requests_until_its_checks_pass_again() {
    let ((one, is_well), (two, _)) = (checked("one"), checked("two"));
    let pace = start(&[&one, &two], CHECKS);
    let mut client = pace.client();
    let mut answers = || {
        let answers = [(); 4].map(|()| client.get("/").text().to_owned());
        answers.iter().filter(|answer| *answer == "one").count()
    };
    assert_eq!(answers(), 2);

    is_well.store(false, Ordering::Relaxed);
    pace.wait_for_health(&one.label(), "unhealthy");
    assert_eq!((answers(), healthy(&pace, &one), healthy(&pace, &two)), (0, 0, 1));
    let line = pace.wait_for_log(&["WARN", "is unhealthy", "status 503"]);
    assert!(
        line.contains(&one.label()) && line.contains("pool `web`"),
        "{line}"
    );
    let labels = [("backend", &*one.label())];
    assert!(pace.metrics().sum("pace_upstream_check_failures_total", &labels) >= 1);

    is_well.store(true, Ordering::Relaxed);
    pace.wait_for_health(&one.label(), "healthy");
    assert_eq!((answers(), healthy(&pace, &one)), (2, 1));
    pace.wait_for_log(&["INFO", "is healthy again", "2 checks in a row"]);
}

/// The checks may be wrong about all of them, and nothing is lost by trying.
#[test]
fn all_backends_are_asked_when_all_are_unhealthy() {
    let ((one, one_is_well), (two, two_is_well)) = (checked("one"), checked("two"));
    one_is_well.store(false, Ordering::Relaxed);
    two_is_well.store(false, Ordering::Relaxed);
    let pace = start(&[&one, &two], CHECKS);
    for backend in [&one, &two] {
        pace.wait_for_health(&backend.label(), "unhealthy");
        pace.wait_for_log(&[&backend.label(), "is unhealthy: its first check has failed"]);
    }
    let mut client = pace.client();
    let mut answers = [(); 2].map(|()| client.get("/").text().to_owned());
    answers.sort();
    assert_eq!(answers, ["one", "two"]);
}

#[test]
fn check_that_fails_says_why() {
    let gate = Gate::new();
    let hangs = HttpBackend::behind(&gate, "late");
    let refuses = HttpBackend::down();
    let answers = HttpBackend::new(|_| Answer::status(404));
    let garbles = HttpBackend::new(|_| Answer::raw("garbage\r\n\r\n"));
    let closes = HttpBackend::new(|_| Answer::hang_up());
    let backends = [&hangs, &refuses, &answers, &garbles, &closes];
    let keys = "health_check = { interval_ms = 20, timeout_ms = 300, expect = '200-299, 301' }";
    let pace = start(&backends, keys);
    for (backend, why) in backends.into_iter().zip([
        "it took longer than 300ms",
        "Connection refused",
        "status 404",
        "no valid status line",
        "closed before the response",
    ]) {
        pace.wait_for_log(&[&backend.label(), "is unhealthy", why]);
    }
    gate.open();
    pace.wait_for_health(&hangs.label(), "healthy");
}

#[test]
fn check_is_a_request_of_its_own_and_expects_its_statuses() {
    let backend = HttpBackend::new(|request| match request.target.as_str() {
        "/ready?deep=1" => Answer::status(401),
        _ => Answer::new("one"),
    });
    let keys = "health_check = { path = '/ready?deep=1', interval_ms = 20, expect = '200,401' }";
    let pace = start(&[&backend], keys);
    wait_until("some checks", || backend.requests().len() > 3);
    let check = &backend.requests()[0];
    assert_eq!(check.method, "GET");
    assert_eq!(check.headers.get("host"), Some(&*backend.label()));
    let agent = check.headers.get("user-agent").expect("it says who it is");
    assert!(
        agent.starts_with("pace/") && agent.ends_with("(health check)"),
        "{agent}"
    );
    assert_eq!(pace.backend("web", &backend.label())["health"], "healthy");
    let metrics = pace.metrics();
    assert_eq!(
        metrics.sum("http_requests_duration_seconds_count", &[]),
        0,
        "clients have asked nothing"
    );
    assert_eq!(
        metrics.sum("pace_upstream_attempts_total", &[]),
        0,
        "a check is no attempt"
    );
}

#[test]
fn check_by_connection_sends_nothing() {
    let mut backend = HttpBackend::named("one");
    let keys = "health_check = { kind = 'tcp', interval_ms = 20 }";
    let pace = start(&[&backend], keys);
    wait_until("some checks", || backend.connections() > 3);
    assert!(backend.requests().is_empty());
    assert_eq!(pace.get("/").text(), "one");
    backend.stop();
    pace.wait_for_health(&backend.label(), "unhealthy");
    pace.wait_for_log(&[
        "is unhealthy: 3 checks in a row have failed",
        "Connection refused",
    ]);
    backend.start();
    pace.wait_for_health(&backend.label(), "healthy");
}

#[test]
fn backend_has_one_check_at_a_time() {
    let (under_way, most) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
    let (seen, gate) = (Arc::clone(&most), Gate::new());
    let held = gate.clone();
    let slow = HttpBackend::new(move |_| {
        seen.fetch_max(under_way.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        held.wait();
        under_way.fetch_sub(1, Ordering::SeqCst);
        Answer::new("")
    });
    let quick = HttpBackend::named("quick");
    let pace = start(
        &[&slow, &quick],
        "health_check = { interval_ms = 10, timeout_ms = 60000 }",
    );
    wait_until("the slow one to be asked, and the quick one often", || {
        slow.requests().len() == 1 && quick.requests().len() > 10
    });
    assert_eq!(most.load(Ordering::SeqCst), 1);
    gate.open();
    wait_until("further checks", || slow.requests().len() > 3);
    assert_eq!(most.load(Ordering::SeqCst), 1);
    drop(pace);
}

/// The health belongs to pool and address. A backend that leaves the configuration is not checked any more.
#[test]
fn health_survives_a_reload_and_checks_follow_the_configuration() {
    let ((one, is_well), (two, _)) = (checked("one"), checked("two"));
    is_well.store(false, Ordering::Relaxed);
    let pace = start(&[&one, &two], CHECKS);
    pace.wait_for_health(&one.label(), "unhealthy");
    let heavier = |text: String| {
        text.replace(
            &format!("\"{}\"", one.url()),
            &format!("{{ address = \"{}\", weight = 7 }}", one.url()),
        )
    };
    assert_eq!(reconfigure(&pace, heavier).0, 200);
    assert_eq!(pace.backend("web", &one.label())["weight"], 7);
    assert_eq!(pace.backend("web", &one.label())["health"], "unhealthy");
    assert_eq!(pace.get("/").text(), "two");
    assert_eq!(served(&one), 0);

    let without = config(&[&two], "");
    assert_eq!(reconfigure(&pace, |_| without).0, 200);
    wait_until("the checks to end", || {
        let before = (one.connections(), two.connections());
        let answered = pace.get("/").text() == "two";
        answered && (one.connections(), two.connections()) == before
    });
    let labels = [("backend", &*one.label())];
    for name in ["pace_upstream_healthy", "pace_upstream_check_failures_total"] {
        assert!(!pace.metrics().has(name, &labels), "{name}");
    }
}

/// The message of a health service's answer, with its frame.
fn health(status: u8) -> Vec<u8> {
    vec![0, 0, 0, 0, 2, 8, status]
}

#[test]
fn check_by_grpc_asks_the_health_service() {
    let status = Arc::new(AtomicUsize::new(1));
    let said = Arc::clone(&status);
    let backend = Http2Backend::new(move |call| {
        let body = call.body()?;
        if call.target() != "/grpc.health.v1.Health/Check" {
            return call.answer("one");
        }
        assert_eq!(body, [0; 5], "an empty message asks for the whole server");
        call.respond(200, &[("content-type", "application/grpc")], false)?;
        match said.load(Ordering::Relaxed) {
            // The server has no such service.
            99 => call.finish(&[("grpc-status", "12")]),
            status => {
                call.write(&health(u8::try_from(status).expect("it is small")), false)?;
                call.finish(&[("grpc-status", "0")])
            }
        }
    });
    let pace = Pace::with_config(&format!(
        "{SERVER}\n[[pools]]\nname = 'web'\nbackends = ['{}']\nprotocol = 'h2'\n\
         health_check = {{ kind = 'grpc', interval_ms = 20 }}\n\n{EVERYTHING}",
        backend.label()
    ));
    let label = backend.label();
    wait_until("some checks", || backend.requests().len() > 2);
    assert_eq!(pace.backend("web", &label)["health"], "healthy");
    assert_eq!(pace.get("/").text(), "one");
    for (says, why) in [(2, "the serving status is 2"), (99, "grpc-status 12")] {
        status.store(says, Ordering::Relaxed);
        pace.wait_for_health(&label, "unhealthy");
        pace.wait_for_log(&[&label, "is unhealthy", why]);
        status.store(1, Ordering::Relaxed);
        pace.wait_for_health(&label, "healthy");
    }
}

#[test]
fn check_speaks_the_protocol_of_the_pool() {
    let backend = Http2Backend::named("one");
    let config = |protocol: &str| {
        format!(
            "{SERVER}\n[[pools]]\nname = 'web'\nbackends = ['{}']\nprotocol = '{protocol}'\n\
             health_check = {{ path = '/ready', interval_ms = 20 }}\n\n{EVERYTHING}",
            backend.label()
        )
    };
    let pace = Pace::with_config(&config("h2"));
    wait_until("some checks", || backend.requests().len() > 2);
    assert_eq!(pace.backend("web", &backend.label())["health"], "healthy");
    let check = &backend.requests()[0];
    assert_eq!(
        (check.request.target.as_str(), check.authority.as_str()),
        ("/ready", &*backend.label())
    );
    let pace = Pace::with_config(&config("http/1.1"));
    pace.wait_for_health(&backend.label(), "unhealthy");
}

#[test]
fn check_of_a_backend_with_tls_makes_the_handshake() {
    let (authority, other) = (Authority::new("servers"), Authority::new("others"));
    let behind = HttpBackend::named("behind");
    let certificate = authority.issue(&["localhost"]);
    let setup = Setup::new().config(&format!(
        "[[listeners]]\nlisten = '127.0.0.1:0'\ncertificates = [{{ cert = 'a.pem', key = 'a.key' }}]\n\n\
         [[pools]]\nname = 'web'\nbackends = ['{}']\n\n{EVERYTHING}",
        behind.label()
    ));
    certificate.write(setup.directory(), "a");
    let backend = setup.start();
    let port = backend.address().port();
    let front = |ca: &Authority, kind: &str| {
        let setup = Setup::new().config(&format!(
            "{SERVER}\n[[pools]]\nname = 'web'\nbackends = ['https://127.0.0.1:{port}']\n\
             tls = {{ ca = 'ca.pem', server_name = 'localhost' }}\n\
             health_check = {{ kind = '{kind}', interval_ms = 20 }}\n\n{EVERYTHING}"
        ));
        setup.file("ca.pem", ca.pem()).start()
    };
    let label = format!("127.0.0.1:{port}");
    let pace = front(&authority, "http");
    wait_until("some checks", || behind.requests().len() > 2);
    assert_eq!(pace.backend("web", &label)["health"], "healthy");
    for kind in ["http", "tcp"] {
        let pace = front(&other, kind);
        pace.wait_for_health(&label, "unhealthy");
        pace.wait_for_log(&[&label, "is unhealthy", "certificate"]);
    }
}
