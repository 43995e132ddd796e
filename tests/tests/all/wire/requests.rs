//! Requests: framing, hosts, fields.

use pace_tests::{Answer, HttpBackend, Pace};

use super::{OK, all, before, status};
use crate::sections::plain;
use pace_tests::Scripted;

/// Sends each request, and expects that it is refused with this status, that the connection ends, and that no
/// backend receives any of it. The reason is counted.
fn are_refused(requests: &[(&str, u16, &str)]) {
    let backend = HttpBackend::named("one");
    let pace = Pace::with_config(&plain(&[&backend]));
    for (number, (request, expected, reason)) in requests.iter().enumerate() {
        let refused = |pace: &Pace| {
            pace.metrics()
                .sum("pace_requests_refused_total", &[("reason", reason)])
        };
        let before = refused(&pace);
        let mut client = pace.client();
        client.write(request);
        let answer = all(&mut client);
        assert_eq!(status(&answer), *expected, "{request:?}: {answer}");
        assert!(answer.contains("Connection: close\r\n"), "{request:?}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{request:?}: {answer}");
        assert_eq!(refused(&pace), before + 1, "{request:?} is counted as {reason}");
        assert_eq!(pace.get(&format!("/{number}")).status, 200, "after {request:?}");
    }
    let seen: Vec<_> = backend
        .requests()
        .iter()
        .map(|request| request.target.clone())
        .collect();
    let expected: Vec<_> = (0..requests.len()).map(|number| format!("/{number}")).collect();
    assert_eq!(seen, expected, "no refused request reaches a backend");
}

#[test]
fn ambiguous_framing_is_refused() {
    const INNER: &str = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    let with = |fields: &str, body: &str| format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n{body}");
    let chunked = format!("{:x}\r\n{INNER}\r\n0\r\n\r\n", INNER.len());
    let length = format!("Content-Length: {}", INNER.len());
    let cases = [
        (
            with(&format!("Connection: content-length\r\n{length}"), INNER),
            400,
            "connection",
        ),
        (
            with(
                &format!("{length}\r\nConnection: keep-alive, Content-Length"),
                INNER,
            ),
            400,
            "connection",
        ),
        (
            with(
                "Connection: transfer-encoding\r\nTransfer-Encoding: chunked",
                &chunked,
            ),
            400,
            "connection",
        ),
        (
            with(
                "Connection: keep-alive\r\nConnection: transfer-encoding\r\nTransfer-Encoding: chunked",
                &chunked,
            ),
            400,
            "connection",
        ),
        (
            with("Content-Length: 1\r\nContent-Length: 2", "ab"),
            400,
            "content-length",
        ),
        (with("Content-Length: 1, 2", "ab"), 400, "content-length"),
        (with("Content-Length: +2", "ab"), 400, "content-length"),
        (with("Content-Length: 0x2", "ab"), 400, "content-length"),
        (with("Content-Length:", "ab"), 400, "content-length"),
        (with("Content-Length: 2,", "ab"), 400, "content-length"),
        (
            with("Content-Length: 18446744073709551616", ""),
            400,
            "content-length",
        ),
        (
            with("Content-Length: 4\r\nTransfer-Encoding: chunked", "0\r\n\r\n"),
            400,
            "length-and-coding",
        ),
        (
            with("Transfer-Encoding: chunked\r\nContent-Length: 4", "0\r\n\r\n"),
            400,
            "length-and-coding",
        ),
        (
            with("Transfer-Encoding: gzip, chunked", &chunked),
            501,
            "transfer-coding",
        ),
        (
            with("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked", &chunked),
            501,
            "transfer-coding",
        ),
        (with("Transfer-Encoding: identity", ""), 501, "transfer-coding"),
        (with("Transfer-Encoding: xchunked", ""), 501, "transfer-coding"),
        (
            with("Transfer-Encoding: chunked, chunked", &chunked),
            400,
            "transfer-encoding",
        ),
        (
            with(
                "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
                &chunked,
            ),
            400,
            "transfer-encoding",
        ),
        (
            with("Transfer-Encoding: chunked, gzip", ""),
            400,
            "transfer-encoding",
        ),
        (with("Transfer-Encoding:", ""), 400, "transfer-encoding"),
        (with("Transfer-Encoding : chunked", &chunked), 400, "field-line"),
        (
            with("Transfer-Encoding:\u{b}chunked", &chunked),
            400,
            "field-line",
        ),
        (
            with("X: a\r\n Transfer-Encoding: chunked", &chunked),
            400,
            "field-line",
        ),
        (
            with("X: a\nTransfer-Encoding: chunked", &chunked),
            400,
            "bare-line-feed",
        ),
        (
            with("X: a\rTransfer-Encoding: chunked", &chunked),
            400,
            "field-line",
        ),
        (
            "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(),
            400,
            "transfer-encoding",
        ),
    ];
    let cases: Vec<_> = cases
        .iter()
        .map(|(request, status, reason)| (request.as_str(), *status, *reason))
        .collect();
    are_refused(&cases);
}

#[test]
fn malformed_head_is_refused() {
    let long = "a".repeat(70_000);
    let many = "X: 1\r\n".repeat(200);
    let cases = [
        ("\u{16}\u{3}\u{1}".to_owned(), 400, "not-http"),
        ("GET / HTTP/1.1\nHost: a\n\n".to_owned(), 400, "bare-line-feed"),
        (
            "GET / HTTP/1.1\r\nHost: a\n\r\n".to_owned(),
            400,
            "bare-line-feed",
        ),
        ("GET / HTTP/1.2\r\nHost: a\r\n\r\n".to_owned(), 505, "version"),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n".to_owned(), 505, "version"),
        ("GET /\r\nHost: a\r\n\r\n".to_owned(), 400, "request-line"),
        (
            "GET / HTTP/1.1\rX: 1\r\nHost: a\r\n\r\n".to_owned(),
            400,
            "request-line",
        ),
        ("GET /\r HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 400, "target"),
        (
            "GET /\n HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
            400,
            "bare-line-feed",
        ),
        ("GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 400, "target"),
        ("GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 400, "method"),
        (
            "GET  / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
            400,
            "request-line",
        ),
        (
            "GET / HTTP/1.1 \r\nHost: a\r\n\r\n".to_owned(),
            400,
            "request-line",
        ),
        (" GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 400, "not-http"),
        (
            "GET / http/1.1\r\nHost: a\r\n\r\n".to_owned(),
            400,
            "request-line",
        ),
        ("GET / HTTP/11\r\nHost: a\r\n\r\n".to_owned(), 400, "request-line"),
        (
            "GET / HTTP/1.10\r\nHost: a\r\n\r\n".to_owned(),
            400,
            "request-line",
        ),
        (
            "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
            501,
            "method-not-implemented",
        ),
        (
            "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n".to_owned(),
            501,
            "method-not-implemented",
        ),
        (
            format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n"),
            414,
            "target-too-long",
        ),
        (format!("{long} / HTTP/1.1\r\nHost: a\r\n\r\n"), 400, "method"),
        (
            format!("GET / HTTP/1.1\r\nHost: a\r\nX: {long}\r\n\r\n"),
            431,
            "head-too-large",
        ),
        (
            format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n"),
            431,
            "head-too-large",
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: a b\r\n\r\n".to_owned(),
            400,
            "connection",
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: :path\r\n\r\n".to_owned(),
            400,
            "connection",
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: a,b,c,d,e,f,g,h,i,j,k\r\n\r\n".to_owned(),
            400,
            "connection",
        ),
    ];
    let cases: Vec<_> = cases
        .iter()
        .map(|(request, status, reason)| (request.as_str(), *status, *reason))
        .collect();
    are_refused(&cases);
}

#[test]
fn malformed_host_is_refused() {
    for host in [
        "", "a/b", "a, b", "a b", "a:80x", "a?x", "a#x", "a\\b", "[::1", "a@b", "a:65536",
    ] {
        let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
        are_refused(&[(&request, 400, "host")]);
    }
    are_refused(&[
        ("GET / HTTP/1.1\r\n\r\n", 400, "host-missing"),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
            400,
            "host-repeated",
        ),
        (
            "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n",
            400,
            "host-repeated",
        ),
    ]);
}

/// RFC 9112, section 7.1: the grammar of chunks, to the letter. A client that is refused in the middle of its
/// body gets the answer.
#[test]
fn malformed_chunk_is_refused() {
    let backend = Scripted::new(|line| {
        line.head()?;
        line.end()
    });
    let pace = before(&backend, "");
    for body in [
        "\r\n\r\n",
        " \r\n\r\n",
        ";x\r\n\r\n",
        "5\r\nhello\r\n\r\n4\r\ntail\r\n0\r\n\r\n",
        "5\r\nhello\r\n;a=b\r\n\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "10000000000000005\r\nhello\r\n0\r\n\r\n",
        "2;\nxx\r\n4c\r\n0\r\n\r\n",
        "5;a\nb\r\nhello\r\n0\r\n\r\n",
        "5;a\rb\r\nhello\r\n0\r\n\r\n",
        "5;\r\nhello\r\n0\r\n\r\n",
        "5;\0\r\nhello\r\n0\r\n\r\n",
        "5;bad[=x\r\nhello\r\n0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhelloworld\r\n0\r\n\r\n",
        "5\r\nhello\r\n0\r\nGET /x HTTP/1.1\r\n\r\n",
        "5\r\nhello\r\n0\r\nX: \0\r\n\r\n",
        "5\r\nhello\r\n0\r\nX: a\n\r\n",
        "5\r\nhello\r\n0\r\n X: a\r\n\r\n",
    ] {
        let mut client = pace.client();
        client.write(format!(
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{body}"
        ));
        let answer = all(&mut client);
        assert_eq!(status(&answer), 400, "{body:?}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{body:?}: {answer}");
    }
    for received in backend.received() {
        let text = String::from_utf8_lossy(&received);
        assert!(
            !text.ends_with("0\r\n\r\n"),
            "a body that was refused has no end: {text:?}"
        );
    }
    assert_eq!(
        pace.metrics().sum("pace_upstream_failures_total", &[]),
        0,
        "no backend is to blame"
    );
}

#[test]
fn repeated_lengths_become_one_line() {
    let backend = Scripted::new(|line| {
        while line.head()?.is_some() {
            line.bytes(2)?;
            line.write(OK)?;
        }
        Ok(())
    });
    let pace = before(&backend, "");
    let mut client = pace.client();
    for fields in [
        "Content-Length: 2, 2",
        "Content-Length: 2\r\nContent-Length: 2",
        "Content-Length: 002",
    ] {
        let response = client.exchange(format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\nhi"));
        assert_eq!(response.text(), "ok");
    }
    let text = backend.text();
    assert_eq!(
        text.to_ascii_lowercase().matches("content-length").count(),
        3,
        "{text}"
    );
    assert_eq!(text.matches("Content-Length: 2\r\n").count(), 3, "{text}");
}

/// Fields named in `Connection` end here, except for those that are the backend's or decide where a request
/// goes.
#[test]
fn nominated_fields_are_dropped_except_those_for_the_backend() {
    let backend = Scripted::saying(OK);
    let pace = before(&backend, "");
    let response = pace.client().exchange(
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: x-hop, cookie, authorization, host, x-forwarded-for\r\n\
         X-Hop: 1\r\nCookie: c\r\nAuthorization: s\r\n\r\n",
    );
    assert_eq!(response.status, 200);
    let text = backend.text();
    assert!(
        text.contains("Cookie: c\r\n")
            && text.contains("Authorization: s\r\n")
            && text.contains("Host: a\r\n")
    );
    assert!(text.contains("x-forwarded-for: 127.0.0.1\r\n"), "{text}");
    assert!(!text.to_ascii_lowercase().contains("x-hop"), "{text}");
}

/// CGI and WSGI make one variable of both spellings.
#[test]
fn fields_with_underscores_are_dropped_passed_or_refused() {
    let request = "GET / HTTP/1.1\r\nHost: a\r\nX_Forwarded_For: 6.6.6.6\r\n\r\n";
    for (choice, passes, expected) in [
        ("", false, 200),
        ("drop", false, 200),
        ("pass", true, 200),
        ("refuse", false, 400),
    ] {
        let backend = Scripted::saying(OK);
        let key = match choice {
            "" => String::new(),
            choice => format!("underscores = \"{choice}\"\n"),
        };
        let pace = Pace::with_config(&format!(
            "[server]\nlisten = \"127.0.0.1:0\"\nworkers = 1\n{key}\n[[pools]]\nname = \"web\"\nbackends = [\"{}\"]\n\n\
             [[routes]]\npool = \"web\"\n",
            backend.label()
        ));
        let mut client = pace.client();
        client.write(request);
        assert_eq!(
            client.read("GET").expect("there is a response").status,
            expected,
            "{choice}"
        );
        assert_eq!(backend.text().contains("X_Forwarded_For"), passes, "{choice}");
    }
}

/// A backend that makes variables of fields makes them of trailers, too.
#[test]
fn trailers_with_underscores_are_treated_like_fields() {
    for (choice, passes, expected) in [("drop", false, 200), ("pass", true, 200), ("refuse", false, 400)] {
        let backend = Scripted::new(|line| {
            line.head()?;
            // The trailers end as a head does.
            line.head()?;
            line.write(OK)?;
            line.end()
        });
        let pace = Pace::with_config(&format!(
            "[server]\nlisten = \"127.0.0.1:0\"\nunderscores = \"{choice}\"\n\n[[pools]]\nname = \"web\"\n\
             backends = [\"{}\"]\n\n[[routes]]\npool = \"web\"\n",
            backend.label()
        ));
        let mut client = pace.client();
        client.write(
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
             2\r\nhi\r\n0\r\nX_Trace: 6\r\nX_Real_IP: 6.6.6.6\r\nX-Sum: 1\r\n\r\n",
        );
        let answer = client.read("POST").expect("there is a response");
        assert_eq!(answer.status, expected, "{choice}");
        let received = backend.text();
        assert_eq!(received.contains("X_Trace"), passes, "{choice}");
        // Servers that take it for X-Real-IP would believe it, which is never a trailer.
        assert!(!received.contains("X_Real_IP"), "{choice}");
    }
}

/// `chunked` on one side and another framing on the other would be two messages.
#[test]
fn trailers_are_passed_on_and_chunk_extensions_are_not() {
    let backend = Scripted::new(|line| {
        line.head()?;
        line.bytes("5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n".len())?;
        line.write(OK)
    });
    let pace = before(&backend, "");
    let response = pace.client().exchange(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0;c\r\nX-Sum: 1\r\nHost: b\r\n\r\n",
    );
    assert_eq!(response.text(), "ok");
    let text = backend.text();
    assert!(text.ends_with("5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n"), "{text}");
}

#[test]
fn origin_form_is_accepted_for_every_method() {
    let backend = HttpBackend::new(|request| Answer::new(request.method.clone()));
    let pace = Pace::with_config(&plain(&[&backend]));
    let mut client = pace.client();
    for method in ["GET", "OPTIONS", "PURGE", "M-SEARCH", "get"] {
        assert_eq!(
            client
                .exchange(format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n"))
                .text(),
            method
        );
    }
    assert_eq!(client.connections(), 1);
}
