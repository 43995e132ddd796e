//! Fields about a request that Pace adds for its backend, and whose claims it trusts.

use pace_tests::{HttpBackend, Pace, Scripted};

use super::{OK, before};
use crate::sections::EVERYTHING;

/// Fields in which a client may make claims about itself.
const CLAIMS: &str = "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil.test\r\n\
    X-Forwarded-Port: 1\r\nX-Real-IP: 6.6.6.6\r\nForwarded: for=6.6.6.6;proto=https\r\n";

fn with(server: &str, backend: &str) -> Pace {
    Pace::with_config(&format!(
        "[server]\nlisten = \"127.0.0.1:0\"\nworkers = 1\n{server}\n\n[admin]\nlisten = \"127.0.0.1:0\"\n\n\
         [[pools]]\nname = \"web\"\nbackends = [\"{backend}\"]\n\n{EVERYTHING}"
    ))
}

/// The values of a field in the only request, in lower case.
fn values(text: &str, name: &str) -> Vec<String> {
    let lines = text.lines().filter_map(|line| line.split_once(": "));
    lines
        .filter(|(found, _)| found.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.to_owned())
        .collect()
}

#[test]
fn claims_of_an_untrusted_client_are_replaced_by_the_truth() {
    let backend = Scripted::saying(OK);
    let pace = with("", &backend.label());
    let port = pace.address().port().to_string();
    pace.client()
        .exchange(format!("GET / HTTP/1.1\r\nHost: a.test\r\n{CLAIMS}\r\n"));
    let text = backend.text();
    for (name, truth) in [
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-host", "a.test"),
        ("x-forwarded-port", &port),
        ("x-real-ip", "127.0.0.1"),
        ("forwarded", "for=127.0.0.1;host=\"a.test\";proto=http"),
    ] {
        assert_eq!(values(&text, name), [truth], "{text}");
    }
}

#[test]
fn claims_of_a_trusted_peer_are_kept() {
    let backend = Scripted::saying(OK);
    let pace = with("trusted_proxies = [\"127.0.0.1\"]", &backend.label());
    pace.client()
        .exchange(format!("GET / HTTP/1.1\r\nHost: a.test\r\n{CLAIMS}\r\n"));
    let text = backend.text();
    for (name, said) in [
        ("x-forwarded-for", "6.6.6.6, 127.0.0.1"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "evil.test"),
        ("x-forwarded-port", "1"),
        ("x-real-ip", "6.6.6.6"),
        ("forwarded", "for=6.6.6.6;proto=https"),
    ] {
        assert_eq!(values(&text, name), [said], "{text}");
    }
}

#[test]
fn via_names_pace_on_both_sides_unless_it_is_switched_off() {
    for (key, names) in [("", true), ("via = \"edge\"", true), ("via = \"\"", false)] {
        let name = if key.is_empty() { "pace" } else { "edge" };
        let backend = Scripted::saying(
            "HTTP/1.0 200 OK\r\nVia: 1.1 inner\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok",
        );
        let pace = with(key, &backend.label());
        let response = pace
            .client()
            .exchange("GET / HTTP/1.1\r\nHost: a\r\nVia: 1.0 outer\r\n\r\n");
        let sent = values(&backend.text(), "via");
        let received = response.headers.all("via");
        if names {
            assert!(
                sent[0] == "1.0 outer" && sent[1].starts_with(&format!("1.1 {name} (")),
                "{sent:?}"
            );
            assert_eq!(received, ["1.1 inner".to_owned(), format!("1.0 {name}")]);
        } else {
            assert_eq!(
                (sent, received),
                (vec!["1.0 outer".to_owned()], vec!["1.1 inner"])
            );
        }
    }
}

/// Without a refusal the request would come again and again, until there are no descriptors left.
#[test]
fn looping_request_is_a_508() {
    let place = HttpBackend::down();
    let label = place.label();
    drop(place);
    let pace = Pace::with_config(&format!(
        "[server]\nlisten = \"{label}\"\nworkers = 1\n\n[admin]\nlisten = \"127.0.0.1:0\"\n\n\
         [[pools]]\nname = \"web\"\nbackends = [\"{label}\"]\n\n{EVERYTHING}"
    ));
    let response = pace.get("/");
    assert_eq!(response.status, 508);
    pace.wait_for_metric("http_requests_duration_seconds_count", &[("status", "508")], 2);
    assert_eq!(pace.metrics().sum("pace_upstream_attempts_total", &[]), 1);
}

/// `Max-Forwards` bounds OPTIONS and TRACE: RFC 9110, section 7.6.2.
#[test]
fn options_ends_at_its_max_forwards() {
    let backend = Scripted::saying(OK);
    let pace = before(&backend, "");
    let mut client = pace.client();
    let mut ask = |hops: &str| {
        client
            .exchange(format!(
                "OPTIONS / HTTP/1.1\r\nHost: a\r\nMax-Forwards: {hops}\r\n\r\n"
            ))
            .text()
            .to_owned()
    };
    assert_eq!(
        (ask("0"), ask("1"), ask("7")),
        (String::new(), "ok".to_owned(), "ok".to_owned())
    );
    assert_eq!(values(&backend.text(), "max-forwards"), ["0", "6"]);
    // No number is no limit, and one that is too large is lowered.
    assert_eq!(
        (ask("+0"), ask("99999999999999999999")),
        ("ok".to_owned(), "ok".to_owned())
    );
    assert_eq!(
        values(&backend.text(), "max-forwards"),
        ["0", "6", "+0", "18446744073709551614"]
    );
}

/// RFC 9110, section 10.1.1: a client of HTTP/1.0 expects nothing.
#[test]
fn expectation_of_http_1_0_is_not_passed_on() {
    let backend = Scripted::new(|line| {
        while let Some(head) = line.head()? {
            assert!(!head.to_ascii_lowercase().contains("expect"), "{head}");
            line.bytes(2)?;
            line.write(OK)?;
        }
        Ok(())
    });
    let pace = before(&backend, "");
    let answer = pace
        .client()
        .exchange("POST / HTTP/1.0\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi");
    assert_eq!(answer.text(), "ok");
}

#[test]
fn http_1_0_request_without_a_host_gets_the_backends() {
    let backend = Scripted::saying(OK);
    let pace = before(&backend, "");
    pace.client().write("GET / HTTP/1.0\r\n\r\n");
    pace.client().exchange("GET / HTTP/1.0\r\n\r\n");
    pace_tests::wait_until("the request to arrive", || !backend.received().is_empty());
    assert!(values(&backend.text(), "host").contains(&backend.label()));
}
