//! The access log: one line per request, if it is switched on.

use pace_tests::{HttpBackend, Setup};

use crate::sections::{plain, short_form};

#[test]
fn request_has_a_line_in_the_access_log() {
    let backend = HttpBackend::named("one");
    let pace = Setup::new()
        .env("RUST_LOG", "info")
        .config(&short_form(&[&backend]))
        .start();
    assert_eq!(pace.get("/path?query=1").status, 200);

    let line = pace.wait_for_log(&["/path?query=1"]);
    let label = format!("backend={}", backend.label());
    for part in [
        "pace::access",
        " 127.0.0.1 GET /path?query=1 200 3B ",
        "ms route=default ",
        &label,
        "attempts=1",
    ] {
        assert!(line.contains(part), "{part:?} in {line}");
    }
}

#[test]
fn request_answered_by_pace_has_a_line_too() {
    let down = HttpBackend::down();
    let pace = Setup::new()
        .env("RUST_LOG", "info")
        .config(&plain(&[&down]))
        .start();
    assert_eq!(pace.get("/nobody").status, 503);
    let line = pace.wait_for_log(&["pace::access", "/nobody"]);
    assert!(line.contains(" 503 "), "{line}");
    // The backend did not answer; the line has the one that was tried.
    assert!(line.contains(&format!("backend={} ", down.label())), "{line}");

    pace.client()
        .exchange("GET /bad HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n");
    let line = pace.wait_for_log(&["pace::access", "/bad"]);
    let line = line.lines().last().unwrap_or_default();
    assert!(
        line.contains(" 400 ") && line.ends_with(" refused=field-line"),
        "{line}"
    );

    pace.client().exchange("\x16\x03\x01 no HTTP\r\n\r\n");
    let line = pace.wait_for_log(&["refused=not-http"]);
    assert!(line.contains(" 127.0.0.1 - - 400 "), "{line}");
}

#[test]
fn access_log_is_off_by_default() {
    let (down, up) = (HttpBackend::down(), HttpBackend::named("up"));
    let pace = Setup::new().config(&plain(&[&down, &up])).start();
    for _ in 0..2 {
        assert_eq!(pace.get("/path").status, 200);
    }
    let log = pace.stop().stderr;
    assert!(!log.contains("pace::access"), "{log}");
    // The warning about the failed backend does not depend on the access log.
    assert!(log.contains(&down.label()), "{log}");
}

#[test]
fn client_cannot_forge_a_log_line() {
    let backend = HttpBackend::named("one");
    let pace = Setup::new()
        .env("RUST_LOG", "info")
        .config(&plain(&[&backend]))
        .start();
    pace.client()
        .exchange(b"GET /\x1b[31m\xff HTTP/1.1\r\nHost: a\r\n\r\n");
    pace.get("/after");
    pace.wait_for_log(&["/after"]);
    let log = pace.stop().stderr;
    assert!(log.chars().all(|c| c == '\n' || !c.is_control()), "{log:?}");
}
