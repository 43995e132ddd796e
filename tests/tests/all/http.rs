//! Requests as clients send them: every framing and version, and bytes that are no request.

use pace_tests::{Answer, Gate, HttpBackend, Pace, Request, wait_until};

use crate::sections::plain;

#[test]
fn request_arrives_as_it_was_sent() {
    let backend = HttpBackend::named("one");
    let pace = Pace::with_config(&plain(&[&backend]));

    let request = Request::post("/a%20b/%C3%BC/../c?x=1&y=%2F&z", "the body")
        .header("Host", "example.com:8080")
        .header("X-Mixed-Case", "kept")
        .header("x-twice", "first")
        .header("x-twice", "second")
        .header("x-bytes", b"gr\xfcn".as_slice());
    assert_eq!(pace.client().send(&request).status, 200);

    let seen = backend.request();
    // The path is spelled as it was decided about, and the query as it was sent.
    assert_eq!(
        (&seen.method, seen.target.as_str()),
        (&request.method, "/a%20b/c?x=1&y=%2F&z")
    );
    assert_eq!(seen.body, request.body);
    assert_eq!(seen.headers.get("host"), Some("example.com:8080"));
    assert!(seen.headers.names().contains(&"X-Mixed-Case"), "{seen:?}");
    assert_eq!(seen.headers.all("x-twice"), ["first", "second"]);
    assert_eq!(seen.headers.bytes("x-bytes").collect::<Vec<_>>(), [b"gr\xfcn"]);
}

#[test]
fn large_body_arrives_whole() {
    let backend = HttpBackend::named("one");
    let pace = Pace::with_config(&plain(&[&backend]));
    let body: Vec<u8> = (0..3_000_000).map(|i| (i % 253) as u8).collect();

    assert_eq!(pace.client().send(&Request::post("/", body.clone())).status, 200);
    assert!(backend.request().body == body);
}

#[test]
fn chunked_body_arrives_whole() {
    let backend = HttpBackend::named("one");
    let pace = Pace::with_config(&plain(&[&backend]));
    let mut client = pace.client();

    let response = client.exchange(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nthe \r\n4;x=1\r\nbody\r\n0\r\n\r\n",
    );
    assert_eq!(response.status, 200);
    assert_eq!(backend.request().body, b"the body");
    assert_eq!(client.get("/").status, 200, "the connection goes on");
    assert_eq!(client.connections(), 1);
}

#[test]
fn client_that_expects_100_continue_gets_it() {
    let backend = HttpBackend::named("one");
    let pace = Pace::with_config(&plain(&[&backend]));
    let mut client = pace.client();

    client.write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\nExpect: 100-continue\r\n\r\n");
    // Only the interim response can come now; the final one needs the body.
    wait_until("the go-ahead", || client.has_received());
    client.write("the body");
    let response = client.read("POST").expect("there is a response");
    assert_eq!((response.status, response.interim.as_slice()), (200, &[100][..]));
    assert_eq!(backend.request().body, b"the body");
}

/// A client may send before it has its answer, and must then be ready to send again (RFC 9112, section
/// 9.3.2).
#[test]
fn pipelined_requests_are_answered_in_order() {
    let backend = HttpBackend::new(|request| Answer::new(request.target.clone()));
    let pace = Pace::with_config(&plain(&[&backend]));
    let mut client = pace.client();

    client.write("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.read("GET").expect("the first is answered").text(), "/1");
    if let Ok(second) = client.read("GET") {
        assert_eq!(second.text(), "/2");
    }
    assert_eq!(pace.get("/3").text(), "/3");
}

#[test]
fn client_of_http_1_0_gets_no_chunks() {
    let backend = HttpBackend::new(|_| Answer::chunks([b"one ".to_vec(), b"two".to_vec()]));
    let pace = Pace::with_config(&plain(&[&backend]));
    let mut client = pace.client();

    // HTTP/1.0 has no Host and no chunks.
    let response = client.exchange("GET / HTTP/1.0\r\n\r\n");
    assert_eq!((response.status, response.text()), (200, "one two"));
    assert_eq!(response.header("transfer-encoding"), None);
}

#[test]
fn connection_is_closed_when_the_client_asks_for_it() {
    let backend = HttpBackend::named("one");
    let pace = Pace::with_config(&plain(&[&backend]));
    let mut client = pace.client();

    client.write("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let bytes = client.read_to_end();
    assert!(bytes.ends_with(b"one"), "{}", bytes.escape_ascii());
}

/// Headers between client and Pace are not for the backend (RFC 9110, section 7.6.1).
#[test]
fn connection_headers_are_not_passed_on() {
    let backend = HttpBackend::named("one");
    let pace = Pace::with_config(&plain(&[&backend]));
    let request = Request::get("/")
        .header("Connection", "keep-alive, x-hop")
        .header("Keep-Alive", "timeout=5")
        .header("X-Hop", "for Pace only")
        .header("X-End", "for the backend");
    pace.client().send(&request);

    let seen = backend.request().headers;
    assert_eq!(seen.get("x-end"), Some("for the backend"));
    assert_eq!(
        (seen.get("x-hop"), seen.get("keep-alive")),
        (None, None),
        "{seen:?}"
    );
}

#[test]
fn malformed_request_is_refused() {
    let backend = HttpBackend::named("one");
    let pace = Pace::with_config(&plain(&[&backend]));

    for (bad, status) in [
        ("garbage\r\n\r\n", 400),
        ("GET\r\n\r\n", 400),
        ("GET / HTTP/9.9\r\nHost: a\r\n\r\n", 505),
        ("GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nx name: a\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nx-null: a\0b\r\n\r\n", 400),
        // RFC 9112, section 3.2: no Host, or two.
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        // RFC 9112, section 6.3: the end of such a request is unknown.
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
            400,
        ),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", 400),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n",
            501,
        ),
    ] {
        let mut client = pace.client();
        client.write(bad);
        let response = client
            .read("GET")
            .unwrap_or_else(|error| panic!("{bad:?}: {error}"));
        assert_eq!(response.status, status, "{bad:?}");
        assert_eq!(pace.get("/").status, 200, "after {bad:?}");
    }
    let reached: Vec<_> = backend
        .requests()
        .into_iter()
        .filter(|request| request.headers.get("host") != Some(&pace.address().to_string()))
        .collect();
    assert!(reached.is_empty(), "{reached:#?}");
}

/// Two lengths are a means to smuggle requests past a proxy (RFC 9112, section 6.3).
#[test]
fn request_with_two_framings_is_refused() {
    let backend = HttpBackend::named("one");
    let pace = Pace::with_config(&plain(&[&backend]));
    for headers in [
        "Content-Length: 4\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 4",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding: identity, chunked, chunked",
    ] {
        let mut client = pace.client();
        client.write(format!(
            "POST / HTTP/1.1\r\nHost: a\r\n{headers}\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
        ));
        let response = client.read("POST").expect("there is a response");
        assert!([400, 501].contains(&response.status), "{headers}: {response:?}");
        client.read_to_end();
    }
    assert!(backend.requests().is_empty(), "{:#?}", backend.requests());
    assert_eq!(pace.get("/").status, 200);
}

#[test]
fn client_that_leaves_does_no_harm() {
    let gate = Gate::new();
    let slow = gate.clone();
    let backend = HttpBackend::new(move |request| {
        if request.target == "/slow" {
            slow.wait();
        }
        Answer::new("one")
    });
    let pace = Pace::with_config(&plain(&[&backend]));

    for part in [
        "",
        "GET / HT",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nonly this",
        "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        let mut client = pace.client();
        client.connect().expect("Pace accepts connections");
        client.write(part);
    }
    gate.open();
    wait_until("all connections to be closed", || {
        pace.metrics().sum("pace_connections_open", &[]) == 0
    });
    assert_eq!(pace.get("/").status, 200);
}
