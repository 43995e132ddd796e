//! Lines in the log of the process, where `RUST_LOG` asks for them and no `[access_log]` is configured.

use pace_tests::{HttpBackend, Setup};

use crate::sections::{plain, short_form};

#[test]
fn request_has_a_line_where_the_level_is_enabled() {
    let backend = HttpBackend::named("one");
    let pace = Setup::new()
        .env("RUST_LOG", "info")
        .config(&short_form(&[&backend]))
        .start();
    assert_eq!(pace.get("/path?query=1").status, 200);

    let line = pace.wait_for_log(&["pace::access"]);
    let label = format!(" backend={} ", backend.label());
    for part in [
        "pace::access] client=127.0.0.1 method=GET ",
        " path=/path query=\"query=1\" ",
        " status=200 end=complete ",
        " bytes_sent=3 ",
        " route=default ",
        &label,
        " attempts=1 ",
        " plugins=\"rate-limiter request-filter: next ",
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
    assert!(line.contains(" status=503 "), "{line}");
    // The backend did not answer; the line has the one that was tried.
    assert!(line.contains(&format!("backend={} ", down.label())), "{line}");

    pace.client()
        .exchange("GET /bad HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n");
    let line = pace.wait_for_log(&["pace::access", "path=/bad"]);
    assert!(
        line.contains(" status=400 end=complete refused=field-line "),
        "{line}"
    );
}

#[test]
fn log_of_the_process_has_no_lines_by_default() {
    let (down, up) = (HttpBackend::down(), HttpBackend::named("up"));
    let pace = Setup::new().config(&plain(&[&down, &up])).start();
    for _ in 0..2 {
        assert_eq!(pace.get("/path").status, 200);
    }
    let exit = pace.stop();
    assert!(!exit.stderr.contains("pace::access"), "{}", exit.stderr);
    assert_eq!(exit.stdout, "");
    // The warning about the failed backend does not depend on the access log.
    assert!(exit.stderr.contains(&down.label()), "{}", exit.stderr);
}

#[test]
fn log_of_the_process_has_no_lines_where_there_is_an_access_log() {
    let backend = HttpBackend::named("one");
    let text = format!("{}\n[access_log]\nfields = ['path']\n", plain(&[&backend]));
    let pace = Setup::new().env("RUST_LOG", "info").config(&text).start();
    pace.get("/path");
    let exit = pace.stop();
    assert_eq!(exit.stdout, "{\"path\":\"/path\"}\n");
    assert!(!exit.stderr.contains("pace::access"), "{}", exit.stderr);
}

#[test]
fn client_cannot_forge_a_line_in_the_log_of_the_process() {
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
