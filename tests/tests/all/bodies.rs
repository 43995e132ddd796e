//! Whole bodies that plugins look at, change and decide by.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use pace_tests::{
    Answer, Http2, Http2Backend, HttpBackend, Pace, Request, Scripted, Setup, fixture, wait_until,
};

use crate::sections::{ONE_WORKER, plugin};

/// Starts Pace with the fixture on its only route, before this backend. `keys` go to the plugin.
fn start(backend: &str, keys: &str) -> Pace {
    let bodies = plugin("bodies", &fixture("bodies"));
    Pace::with_config(&format!(
        "{ONE_WORKER}{bodies}{keys}\n\
         [[pools]]\nname = 'web'\nbackends = ['{backend}']\nresponse_timeout_ms = 2000\n\n\
         [[routes]]\npool = 'web'\nplugins = ['bodies']\n"
    ))
}

/// A backend that answers with the body that it gets.
fn echo() -> HttpBackend {
    HttpBackend::new(|request| Answer::new(request.body.clone()))
}

fn text(request: &Request) -> &str {
    std::str::from_utf8(&request.body).expect("it is a text")
}

fn zstd(text: &str) -> Vec<u8> {
    zstd::encode_all(text.as_bytes(), 3).expect("it is memory")
}

/// A connection of a client that sends and reads bytes by hand.
struct Line(TcpStream);

impl Line {
    fn to(pace: &Pace) -> Line {
        let stream = TcpStream::connect(pace.address()).expect("Pace listens");
        let limit = Some(Duration::from_secs(20));
        stream.set_read_timeout(limit).expect("it is a socket");
        Line(stream)
    }

    fn write(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).expect("Pace takes it");
    }

    fn read(&mut self, count: usize) -> String {
        let mut bytes = vec![0; count];
        self.0.read_exact(&mut bytes).expect("it comes");
        String::from_utf8(bytes).expect("it is a text")
    }

    fn head(&mut self) -> String {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            head += &self.read(1);
        }
        head
    }
}

#[test]
fn body_that_is_looked_at_goes_on_as_it_came() {
    let backend = echo();
    let pace = start(&backend.label(), "");
    let mut client = pace.client();
    for request in [
        Request::post("/", "hello"),
        Request::post("/", "hello").header("Transfer-Encoding", "chunked"),
        Request::get("/"),
    ] {
        let body = String::from_utf8_lossy(&request.body).into_owned();
        let answer = client.send(&request);
        let seen = backend.requests();
        let seen = seen.last().expect("it has come");
        assert_eq!((answer.text(), &*seen.body), (&*body, &*request.body));
        let saw = format!("{} {body}", body.len());
        assert_eq!(seen.headers.get("x-saw"), Some(saw.trim_end()));
        assert_eq!(answer.header("x-response-saw"), Some(saw.trim_end()));
    }
}

#[test]
fn body_that_is_changed_has_another_length_and_no_digest() {
    let backend = HttpBackend::new(|request| {
        Answer::new(request.body.clone())
            .header("ETag", "\"strong\"")
            .header("Content-Digest", "sha-256=:AAAA:")
    });
    let pace = start(&backend.label(), "");
    let mut client = pace.client();
    for chunked in [false, true] {
        let mut request = Request::post("/", "hello")
            .header("x-request-body", "append , world")
            .header("x-response-body", "replace bye")
            .header("Content-Digest", "sha-256=:AAAA:");
        if chunked {
            request = request.header("Transfer-Encoding", "chunked");
        }
        let answer = client.send(&request);
        let seen = backend.requests();
        let seen = seen.last().expect("it has come");
        assert_eq!(
            (text(seen), seen.headers.get("content-length")),
            ("hello, world", Some("12"))
        );
        assert_eq!(seen.headers.get("content-digest"), None);
        assert_eq!(
            (answer.text(), answer.header("content-length")),
            ("bye", Some("3"))
        );
        assert_eq!(answer.header("etag"), Some("W/\"strong\""));
        assert_eq!(answer.header("content-digest"), None);
        assert_eq!(answer.header("x-response-saw"), Some("12 hello, world"));
    }
}

#[test]
fn encoded_body_is_shown_decoded_and_goes_on_encoded_unless_it_is_changed() {
    let backend =
        HttpBackend::new(|request| Answer::new(request.body.clone()).header("Content-Encoding", "zstd"));
    let pace = start(&backend.label(), "");
    let mut client = pace.client();
    let encoded = zstd("a text");
    let post = |order: &str| {
        Request::post("/", encoded.clone())
            .header("Content-Encoding", "zstd")
            .header("x-request-body", order)
            .header("x-response-body", "look")
    };
    let answer = client.send(&post("look"));
    assert_eq!(
        (&*answer.body, answer.header("content-encoding")),
        (&*encoded, Some("zstd"))
    );
    assert_eq!(answer.header("x-response-saw"), Some("6 a text"));
    let seen = backend.request();
    assert_eq!(
        (&*seen.body, seen.headers.get("x-saw")),
        (&*encoded, Some("6 a text"))
    );
    let answer = client.send(&post("digest"));
    let digests: Vec<&str> = answer.text().split(' ').collect();
    assert_ne!(digests[0], digests[1]);
    assert_eq!(digests[1], "734194ed", "the first digits of SHA-256 of `a text`");
}

#[test]
fn body_decides_the_answer() {
    let backend = echo();
    let pace = start(&backend.label(), "");
    let mut client = pace.client();
    for (body, status, text) in [
        ("{\"model\": \"large\"}", 200, "large"),
        ("{\"model\": 1}", 400, "Ok(Integer(1))"),
        ("{\"model\": \"a\", \"model\": \"b\"}", 400, "Err(Ambiguous)"),
        ("{\"model\"", 400, "Err(Malformed)"),
        ("", 400, "Err(Malformed)"),
    ] {
        let answer = client.send(&Request::post("/", body).header("x-request-body", "model"));
        assert_eq!((answer.status, answer.text()), (status, text), "{body}");
    }
    assert_eq!(backend.connections(), 0);
}

#[test]
fn body_that_is_skipped_streams() {
    let backend = Scripted::new(|line| {
        line.head()?;
        line.bytes(5)?;
        line.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst")?;
        line.bytes(4)?;
        line.write("other")
    });
    let pace = start(&backend.label(), "");
    let mut line = Line::to(&pace);
    line.write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\nx-request-body: skip\r\nx-response-body: skip\r\n\r\nfirst");
    let head = line.head();
    assert!(head.contains("x-response-declared: Some(10)"), "{head}");
    assert_eq!(line.read(5), "first");
    line.write("last");
    assert_eq!(line.read(5), "other");
}

#[test]
fn body_that_cannot_be_shown_fails_closed_or_goes_on_untouched() {
    let backend = echo();
    let large = "a".repeat(3000);
    let broken = Request::post("/", "no zstd").header("Content-Encoding", "zstd");
    let unknown = Request::post("/", "text").header("Content-Encoding", "compress");
    let bomb = Request::post("/", zstd(&"\0".repeat(40 << 20))).header("Content-Encoding", "zstd");
    let requests = [
        (Request::post("/", large.clone()), 413),
        (
            Request::post("/", large.clone()).header("Transfer-Encoding", "chunked"),
            413,
        ),
        (broken, 415),
        (unknown, 415),
        (bomb, 415),
    ];
    let limits = "limits = { read_body_kb = 2 }\n";
    let pace = start(&backend.label(), limits);
    for (request, status) in &requests[..4] {
        let answer = pace.client().send(request);
        assert_eq!(answer.status, *status, "{:?}", request.headers);
    }
    let pace = start(&backend.label(), "");
    assert_eq!(pace.client().send(&requests[4].0).status, 415);
    let before = backend.requests().len();
    let pace = start(&backend.label(), &format!("{limits}on_failure = 'open'\n"));
    let mut client = pace.client();
    for (request, _) in &requests {
        let answer = client.send(&request.clone().header("x-response-body", "skip"));
        assert_eq!((answer.status, answer.body.len()), (200, request.body.len()));
        let seen = backend.requests();
        let seen = seen.last().expect("it has come");
        assert!(seen.body == request.body && seen.headers.get("x-saw").is_none());
    }
    assert_eq!(backend.requests().len(), before + requests.len());
}

#[test]
fn body_that_goes_on_untouched_is_whole_where_its_start_is_read_ahead() {
    let backend = echo();
    let bodies = plugin("bodies", &fixture("bodies"));
    let pace = Pace::with_config(&format!(
        "{ONE_WORKER}{bodies}limits = {{ read_body_kb = 2 }}\non_failure = 'open'\n\n\
         [[pools]]\nname = 'web'\nbackends = ['{}']\nbuffer_request_kb = 64\n\n\
         [[routes]]\npool = 'web'\nplugins = ['bodies']\n",
        backend.label()
    ));
    for size in [3000_usize, 100_000] {
        let body: String = (0..size)
            .map(|place| char::from(b'a' + (place % 23) as u8))
            .collect();
        let request = Request::post("/", body.clone())
            .header("Transfer-Encoding", "chunked")
            .header("x-response-body", "skip");
        let answer = pace.client().send(&request);
        assert!(
            answer.status == 200 && answer.text() == body,
            "{size}: {}",
            answer.body.len()
        );
    }
}

/// The plugins with which bodies are measured.
#[test]
fn body_that_is_read_or_asked_for_a_member_goes_on_as_it_came() {
    let backend = echo();
    for does in ["nothing", "read", "json"] {
        let reader = plugin("reader", &fixture("body-reader"));
        let pace = Pace::with_config(&format!(
            "{ONE_WORKER}{reader}config = {{ does = '{does}' }}\n\n\
             [[pools]]\nname = 'web'\nbackends = ['{}']\n\n[[routes]]\npool = 'web'\nplugins = ['reader']\n",
            backend.label()
        ));
        for body in [r#"{"model": "small"}"#, "no JSON", ""] {
            let answer = pace.client().send(&Request::post("/", body));
            assert_eq!((answer.status, answer.text()), (200, body), "{does}");
        }
        let hook = [("hook", "request-body-filter")];
        pace.wait_for_metric("pace_plugin_calls_total", &hook, 3);
    }
}

/// Whether a body is taken with the memory into which it was read, or copied, depends on its size and on what is behind it.
#[test]
fn large_body_is_shown_and_goes_on_as_it_came() {
    let backend = echo();
    let pace = start(&backend.label(), "");
    let mut client = pace.client();
    for size in [
        16_384_usize,
        32_767,
        32_768,
        65_536,
        131_071,
        131_072,
        131_073,
        300_000,
    ] {
        let body: String = (0..size)
            .map(|place| char::from(b'a' + (place % 23) as u8))
            .collect();
        let begin = format!("{size} {}", &body[..40]);
        let head = format!("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: {size}\r\n\r\n");
        let next = "GET /next HTTP/1.1\r\nHost: a.test\r\n\r\n";
        // Alone, and with the next request right behind it; at once, and in two writes.
        for (behind, first) in [("", size), (next, size), ("", size / 2), (next, size / 2)] {
            client.write(format!("{head}{}", &body[..first]));
            client.write(format!("{}{behind}", &body[first..]));
            let answer = client.read("POST").expect("there is an answer");
            assert!(
                answer.status == 200 && answer.text() == body,
                "{size}: {} with {}",
                answer.status,
                answer.body.len()
            );
            assert_eq!(answer.headers.get("x-response-saw"), Some(&begin[..]), "{size}");
            if !behind.is_empty() {
                assert_eq!(client.read("GET").expect("there is an answer").status, 200);
            }
        }
    }
    assert_eq!(client.connections(), 1);
    for request in backend.requests() {
        let saw = request.headers.get("x-saw").unwrap_or_default();
        assert_eq!(
            saw.split(' ').next(),
            Some(&*request.body.len().to_string()),
            "{saw}"
        );
    }
}

#[test]
fn response_that_cannot_be_shown_fails_closed_or_goes_on_untouched() {
    let backend =
        HttpBackend::new(|request| Answer::new("a".repeat(request.target[1..].parse().unwrap_or(0))));
    let limits = "limits = { read_body_kb = 2 }\n";
    let pace = start(&backend.label(), limits);
    let mut client = pace.client();
    assert_eq!(client.get("/2048").status, 200);
    assert_eq!(client.get("/2049").status, 502);
    let pace = start(&backend.label(), &format!("{limits}on_failure = 'open'\n"));
    let mut client = pace.client();
    let answer = client.get("/2049");
    assert_eq!((answer.status, answer.body.len()), (200, 2049));
    assert_eq!(answer.header("x-response-saw"), None);
}

#[test]
fn client_that_waits_for_100_is_asked_for_its_body() {
    let backend = echo();
    let pace = start(&backend.label(), "");
    let mut line = Line::to(&pace);
    line.write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    let head = line.head();
    assert!(head.starts_with("HTTP/1.1 100 "), "{head}");
    line.write("hello");
    let head = line.head();
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let seen = backend.request();
    assert_eq!((text(&seen), seen.headers.get("expect")), ("hello", None));
}

#[test]
fn slow_body_is_late_for_the_plugin() {
    let backend = echo();
    let pace = start(&backend.label(), "limits = { read_body_ms = 50 }\n");
    let mut line = Line::to(&pace);
    line.write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhel");
    let head = line.head();
    assert!(head.starts_with("HTTP/1.1 408 "), "{head}");
    pace.wait_for_log(&["failed in request-body-filter", "body-timeout"]);
    let pace = start(
        &backend.label(),
        "limits = { read_body_ms = 50 }\non_failure = 'open'\n",
    );
    let mut line = Line::to(&pace);
    line.write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nx-response-body: skip\r\n\r\nhel");
    pace.wait_for_log(&["failed in request-body-filter", "body-timeout"]);
    line.write("lo");
    let head = line.head();
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert_eq!(text(&backend.request()), "hello");
}

#[test]
fn part_of_a_whole_is_asked_for_once_more_as_the_whole() {
    let backend = HttpBackend::new(|request| match request.headers.get("range") {
        Some(_) => Answer::raw(
            "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-1/5\r\nContent-Length: 2\r\n\r\nhe",
        ),
        None => Answer::new("hello"),
    });
    let pace = start(&backend.label(), "");
    let mut client = pace.client();
    let part = || Request::get("/").header("Range", "bytes=0-1");
    let answer = client.send(&part());
    assert_eq!((answer.status, answer.text()), (200, "hello"));
    assert_eq!(backend.requests().len(), 2);
    let answer = client.send(&part().header("x-response-body", "skip"));
    assert_eq!((answer.status, answer.text()), (206, "he"));
    assert_eq!(backend.requests().len(), 3);
}

/// Starts Pace with times that end soon, and a pool whose backend answers before it has all of the request.
fn start_early(keys: &str, body: &'static str) -> (Scripted, Pace) {
    let backend = Scripted::new(move |line| {
        line.head()?;
        line.write(format!("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{body}"))?;
        line.end()
    });
    let bodies = plugin("bodies", &fixture("bodies"));
    let server = ONE_WORKER.replace("workers = 1", "workers = 1\nbody_timeout_ms = 200");
    let pace = Pace::with_config(&format!(
        "{server}{bodies}\n[[pools]]\nname = 'web'\nbackends = ['{}']\n{keys}\n\n\
         [[routes]]\npool = 'web'\nplugins = ['bodies']\n",
        backend.label()
    ));
    (backend, pace)
}

/// The backend may wait for the rest of the request, so its silence is no failure of its own.
#[test]
fn client_that_stalls_while_a_response_is_collected_gets_408() {
    for keys in ["response_timeout_ms = 100", "total_timeout_ms = 400"] {
        let (_backend, pace) = start_early(keys, "part");
        for _ in 0..3 {
            let mut client = pace.client();
            client.write(
                "POST / HTTP/1.1\r\nHost: a\r\nX-Request-Body: skip\r\nContent-Length: 10\r\n\r\n12345",
            );
            assert_eq!(
                client.read("POST").expect("there is an answer").status,
                408,
                "{keys}"
            );
        }
        let metrics = pace.metrics();
        assert_eq!(metrics.sum("pace_upstream_failures_total", &[]), 0, "{keys}");
        assert_eq!(metrics.sum("pace_upstream_ejections_total", &[]), 0, "{keys}");
    }
}

#[test]
fn malformed_request_is_told_so_while_a_response_is_collected() {
    let (_backend, pace) = start_early("response_timeout_ms = 5000", "part");
    let mut client = pace.client();
    client.write("POST / HTTP/1.1\r\nHost: a\r\nX-Request-Body: skip\r\nTransfer-Encoding: chunked\r\n\r\nno chunk\r\n");
    assert_eq!(client.read("POST").expect("there is an answer").status, 400);
}

#[test]
fn backend_that_stalls_while_its_response_is_collected_is_late() {
    let (_backend, pace) = start_early("response_timeout_ms = 100", "part");
    assert_eq!(pace.get("/").status, 504);
    let labels = [("reason", "response-timeout")];
    pace.wait_for_metric("pace_upstream_failures_total", &labels, 1);
}

#[test]
fn bytes_that_are_counted_are_those_that_the_client_has_got() {
    let backend = echo();
    let bodies = plugin("bodies", &fixture("bodies"));
    let respond = "[[routes]]\nmatch = { path = '/fixed' }\nplugins = ['bodies']\nrespond = { status = 200, body = 'fixed' }\n";
    let config = format!(
        "{ONE_WORKER}{bodies}\n[[pools]]\nname = 'web'\nbackends = ['{}']\n\n\
         [[routes]]\npool = 'web'\nplugins = ['bodies']\n\n{respond}",
        backend.label()
    );
    let pace = Setup::new().env("RUST_LOG", "info").config(&config).start();
    let mut client = pace.client();
    let request = Request::post("/edited", "12345").header("X-Response-Body", "append 67890abc");
    assert_eq!(client.send(&request).text(), "1234567890abc");
    pace.wait_for_log(&[
        "pace::access",
        " path=/edited ",
        " bytes_received=5 ",
        " bytes_sent=13 ",
    ]);
    assert_eq!(client.send(&Request::post("/fixed", "12345")).text(), "fixed");
    pace.wait_for_log(&[
        "pace::access",
        " path=/fixed ",
        " bytes_received=5 ",
        " bytes_sent=5 ",
    ]);
}

#[test]
fn whole_is_not_asked_for_if_the_request_cannot_be_sent_again() {
    let backend = HttpBackend::new(|request| match request.target.as_str() {
        "/part" => Answer::new("he")
            .with_status(206)
            .header("Content-Range", "bytes 0-1/5"),
        _ => Answer::new("hello"),
    });
    let words = plugin("words", &fixture("stream-words"));
    let words = format!("{words}config = {{ of = 'response', framing = 'line', look = true }}\n");
    for section in [plugin("words", &fixture("bodies")), words] {
        let pace = Pace::with_config(&format!(
            "{ONE_WORKER}{section}\n\
             [[pools]]\nname = 'web'\nbackends = ['{}']\nretry_body_kb = 1\n\n\
             [[routes]]\npool = 'web'\nplugins = ['words']\n",
            backend.label()
        ));
        let before = backend.requests().len();
        let mut client = pace.client();
        let request = Request {
            method: "GET".to_owned(),
            ..Request::post("/part", "b".repeat(5000))
                .header("Range", "bytes=0-1")
                .header("X-Request-Body", "skip")
        };
        assert_eq!(client.send(&request).status, 502);
        pace.wait_for_log(&["body-partial"]);
        // The connections on both sides are where the next request begins.
        assert_eq!(client.get("/").text(), "hello");
        let seen: Vec<_> = backend.requests().drain(before..).collect();
        assert_eq!(seen.len(), 2);
        assert_eq!(seen[0].body.len(), 5000);
        assert_eq!((&*seen[1].target, seen[1].body.len()), ("/", 0));
    }
}

#[test]
fn body_that_a_plugin_has_made_is_sent_on_every_attempt() {
    let down = HttpBackend::down();
    let backend = echo();
    let bodies = plugin("bodies", &fixture("bodies"));
    let pace = Pace::with_config(&format!(
        "{ONE_WORKER}{bodies}\n\
         [[pools]]\nname = 'web'\nbackends = ['{}', '{}']\nretry = {{ on = ['connect'] }}\n\n\
         [[routes]]\npool = 'web'\nplugins = ['bodies', 'round-robin']\n\n\
         [[plugins]]\nname = 'round-robin'\nwasm = 'builtin:round-robin'\n",
        down.label(),
        backend.label()
    ));
    let mut client = pace.client();
    for _ in 0..4 {
        let answer = client.send(&Request::post("/", "a").header("x-request-body", "append bc"));
        assert_eq!((answer.status, answer.text()), (200, "abc"));
    }
}

/// A body that came with its head stays there while filters see it, and is the request's as one that was collected is.
#[test]
fn body_that_was_at_hand_can_be_sent_again_and_copied() {
    let closes = Scripted::new(|line| line.head().map(drop));
    let (echo, copies, down) = (echo(), HttpBackend::named("copies"), HttpBackend::down());
    let bodies = plugin("bodies", &fixture("bodies"));
    let pace = Pace::with_config(&format!(
        "{ONE_WORKER}{bodies}\n\
         [[pools]]\nname = 'web'\nbackends = ['{}', '{}']\nretry_body_kb = 0\nretry = {{ attempts = 2 }}\n\
         [[pools]]\nname = 'down'\nbackends = ['{}']\nretry_body_kb = 0\n\
         [[pools]]\nname = 'copies'\nbackends = ['{}']\n\n\
         [[routes]]\npool = 'web'\nplugins = ['bodies']\n\n\
         [[routes]]\nmatch = {{ path = '/down' }}\npool = 'down'\nplugins = ['bodies']\nmirror = {{ pool = 'copies' }}\n",
        closes.label(),
        echo.label(),
        down.label(),
        copies.label()
    ));
    let mut client = pace.client();
    let put = |path: &str, edit: Option<&str>| {
        let request = Request {
            method: "PUT".to_owned(),
            ..Request::post(path, "hello")
        };
        edit.into_iter()
            .fold(request, |request, edit| request.header("X-Request-Body", edit))
    };
    // Of two in a row one begins at the backend that closes.
    for edit in [None, None, Some("append !"), Some("append !")] {
        let answer = client.send(&put("/", edit));
        assert_eq!(
            (answer.status, answer.text()),
            (200, if edit.is_some() { "hello!" } else { "hello" })
        );
    }
    assert!(!closes.received().is_empty());
    for edit in [None, Some("append !")] {
        assert_eq!(client.send(&put("/down", edit)).status, 503);
    }
    wait_until("the copies to arrive", || copies.requests().len() == 2);
    let mut copied: Vec<_> = copies
        .requests()
        .iter()
        .map(|copy| text(copy).to_owned())
        .collect();
    copied.sort();
    assert_eq!(copied, ["hello", "hello!"]);
}

#[test]
fn reply_of_a_plugin_passes_the_body_filters_that_remain() {
    let backend = echo();
    let (bodies, respond) = (
        plugin("bodies", &fixture("bodies")),
        plugin("respond", &fixture("respond")),
    );
    let pace = Pace::with_config(&format!(
        "{ONE_WORKER}{bodies}{respond}\n[[pools]]\nname = 'web'\nbackends = ['{}']\n\n\
         [[routes]]\npool = 'web'\nplugins = ['bodies', 'respond']\n",
        backend.label()
    ));
    let answer = pace
        .client()
        .send(&Request::get("/respond").header("x-response-body", "replace made"));
    assert_eq!((answer.status, answer.text()), (418, "made"));
}

#[test]
fn reply_that_cannot_be_shown_fails_those_that_remain_and_no_others() {
    let model = "m".repeat(3000);
    let backend = HttpBackend::new({
        let model = model.clone();
        move |_| Answer::new(format!(r#"{{"model": "{model}"}}"#))
    });
    let [before, replying] = ["before", "replying"].map(|name| plugin(name, &fixture("bodies")));
    let pace = Pace::with_config(&format!(
        "{ONE_WORKER}{before}on_failure = 'open'\nlimits = {{ read_body_kb = 2 }}\n{replying}\n\
         [[pools]]\nname = 'web'\nbackends = ['{}']\n\n\
         [[routes]]\npool = 'web'\nplugins = ['before', 'replying']\n",
        backend.label()
    ));
    let request = Request::get("/").header("x-response-body", "model");
    let answer = pace.client().send(&request);
    assert_eq!((answer.status, answer.text()), (200, &*model));
    let failures = |name: &str| {
        let labels = [("plugin", name), ("reason", "body-too-large")];
        pace.metrics().sum("pace_plugin_failures_total", &labels)
    };
    assert_eq!((failures("before"), failures("replying")), (1, 0));
}

#[test]
fn failing_body_filter_answers_as_a_failing_plugin_does() {
    let backend = echo();
    let pace = start(&backend.label(), "");
    let mut client = pace.client();
    for order in ["x-request-body", "x-response-body"] {
        let answer = client.send(&Request::post("/", "a").header(order, "trap"));
        assert_eq!((answer.status, answer.text()), (503, "a plugin failed\n"));
    }
    assert_eq!(client.send(&Request::post("/", "a")).text(), "a");
}

#[test]
fn messages_of_http2_are_shown_whole_and_keep_their_trailers() {
    let backend = Http2Backend::new(|call| {
        let body = call.body()?;
        let trailers = call.trailers()?;
        let sum = trailers.get("x-sum").unwrap_or("-").to_owned();
        let digest = trailers.get("repr-digest").map_or("none", |_| "one");
        call.respond(200, &[("trailer", "x-end")], false)?;
        call.write(&body, false)?;
        call.finish(&[
            ("x-end", &format!("{sum} {digest}")),
            ("repr-digest", "sha-256=:AAAA:"),
        ])
    });
    let bodies = plugin("bodies", &fixture("bodies"));
    let pace = Pace::with_config(&format!(
        "{ONE_WORKER}{bodies}\n\
         [[pools]]\nname = 'web'\nbackends = ['{}']\nprotocol = 'h2'\n\n\
         [[routes]]\npool = 'web'\nplugins = ['bodies']\n",
        backend.label()
    ));
    let mut client = Http2::connect(pace.address());
    for (order, body, digests) in [
        ("look", "hello", ["one", "yes"]),
        ("append , world", "hello, world", ["none", "no"]),
    ] {
        let request = Request::post("/", "").header("x-request-body", order).header(
            "x-response-body",
            if order == "look" { "look" } else { "append !" },
        );
        let mut stream = client.open(&request, false).expect("the connection is open");
        stream.write(b"hel", false).expect("there is room");
        stream.write(b"lo", false).expect("there is room");
        let trailers = [("x-sum", "5"), ("repr-digest", "sha-256=:AAAA:")];
        stream.trailers(&trailers).expect("the stream is open");
        let answer = stream.response().expect("it is answered");
        let expected = if order == "look" {
            body.to_owned()
        } else {
            format!("{body}!")
        };
        assert_eq!((answer.status, answer.text()), (200, &*expected));
        assert_eq!(answer.trailers.get("x-end"), Some(&*format!("5 {}", digests[0])));
        assert_eq!(answer.trailers.get("repr-digest").is_some(), digests[1] == "yes");
        assert_eq!(
            answer.header("x-response-saw"),
            Some(&*format!("{} {body}", body.len()))
        );
    }
    // Nothing is left of a body that was longer than it said.
    let short = client.send(&Request::post("/", "a").header("x-request-body", "replace longer than before"));
    assert_eq!(short.text(), "longer than before");
}
