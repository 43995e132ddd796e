//! Warnings of one kind: some per second are written, and all are counted.

use pace_tests::{HttpBackend, Pace, wait_until};

use crate::sections::plain;

/// The numbers of warnings that the log has, and that it reports as left out.
fn all(log: &str, line: &str, told: &str) -> (usize, usize) {
    let written = log.lines().filter(|written| written.contains(line)).count();
    let left_out = log.lines().filter_map(|written| {
        let (before, _) = written.split_once(told)?;
        before.rsplit_once("pace::log] ")?.1.parse::<usize>().ok()
    });
    (written, left_out.sum())
}

/// Repeats an action until the log reports left-out lines, and then until it has reported all.
fn assert_limited(pace: &Pace, line: &str, told: &str, again: impl Fn()) {
    let mut done = 0;
    wait_until("lines to be left out", || {
        for _ in 0..25 {
            again();
        }
        done += 25;
        all(&pace.log(), line, told).1 > 0
    });
    wait_until("all to be written or told of", || {
        let (written, left_out) = all(&pace.log(), line, told);
        assert!(written + left_out <= done, "{written} and {left_out} of {done}");
        written + left_out == done
    });
}

#[test]
fn warnings_about_a_backend_are_limited_and_counted() {
    let down = HttpBackend::down();
    let pace = Pace::with_config(&plain(&[&down]));
    let told = format!(" more failed attempts at {}", down.label());
    assert_limited(&pace, "attempt 1 of GET \"/\", Host ", &told, || {
        assert_eq!(pace.get("/").status, 503);
    });
}

#[test]
fn warnings_about_one_backend_do_not_hide_those_about_another() {
    let (down, other) = (HttpBackend::down(), HttpBackend::down());
    let pool = |name: &str, backend: &HttpBackend| crate::sections::pool(name, &[backend]);
    let pace = Pace::with_config(&format!(
        "{}\n{}\n{}\n[[routes]]\npool = 'web'\n[[routes]]\nmatch = {{ path_prefix = '/other' }}\npool = 'other'\n",
        crate::sections::SERVER,
        pool("web", &down),
        pool("other", &other),
    ));
    wait_until("lines to be left out", || {
        for _ in 0..25 {
            pace.get("/");
        }
        pace.log().contains(" more failed attempts at ")
    });
    assert_eq!(pace.get("/other").status, 503);
    pace.wait_for_log(&["attempt 1 of GET \"/other\"", &other.label()]);
}

#[test]
fn warnings_about_failed_connections_are_limited_and_counted() {
    let pace = Pace::with_config(
        "[server]\nlisten = '127.0.0.1:0'\ntrusted_proxies = ['127.0.0.1']\nproxy_protocol = true\n\
         [upstreams]\nbackends = ['127.0.0.1:1']",
    );
    assert_limited(
        &pace,
        " closed: no valid PROXY header",
        " more connections closed before a request",
        || {
            let mut client = pace.client();
            client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            client.read_to_end();
        },
    );
}
