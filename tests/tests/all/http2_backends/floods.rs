//! Backends that send much which nobody has asked for: their session ends, and nobody else notices.

use std::time::Duration;

use pace_tests::{
    Answer, Frame, FrameBackend, Frames, HttpBackend, Pace, Request, block, flag, kind, setting,
};

use super::config;

/// What a flood may add to the memory of the process, which is far below what it sends.
const ROOM: u64 = 64 << 20;

/// Sends frames until the other side takes no more, `most` times at the most. Returns whether it took all.
fn pour(line: &mut Frames, most: usize, frames: &[Frame]) -> bool {
    let socket = line.wire().socket();
    socket
        .set_write_timeout(Some(Duration::from_secs(5)))
        .expect("it is a socket");
    (0..most).all(|_| line.try_send(frames).is_ok())
}

/// A Pace before a backend that floods its first session when a request comes on it, and answers on others; and beside it
/// another pool, whose clients must not notice.
fn flooded(
    flood: impl Fn(&mut Frames, u32) + Send + Sync + 'static,
    pool: &str,
) -> (Pace, FrameBackend, HttpBackend) {
    let backend = FrameBackend::new(&[], move |line, index| {
        while let Some(stream) = line.next_request() {
            if index == 0 {
                return flood(line, stream);
            }
            line.send(&[Frame::response(stream, flag::END_STREAM, "204", &[])]);
        }
    });
    let calm = HttpBackend::forgetful(|_| Answer::new("calm"));
    let pool = format!("protocol = \"h2\"\nfirst_byte_timeout_ms = 20000\n{pool}");
    let mut config = config(&[backend.label()], &pool);
    config.push_str(&format!(
        "\n[[pools]]\nname = \"calm\"\nbackends = [\"{}\"]\n\n\
         [[routes]]\nmatch = {{ path_prefix = \"/calm\" }}\npool = \"calm\"\n",
        calm.label()
    ));
    (Pace::with_config(&config), backend, calm)
}

fn ends(what: &str, flood: impl Fn(&mut Frames, u32) + Send + Sync + 'static) {
    let (pace, backend, _calm) = flooded(flood, "");
    assert_eq!(pace.get("/calm").text(), "calm");
    let before = pace.process().resident().expect("it runs");
    let response = pace.client().send(&Request::post("/", "body"));
    assert_eq!(response.status, 502, "{what}");
    assert_eq!(pace.get("/").status, 204, "{what}");
    assert_eq!(backend.connections(), 2, "{what}");
    assert_eq!(pace.get("/calm").text(), "calm");
    let after = pace.process().resident().expect("it runs");
    assert!(
        after < before + ROOM,
        "{what}: {} MiB, and {} before",
        after >> 20,
        before >> 20
    );
    super::until_calm(&pace);
}

/// The acknowledgements are read, so nothing but their number is wrong.
#[test]
fn frames_that_belong_to_no_response_end_the_session() {
    for frame in [
        Frame::new(kind::PING, flag::NONE, 0, [1; 8]),
        Frame::settings(&[(setting::INITIAL_WINDOW_SIZE, 70_000)]),
        Frame::new(0xee, flag::NONE, 0, [0; 100]),
        Frame::new(kind::PRIORITY, flag::NONE, 1, [0, 0, 0, 0, 1]),
    ] {
        let many = vec![frame; 200];
        ends("control frames", move |line, _| {
            for _ in 0..100_000 {
                let mut unread = [0; 64 << 10];
                if line.try_send(&many).is_err() {
                    return;
                }
                let socket = line.wire().socket();
                socket.set_nonblocking(true).expect("it is a socket");
                while std::io::Read::read(&mut &*socket, &mut unread).is_ok_and(|count| count > 0) {}
                socket.set_nonblocking(false).expect("it is a socket");
            }
            panic!("all of it was taken");
        });
    }
}

/// A head that never ends.
#[test]
fn continuations_without_end_end_the_session() {
    for payload in [block(&[("x-more", &"y".repeat(8000))]), Vec::new()] {
        ends("continuations", move |line, stream| {
            line.send(&[Frame::new(
                kind::HEADERS,
                flag::NONE,
                stream,
                block(&[(":status", "200")]),
            )]);
            let more = Frame::new(kind::CONTINUATION, flag::NONE, stream, payload.clone());
            assert!(!pour(line, 100_000, &[more]));
        });
    }
}

/// No window bounds heads. Each of these has a few bytes, and a thousand times as many once it is unpacked.
#[test]
fn interim_responses_without_end_end_their_request() {
    ends("interim responses", |line, stream| {
        let mut head = block(&[(":status", "103")]);
        let mut large = block(&[("x-large", &"y".repeat(4000))]);
        large[0] = 0x40;
        let first = [head.clone(), large].concat();
        head.extend(std::iter::repeat_n(0xbe, 15));
        let mut frames = vec![Frame::new(kind::HEADERS, flag::END_HEADERS, stream, first)];
        frames.extend(vec![
            Frame::new(kind::HEADERS, flag::END_HEADERS, stream, head);
            1000
        ]);
        pour(line, 50, &frames);
    });
}

/// Pushed responses have been declined.
#[test]
fn promises_end_the_session() {
    ends("promises", |line, stream| {
        let promised = [
            &2_u32.to_be_bytes()[..],
            &block(&[(":method", "GET"), (":path", "/")]),
        ]
        .concat();
        line.send(&[Frame::new(
            kind::PUSH_PROMISE,
            flag::END_HEADERS,
            stream,
            promised,
        )]);
        line.rest();
    });
}

/// Each byte comes in a frame of its own, and the client takes none.
#[test]
fn tiny_data_is_bounded() {
    let (pace, _backend, _calm) = flooded(
        |line, stream| {
            line.send(&[Frame::response(stream, flag::NONE, "200", &[])]);
            let many = vec![Frame::data(stream, flag::NONE, "x"); 1000];
            pour(line, 250, &many);
            line.rest();
        },
        "",
    );
    assert_eq!(pace.get("/calm").text(), "calm");
    let before = pace.process().resident().expect("it runs");
    let mut stuck = pace_tests::Frames::connect(pace.address(), &[(setting::INITIAL_WINDOW_SIZE, 0)]);
    stuck.send(&[Frame::get(1, "/")]);
    assert_eq!(stuck.wait_for(kind::HEADERS, 1).status(), Some(200));
    for _ in 0..100 {
        assert_eq!(pace.get("/calm").text(), "calm");
        let now = pace.process().resident().expect("it runs");
        assert!(
            now < before + ROOM,
            "{} MiB, and {} before",
            now >> 20,
            before >> 20
        );
    }
}

/// A backend that resets every stream costs each request its attempt, and nothing else.
#[test]
fn resets_are_failures_of_their_requests_alone() {
    let backend = FrameBackend::new(&[], |line, _| {
        while let Some(stream) = line.next_request() {
            line.send(&[Frame::reset(stream, 2)]);
        }
    });
    let pace = super::before(&backend.label(), "");
    for _ in 0..300 {
        assert_eq!(pace.client().send(&Request::post("/", "")).status, 502);
    }
    assert_eq!(backend.connections(), 1);
    super::until_calm(&pace);
}

/// A session without a request ends as well.
#[test]
fn flood_on_an_idle_session_ends_it() {
    let (pace, backend, _calm) = flooded(
        |line, stream| {
            line.send(&[Frame::response(stream, flag::END_STREAM, "204", &[])]);
            let many = vec![Frame::new(kind::PING, flag::ACK, 0, [1; 8]); 1000];
            assert!(!pour(line, 100_000, &many));
        },
        "",
    );
    assert_eq!(pace.get("/").status, 204);
    pace_tests::wait_until("another session", || {
        pace.get("/").status == 204 && backend.connections() > 1
    });
    assert_eq!(pace.get("/calm").text(), "calm");
}
