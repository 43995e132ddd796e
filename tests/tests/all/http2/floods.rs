//! Clients that send much at little cost: their connection ends, and no other client notices.

use std::io;
use std::time::Duration;

use pace_tests::{Frame, Frames, Gate, HttpBackend, Scripted, block, flag, kind, setting};

use super::Both;

/// The memory that a flood may add to the process, which is far below the bytes that it sends.
const ROOM: u64 = 48 << 20;

struct Flooded {
    both: Both,
    before: u64,
}

fn flooded(backend: &str, server: &str) -> Flooded {
    let both = Both::with(backend, server, "");
    // The memory that the first requests need is taken now.
    assert_eq!(both.plain().get("/calm").status, 200);
    let before = both.pace.process().resident().expect("it runs");
    Flooded { both, before }
}

impl Flooded {
    /// Sends frames, `most` times unless the other side takes no more.
    fn send(&self, mut frames: Frames, most: usize, mut next: impl FnMut(usize) -> Vec<Frame>) -> Frames {
        let socket = frames.wire().socket();
        socket
            .set_write_timeout(Some(Duration::from_secs(2)))
            .expect("it is a socket");
        // After the end of a connection, bytes that still arrive are read and dropped for a while.
        let _ = (0..most).any(|at| frames.try_send(&next(at)).is_err());
        frames
    }

    /// Checks that others are served and that the memory is bounded.
    fn unharmed(&self) {
        assert_eq!(self.both.plain().get("/calm").status, 200);
        assert_eq!(self.both.pace.client().get("/calm").status, 200);
        let after = self.both.pace.process().resident().expect("it runs");
        assert!(
            after < self.before + ROOM,
            "{} MiB, and {} before",
            after >> 20,
            self.before >> 20
        );
    }

    /// Checks that the connection is ended because of the flood, and that no other client is harmed.
    fn ended(&self, mut frames: Frames) {
        let rest = frames.rest();
        let goaway = rest.iter().find(|frame| frame.kind == kind::GOAWAY);
        let error = goaway.and_then(Frame::error);
        assert!(
            error.is_some_and(|error| error != super::NO_ERROR),
            "{} frames, {goaway:?}",
            rest.len()
        );
        self.unharmed();
        self.both.wait_until_closed();
    }
}

/// A backend that answers `/calm`, and holds everything else.
fn holding(gate: &Gate) -> HttpBackend {
    let held = gate.clone();
    HttpBackend::forgetful(move |request| {
        if request.target != "/calm" {
            held.wait();
        }
        pace_tests::Answer::new("one")
    })
}

/// CVE-2023-44487, many frames at a time and one at a time.
#[test]
fn rapid_resets_end_the_connection() {
    let backend = HttpBackend::forgetful(|_| pace_tests::Answer::new("one"));
    let flooded = flooded(&backend.label(), "");
    for at_once in [50, 1] {
        let mut stream = 1;
        let frames = flooded.send(flooded.both.frames(), 50_000 / at_once, |_| {
            let mut frames = Vec::new();
            for _ in 0..at_once {
                frames.extend([Frame::get(stream, "/"), Frame::reset(stream, 8)]);
                stream += 2;
            }
            frames
        });
        flooded.ended(frames);
    }
}

/// CVE-2025-8671: the server is made to reset the streams.
#[test]
fn streams_that_the_server_has_to_reset_end_the_connection() {
    let gate = Gate::new();
    let backend = holding(&gate);
    let flooded = flooded(&backend.label(), "");
    type Fault = fn(u32) -> Frame;
    let faults: [Fault; 3] = [
        |stream| Frame::window(stream, 0),
        |stream| Frame::window(stream, 0x7fff_ffff),
        |stream| Frame::data(stream, flag::NONE, "longer than said"),
    ];
    for fault in faults {
        let mut stream = 1;
        let frames = flooded.send(flooded.both.frames(), 20_000, |_| {
            let length = [("content-length", "1")];
            let head = Frame::request(stream, flag::NONE, "POST", "/", &length);
            stream += 2;
            vec![head, fault(stream - 2)]
        });
        flooded.ended(frames);
    }
    gate.open();
}

/// A head that never ends.
#[test]
fn continuations_without_end_end_the_connection() {
    let backend = HttpBackend::named("one");
    let flooded = flooded(&backend.label(), "");
    for payload in [block(&[("x-more", &"y".repeat(8000))]), Vec::new()] {
        let mut frames = flooded.both.frames();
        frames.send(&[Frame::new(
            kind::HEADERS,
            flag::NONE,
            1,
            block(&[(":method", "GET")]),
        )]);
        let more = Frame::new(kind::CONTINUATION, flag::NONE, 1, payload);
        let frames = flooded.send(frames, 100_000, |_| vec![more.clone()]);
        flooded.ended(frames);
    }
}

/// A few bytes that name a large field of the table again and again.
#[test]
fn head_that_unpacks_to_much_is_refused() {
    let backend = HttpBackend::named("one");
    let flooded = flooded(&backend.label(), "");
    let mut frames = flooded.both.frames();
    let mut head = block(&[
        (":method", "GET"),
        (":scheme", "http"),
        (":path", "/"),
        (":authority", "a"),
    ]);
    // A literal that is added to the table, then that entry, which is the first behind the static ones.
    let mut large = block(&[("x-large", &"y".repeat(4000))]);
    large[0] = 0x40;
    head.extend_from_slice(&large);
    head.extend(std::iter::repeat_n(0xbe, 12_000));
    let flags = flag::END_HEADERS | flag::END_STREAM;
    let all: Vec<_> = (0..50)
        .map(|at| Frame::new(kind::HEADERS, flags, 2 * at + 1, head.clone()))
        .collect();
    // The connection may have ended before the last of them.
    let _ = frames.try_send(&all);
    let mut answers = std::iter::from_fn(|| frames.read());
    let refused = answers.any(|frame| frame.status() == Some(431) || frame.kind == kind::GOAWAY);
    assert!(refused);
    flooded.unharmed();
}

/// The client reads none of the answers to its frames.
#[test]
fn unread_acknowledgements_end_the_connection() {
    let backend = HttpBackend::named("one");
    let flooded = flooded(&backend.label(), "send_timeout_ms = 500");
    for frame in [
        Frame::new(kind::PING, flag::NONE, 0, [1; 8]),
        Frame::settings(&[(setting::INITIAL_WINDOW_SIZE, 70_000)]),
    ] {
        let many = vec![frame; 1000];
        let frames = flooded.send(flooded.both.frames(), 20_000, |_| many.clone());
        flooded.unharmed();
        flooded.both.wait_until_closed();
        drop(frames);
    }
}

/// The error that ends a connection which is flooded (RFC 9113, section 7).
const ENHANCE_YOUR_CALM: u32 = 11;

/// Each frame costs the client a few bytes, and this side an answer or some work.
#[test]
fn frames_without_end_that_carry_nothing_end_the_connection() {
    let backend = HttpBackend::named("one");
    let flooded = flooded(&backend.label(), "");
    let floods = [
        Frame::new(kind::PING, flag::NONE, 0, [1; 8]),
        Frame::new(kind::PING, flag::ACK, 0, [1; 8]),
        Frame::settings(&[(setting::INITIAL_WINDOW_SIZE, 70_000)]),
        Frame::settings(&[]),
        Frame::window(0, 1),
        Frame::new(kind::PRIORITY, flag::NONE, 1, [0, 0, 0, 0, 1]),
        Frame::new(0xee, flag::NONE, 0, "unknown"),
    ];
    for (nth, frame) in floods.iter().enumerate() {
        for mut frames in [flooded.both.frames(), flooded.both.encrypted_frames()] {
            let mut end = None;
            // Every answer is read before more is sent.
            let question = Frame::new(kind::PING, flag::NONE, 0, [9; 8]);
            while end.is_none() {
                let mut some = vec![frame.clone(); 50];
                some.push(question.clone());
                // What is sent to a connection that has ended is read over for a while.
                let _ = frames.try_send(&some);
                end = loop {
                    match frames.read() {
                        Some(answer) if answer.kind == kind::GOAWAY => break Some(answer),
                        Some(answer) if answer.payload == question.payload => break None,
                        Some(_) => {}
                        None => panic!("{frame:?} has ended the connection without a word"),
                    }
                };
            }
            assert_eq!(
                end.and_then(|end| end.error()),
                Some(ENHANCE_YOUR_CALM),
                "{frame:?}"
            );
            drop(frames);
        }
        let reason = [("reason", "enhance_your_calm")];
        let pace = &flooded.both.pace;
        pace.wait_for_metric(
            "pace_http2_connection_errors_total",
            &reason,
            2 * (nth as u64 + 1),
        );
    }
    flooded.unharmed();
    flooded.both.wait_until_closed();
}

/// There are clients that measure the connection by it, for each frame of data.
#[test]
fn client_that_asks_for_each_frame_of_data_is_served() {
    let backend = HttpBackend::forgetful(|_| pace_tests::Answer::new(vec![b'x'; 100_000]));
    let both = Both::with(&backend.label(), "keepalive_requests = 0", "");
    let mut frames = both.frames_with(&[(setting::INITIAL_WINDOW_SIZE, 1 << 20)]);
    for nth in 0..400 {
        let stream = 2 * nth + 1;
        frames.send(&[Frame::get(stream, "/")]);
        let mut left = 100_000;
        while left > 0 {
            let data = frames.wait_for(kind::DATA, stream);
            left -= data.payload.len();
            let more = data.payload.len() as u32;
            if more > 0 {
                frames.send(&[
                    Frame::new(kind::PING, flag::NONE, 0, [2; 8]),
                    Frame::window(0, more),
                    Frame::settings(&[]),
                ]);
            }
        }
    }
    let errors = both.pace.metrics().sum("pace_http2_connection_errors_total", &[]);
    assert_eq!(errors, 0);
}

/// Frames without data have no window that bounds them.
#[test]
fn empty_data_is_not_kept() {
    let gate = Gate::new();
    let backend = holding(&gate);
    let flooded = flooded(&backend.label(), "body_timeout_ms = 500");
    let mut frames = flooded.both.frames();
    frames.send(&[Frame::request(1, flag::NONE, "POST", "/", &[])]);
    let many = vec![Frame::data(1, flag::NONE, ""); 1000];
    for _ in 0..1000 {
        if let Err(error) = frames.try_send(&many) {
            assert_ne!(error.kind(), io::ErrorKind::WouldBlock, "{error}");
            break;
        }
    }
    flooded.unharmed();
    gate.open();
}

/// Each byte comes in a frame of its own, and the backend takes none.
#[test]
fn tiny_data_is_bounded() {
    let backend = Scripted::new(|line| {
        while line.head()?.is_some_and(|head| head.contains("/calm")) {
            line.write(super::OK)?;
        }
        // The backend reads no more: its system buffers a part.
        std::thread::park_timeout(pace_tests::DEADLINE);
        Ok(())
    });
    let flooded = flooded(&backend.label(), "");
    let mut frames = flooded.both.frames();
    for stream in [1, 3, 5, 7] {
        let mut many = vec![Frame::request(stream, flag::NONE, "POST", "/", &[])];
        many.extend(vec![Frame::data(stream, flag::NONE, "x"); 50_000]);
        // The connection may have ended.
        let _ = frames.try_send(&many);
    }
    flooded.unharmed();
}

/// Frames that name streams which were never opened.
#[test]
fn priorities_and_unknown_frames_are_not_kept() {
    let backend = HttpBackend::named("one");
    let flooded = flooded(&backend.label(), "");
    let mut frames = flooded.both.frames();
    for at in 0..200 {
        let mut many = Vec::new();
        for stream in 0..500 {
            let stream = 2 * (500 * at + stream) + 1;
            many.push(Frame::new(kind::PRIORITY, flag::NONE, stream, [0, 0, 0, 0, 1]));
            many.push(Frame::new(0xee, flag::NONE, stream, "unknown"));
        }
        if frames.try_send(&many).is_err() {
            break;
        }
    }
    flooded.unharmed();
}
