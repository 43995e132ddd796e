//! Messages of HTTP/2 as a backend of HTTP/1.1 sees them, and the other way round.

use pace_tests::{Answer, Frame, HttpBackend, Request, Scripted, block, flag, kind};

use super::{Both, NAME};

fn megabyte() -> Vec<u8> {
    (0..1 << 20).map(|at| (at % 251) as u8).collect()
}

#[test]
fn methods_pass_with_their_bodies_and_lengths() {
    let backend = HttpBackend::new(|request| match request.method.as_str() {
        "HEAD" => Answer::new("not sent"),
        _ => Answer::new(request.body.clone()).header("x-method", request.method.as_str()),
    });
    let both = Both::before(&backend.label());
    for (mut client, scheme) in both.clients().into_iter().zip(["http", "https"]) {
        let response = client.get("/path?query");
        assert_eq!((response.status, response.text()), (200, ""));
        let head = client.send(&Request::new("HEAD", "/"));
        assert_eq!((head.status, head.text()), (200, ""));
        assert_eq!(head.header("content-length"), Some("8"));

        let post = client.send(&Request::post("/", "some"));
        assert_eq!((post.text(), post.header("x-method")), ("some", Some("POST")));
        let mut open = client.open(&Request::new("PUT", "/"), false).expect("it is sent");
        open.write(b"with", false).expect("there is room");
        open.write(b"out", false).expect("there is room");
        open.finish().expect("it is open");
        assert_eq!(open.response().expect("it is answered").text(), "without");

        let requests = backend.requests();
        let [get, _, post, put] = &requests[requests.len() - 4..] else {
            panic!("{requests:#?}");
        };
        assert_eq!(get.target, "/path?query");
        assert_eq!(get.headers.all("x-forwarded-proto"), [scheme]);
        assert_eq!(get.headers.get("transfer-encoding"), None);
        assert_eq!(get.headers.get("content-length"), None);
        assert_eq!(post.headers.all("content-length"), ["4"]);
        assert_eq!(post.headers.get("transfer-encoding"), None);
        assert_eq!(put.headers.all("transfer-encoding"), ["chunked"]);
        if scheme == "https" {
            assert_eq!(get.headers.all("host"), [NAME]);
        }
    }
}

#[test]
fn megabyte_passes_both_ways_with_and_without_its_length() {
    let backend = HttpBackend::new(|request| match request.target.as_str() {
        "/chunked" => Answer::chunks(
            request
                .body
                .chunks(10_000)
                .map(<[u8]>::to_vec)
                .collect::<Vec<_>>(),
        ),
        _ => Answer::new(request.body.clone()),
    });
    let both = Both::before(&backend.label());
    for mut client in both.clients() {
        let response = client.send(&Request::post("/", megabyte()));
        assert!(response.body == megabyte(), "{} bytes", response.body.len());
        assert_eq!(response.header("content-length"), Some("1048576"));
        let mut open = client
            .open(&Request::new("POST", "/chunked"), false)
            .expect("it is sent");
        open.write(&megabyte(), true).expect("all is taken");
        let response = open.response().expect("it is answered");
        assert!(response.body == megabyte(), "{} bytes", response.body.len());
        assert_eq!(response.header("content-length"), None);
        assert_eq!(response.header("transfer-encoding"), None);
    }
}

#[test]
fn trailers_pass_both_ways() {
    let backend = Scripted::new(|line| {
        while line.head()?.is_some() {
            let body = line.head()?.unwrap_or_default();
            assert!(body.ends_with("0\r\nx-sum: 1\r\n\r\n"), "{body}");
            line.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-end\r\n\r\n")?;
            line.write("2\r\nok\r\n0\r\nx-end: yes\r\n\r\n")?;
        }
        Ok(())
    });
    let both = Both::before(&backend.label());
    for mut client in both.clients() {
        let request = Request::new("POST", "/").header("te", "trailers");
        let mut open = client.open(&request, false).expect("it is sent");
        open.write(b"abc", false).expect("there is room");
        open.trailers(&[("x-sum", "1")]).expect("it is open");
        let response = open.response().expect("it is answered");
        assert_eq!((response.status, response.text()), (200, "ok"));
        assert_eq!(response.trailers.all("x-end"), ["yes"]);
    }
}

/// The trailers of gRPC follow a body without data.
#[test]
fn trailers_without_a_body_pass() {
    let backend =
        Scripted::saying("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\ngrpc-status: 12\r\n\r\n");
    let both = Both::before(&backend.label());
    let response = both.plain().get("/");
    assert_eq!((response.status, response.text()), (200, ""));
    assert_eq!(response.trailers.all("grpc-status"), ["12"]);
}

#[test]
fn interim_responses_pass_before_the_final_one() {
    let backend = Scripted::new(|line| {
        while line.head()?.is_some() {
            line.write("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")?;
            line.write("HTTP/1.1 103 Early Hints\r\nLink: </b>\r\n\r\n")?;
            line.write(super::OK)?;
        }
        Ok(())
    });
    let both = Both::before(&backend.label());
    for mut client in both.clients() {
        let response = client.get("/");
        assert_eq!((response.status, response.text()), (200, "ok"));
        assert_eq!(response.interim, [103, 103]);
    }
}

#[test]
fn waiting_client_is_told_to_continue() {
    let backend = HttpBackend::new(|request| Answer::new(request.body.clone()));
    let both = Both::before(&backend.label());
    let mut frames = both.frames();
    let fields = [("expect", "100-continue"), ("content-length", "3")];
    frames.send(&[Frame::request(1, flag::NONE, "POST", "/", &fields)]);
    assert_eq!(frames.wait_for(kind::HEADERS, 1).status(), Some(100));
    frames.send(&[Frame::data(1, flag::END_STREAM, "abc")]);
    assert_eq!(frames.wait_for(kind::HEADERS, 1).status(), Some(200));
    assert_eq!(frames.wait_for(kind::DATA, 1).payload, b"abc");
}

#[test]
fn pieces_of_a_cookie_are_joined() {
    let backend = HttpBackend::named("one");
    let both = Both::before(&backend.label());
    let request = Request::get("/")
        .header("cookie", "a=1")
        .header("x-between", "y")
        .header("cookie", "b=2; c=3")
        .header("cookie", "d=4");
    assert_eq!(both.plain().send(&request).status, 200);
    let received = backend.request().headers;
    assert_eq!(received.all("cookie"), ["a=1; b=2; c=3; d=4"]);
    assert_eq!(received.all("x-between"), ["y"]);
}

/// Both fields become one host; a request with none, or with two that differ, is refused.
#[test]
fn authority_and_host_become_one_host() {
    let backend = HttpBackend::named("one");
    let both = Both::before(&backend.label());
    let mut frames = both.frames();
    let begin = [(":method", "GET"), (":scheme", "http"), (":path", "/")];
    for (at, (fields, status, host)) in [
        (&[(":authority", "a.test:81")][..], 200, Some("a.test:81")),
        (
            &[(":authority", "a.test"), ("host", "A.test")],
            200,
            Some("a.test"),
        ),
        (&[("host", "b.test")], 200, Some("b.test")),
        (&[], 400, None),
        (&[(":authority", "a.test"), ("host", "b.test")], 400, None),
        (&[("host", "a.test"), ("host", "a.test")], 400, None),
    ]
    .into_iter()
    .enumerate()
    {
        let stream = 2 * at as u32 + 1;
        let all = [&begin[..], fields].concat();
        let flags = flag::END_HEADERS | flag::END_STREAM;
        frames.send(&[Frame::new(kind::HEADERS, flags, stream, block(&all))]);
        assert_eq!(
            frames.wait_for(kind::HEADERS, stream).status(),
            Some(status),
            "{fields:?}"
        );
        if let Some(host) = host {
            let requests = backend.requests();
            let last = requests.last().expect("it has come");
            assert_eq!(last.headers.all("host"), [host], "{fields:?}");
        }
    }
}

/// Such fields concern the connection to the backend.
#[test]
fn fields_of_a_connection_are_not_passed_to_the_client() {
    let backend = Scripted::new(|line| {
        line.head()?;
        line.write(
            "HTTP/1.1 200 OK\r\nConnection: close, x-hop\r\nKeep-Alive: timeout=5\r\nX-Hop: 1\r\n\
             X-Kept: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        )
    });
    let both = Both::before(&backend.label());
    let response = both.plain().get("/");
    assert_eq!((response.status, response.text()), (200, "ok"));
    for name in ["connection", "keep-alive", "x-hop", "transfer-encoding"] {
        assert_eq!(response.header(name), None, "{name}");
    }
    assert_eq!(response.header("x-kept"), Some("2"));
}

#[test]
fn responses_without_content_end_with_their_heads() {
    let backend = HttpBackend::new(|request| {
        let status = request.target[1..].parse().expect("the target is a status");
        Answer::status(status)
    });
    let both = Both::before(&backend.label());
    let mut frames = both.frames();
    for (at, status) in [204, 304].into_iter().enumerate() {
        let stream = 2 * at as u32 + 1;
        frames.send(&[Frame::get(stream, &format!("/{status}"))]);
        let head = frames.wait_for(kind::HEADERS, stream);
        assert_eq!((head.status(), head.ends_stream()), (Some(status), true));
    }
}

/// HTTP/1 drops the white space, so a plugin would have seen another value than the backend (RFC 9113, section 8.2.1).
#[test]
fn value_that_begins_or_ends_with_white_space_is_refused() {
    let backend = HttpBackend::named("one");
    let both = Both::before(&backend.label());
    let mut client = both.plain();
    for value in [" abc", "abc ", "\tabc", "abc\t"] {
        let response = client.send(&Request::get("/").header("x-api-key", value));
        assert_eq!(response.status, 400, "{value:?}");
        let mut open = client
            .open(&Request::new("POST", "/"), false)
            .expect("it is sent");
        open.write(b"body", false).expect("there is room");
        open.trailers(&[("x-sum", value)]).expect("it is open");
        let answer = open.response();
        assert!(
            answer.is_err() || answer.is_ok_and(|answer| answer.status == 400),
            "{value:?}"
        );
    }
    assert!(backend.requests().is_empty(), "none of them is a request");
    assert_eq!(
        client.send(&Request::get("/").header("x-api-key", "a b")).status,
        200
    );
}

/// RFC 9113, section 8.1.1: a malformed request is not forwarded.
#[test]
fn data_behind_a_length_of_zero_reaches_no_backend() {
    let backend = HttpBackend::named("one");
    let both = Both::before(&backend.label());
    let mut frames = both.frames();
    let length = [("content-length", "0")];
    frames.send(&[Frame::request(1, flag::NONE, "POST", "/", &length)]);
    frames.send(&[Frame::request(3, flag::NONE, "POST", "/", &length)]);
    frames.send(&[Frame::data(1, flag::END_STREAM, vec![0; 5])]);
    frames.wait_for(kind::RST_STREAM, 1);
    assert!(backend.requests().is_empty());
    frames.send(&[Frame::data(3, flag::END_STREAM, Vec::new())]);
    assert_eq!(frames.wait_for(kind::HEADERS, 3).status(), Some(200));
    assert_eq!(backend.requests().len(), 1);
}
