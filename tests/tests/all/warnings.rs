//! Warnings of one kind: some of a second are written, and all are counted.

use pace_tests::{Origin, Pace, wait_until};

use crate::sections::plain;

/// How many warnings the log has or tells of.
fn all(log: &str, line: &str, told: &str) -> (usize, usize) {
    let written = log.lines().filter(|written| written.contains(line)).count();
    let left_out = log.lines().filter_map(|written| {
        let (before, _) = written.split_once(told)?;
        before.rsplit_once("pace::log] ")?.1.parse::<usize>().ok()
    });
    (written, left_out.sum())
}

/// Does something again and again until the log tells of lines that were left out, and then until it tells of all.
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
fn failed_attempts_at_a_backend_are_limited_and_counted() {
    let down = Origin::down();
    let pace = Pace::with_config(&plain(&[&down]));
    let told = format!(" more failed attempts at {}", down.label());
    assert_limited(&pace, "attempt 1 of GET \"/\", Host ", &told, || {
        assert_eq!(pace.get("/").status, 503);
    });
}

#[test]
fn failed_attempts_at_one_backend_hide_none_at_another() {
    let (down, other) = (Origin::down(), Origin::down());
    let pool = |name: &str, origin: &Origin| crate::sections::pool(name, &[origin]);
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
fn connections_that_come_to_nothing_are_limited_and_counted() {
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
