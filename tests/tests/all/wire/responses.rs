//! Broken responses of backends, and the parts of a response that are for its connection alone.

use pace_tests::Scripted;

use super::{OK, all, before, status};

/// Two requests that are handled differently in many proxies.
const REQUESTS: [&str; 2] = [
    "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx",
];

#[test]
fn broken_head_is_a_502() {
    for head in [
        "garbage\r\n\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
        "HTTP/1.1 200 OK\r\nContent-Length: 2, 3\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: a\0\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    ] {
        let backend = Scripted::new(move |line| {
            line.head()?;
            line.write(head)?;
            line.end()
        });
        let pace = before(&backend, "max_retries = 0");
        for request in REQUESTS {
            let mut client = pace.client();
            client.write(request);
            let answer = all(&mut client);
            assert_eq!(status(&answer), 502, "{head:?}: {answer}");
        }
        pace.wait_for_metric("pace_upstream_failures_total", &[("reason", "protocol")], 2);
    }
}

/// Half of a response cannot be taken back: the client gets it without its end.
#[test]
fn malformed_chunk_truncates_the_response() {
    for body in [
        "5\r\nhello\r\n\r\n4\r\ntail\r\n0\r\n\r\n",
        "5\r\nhello\r\n;x\r\n\r\n",
        "5\r\nhello\r\n4;a\nb\r\ntail\r\n0\r\n\r\n",
        "5\r\nhello\r\n4 \r\ntail\r\n0\r\n\r\n",
        "5\r\nhello\r\n-4\r\ntail\r\n0\r\n\r\n",
        "5\r\nhello\r\n0\r\nno field\r\n\r\n",
        "5\r\nhello\r\n4\r\nta",
    ] {
        let backend = Scripted::new(move |line| {
            line.head()?;
            line.write(format!(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}"
            ))
        });
        let pace = before(&backend, "max_retries = 0");
        for request in REQUESTS {
            let mut client = pace.client();
            client.write(request);
            let answer = all(&mut client);
            assert!(matches!(status(&answer), 200 | 502), "{body:?}: {answer}");
            assert!(
                !answer.ends_with("0\r\n\r\n"),
                "{body:?} looks complete: {answer}"
            );
        }
    }
}

#[test]
fn repeated_lengths_become_one_line() {
    for fields in ["Content-Length: 2, 2", "Content-Length: 2\r\nContent-Length: 2"] {
        let backend = Scripted::saying(format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\nok"));
        let pace = before(&backend, "");
        let mut client = pace.client();
        client.write(REQUESTS[0]);
        let answer = all(&mut client);
        assert_eq!(answer.matches("Content-Length: 2\r\n").count(), 1, "{answer}");
        assert_eq!(
            answer.to_ascii_lowercase().matches("content-length").count(),
            1,
            "{answer}"
        );
    }
}

#[test]
fn connection_fields_of_the_backend_are_not_passed_on() {
    let backend = Scripted::saying(
        "HTTP/1.1 200 OK\r\nConnection: Upgrade, Keep-Alive, X-Internal\r\nUpgrade: h2,h2c\r\n\
         Keep-Alive: timeout=5, max=100\r\nX-Internal: secret\r\nProxy-Connection: keep-alive\r\nContent-Length: 2\r\n\r\nok",
    );
    let pace = before(&backend, "");
    let response = pace.get("/");
    assert_eq!(response.text(), "ok");
    for name in [
        "connection",
        "upgrade",
        "keep-alive",
        "x-internal",
        "proxy-connection",
    ] {
        assert_eq!(response.header(name), None, "{name}");
    }
}

/// RFC 9110, section 2.5: the version in a message is its sender's.
#[test]
fn version_is_paces_own_and_reason_is_the_backends() {
    for head in [
        "HTTP/1.0 200 Fine\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.0 200 Fine\r\n\r\nok",
    ] {
        let backend = Scripted::new(move |line| {
            line.head()?;
            line.write(head)
        });
        let pace = before(&backend, "");
        for request in [REQUESTS[0], "GET / HTTP/1.0\r\n\r\n"] {
            let mut client = pace.client();
            client.write(request);
            let answer = all(&mut client);
            assert!(answer.starts_with("HTTP/1.1 200 Fine\r\n"), "{head:?}: {answer}");
        }
    }
}

/// RFC 9110, section 6.6.1: the date is when the message was originated.
#[test]
fn date_of_a_backend_is_kept_and_a_missing_one_is_added() {
    let date = "Mon, 01 Jan 2024 00:00:00 GMT";
    let backend = Scripted::saying(format!(
        "HTTP/1.1 200 OK\r\nDate: {date}\r\nContent-Length: 2\r\n\r\nok"
    ));
    let pace = before(&backend, "");
    assert_eq!(pace.get("/").headers.all("date"), [date]);
    let backend = Scripted::saying(OK);
    let pace = before(&backend, "");
    assert_eq!(pace.get("/").headers.all("date").len(), 1);
}

/// RFC 9110, sections 8.6 and 15.3.6, and RFC 9112, section 6.1.
#[test]
fn response_without_content_has_no_framing_for_any() {
    for (head, expected) in [
        ("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", None),
        (
            "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n",
            None,
        ),
        (
            "HTTP/1.1 205 Reset Content\r\nContent-Length: 5\r\n\r\nhello",
            Some("0"),
        ),
        (
            "HTTP/1.1 205 Reset Content\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            Some("0"),
        ),
        ("HTTP/1.1 205 Reset Content\r\n\r\n", Some("0")),
    ] {
        let backend = Scripted::new(move |line| {
            line.head()?;
            line.write(head)?;
            line.end()
        });
        let pace = before(&backend, "");
        let response = pace.get("/");
        assert_eq!(response.header("content-length"), expected, "{head:?}");
        assert_eq!(response.header("transfer-encoding"), None, "{head:?}");
        assert_eq!(response.body, b"", "{head:?}");
    }
}

#[test]
fn interim_responses_pass_without_framing_and_in_a_bounded_number() {
    let backend = Scripted::new(|line| {
        line.head()?;
        line.write("HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\nLink: </a>\r\n\r\n")?;
        line.write(OK)?;
        line.head()?;
        line.write("HTTP/1.1 102 Processing\r\n\r\n".repeat(20_000))?;
        line.write(OK)
    });
    let pace = before(&backend, "max_retries = 0");
    let mut client = pace.client();
    let response = client.get("/");
    assert_eq!((response.status, response.interim.as_slice()), (200, &[103][..]));
    let response = client.get("/");
    assert_eq!(response.status, 502);
    let mut old = pace.client();
    old.write("GET / HTTP/1.0\r\n\r\n");
    let answer = all(&mut old);
    assert!(
        !answer.contains("HTTP/1.1 1"),
        "HTTP/1.0 knows no interim responses: {answer}"
    );
}

/// Several lines of Connection are one list, on this side, too (RFC 9110, section 5.3).
#[test]
fn close_in_a_second_connection_line_is_obeyed() {
    let backend = Scripted::new(|line| {
        line.head()?;
        line.write(
            "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        )?;
        line.end()
    });
    let pace = before(&backend, "");
    let mut client = pace.client();
    for _ in 0..3 {
        assert_eq!(client.get("/").text(), "ok");
    }
    assert_eq!((backend.received().len(), client.connections()), (3, 1));
}

/// Bytes behind a response belong to no request.
#[test]
fn bytes_behind_a_response_are_discarded() {
    let backend = Scripted::new(|line| {
        while line.head()?.is_some() {
            line.write(format!("{OK}HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged"))?;
        }
        Ok(())
    });
    let pace = before(&backend, "");
    let mut client = pace.client();
    for _ in 0..5 {
        assert_eq!(client.get("/").text(), "ok");
    }
    assert_eq!(backend.received().len(), 5);
}
