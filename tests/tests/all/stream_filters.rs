//! Messages that plugins filter while they pass.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use pace_tests::{Answer, Gate, Http2, HttpBackend, Pace, Request, Scripted, fixture, wait_until};
use socket2::SockRef;

use crate::sections::{ONE_WORKER, plugin};

/// Starts Pace with the fixture on its only route, before this backend.
fn start(backend: &str, keys: &str, config: &str) -> Pace {
    let words = plugin("stream-words", &fixture("stream-words"));
    let respond = plugin("respond", &fixture("respond"));
    Pace::with_config(&format!(
        "{ONE_WORKER}{respond}\n{words}{keys}\nconfig = {{ {config} }}\n\n\
         [[pools]]\nname = 'web'\nbackends = ['{backend}']\nresponse_timeout_ms = 2000\n\n\
         [[routes]]\npool = 'web'\nplugins = ['respond', 'stream-words']\n"
    ))
}

const LINES: &str = "of = 'response', framing = 'line'";
const EVENTS: &str = "of = 'response', framing = 'event'";

/// A backend that answers with the query, in which `+` ends a line, in chunks of three bytes.
fn saying() -> HttpBackend {
    HttpBackend::new(|request| {
        let body = said(&request.target);
        let chunks: Vec<Vec<u8>> = body.as_bytes().chunks(3).map(<[u8]>::to_vec).collect();
        Answer::chunks(chunks).header("ETag", "\"strong\"")
    })
}

/// A backend that sends the words with the head, or the first line and, once the gate is open, the rest of them.
fn pausing(gate: &Gate) -> HttpBackend {
    let gate = gate.clone();
    HttpBackend::new(move |request| {
        let words = said(&request.target);
        match words.split_once('\n') {
            Some((first, rest)) if request.target.starts_with("/pause?") => {
                Answer::halves(format!("{first}\n"), &gate, rest)
            }
            _ => Answer::new(words),
        }
    })
}

/// Asks for a response that breaks off before anything of it has been sent, so that it is refused.
fn refused(pace: &Pace, words: &str) {
    assert_eq!(pace.get(&format!("/?{words}")).status, 502, "{words}");
}

/// Asks for a response that breaks off behind its first line.
fn broken_off(pace: &Pace, gate: &Gate, words: &str) {
    gate.close();
    let mut client = pace.client();
    let request = Request::get(&format!("/pause?one+{words}"));
    client.transmit(&request).expect("Pace listens");
    let head = client.read_head("GET").expect("there is a head");
    assert_eq!(head.status, 200, "{words}");
    let mut seen = Vec::new();
    let end = client.read_body(&head, |piece| {
        seen.extend_from_slice(piece);
        gate.open();
    });
    assert!(end.is_err(), "{words}: the response is complete");
    assert_eq!(String::from_utf8_lossy(&seen), "one(1)\n", "{words}");
}

fn said(target: &str) -> String {
    let (_, words) = target.split_once('?').unwrap_or_default();
    words.replace('+', "\n")
}

#[test]
fn lines_are_changed_dropped_and_added_however_they_were_cut() {
    let backend = saying();
    let pace = start(&backend.label(), "", LINES);
    let mut client = pace.client();
    let answer = client.get("/?one+drop+two");
    assert_eq!(answer.text(), "one(1)\ntwo(3)\ncomplete after 3\n");
    assert_eq!(answer.header("etag"), Some("W/\"strong\""));
    assert_eq!(answer.header("content-length"), None);
    // The rest passes after `finish`, and nothing is wanted after `stop`.
    assert_eq!(
        client.get("/?one+finish+two+").text(),
        "one(1)\nfinish\ntwo\ncomplete after 2\n"
    );
    assert_eq!(
        client.get("/?one+stop+two+").text(),
        "one(1)\nstop\ncomplete after 2\n"
    );
    assert_eq!(client.get("/?").text(), "complete after 0\n");
    assert_eq!(client.get("/?one").text(), "one(1)\ncomplete after 1\n");
}

#[test]
fn message_that_is_looked_at_is_sent_as_it_came() {
    let body = zstd::encode_all(&b"one\ntwo\n"[..], 3).expect("it is memory");
    let copy = body.clone();
    let backend = HttpBackend::new(move |request| match request.target.as_str() {
        "/encoded" => Answer::new(copy.clone()).header("Content-Encoding", "zstd"),
        "/chunked" => Answer::chunks(["on", "e\ntwo", "\n"].map(Vec::from)),
        _ => Answer::new("one\ntwo\n"),
    });
    let pace = start(
        &backend.label(),
        "",
        "of = 'response', framing = 'line', look = true",
    );
    let mut client = pace.client();
    assert_eq!(client.get("/chunked").text(), "one\ntwo\n");
    let answer = client.get("/");
    assert_eq!(
        (answer.text(), answer.header("content-length")),
        ("one\ntwo\n", Some("8"))
    );
    let answer = client.get("/encoded");
    assert_eq!(answer.body, body);
    assert_eq!(answer.header("content-encoding"), Some("zstd"));
    // The client has all of the message before the filter is told that it is over.
    wait_until("the ends of all messages", || {
        pace.log().matches("complete after 2").count() == 3
    });
    assert!(pace.log().contains("refused: ReadOnly"), "{}", pace.log());
}

#[test]
fn encoded_message_that_is_edited_is_sent_decoded() {
    let body = zstd::encode_all(&b"one\ntwo\n"[..], 3).expect("it is memory");
    let backend = HttpBackend::new(move |request| match request.target.as_str() {
        "/unknown" => Answer::new("one").header("Content-Encoding", "rot13"),
        _ => Answer::new(body.clone()).header("Content-Encoding", "zstd"),
    });
    let pace = start(&backend.label(), "", LINES);
    let answer = pace.get("/");
    assert_eq!(answer.text(), "one(1)\ntwo(2)\ncomplete after 2\n");
    assert_eq!(answer.header("content-encoding"), None);
    assert_eq!(pace.get("/unknown").status, 502);
    pace.wait_for_log(&["body-encoding"]);
    let pace = start(&backend.label(), "on_failure = 'open'", LINES);
    assert_eq!(pace.get("/unknown").text(), "one");
}

#[test]
fn events_pass_as_they_were_but_for_their_changes() {
    let backend = HttpBackend::new(|_| {
        Answer::chunks([
            b": hello\n\nda".to_vec(),
            b"ta: {\"a\": 1}\r\nid: 7\r\n\r\nevent: x\ndata: type\n\ndata: cut short".to_vec(),
        ])
        .header("Content-Type", "text/event-stream")
    });
    let pace = start(&backend.label(), "", EVENTS);
    let text = pace.get("/").text().to_owned();
    assert!(text.starts_with(": hello\n\n"), "{text}");
    assert!(text.contains("{\"a\": 1}(1)") && text.contains("id: 7"), "{text}");
    assert!(
        text.contains("event: other") && !text.contains("event: x"),
        "{text}"
    );
    assert!(!text.contains("cut short"), "{text}");
    assert!(text.ends_with("data: complete after 2\n\n"), "{text}");
}

#[test]
fn units_without_a_string_of_interest_pass_unseen() {
    let backend = HttpBackend::new(|_| Answer::chunks([b"<p></bo".to_vec(), b"dy></p>".to_vec()]));
    let pace = start(
        &backend.label(),
        "",
        "of = 'response', framing = 'chunk', interest = ['</body>']",
    );
    assert_eq!(pace.get("/").text(), "<p></body></p>(1)complete after 1");
    let backend = saying();
    let pace = start(
        &backend.label(),
        "",
        "of = 'response', framing = 'line', interest = ['x']",
    );
    assert_eq!(pace.get("/?a+b+x+c+").text(), "a\nb\nx(1)\nc\ncomplete after 1\n");
}

#[test]
fn unit_is_sent_before_the_next_has_come() {
    let gate = Gate::new();
    let opens = gate.clone();
    let backend = HttpBackend::new(move |_| Answer::halves("one\n", &gate, "two\n"));
    let pace = start(&backend.label(), "", LINES);
    let mut client = pace.client();
    client.transmit(&Request::get("/")).expect("Pace takes it");
    let head = client.read_head("GET").expect("Pace answers");
    let mut seen = Vec::new();
    client
        .read_body(&head, |bytes| {
            seen.extend_from_slice(bytes);
            if seen == b"one(1)\n" {
                opens.open();
            }
        })
        .expect("the body ends");
    assert_eq!(
        String::from_utf8_lossy(&seen),
        "one(1)\ntwo(2)\ncomplete after 2\n"
    );
}

#[test]
fn message_that_is_cut_breaks_off_and_is_refused_before_its_first_byte() {
    let gate = Gate::new();
    let backend = pausing(&gate);
    let pace = start(&backend.label(), "", LINES);
    refused(&pace, "cut+two");
    broken_off(&pace, &gate, "cut+two");
    pace.wait_for_log(&["cut after 2"]);
    assert_eq!(pace.get("/?one").text(), "one(1)\ncomplete after 1\n");
    // HTTP/2 ends the stream, and the connection goes on.
    let mut client = Http2::connect(pace.address());
    gate.open();
    assert!(client.try_send(&Request::get("/pause?one+cut+two")).is_err());
    assert_eq!(client.get("/?one").text(), "one(1)\ncomplete after 1\n");
}

/// The plugin with which events are measured.
#[test]
fn events_that_are_looked_at_go_on_as_they_came() {
    let events = "data: one\n\n: none\n\ndata: two\n\n";
    let backend = HttpBackend::new(move |_| Answer::new(events));
    for (interest, calls) in [("[]", 4), ("['two']", 3), ("['three']", 2)] {
        let reader = plugin("reader", &fixture("event-reader"));
        let pace = Pace::with_config(&format!(
            "{ONE_WORKER}{reader}config = {{ interest = {interest} }}\n\n\
             [[pools]]\nname = 'web'\nbackends = ['{}']\n\n[[routes]]\npool = 'web'\nplugins = ['reader']\n",
            backend.label()
        ));
        assert_eq!(pace.get("/").text(), events, "{interest}");
        // Of `open`, of `next` for each event that is shown, and of `end`.
        let hook = [("hook", "response-stream-filter")];
        pace.wait_for_metric("pace_plugin_calls_total", &hook, calls);
    }
}

/// A write for each line of a long text would take far more of the processor than the filter does.
#[test]
fn units_that_come_together_are_sent_together() {
    const UNITS: usize = 2000;
    let backend = HttpBackend::new(|_| Answer::new("line\n".repeat(UNITS)));
    let pace = start(&backend.label(), "", LINES);
    let mut client = pace.client();
    client.write("GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n");
    let answer = String::from_utf8(client.read_to_end()).expect("it is a text");
    assert_eq!(answer.matches("line(").count(), UNITS);
    // The lines of the body end with LF alone, those of its chunks with CRLF, one before and one behind the bytes. A filter that
    // takes long is interrupted, so there may be several chunks.
    let (_, body) = answer.split_once("\r\n\r\n").expect("there is a head");
    let chunks = body.matches("\r\n").count() / 2;
    assert!(chunks < UNITS / 10, "{chunks}");
}

/// What a filter has passed is sent, also if it comes together with what is cut, and the break is a reset.
#[test]
fn units_before_a_cut_arrive() {
    let gate = Gate::new();
    let backend = pausing(&gate);
    gate.close();
    let pace = start(&backend.label(), "", LINES);
    let request = Request::get("/pause?one+two+three+cut+four");
    let passed = "one(1)\ntwo(2)\nthree(3)\n";

    let mut client = Http2::connect(pace.address());
    let mut response = client.open(&request, true).and_then(|mut sent| sent.flowing());
    let response = response.as_mut().expect("it begins with a line");
    let mut seen = Vec::new();
    let end = loop {
        match response.read() {
            Ok(Some(piece)) => seen.extend_from_slice(&piece),
            other => break other,
        }
        gate.open();
    };
    assert!(end.is_err(), "the response is complete");
    assert_eq!(String::from_utf8_lossy(&seen), passed);

    // The end of the connection would be that of the body.
    gate.close();
    let mut client = pace.client();
    client.write(format!("GET {} HTTP/1.0\r\n\r\n", request.target));
    let head = client.read_head("GET").expect("there is a head");
    let mut seen = Vec::new();
    let end = client.read_body(&head, |piece| {
        seen.extend_from_slice(piece);
        gate.open();
    });
    assert!(end.is_err(), "the response is complete");
    assert_eq!(String::from_utf8_lossy(&seen), passed);
}

#[test]
fn filter_that_fails_breaks_the_message_off_or_lets_it_pass() {
    let gate = Gate::new();
    let backend = pausing(&gate);
    for (word, reason) in [("panic", "trap"), ("loop", "deadline")] {
        let pace = start(&backend.label(), "", LINES);
        refused(&pace, &format!("{word}+two"));
        broken_off(&pace, &gate, &format!("{word}+two"));
        pace.wait_for_log(&["failed in response-stream-filter on route", reason]);
        assert_eq!(pace.get("/?one").text(), "one(1)\ncomplete after 1\n");
        let pace = start(&backend.label(), "on_failure = 'open'", LINES);
        let answer = pace.get(&format!("/?one+{word}+two+drop"));
        assert_eq!(answer.text(), format!("one(1)\n{word}\ntwo\ndrop"));
    }
}

#[test]
fn line_beyond_the_limit_fails_the_filter() {
    let gate = Gate::new();
    let backend = pausing(&gate);
    let long = "x".repeat(1500);
    let limits = "limits = { unit_kb = 1 }\n";
    let pace = start(&backend.label(), limits, LINES);
    refused(&pace, &long);
    broken_off(&pace, &gate, &long);
    pace.wait_for_log(&["unit-too-large"]);
    let pace = start(&backend.label(), &format!("{limits}on_failure = 'open'"), LINES);
    assert_eq!(
        pace.get(&format!("/?one+{long}+two")).text(),
        format!("one(1)\n{long}\ntwo")
    );
    // Neither can a filter make one.
    let config = format!("{LINES}, size = 1025");
    let pace = start(&backend.label(), limits, &config);
    assert_eq!(pace.get("/?grow").text(), "grow\ncomplete after 1\n");
    pace.wait_for_log(&["refused: TooLarge"]);
}

#[test]
fn messages_beyond_the_limit_are_not_filtered() {
    let gate = Gate::new();
    let opens = gate.clone();
    let backend = HttpBackend::new(move |request| match request.target.as_str() {
        "/slow" => Answer::halves("one\n", &gate, "two\n"),
        _ => Answer::chunks(["one\n", "two\n"].map(Vec::from)),
    });
    for isolation in ["worker", "request"] {
        opens.close();
        let keys = format!("limits = {{ streams = 1 }}\nisolation = '{isolation}'\n");
        let pace = start(&backend.label(), &keys, LINES);
        let mut slow = pace.client();
        slow.transmit(&Request::get("/slow")).expect("Pace takes it");
        let head = slow.read_head("GET").expect("Pace answers");
        assert_eq!(pace.get("/quick").status, 502);
        pace.wait_for_log(&["too-many-streams"]);
        opens.open();
        let mut seen = Vec::new();
        slow.read_body(&head, |bytes| seen.extend_from_slice(bytes))
            .expect("the body ends");
        assert_eq!(
            String::from_utf8_lossy(&seen),
            "one(1)\ntwo(2)\ncomplete after 2\n"
        );
        assert_eq!(pace.get("/quick").text(), "one(1)\ntwo(2)\ncomplete after 2\n");
    }
}

#[test]
fn filter_is_told_how_the_message_ended() {
    let backend = Scripted::new(|line| {
        line.head()?;
        line.write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\none\ntwo\n")?;
        line.finish()
    });
    let pace = start(&backend.label(), "", LINES);
    assert!(pace.client().try_send(&Request::get("/")).is_err());
    pace.wait_for_log(&["backend-failed after 2"]);

    let gate = Gate::new();
    let backend = HttpBackend::new(move |_| Answer::halves("one\n", &gate, ""));
    let pace = start(&backend.label(), "", LINES);
    let mut client = TcpStream::connect(pace.address()).expect("Pace listens");
    client
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .expect("Pace reads");
    // The head may come before the first unit has been shown.
    let mut came = Vec::new();
    while !came.ends_with(b"one(1)\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte).expect("Pace answers");
        came.extend(byte);
    }
    let reset = SockRef::from(&client).set_linger(Some(Duration::ZERO));
    reset.expect("it is a socket");
    drop(client);
    pace.wait_for_log(&["client-gone after 1"]);
}

#[test]
fn bodiless_response_is_not_filtered() {
    let backend = HttpBackend::new(|request| match request.target.as_str() {
        "/nothing" => Answer::status(204),
        _ => Answer::new("one"),
    });
    let pace = start(&backend.label(), "", LINES);
    let mut client = pace.client();
    assert_eq!(client.get("/nothing").status, 204);
    let head = client.send(&Request::new("HEAD", "/"));
    // The length would be that of a body which the filter may change.
    assert_eq!((head.status, head.header("content-length")), (200, None));
    assert_eq!(client.get("/").text(), "one(1)\ncomplete after 1\n");
}

#[test]
fn request_is_filtered_on_its_way_to_the_backend() {
    let backend = HttpBackend::new(|request| Answer::new(request.body.clone()));
    let pace = start(&backend.label(), "", "of = 'request', framing = 'line'");
    let mut client = pace.client();
    for chunked in [false, true] {
        let mut request = Request::post("/", "one\ndrop\ntwo").header("Content-Digest", "sha-256=:AAAA:");
        if chunked {
            request = request.header("Transfer-Encoding", "chunked");
        }
        assert_eq!(client.send(&request).text(), "one(1)\ntwo(3)\ncomplete after 3\n");
        let requests = backend.requests();
        let seen = requests.last().expect("it has come");
        assert_eq!(seen.headers.get("content-digest"), None);
        assert_eq!(seen.headers.get("content-length"), None);
    }
    assert_eq!(client.get("/").text(), "");
    for word in ["cut", "panic"] {
        let answer = pace.client().send(&Request::post("/", format!("one\n{word}\n")));
        assert_eq!(answer.status, 503, "{word}");
    }
    assert_eq!(
        client.send(&Request::post("/", "one\n")).text(),
        "one(1)\ncomplete after 1\n"
    );
}

#[test]
fn request_that_is_sent_again_is_filtered_once() {
    let deaf = Scripted::new(|line| {
        line.head()?;
        line.bytes(5).map(drop)
    });
    let backend = HttpBackend::new(|request| Answer::new(request.body.clone()));
    let labels = format!("{}', '{}", deaf.label(), backend.label());
    let pace = start(&labels, "", "of = 'request', framing = 'line'");
    let mut client = pace.client();
    for _ in 0..4 {
        let answer = client.send(&Request {
            method: "PUT".to_owned(),
            ..Request::post("/", "one\ntwo\n")
        });
        assert_eq!(answer.text(), "one(1)\ntwo(2)\ncomplete after 2\n");
    }
    assert!(!deaf.received().is_empty(), "it got the first attempt of some");
    wait_until("the end of each request", || {
        pace.log().matches("complete after 2").count() >= 4
    });
    assert_eq!(
        pace.log().matches("complete after 2").count(),
        4,
        "{}",
        pace.log()
    );
}

/// A filter that only looks at the decoded form of a message cuts what is sent all the same: its reader must not have all of it.
#[test]
fn encoded_message_that_is_cut_at_its_end_is_not_complete() {
    let body = zstd::encode_all(&b"one\ncut"[..], 3).expect("it is memory");
    let length = body.len();
    let (tell, told) = std::sync::mpsc::channel();
    let backend = Scripted::new(move |line| {
        line.head()?;
        let mut came = 0;
        while line.bytes(1).is_ok() {
            came += 1;
        }
        let _ = tell.send(came);
        line.end()
    });
    let pace = start(
        &backend.label(),
        "",
        "of = 'request', framing = 'line', look = true",
    );
    let request = Request::post("/", body.clone()).header("Content-Encoding", "zstd");
    assert_eq!(pace.client().send(&request).status, 503);
    let came: usize = told.recv().expect("the backend has had a connection");
    assert!(came < length, "{came} of {length}");

    let backend = HttpBackend::new(move |_| Answer::new(body.clone()).header("Content-Encoding", "zstd"));
    let pace = start(
        &backend.label(),
        "",
        "of = 'response', framing = 'line', look = true",
    );
    // The first unit passes, but for it nothing of the response was sent.
    let answer = pace.get("/");
    assert_eq!(
        (answer.status, answer.text()),
        (502, "a plugin has cut the response\n")
    );
}

#[test]
fn memory_that_decoding_takes_is_part_of_that_of_bodies() {
    let backend = HttpBackend::new(|request| Answer::new(request.body.clone()));
    let words = plugin("words", &fixture("stream-words"));
    let server = ONE_WORKER.replace("workers = 1", "workers = 1\nbody_mb = 1");
    let pace = Pace::with_config(&format!(
        "{server}{words}config = {{ of = 'request', framing = 'line', look = true }}\n\n\
         [[pools]]\nname = 'web'\nbackends = ['{}']\n\n[[routes]]\npool = 'web'\nplugins = ['words']\n",
        backend.label()
    ));
    let encoded = |window| {
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).expect("it is memory");
        encoder.window_log(window).expect("it is allowed");
        encoder.write_all(b"one\n").expect("it is memory");
        encoder.flush().expect("it is memory");
        encoder.finish().expect("it is memory")
    };
    let mut client = pace.client();
    for (window, status) in [(18, 200), (23, 503), (18, 200)] {
        let request = Request::post("/", encoded(window)).header("Content-Encoding", "zstd");
        assert_eq!(client.send(&request).status, status, "{window}");
    }
    pace.wait_for_log(&["body-budget"]);
}

/// What a client sends behind a request of which the filter fails is the next request, and nothing is put before it.
#[test]
fn message_whose_filter_fails_keeps_its_length() {
    let backend = HttpBackend::new(|request| Answer::new(request.body.clone()));
    let config = "of = 'request', framing = 'event', look = true";
    let pace = start(&backend.label(), "on_failure = 'open'", config);
    let mut client = pace.client();
    for _ in 0..2 {
        let body = "data: panic\n\n\u{feff}rest";
        assert_eq!(client.send(&Request::post("/first", body)).text(), body);
        assert_eq!(client.get("/second").status, 200);
    }
    let targets: Vec<_> = backend
        .requests()
        .into_iter()
        .map(|request| request.target)
        .collect();
    assert_eq!(targets, ["/first", "/second", "/first", "/second"]);
}

#[test]
fn collected_request_that_is_sent_again_is_filtered_once() {
    let failing = HttpBackend::new(|_| Answer::status(503));
    let backend = HttpBackend::new(|request| Answer::new(request.body.clone()));
    let attempts = plugin("attempts", &fixture("attempts"));
    let words = plugin("words", &fixture("stream-words"));
    let pace = Pace::with_config(&format!(
        "{ONE_WORKER}{attempts}\n{words}config = {{ of = 'request', framing = 'line' }}\n\n\
         [[pools]]\nname = 'web'\nbackends = ['{}']\nretry = {{ attempts = 2 }}\n\n\
         [[pools]]\nname = 'spare'\nbackends = ['{}']\n\n\
         [[routes]]\nplugins = ['attempts', 'words']\n\
         pools = [{{ pool = 'web', weight = 1 }}, {{ pool = 'spare', weight = 0 }}]\n",
        failing.label(),
        backend.label()
    ));
    let filtered = "one(1)\ntwo(2)\ncomplete after 2\n";
    for collect in [None, Some("yes")] {
        let mut request = Request::post("/", "one\ntwo\n")
            .header("X-Plan", "|pool=spare")
            .header("X-Judge", "503=retry");
        if let Some(collect) = collect {
            request = request.header("X-Collect", collect);
        }
        let answer = pace.client().send(&request);
        assert_eq!((answer.status, answer.text()), (200, filtered));
        let first = failing.requests().pop().expect("it has come");
        assert_eq!(first.body, filtered.as_bytes());
    }
    // A body that passes filters is no attempt's to change.
    let request = Request::post("/", "one\n").header("X-Collect", "yes");
    let answer = pace.client().send(&request.header("X-Plan", "body=changed"));
    assert_eq!(answer.text(), "body=changed: NotAvailable");
}

#[test]
fn request_whose_filter_has_added_more_than_is_kept_is_not_sent_again() {
    let deaf = Scripted::new(|line| {
        line.head()?;
        line.bytes(5).map(drop)
    });
    let backend = HttpBackend::new(|_| Answer::new("has come"));
    let words = plugin("words", &fixture("stream-words"));
    let pace = Pace::with_config(&format!(
        "{ONE_WORKER}{words}config = {{ of = 'request', framing = 'line' }}\n\n\
         [[pools]]\nname = 'web'\nbackends = ['{}', '{}']\nretry_body_kb = 0\n\n\
         [[routes]]\npool = 'web'\nplugins = ['words']\n",
        deaf.label(),
        backend.label()
    ));
    let mut statuses = [0, 0].map(|_| {
        let mut client = pace.client();
        client.write("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
        client.read("PUT").expect("there is an answer").status
    });
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 502]);
    for request in backend.requests() {
        assert_eq!(request.body, b"complete after 0\n");
    }
}

#[test]
fn filter_is_told_that_a_part_is_not_shown_to_it() {
    let backend = HttpBackend::new(|request| match request.headers.get("range") {
        Some(_) => Answer::new("he").with_status(206),
        None => Answer::new("hello"),
    });
    let pace = start(&backend.label(), "", LINES);
    let answer = pace
        .client()
        .send(&Request::get("/").header("Range", "bytes=0-1"));
    assert_eq!(answer.text(), "hello(1)\ncomplete after 1\n");
    pace.wait_for_log(&["cut after 0"]);
}

#[test]
fn reply_that_is_looked_at_needs_no_memory_for_what_is_made_of_it() {
    let backend = saying();
    let reply = plugin("reply", &fixture("large-reply"));
    let words = plugin("words", &fixture("stream-words"));
    let server = ONE_WORKER.replace("workers = 1", "workers = 1\nbody_mb = 1");
    let large = "limits = { body_kb = 8192, memory_mb = 64, time_ms = 1000 }\n";
    let look = "limits = { time_ms = 1000 }\nconfig = { of = 'response', framing = 'chunk', look = true }\n";
    let pace = Pace::with_config(&format!(
        "{server}{reply}{large}\n{words}{look}\n\
         [[pools]]\nname = 'web'\nbackends = ['{}']\n\n\
         [[routes]]\npool = 'web'\nplugins = ['words', 'reply']\n",
        backend.label()
    ));
    let answer = pace.get("/misbehave");
    assert_eq!((answer.status, answer.body.len()), (200, 8 << 20));
}

#[test]
fn reply_of_a_plugin_is_filtered_with_its_new_length() {
    let backend = saying();
    let pace = start(&backend.label(), "", LINES);
    let answer = pace.get("/respond");
    let text = "from the plugin(1)\ncomplete after 1\n";
    assert_eq!((answer.status, answer.text()), (418, text));
    assert_eq!(answer.header("content-length"), Some(&*text.len().to_string()));
}
