//! Requests that are refused on HTTP/1.1 are refused on HTTP/2.

use pace_tests::{Frame, Gate, HttpBackend, Request, Scripted, block, flag, kind};

use super::{Both, OK, PROTOCOL_ERROR, REFUSED_STREAM};

#[test]
fn requests_are_refused_with_the_status_of_http_1() {
    let backend = HttpBackend::named("one");
    let both = Both::with(&backend.label(), "underscores = \"refuse\"", "");
    let many: Vec<_> = (0..129).map(|_| ("x-many", "1")).collect();
    let mut frames = both.frames();
    for (at, (method, path, fields, status)) in [
        ("GET", "/a%2fb", &[][..], 400),
        ("GET", "/a%00b", &[], 400),
        ("GET", "/a%zz", &[], 400),
        ("GET", "/a\\b", &[], 400),
        ("GET", "*", &[], 400),
        ("TRACE", "/", &[], 501),
        ("GET", "/", &[("x_y", "1")], 400),
        ("GET", "/", &many, 431),
        ("GET", "/a%41", &[], 200),
        ("GET", "/a/./b", &[], 200),
        ("PURGE", "/", &[], 200),
    ]
    .into_iter()
    .enumerate()
    {
        let stream = 2 * at as u32 + 1;
        frames.send(&[Frame::request(stream, flag::END_STREAM, method, path, fields)]);
        let head = frames.wait_for(kind::HEADERS, stream);

        let fields = fields.iter();
        let lines: String = fields
            .map(|(name, value)| format!("{name}: {value}\r\n"))
            .collect();
        let mut client = both.pace.client();
        let first = client.exchange(format!("{method} {path} HTTP/1.1\r\nHost: a\r\n{lines}\r\n"));
        assert_eq!(
            (first.status, head.status()),
            (status, Some(status)),
            "{method} {path}"
        );
    }
    let refused = both.pace.metrics().sum("pace_requests_refused_total", &[]);
    assert_eq!(refused, 2 * 8, "each is counted");
}

/// A fragment stays with the client (RFC 9110, section 4.2.5), and is no part of the target that a backend gets.
#[test]
fn fragment_does_not_reach_the_backend() {
    let backend = HttpBackend::named("one");
    let both = Both::before(&backend.label());
    let mut frames = both.frames();
    frames.send(&[Frame::get(1, "/a#b")]);
    frames.wait_for(kind::HEADERS, 1);
    for request in backend.requests() {
        assert_eq!(request.target, "/a");
    }
}

/// Such a head ends its stream, or the connection (RFC 9113, section 8.1.1).
#[test]
fn malformed_heads_are_refused() {
    let backend = HttpBackend::named("one");
    let both = Both::before(&backend.label());
    let good = [
        (":method", "GET"),
        (":scheme", "http"),
        (":path", "/"),
        (":authority", "a"),
    ];
    let with = |more: &[(&'static str, &'static str)]| [&good[..], more].concat();
    let heads = [
        with(&[("connection", "close")]),
        with(&[("connection", "x-hop")]),
        with(&[("keep-alive", "timeout=5")]),
        with(&[("proxy-connection", "close")]),
        with(&[("transfer-encoding", "chunked")]),
        with(&[("upgrade", "websocket")]),
        with(&[("te", "gzip")]),
        with(&[("X-Upper", "1")]),
        with(&[(":path", "/again")]),
        with(&[(":status", "200")]),
        with(&[(":unknown", "1")]),
        with(&[("x-before", "1"), (":method", "GET")]),
        with(&[("x a", "1")]),
        with(&[("x", "a\nb")]),
        with(&[("content-length", "1")]),
        with(&[("content-length", "x")]),
        vec![(":method", "G@T"), good[1], good[2], good[3]],
        good[1..].to_vec(),
        vec![good[0], good[2], good[3]],
        vec![good[0], good[1], good[3]],
        vec![good[0], good[1], (":path", ""), good[3]],
        vec![(":method", "CONNECT"), (":authority", "a:1")],
        vec![
            (":method", "CONNECT"),
            (":protocol", "websocket"),
            good[1],
            good[2],
            good[3],
        ],
    ];
    let (mut resets, mut ends) = (0, 0);
    for fields in &heads {
        let mut frames = both.frames();
        let flags = flag::END_HEADERS | flag::END_STREAM;
        frames.send(&[Frame::new(kind::HEADERS, flags, 1, block(fields))]);
        let answer = loop {
            let frame = frames.read().unwrap_or_else(|| panic!("{fields:?}"));
            if frame.stream == 1 || frame.kind == kind::GOAWAY {
                break frame;
            }
        };
        let is_refused = match answer.kind {
            kind::RST_STREAM | kind::GOAWAY => answer.error() == Some(PROTOCOL_ERROR),
            kind::HEADERS => matches!(answer.status(), Some(400 | 501)),
            _ => false,
        };
        assert!(is_refused, "{fields:?}: {answer:?}");
        resets += u64::from(answer.kind == kind::RST_STREAM);
        ends += u64::from(answer.kind == kind::GOAWAY);
        // Names that are no tokens cannot be unpacked, and end the connection.
        if answer.kind != kind::GOAWAY {
            frames.send(&[Frame::get(3, "/")]);
            assert_eq!(
                frames.wait_for(kind::HEADERS, 3).status(),
                Some(200),
                "{fields:?}"
            );
        }
    }
    assert!(resets > 10 && ends > 0, "{resets} resets, {ends} ends");
    let reason = [("reason", "malformed-head")];
    both.pace
        .wait_for_metric("pace_requests_refused_total", &reason, resets);
    let status = [("method", "other"), ("status", "400")];
    both.pace
        .wait_for_metric("http_requests_duration_seconds_count", &status, resets);
    let line = both
        .pace
        .wait_for_log(&["client=127.0.0.1 ", " status=400 ", " refused=malformed-head "]);
    assert!(
        line.contains(" attempts=0") && !line.contains("backend="),
        "{line}"
    );
    let reason = [("reason", "protocol_error")];
    both.pace
        .wait_for_metric("pace_http2_connection_errors_total", &reason, ends);
    both.pace
        .wait_for_log(&["INFO", "HTTP/2 with 127.0.0.1 ended: protocol_error"]);
    assert!(
        backend
            .requests()
            .iter()
            .all(|request| request.headers.get("x-upper").is_none())
    );
    assert!(backend.requests().len() <= heads.len());
}

#[test]
fn body_of_another_length_than_declared_is_an_error_of_its_stream() {
    let backend = HttpBackend::named("one");
    let both = Both::before(&backend.label());
    for body in ["ab", "abcd"] {
        let mut frames = both.frames();
        frames.send(&[
            Frame::request(1, flag::NONE, "POST", "/", &[("content-length", "3")]),
            Frame::data(1, flag::END_STREAM, body),
        ]);
        let reset = frames.wait_for(kind::RST_STREAM, 1);
        assert_eq!(reset.error(), Some(PROTOCOL_ERROR), "{body}");
        frames.send(&[Frame::get(3, "/")]);
        assert_eq!(frames.wait_for(kind::HEADERS, 3).status(), Some(200));
    }
    let requests = backend.requests();
    assert!(
        requests.iter().all(|request| request.method == "GET"),
        "{requests:#?}"
    );
    let reason = [("reason", "malformed-head")];
    let refused = both.pace.metrics().sum("pace_requests_refused_total", &reason);
    assert_eq!(refused, 0, "they were requests");
}

/// As many bytes of a head as HTTP/1.1 would have for it.
fn length_by_http_1(path: &str, fields: &[(&str, &str)]) -> usize {
    let lines: usize = fields
        .iter()
        .map(|(name, value)| name.len() + value.len() + 4)
        .sum();
    format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").len() + lines
}

#[test]
fn head_may_be_as_large_as_the_configuration_says_and_no_larger() {
    let backend = Scripted::new(|line| {
        while line.head()?.is_some() {
            line.write(OK)?;
        }
        Ok(())
    });
    for (server, kb) in [("", 64), ("max_head_kb = 2", 2), ("max_head_kb = 200", 200)] {
        let both = Both::with(&backend.label(), server, "");
        let most = kb << 10;
        let mut refused = 0;
        for (most, status) in [(most, 200), (most + 1, 431)] {
            // One long field, and as many short ones as there may be: each counts for more in HTTP/2.
            for count in [1, 127] {
                let mut fields = vec![("x-short", ""); count - 1];
                let room = most - length_by_http_1("/", &fields) - "x-long: \r\n".len();
                let long = "x".repeat(room);
                fields.push(("x-long", long.as_str()));
                assert_eq!(length_by_http_1("/", &fields), most);
                let answered = request(&both, "/", &fields);
                assert_eq!(answered, status, "{count} fields, {most} bytes with {server:?}");
                refused += u64::from(status == 431);
            }
        }
        // A path of more than 64 KiB is one that nothing can be told of.
        let path = "/".to_owned() + &"x".repeat(most.min(65_530));
        assert_eq!(
            request(&both, &path, &[]),
            if kb > 64 { 200 } else { 414 },
            "{server:?}"
        );
        // Larger than clients are told that it may be.
        let (long, more) = ("x".repeat(most), "x".repeat(8 << 10));
        let fields = [("x-long", long.as_str()), ("x-more", more.as_str())];
        assert_eq!(request(&both, "/", &fields), 431, "{server:?}");
        let reason = [("reason", "head-too-large")];
        both.pace
            .wait_for_metric("pace_requests_refused_total", &reason, refused + 1);
        both.pace
            .wait_for_log(&["client=127.0.0.1 ", " status=431 ", " refused=head-too-large "]);
        let reason = [("reason", "malformed-head")];
        assert_eq!(both.pace.metrics().sum("pace_requests_refused_total", &reason), 0);
    }
}

/// Sends a GET with these fields, in frames as large as they may be. Returns its status.
fn request(both: &Both, path: &str, fields: &[(&str, &str)]) -> u16 {
    let all = [
        (":method", "GET"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "a"),
    ];
    let block = block(&[&all[..], fields].concat());
    let mut frames = both.frames();
    let pieces: Vec<_> = block.chunks(16 << 10).collect();
    let last = pieces.len() - 1;
    let all = pieces.into_iter().enumerate().map(|(at, piece)| {
        let kind = if at == 0 {
            kind::HEADERS
        } else {
            kind::CONTINUATION
        };
        let first = if at == 0 { flag::END_STREAM } else { flag::NONE };
        let flags = first | if at == last { flag::END_HEADERS } else { flag::NONE };
        Frame::new(kind, flags, 1, piece)
    });
    frames.send(&all.collect::<Vec<_>>());
    frames.wait_for(kind::HEADERS, 1).status().expect("it has one")
}

/// A client that has been told how many there may be is not answered, and may try again.
#[test]
fn request_too_many_at_once_is_refused_and_counted() {
    let gate = Gate::new();
    let backend = HttpBackend::behind(&gate, "one");
    let both = Both::with(&backend.label(), "", "idle_connections = 1");
    let mut frames = both.frames();
    // Those from the 101st on are refused once the client has acknowledged the settings.
    frames.send(&[Frame::new(kind::SETTINGS, flag::ACK, 0, "")]);
    let all: Vec<_> = (0..102).map(|nth| Frame::get(2 * nth + 1, "/")).collect();
    frames.send(&all);
    for stream in [201, 203] {
        let reset = frames.wait_for(kind::RST_STREAM, stream);
        assert_eq!(reset.error(), Some(REFUSED_STREAM));
    }
    let reason = [("reason", "too-many-streams")];
    both.pace
        .wait_for_metric("pace_requests_refused_total", &reason, 2);
    both.pace
        .wait_for_log(&["client=127.0.0.1 ", " status=503 ", " refused=too-many-streams "]);
    gate.open();
    for stream in [1, 199] {
        assert_eq!(frames.wait_for(kind::HEADERS, stream).status(), Some(200));
    }
}

/// Each frame is an error of the connection (RFC 9113, sections 4 to 6), which is told so.
#[test]
fn frames_out_of_place_end_the_connection() {
    let backend = HttpBackend::named("one");
    let both = Both::before(&backend.label());
    for frames in [
        vec![Frame::get(2, "/")],
        vec![Frame::data(1, flag::END_STREAM, "x")],
        vec![Frame::get(5, "/"), Frame::get(3, "/")],
        vec![Frame::new(kind::PING, flag::NONE, 0, "short")],
        vec![Frame::new(kind::SETTINGS, flag::NONE, 0, "short")],
        vec![Frame::new(kind::SETTINGS, flag::NONE, 1, "")],
        vec![Frame::new(kind::CONTINUATION, flag::END_HEADERS, 1, "")],
        vec![Frame::new(kind::PUSH_PROMISE, flag::END_HEADERS, 1, [0, 0, 0, 2])],
        vec![Frame::new(kind::RST_STREAM, flag::NONE, 0, [0; 4])],
        vec![Frame::window(0, 0)],
        vec![Frame::window(0, 0x7fff_ffff)],
        vec![Frame::data(0, flag::NONE, "x")],
        vec![Frame::new(kind::HEADERS, flag::END_HEADERS, 1, [0xff; 20])],
        vec![Frame::new(kind::HEADERS, flag::END_HEADERS, 1, [0x80])],
        vec![Frame::new(kind::DATA, flag::NONE, 1, vec![0; 20_000])],
    ] {
        let mut client = both.frames();
        // The other side may have closed already.
        let _ = client.try_send(&frames);
        let rest = client.rest();
        let goaway = rest.iter().find(|frame| frame.kind == kind::GOAWAY);
        let error = goaway.and_then(Frame::error);
        assert!(error.is_some_and(|error| error != 0), "{frames:?}: {rest:?}");
    }
    both.wait_until_closed();
    let mut client = both.plain();
    assert_eq!(client.send(&Request::get("/")).status, 200);
}
