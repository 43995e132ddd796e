//! Outcomes of requests, as the hook `finished` is told them: once for each request, whatever has become of it.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use pace_tests::{HttpBackend, Pace, Request, Scripted, fixture, wait_until};
use socket2::SockRef;

use crate::sections::{ONE_WORKER, SERVER, plugin, pool, with_plugins};

/// Starts Pace with fixtures on its only route, the first of which logs outcomes, before backends with these labels.
fn telling(others: &[&str], labels: &[String]) -> Pace {
    let names: Vec<&str> = ["tells-outcome"].iter().chain(others).copied().collect();
    let plugins: String = names.iter().map(|name| plugin(name, &fixture(name))).collect();
    Pace::with_config(&format!(
        "{ONE_WORKER}{plugins}[[pools]]\nname = \"web\"\nbackends = {labels:?}\n\n\
         [[routes]]\npool = \"web\"\nplugins = {names:?}\n"
    ))
}

/// The number of lines in the log that tell an outcome.
fn told(pace: &Pace) -> usize {
    pace.log()
        .lines()
        .filter(|line| line.contains(" attempts, backend "))
        .count()
}

#[test]
fn answered_request_is_complete_with_bytes_and_times() {
    let backend = HttpBackend::named("one");
    let pace = telling(&[], &[backend.label()]);
    let mut client = pace.client();
    client.get("/page");
    let sent_there = format!(
        "backend Some(\"{}\"), pool Some(\"web\"), failure None",
        backend.label()
    );
    pace.wait_for_log(&[
        "/page: complete Some(200), 0 bytes in, 3 bytes out, 1 attempts",
        &sent_there,
        "times [true, true, true]",
    ]);
    client.send(&Request::post("/upload", "hello"));
    pace.wait_for_log(&["/upload: complete Some(200), 5 bytes in, 3 bytes out"]);
    assert_eq!(told(&pace), 2, "{}", pace.log());
    assert!(!pace.log().contains("out of order"), "{}", pace.log());
}

#[test]
fn reply_of_a_plugin_is_complete_without_an_attempt() {
    let backend = HttpBackend::named("one");
    let pace = telling(&["respond"], &[backend.label()]);
    assert_eq!(pace.get("/respond").status, 418);
    pace.wait_for_log(&[
        "/respond: complete Some(418)",
        "0 attempts, backend None, pool None, failure None, times [false, false, false]",
    ]);
}

#[test]
fn plugin_that_fails_closed_is_the_reason_of_its_answer() {
    let backend = HttpBackend::named("one");
    let pace = telling(&["trap", "response-trap"], &[backend.label()]);
    assert_eq!(pace.get("/misbehave").status, 503);
    pace.wait_for_log(&["/misbehave: plugin-failed Some(503)", "0 attempts"]);
    let pace = telling(&["response-trap"], &[backend.label()]);
    assert_eq!(pace.get("/misbehave").status, 503);
    pace.wait_for_log(&["/misbehave: plugin-failed Some(503)", "1 attempts"]);
}

#[test]
fn backend_that_is_down_has_failed() {
    let backend = HttpBackend::down();
    let pace = telling(&[], &[backend.label()]);
    assert_eq!(pace.get("/").status, 503);
    pace.wait_for_log(&[
        "/: backend-failed Some(503)",
        "failure Some(ConnectionRefused), times [true, false, false]",
    ]);
}

#[test]
fn backend_that_breaks_off_has_failed_after_its_status() {
    let backend = Scripted::new(|line| {
        line.head()?;
        line.write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this")?;
        line.finish()
    });
    let pace = telling(&[], &[backend.label()]);
    assert!(pace.client().try_send(&Request::get("/")).is_err());
    pace.wait_for_log(&["/: backend-failed Some(200), 0 bytes in, 9 bytes out, 1 attempts"]);
}

#[test]
fn client_that_leaves_has_gone() {
    let backend = Scripted::new(|line| {
        line.head()?;
        // Nothing is said until the other side closes.
        line.end()
    });
    let pace = telling(&[], &[backend.label()]);
    let mut client = TcpStream::connect(pace.address()).expect("Pace listens");
    client
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .expect("Pace reads");
    wait_until("the backend to have the request", || {
        !backend.received().is_empty()
    });
    // A client that only ended its side could still want its answer.
    let reset = SockRef::from(&client).set_linger(Some(Duration::ZERO));
    reset.expect("it is a socket");
    drop(client);
    pace.wait_for_log(&["/: client-gone None", "1 attempts", "times [true, true, false]"]);
}

#[test]
fn request_with_a_malformed_body_is_refused() {
    let backend = HttpBackend::named("one");
    let pace = telling(&[], &[backend.label()]);
    let mut client = pace.client();
    let response =
        client.exchange("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nno chunk\r\n");
    assert_eq!(response.status, 400);
    pace.wait_for_log(&["/: refused Some(400)"]);
}

#[test]
fn request_without_a_route_is_not_told() {
    let backend = HttpBackend::named("one");
    let pace = Pace::with_config(&format!(
        "{SERVER}{}{}[[routes]]\nmatch = {{ path_prefix = \"/here\" }}\npool = \"web\"\nplugins = [\"told\"]\n",
        plugin("told", &fixture("tells-outcome")),
        pool("web", &[&backend]),
    ));
    assert_eq!(pace.get("/elsewhere").status, 404);
    assert_eq!(pace.get("/here").status, 200);
    pace.wait_for_log(&["/here: complete Some(200)"]);
    assert_eq!(told(&pace), 1, "{}", pace.log());
}

#[test]
fn failure_changes_nothing_and_is_counted() {
    let backend = HttpBackend::named("one");
    let file = fixture("finished-trap");
    let pace = Pace::with_config(&with_plugins(SERVER, &[("late", &file)], &[&backend]));
    let mut client = pace.client();
    for path in ["/misbehave", "/fine"] {
        let response = client.get(path);
        assert_eq!((response.status, response.text()), (200, "one"), "{path}");
    }
    assert_eq!(client.connections(), 1, "the connection is kept");
    let labels = [("plugin", "late"), ("hook", "finished"), ("reason", "trap")];
    pace.wait_for_metric("pace_plugin_failures_total", &labels, 1);
    pace.wait_for_entry(&["plugin late ", "finished", ": trap", "; the request was over"]);
}
