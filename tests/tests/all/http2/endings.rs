//! Ends of streams and of connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use pace_tests::{
    Answer, Frame, Frames, Gate, HttpBackend, Request, Scripted, Signal, flag, kind, wait_until,
};

use super::{Both, NO_ERROR};

/// Answers each PING, as a client must, until the connection ends. Returns the other frames.
fn rest(frames: &mut Frames) -> Vec<Frame> {
    let mut rest = Vec::new();
    while let Some(frame) = frames.read() {
        if frame.kind == kind::PING && frame.flags & flag::ACK == 0 {
            // The other side may have gone.
            let _ = frames.try_send(&[Frame::new(kind::PING, flag::ACK, 0, frame.payload)]);
        } else {
            rest.push(frame);
        }
    }
    rest
}

#[test]
fn reset_of_a_request_ends_its_attempt() {
    let ended = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&ended);
    let backend = Scripted::new(move |line| {
        line.head()?;
        line.end()?;
        count.fetch_add(1, Ordering::SeqCst);
        Ok(())
    });
    let both = Both::before(&backend.label());
    for (at, mut client) in both.clients().into_iter().enumerate() {
        let mut exchange = client.open(&Request::get("/"), true).expect("it is sent");
        wait_until("the request", || {
            backend.text().matches("GET / ").count() == at + 1
        });
        exchange.reset();
        wait_until("the end of the attempt", || {
            ended.load(Ordering::SeqCst) == at + 1
        });
    }
    both.pace.wait_for_metric("pace_requests_in_flight", &[], 0);
}

#[test]
fn reset_while_a_response_flows_ends_its_attempt() {
    let ended = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&ended);
    let backend = Scripted::new(move |line| {
        line.head()?;
        line.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        while line.write("4\r\nmore\r\n").is_ok() {}
        count.fetch_add(1, Ordering::SeqCst);
        Ok(())
    });
    let both = Both::before(&backend.label());
    let mut frames = both.frames();
    frames.send(&[Frame::get(1, "/")]);
    frames.wait_for(kind::DATA, 1);
    frames.send(&[Frame::reset(1, 8)]);
    wait_until("the end of the attempt", || ended.load(Ordering::SeqCst) == 1);
}

#[test]
fn lost_connection_ends_all_its_attempts() {
    let ended = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&ended);
    let backend = Scripted::new(move |line| {
        line.head()?;
        line.end()?;
        count.fetch_add(1, Ordering::SeqCst);
        Ok(())
    });
    let both = Both::before(&backend.label());
    let mut frames = both.frames();
    frames.send(&[Frame::get(1, "/"), Frame::get(3, "/"), Frame::get(5, "/")]);
    wait_until("the requests", || backend.text().matches("GET / ").count() == 3);
    drop(frames);
    wait_until("the end of the attempts", || ended.load(Ordering::SeqCst) == 3);
    both.wait_until_closed();
}

/// An orderly end of the stream would say that the response is complete.
#[test]
fn response_that_breaks_off_resets_its_stream() {
    for head in [
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    ] {
        let backend = Scripted::new(move |line| {
            line.head()?;
            line.write(head)
        });
        let both = Both::before(&backend.label());
        for mut frames in [both.frames(), both.encrypted_frames()] {
            frames.send(&[Frame::get(1, "/")]);
            let mut seen = Vec::new();
            while seen
                .last()
                .is_none_or(|frame: &Frame| frame.kind != kind::RST_STREAM)
            {
                let frame = frames.read().expect("the connection goes on");
                seen.push(frame);
            }
            assert!(!seen.iter().any(Frame::ends_stream), "{head}: {seen:?}");
            assert_ne!(seen.last().and_then(Frame::error), Some(NO_ERROR), "{head}");
        }
    }
}

#[test]
fn body_that_ends_with_its_connection_ends_the_stream() {
    let backend = HttpBackend::new(|_| Answer::until_close("all of it"));
    let both = Both::before(&backend.label());
    assert_eq!(both.plain().get("/").text(), "all of it");
}

#[test]
fn drain_says_goaway_and_completes_the_streams_under_way() {
    let gate = Gate::new();
    let backend = HttpBackend::behind(&gate, "one");
    let both = Both::before(&backend.label());
    let mut plain = both.frames();
    let mut encrypted = both.encrypted_frames();
    let mut idle = both.frames();
    plain.send(&[Frame::get(1, "/"), Frame::get(3, "/")]);
    encrypted.send(&[Frame::get(1, "/")]);
    wait_until("the requests", || backend.requests().len() == 3);
    both.pace.signal(Signal::TERM);
    assert_eq!(plain.wait_for(kind::GOAWAY, 0).error(), Some(NO_ERROR));
    assert_eq!(encrypted.wait_for(kind::GOAWAY, 0).error(), Some(NO_ERROR));
    let idle = thread::spawn(move || rest(&mut idle));
    let ended = idle.join().expect("it is closed");
    assert!(ended.iter().any(|frame| frame.kind == kind::GOAWAY), "{ended:?}");
    gate.open();
    for (mut frames, streams) in [(plain, &[1, 3][..]), (encrypted, &[1])] {
        let rest = rest(&mut frames);
        for stream in streams {
            let ended = rest
                .iter()
                .any(|frame| frame.stream == *stream && frame.kind == kind::DATA && frame.ends_stream());
            assert!(ended, "stream {stream}: {rest:?}");
        }
    }
    assert_eq!(both.pace.wait().code, Some(0));
}

#[test]
fn idle_connection_gets_goaway_and_is_closed() {
    let backend = HttpBackend::named("one");
    let both = Both::with(&backend.label(), "keepalive_timeout_ms = 300", "");
    for mut frames in [both.frames(), both.encrypted_frames()] {
        frames.send(&[Frame::get(1, "/")]);
        let rest = rest(&mut frames);
        assert!(
            rest.iter()
                .any(|frame| frame.stream == 1 && frame.status() == Some(200)),
            "{rest:?}"
        );
        let goaway = rest.iter().find(|frame| frame.kind == kind::GOAWAY);
        assert_eq!(goaway.and_then(Frame::error), Some(NO_ERROR), "{rest:?}");
    }
}

/// Frames that ask for nothing do not keep a connection.
#[test]
fn pings_do_not_keep_an_idle_connection() {
    let backend = HttpBackend::named("one");
    let both = Both::with(&backend.label(), "keepalive_timeout_ms = 300", "");
    let mut frames = both.frames();
    wait_until("the end of the connection", || {
        frames
            .try_send(&[Frame::new(kind::PING, flag::NONE, 0, [1; 8])])
            .is_err()
    });
}

#[test]
fn connection_without_a_preface_is_closed() {
    let backend = HttpBackend::named("one");
    let both = Both::with(&backend.label(), "head_timeout_ms = 300", "");
    // The protocol is agreed on, and the client never begins.
    let tls = both.tls().alpn(&["h2"]);
    let stream = std::net::TcpStream::connect(both.pace.listeners()[1]).expect("Pace listens");
    let silent = tls.connect(stream).expect("the handshake succeeds");
    let mut half = both.pace.client();
    half.write("PRI * HTTP/2.0\r\n\r\nSM");
    both.wait_until_closed();
    drop((silent, half));
}

#[test]
fn connection_ends_behind_its_last_request() {
    let backend = HttpBackend::named("one");
    let both = Both::with(&backend.label(), "keepalive_requests = 3", "");
    for mut client in both.clients() {
        for _ in 0..3 {
            assert_eq!(client.get("/").text(), "one");
        }
        client.ended().expect("it is an orderly end");
    }
}

/// Browsers lose the requests that they hold back when GOAWAY comes, and some libraries those under way.
#[test]
fn connection_with_a_request_under_way_ends_behind_it() {
    let gate = Gate::new();
    let backend = held_at_slow(&gate);
    let both = Both::with(&backend.label(), "keepalive_requests = 3", "");
    let mut connections = [both.frames(), both.encrypted_frames()];
    for frames in &mut connections {
        frames.send(&[Frame::get(1, "/slow"), Frame::get(3, "/")]);
        frames.send(&[Frame::get(5, "/"), Frame::get(7, "/")]);
        for stream in [3, 5, 7] {
            frames.wait_for(kind::DATA, stream);
        }
    }
    gate.open();
    for mut frames in connections {
        let rest = rest(&mut frames);
        let at = |wanted: &dyn Fn(&Frame) -> bool| rest.iter().position(wanted);
        let answered = at(&|frame| frame.stream == 1 && frame.kind == kind::DATA);
        let goaway = at(&|frame| frame.kind == kind::GOAWAY);
        assert!(answered.is_some() && answered < goaway, "{rest:?}");
    }
}

#[test]
fn connection_that_is_never_idle_ends_after_three_times_its_requests() {
    let gate = Gate::new();
    let backend = held_at_slow(&gate);
    let both = Both::with(&backend.label(), "keepalive_requests = 2", "");
    let mut frames = both.frames();
    frames.send(&[Frame::get(1, "/slow")]);
    for stream in [3, 5, 7, 9] {
        frames.send(&[Frame::get(stream, "/")]);
        let is_answered = |frame: &Frame| frame.stream == stream && frame.kind == kind::DATA;
        let answered = std::iter::from_fn(|| frames.read())
            .inspect(|frame| assert_ne!(frame.kind, kind::GOAWAY, "behind stream {stream}"))
            .find(is_answered);
        answered.expect("the connection goes on");
    }
    frames.send(&[Frame::get(11, "/")]);
    assert_eq!(frames.wait_for(kind::GOAWAY, 0).error(), Some(NO_ERROR));
    gate.open();
    let rest = rest(&mut frames);
    for stream in [1, 11] {
        let answered = |frame: &Frame| frame.stream == stream && frame.kind == kind::DATA;
        assert!(rest.iter().any(answered), "stream {stream}: {rest:?}");
    }
}

/// A backend that keeps requests for `/slow` until the gate is open.
fn held_at_slow(gate: &Gate) -> HttpBackend {
    let gate = gate.clone();
    HttpBackend::new(move |request| {
        if request.target == "/slow" {
            gate.wait();
        }
        Answer::new("one")
    })
}

/// PING confirms the end of a connection; a client that does not answer it does not go on for ever.
#[test]
fn client_that_ignores_the_end_is_cut_off() {
    let backend = HttpBackend::named("one");
    let both = Both::with(&backend.label(), "keepalive_requests = 3", "");
    let mut frames = both.frames();
    let mut stream = 1;
    wait_until("the end of the connection", || {
        stream += 2;
        frames.try_send(&[Frame::get(stream, "/")]).is_err()
    });
    assert!(
        backend.requests().len() < 1000,
        "{} requests",
        backend.requests().len()
    );
}
