//! One log line per request, for who asks for it.

use pace_tests::{Origin, Setup};

use crate::sections::{plain, short_form};

#[test]
fn there_is_a_line_for_each_request() {
    let origin = Origin::named("one");
    let pace = Setup::new()
        .env("RUST_LOG", "info")
        .config(&short_form(&[&origin]))
        .start();
    assert_eq!(pace.get("/path?query=1").status, 200);

    let line = pace.wait_for_log(&["/path?query=1"]);
    let backend = format!("backend={}", origin.label());
    for part in [
        "pace::access",
        " 127.0.0.1 GET /path?query=1 200 3B ",
        "ms route=default ",
        &backend,
        "attempts=1",
    ] {
        assert!(line.contains(part), "{part:?} in {line}");
    }
}

#[test]
fn requests_that_pace_answers_have_one_too() {
    let down = Origin::down();
    let pace = Setup::new()
        .env("RUST_LOG", "info")
        .config(&plain(&[&down]))
        .start();
    assert_eq!(pace.get("/nobody").status, 503);
    let line = pace.wait_for_log(&["pace::access", "/nobody"]);
    assert!(line.contains(" 503 "), "{line}");
    // Nobody answered; this is who was asked.
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
fn by_default_there_are_none() {
    let (down, up) = (Origin::down(), Origin::named("up"));
    let pace = Setup::new().config(&plain(&[&down, &up])).start();
    for _ in 0..2 {
        assert_eq!(pace.get("/path").status, 200);
    }
    let log = pace.stop().stderr;
    assert!(!log.contains("pace::access"), "{log}");
    // That a backend fails is another matter.
    assert!(log.contains(&down.label()), "{log}");
}

#[test]
fn a_client_cannot_write_lines_of_its_own() {
    let origin = Origin::named("one");
    let pace = Setup::new()
        .env("RUST_LOG", "info")
        .config(&plain(&[&origin]))
        .start();
    pace.client()
        .exchange(b"GET /\x1b[31m\xff HTTP/1.1\r\nHost: a\r\n\r\n");
    pace.get("/after");
    pace.wait_for_log(&["/after"]);
    let log = pace.stop().stderr;
    assert!(log.chars().all(|c| c == '\n' || !c.is_control()), "{log:?}");
}
