//! Messages as a backend of HTTP/2 gets them and sends them, for clients of both versions.

use pace_tests::{Http2, Http2Backend, Pace, Request};

use super::{before, send};

fn megabyte() -> Vec<u8> {
    (0..1 << 20).map(|at| (at % 251) as u8).collect()
}

#[test]
fn request_has_pseudo_fields_and_nothing_about_the_clients_connection() {
    let backend = Http2Backend::named("one");
    let pace = before(&backend.label(), "");
    let head = "GET /path?query HTTP/1.1\r\nHost: a.test:81\r\nConnection: X-Hop, Keep-Alive, TE\r\nX-Hop: 1\r\n\
                Keep-Alive: 5\r\nTE: trailers, deflate\r\nProxy-Connection: keep-alive\r\nX-Kept: 2\r\n\
                Cookie: a=1; b=2\r\n\r\n";
    assert_eq!(pace.client().exchange(head).text(), "one");
    let seen = backend.request();
    assert_eq!(
        (
            &*seen.request.method,
            &*seen.request.target,
            &*seen.scheme,
            &*seen.authority
        ),
        ("GET", "/path?query", "http", "a.test:81")
    );
    let fields = &seen.request.headers;
    for name in [
        "host",
        "connection",
        "x-hop",
        "keep-alive",
        "proxy-connection",
        "transfer-encoding",
    ] {
        assert_eq!(fields.get(name), None, "{name}");
    }
    assert_eq!(fields.all("te"), ["trailers"]);
    assert_eq!(fields.all("x-kept"), ["2"]);
    assert_eq!(fields.all("cookie"), ["a=1; b=2"]);
    assert_eq!(fields.all("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(fields.all("x-forwarded-proto"), ["http"]);
    assert_eq!(fields.all("x-forwarded-host"), ["a.test:81"]);
    assert!(
        fields.get("via").is_some_and(|via| via.starts_with("1.1 pace")),
        "{fields:?}"
    );
}

#[test]
fn request_of_http_1_0_without_host_names_the_backend() {
    let backend = Http2Backend::named("one");
    let pace = before(&backend.label(), "");
    assert_eq!(pace.client().exchange("GET / HTTP/1.0\r\n\r\n").text(), "one");
    assert_eq!(backend.request().authority, backend.label());
}

#[test]
fn targets_of_http_1_are_valid_in_http_2() {
    let backend = Http2Backend::named("one");
    let pace = before(&backend.label(), "");
    for (sent, arrived) in [
        ("GET /a%20b/c?d=%2F&e HTTP/1.1", "/a%20b/c?d=%2F&e"),
        (
            "GET /?a=<b>&c={\"d\"}|^`\\ HTTP/1.1",
            "/?a=%3Cb%3E&c=%7B%22d%22%7D%7C%5E%60%5C",
        ),
        ("OPTIONS * HTTP/1.1", "*"),
    ] {
        let answer = pace.client().exchange(format!("{sent}\r\nHost: a\r\n\r\n"));
        assert_eq!(answer.status, 200, "{sent}");
        let last = backend.requests().pop().expect("it has come");
        assert_eq!(last.request.target, arrived);
    }
}

#[test]
fn methods_pass_with_their_bodies_and_lengths() {
    let backend = Http2Backend::new(|call| {
        let body = call.body()?;
        match &*call.head.request.method.clone() {
            "HEAD" => call.respond(200, &[("content-length", "8")], true),
            method => {
                call.respond(200, &[("x-method", method)], false)?;
                call.write(&body, true)
            }
        }
    });
    let pace = before(&backend.label(), "");
    for response in send(&pace, &Request::get("/")) {
        assert_eq!((response.status, response.text()), (200, ""));
        assert_eq!(response.headers.get("x-method"), Some("GET"));
    }
    for response in send(&pace, &Request::new("HEAD", "/")) {
        assert_eq!((response.status, response.text()), (200, ""));
        assert_eq!(response.headers.get("content-length"), Some("8"));
    }
    for response in send(&pace, &Request::post("/", "some")) {
        assert_eq!((response.status, response.text()), (200, "some"));
        let sent = backend.requests().pop().expect("it has come");
        assert_eq!(sent.request.headers.all("content-length"), ["4"]);
    }
    let chunked =
        "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nwith\r\n3\r\nout\r\n0\r\n\r\n";
    assert_eq!(pace.client().exchange(chunked).text(), "without");
    let mut client = Http2::connect(pace.address());
    let mut open = client.open(&Request::new("PUT", "/"), false).expect("it is sent");
    open.write(b"without", false).expect("there is room");
    open.finish().expect("it is open");
    assert_eq!(open.response().expect("it is answered").text(), "without");
    for sent in &backend.requests()[6..] {
        assert_eq!(sent.request.headers.get("content-length"), None);
    }
}

#[test]
fn megabyte_passes_both_ways_with_and_without_its_length() {
    let backend = Http2Backend::new(|call| {
        let body = call.body()?;
        let length = body.len().to_string();
        match call.target() {
            "/length" => call.respond(200, &[("content-length", &length)], false)?,
            _ => call.respond(200, &[], false)?,
        }
        call.write(&body, true)
    });
    let pace = before(&backend.label(), "");
    for (path, length) in [("/length", Some("1048576")), ("/", None)] {
        for response in send(&pace, &Request::post(path, megabyte())) {
            assert!(response.body == megabyte(), "{} bytes", response.body.len());
            assert_eq!(response.headers.get("content-length"), length);
        }
    }
}

/// A client of HTTP/1.1 would wait for the end of a body that nothing announces.
#[test]
fn response_that_ends_with_its_head_is_empty() {
    let backend = Http2Backend::new(|call| {
        let status = call.target()[1..].parse().expect("the target is a status");
        call.respond(status, &[], true)
    });
    let pace = before(&backend.label(), "");
    for (status, length) in [(200, Some("0")), (404, Some("0")), (204, None), (304, None)] {
        let mut client = pace.client();
        for _ in 0..2 {
            let response = client.get(&format!("/{status}"));
            assert_eq!((response.status, response.text()), (status, ""));
            assert_eq!(response.header("content-length"), length, "{status}");
        }
        assert_eq!(client.connections(), 1, "{status}");
        let response = Http2::connect(pace.address()).get(&format!("/{status}"));
        assert_eq!((response.status, response.text()), (status, ""));
        assert_eq!(response.header("content-length"), None);
    }
}

#[test]
fn trailers_pass_both_ways() {
    let backend = Http2Backend::new(|call| {
        let body = call.body()?;
        let trailers = call.trailers()?;
        call.respond(200, &[("trailer", "x-end")], false)?;
        call.write(&body, false)?;
        call.finish(&[("x-end", trailers.get("x-sum").unwrap_or("none"))])
    });
    let pace = before(&backend.label(), "");
    let mut client = pace.client();
    client.write(
        "POST / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: TE, close\r\nTransfer-Encoding: chunked\r\n\r\n\
         3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n",
    );
    let answer = String::from_utf8(client.read_to_end()).expect("it is text");
    assert!(
        answer.ends_with("\r\n3\r\nabc\r\n0\r\nx-end: 1\r\n\r\n"),
        "{answer}"
    );

    let mut client = Http2::connect(pace.address());
    let request = Request::new("POST", "/").header("te", "trailers");
    let mut open = client.open(&request, false).expect("it is sent");
    open.write(b"abc", false).expect("there is room");
    open.trailers(&[("x-sum", "2")]).expect("it is open");
    let response = open.response().expect("it is answered");
    assert_eq!(response.text(), "abc");
    assert_eq!(response.trailers.all("x-end"), ["2"]);
}

#[test]
fn interim_responses_pass_before_the_final_one() {
    let backend = Http2Backend::new(|call| {
        for _ in 0..3 {
            call.inform(103, &[("link", "</a>")])?;
        }
        call.answer("done")
    });
    let pace = before(&backend.label(), "");
    for response in send(&pace, &Request::get("/")) {
        assert_eq!((response.status, response.text()), (200, "done"));
        assert_eq!(response.interim, [103, 103, 103]);
    }
    let old = pace.client().exchange("GET / HTTP/1.0\r\n\r\n");
    assert_eq!((old.interim, old.body), (Vec::new(), b"done".to_vec()));
}

#[test]
fn client_that_waits_is_told_to_go_on() {
    let backend = Http2Backend::new(|call| {
        assert_eq!(call.head.request.headers.get("expect"), Some("100-continue"));
        call.inform(100, &[])?;
        let body = call.body()?;
        call.answer(body)
    });
    let pace = before(&backend.label(), "");
    let mut client = pace.client();
    client.write("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    pace_tests::wait_until("100 Continue", || {
        client.received() == b"HTTP/1.1 100 Continue\r\n\r\n"
    });
    client.write("abc");
    let response = client.read("POST").expect("it is answered");
    assert_eq!((response.interim, response.body), (vec![100], b"abc".to_vec()));
}

/// The client then need not send what nobody wants.
#[test]
fn client_that_waits_is_refused_before_its_body() {
    let backend = Http2Backend::new(|call| {
        call.respond(413, &[("content-length", "2")], false)?;
        call.write(b"no", true)
    });
    let pace = before(&backend.label(), "");
    let mut client = pace.client();
    client.write("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    let response = client.read("POST").expect("it is answered");
    assert_eq!(
        (response.status, response.text(), response.last),
        (413, "no", true)
    );
}

#[test]
fn fields_and_versions_of_responses_pass() {
    let backend = Http2Backend::new(|call| {
        let fields = [("set-cookie", "a=1"), ("set-cookie", "b=2"), ("via", "1.0 other")];
        call.respond(200, &fields, true)
    });
    let pace = before(&backend.label(), "");
    for response in send(&pace, &Request::get("/")) {
        assert_eq!(response.headers.all("set-cookie"), ["a=1", "b=2"]);
        assert_eq!(response.headers.all("via"), ["1.0 other", "2.0 pace"]);
        assert_eq!(response.headers.all("date").len(), 1);
    }
}

/// What the plugin sees and changes of a response is the same, whichever version it came in.
#[test]
fn plugins_see_and_change_responses_of_streams() {
    let backend = Http2Backend::new(|call| call.respond(200, &[("x-secret", "1")], true));
    let plugin = "\n[[plugins]]\nname = \"headers\"\nwasm = \"builtin:header-injection\"\n\
                  config = { response = { remove = [\"x-secret\"], set = { x-set = \"2\" } } }\n";
    let config = super::config(&[backend.label()], "protocol = \"h2\"");
    let config = config.replace(
        "[[routes]]",
        &format!("{plugin}\n[[routes]]\nplugins = [\"headers\"]"),
    );
    let pace = Pace::with_config(&config);
    for response in send(&pace, &Request::get("/")) {
        assert_eq!(response.headers.get("x-secret"), None);
        assert_eq!(response.headers.all("x-set"), ["2"]);
    }
}
