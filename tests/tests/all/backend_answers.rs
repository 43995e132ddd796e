//! Responses as backends send them: every framing arrives at the client with its meaning.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use pace_tests::{Answer, Gate, HttpBackend, Pace, Request, wait_until};

use crate::sections::plain;

#[test]
fn response_without_a_body_keeps_connection_usable() {
    let backend = HttpBackend::new(|request| match request.target.as_str() {
        "/204" => Answer::status(204),
        "/304" => Answer::status(304).header("ETag", "\"v1\""),
        "/empty" => Answer::new(""),
        _ => Answer::new("the whole page"),
    });
    let pace = Pace::with_config(&plain(&[&backend]));
    let mut client = pace.client();

    let head = client.send(&Request::new("HEAD", "/"));
    assert_eq!((head.status, head.header("content-length")), (200, Some("14")));
    assert_eq!(client.get("/204").status, 204);
    let unchanged = client.get("/304");
    assert_eq!(
        (unchanged.status, unchanged.header("etag")),
        (304, Some("\"v1\""))
    );
    assert_eq!(client.get("/empty").body, b"");
    assert_eq!(client.get("/").text(), "the whole page");
    assert_eq!(client.connections(), 1);
}

/// RFC 9110, section 15.3.6. The head of a 205 does not end the message, so it has to say that nothing
/// follows.
#[test]
fn response_205_has_no_body_whatever_the_backend_sends() {
    let backend = HttpBackend::new(|request| {
        let rest = match request.target.as_str() {
            "/length" => "Content-Length: 6\r\n\r\na body",
            "/chunks" => "Transfer-Encoding: chunked\r\n\r\n6\r\na body\r\n0\r\n\r\n",
            "/close" => "\r\na body",
            "/none" => "Content-Length: 0\r\n\r\n",
            _ => return Answer::new("the next page"),
        };
        Answer::raw(format!("HTTP/1.1 205 Reset Content\r\n{rest}"))
    });
    let pace = Pace::with_config(&plain(&[&backend]));
    for request in [Request::get, |target: &str| Request::post(target, "a body")] {
        for target in ["/length", "/chunks", "/close", "/none"] {
            let mut client = pace.client();
            let response = client.send(&request(target));
            assert_eq!(
                (response.status, response.text()),
                (205, ""),
                "{target}: {response:?}"
            );
            assert_eq!(response.header("content-length"), Some("0"), "{target}");
            assert_eq!(response.header("transfer-encoding"), None, "{target}");
            // The client reads the next response next.
            assert_eq!(client.get("/next").text(), "the next page", "{target}");
        }
    }
}

#[test]
fn interim_responses_arrive_before_the_final_one() {
    let backend = HttpBackend::new(|_| {
        Answer::raw(
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n\
             HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 8\r\n\r\nthe page",
        )
    });
    let pace = Pace::with_config(&plain(&[&backend]));
    let mut client = pace.client();
    for request in [Request::get("/"), Request::post("/", "a body")] {
        let response = client.send(&request);
        assert_eq!((response.status, response.text()), (200, "the page"));
        assert_eq!(response.interim, [100, 103]);
    }
}

#[test]
fn upgrade_without_a_request_for_it_is_a_502() {
    let backend = HttpBackend::new(|_| {
        Answer::raw("HTTP/1.1 101 Switching Protocols\r\nUpgrade: chat\r\nConnection: upgrade\r\n\r\nhello")
    });
    let pace = Pace::with_config(&plain(&[&backend]));
    for request in [Request::get("/"), Request::post("/", "a body")] {
        let response = pace.client().send(&request);
        assert_eq!(response.status, 502, "{response:?}");
        assert!(response.interim.is_empty(), "{response:?}");
    }
}

#[test]
fn statuses_and_headers_pass() {
    let backend = HttpBackend::new(|request| {
        let status = request.target[1..].parse().expect("a test asks for a number");
        Answer::status(status)
            .header("Set-Cookie", "a=1")
            .header("Set-Cookie", "b=2")
            .header("X-Bytes", b"gr\xfcn".as_slice())
    });
    let pace = Pace::with_config(&plain(&[&backend]));
    let mut client = pace.client();

    for status in [
        200, 201, 206, 301, 302, 400, 401, 404, 418, 429, 500, 502, 503, 504, 599,
    ] {
        let response = client.get(&format!("/{status}"));
        assert_eq!(response.status, status);
        assert_eq!(response.headers.all("set-cookie"), ["a=1", "b=2"]);
        assert_eq!(
            response.headers.bytes("x-bytes").collect::<Vec<_>>(),
            [b"gr\xfcn"]
        );
    }
    assert_eq!(
        backend.requests().len(),
        15,
        "an answer is an answer: none is asked again"
    );
}

#[test]
fn body_that_ends_with_the_connection_arrives_whole() {
    let backend = HttpBackend::new(|_| Answer::until_close("to the end"));
    let pace = Pace::with_config(&plain(&[&backend]));
    let mut client = pace.client();
    for _ in 0..2 {
        assert_eq!(client.get("/").text(), "to the end");
    }
}

#[test]
fn large_body_passes_whole() {
    const CHUNKS: u32 = 512;
    let chunk = |number: u32| number.to_be_bytes().repeat(4096);
    let backend = HttpBackend::new(move |_| Answer::chunks((0..CHUNKS).map(chunk)));
    let pace = Pace::with_config(&plain(&[&backend]));

    let body = pace.get("/").body;
    assert_eq!(body.len(), CHUNKS as usize * 16 * 1024);
    let whole = body
        .chunks(16 * 1024)
        .zip(0..CHUNKS)
        .all(|(received, number)| received == chunk(number));
    assert!(whole, "chunks are missing or out of order");
}

/// Pace holds nothing back until the response is complete, whether or not its length is known: streams of
/// events work, and a slow page begins to show.
#[test]
fn body_passes_as_it_comes() {
    let gates = [Gate::new(), Gate::new()];
    let [chunked, sized] = gates.clone();
    let backend = HttpBackend::new(move |request| {
        let is_chunked = request.target == "/chunked";
        let rest = if is_chunked {
            chunked.clone()
        } else {
            sized.clone()
        };
        let second = std::iter::once_with(move || {
            rest.wait();
            b"second".to_vec()
        });
        let parts = std::iter::once(b"first ".to_vec()).chain(second);
        if is_chunked {
            Answer::chunks(parts)
        } else {
            Answer::pieces("first second".len(), parts)
        }
    });
    let pace = Pace::with_config(&plain(&[&backend]));

    for (target, seen, gate) in [
        ("/chunked", "first \r\n", &gates[0]),
        ("/sized", "\r\n\r\nfirst ", &gates[1]),
    ] {
        let mut client = pace.client();
        client.write(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
        wait_until("the first part", || client.received().ends_with(seen.as_bytes()));
        gate.open();
        let response = client.read("GET").expect("there is a response");
        assert_eq!(response.text(), "first second", "{target}");
    }
}

/// A backend is not asked to produce what its client does not read.
#[test]
fn slow_client_slows_its_backend_down() {
    const CHUNKS: usize = 4096;
    let sent = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&sent);
    let backend = HttpBackend::new(move |_| {
        let count = Arc::clone(&count);
        Answer::chunks((0..CHUNKS).map(move |_| {
            count.fetch_add(1, Ordering::SeqCst);
            vec![b'a'; 64 * 1024]
        }))
    });
    let pace = Pace::with_config(&plain(&[&backend]));
    let mut client = pace.client();

    client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    // 256 MiB fit into no socket's buffers, so the backend comes to a halt. If it got to the end, Pace would
    // have read on.
    let (mut last, mut unchanged) = (0, 0);
    wait_until("the backend to wait", || {
        let now = sent.load(Ordering::SeqCst);
        unchanged = if now == last && now > 0 { unchanged + 1 } else { 0 };
        last = now;
        unchanged == 50
    });
    assert!(last < CHUNKS, "Pace took {last} chunks that nobody read");
}
