//! Sessions that many requests share, and how long they are kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use pace_tests::{
    Frame, FrameBackend, Gate, Http2, Http2Backend, Http2Options, Pace, Request, Signal, flag, kind,
    wait_until,
};
use rustix::process::{Resource, Rlimit, prlimit};

use super::{before, config, in_background};

/// A backend that holds each request until the gate opens, and counts the most at once on a connection.
fn holding(gate: &Gate, max_streams: Option<u32>) -> (Http2Backend, Arc<AtomicUsize>) {
    let gate = gate.clone();
    let (open, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&most);
    let options = Http2Options {
        max_streams,
        ..Http2Options::default()
    };
    let backend = Http2Backend::with(options, move |call| {
        let now = open.fetch_add(1, Ordering::SeqCst) + 1;
        counted.fetch_max(now, Ordering::SeqCst);
        gate.wait();
        open.fetch_sub(1, Ordering::SeqCst);
        call.answer("done")
    });
    (backend, most)
}

#[test]
fn requests_at_once_share_a_session() {
    let gate = Gate::new();
    let (backend, most) = holding(&gate, None);
    let pace = before(&backend.label(), "");
    let mut client = Http2::connect(pace.address());
    let mut open = Vec::new();
    for _ in 0..60 {
        open.push(client.open(&Request::get("/"), true).expect("it is sent"));
    }
    let others: Vec<_> = (0..30).map(|_| in_background(&pace, Request::get("/"))).collect();
    wait_until("all requests", || most.load(Ordering::SeqCst) == 90);
    gate.open();
    for exchange in open {
        assert_eq!(exchange.response().expect("it is answered").text(), "done");
    }
    for other in others {
        assert_eq!(other.join().expect("no panic").text(), "done");
    }
    assert_eq!(backend.connections(), 1);
}

/// RFC 9113, section 5.1.2.
#[test]
fn session_has_as_many_requests_as_its_backend_takes() {
    let gate = Gate::new();
    let (backend, _) = holding(&gate, Some(2));
    let pace = before(&backend.label(), "");
    let requests: Vec<_> = (0..7)
        .map(|_| in_background(&pace, Request::post("/", "body")))
        .collect();
    wait_until("all requests", || backend.requests().len() == 7);
    for connection in 0..4 {
        let heads = backend.requests();
        let on_it = heads.iter().filter(|head| head.connection == connection).count();
        assert!(
            (1..=2).contains(&on_it),
            "{on_it} requests on connection {connection}"
        );
    }
    assert_eq!(backend.connections(), 4);
    gate.open();
    for request in requests {
        assert_eq!(request.join().expect("no panic").status, 200);
    }
    assert_eq!(pace.metrics().sum("pace_upstream_failures_total", &[]), 0);
    for _ in 0..5 {
        assert_eq!(pace.get("/").status, 200);
    }
    assert_eq!(backend.connections(), 4);
}

/// A client that does not read its response holds the window of its stream, and no other.
#[test]
fn responses_that_are_not_read_stall_no_other() {
    let backend = Http2Backend::new(|call| {
        let size = if call.target() == "/stuck" {
            64 << 20
        } else {
            1 << 20
        };
        call.respond(200, &[], false)?;
        let piece = [b'x'; 64 << 10];
        for _ in 1..size / piece.len() {
            call.write(&piece, false)?;
        }
        call.write(&piece, true)
    });
    let pace = before(&backend.label(), "");
    let mut stuck = Vec::new();
    for _ in 0..20 {
        let mut client = pace.client();
        client.write("GET /stuck HTTP/1.1\r\nHost: a\r\n\r\n");
        client.read_head("GET").expect("it begins");
        stuck.push(client);
    }
    for _ in 0..3 {
        assert_eq!(pace.get("/").body.len(), 1 << 20);
    }
    assert_eq!(backend.connections(), 1);
    drop(stuck);
    super::until_calm(&pace);
}

/// A request that its backend does not read waits for the window of its stream, and no other does.
#[test]
fn uploads_that_are_not_read_stall_no_other() {
    let gate = Gate::new();
    let held = gate.clone();
    let backend = Http2Backend::new(move |call| {
        if call.target() == "/stuck" {
            held.wait();
        }
        let body = call.body()?;
        call.answer(body.len().to_string())
    });
    let pace = before(&backend.label(), "");
    let stuck: Vec<_> = (0..3)
        .map(|_| in_background(&pace, Request::post("/stuck", vec![b'x'; 1 << 20])))
        .collect();
    wait_until("the requests", || backend.requests().len() == 3);
    // What the backend has not read fills the window of the connection, which a request without a body has no need of.
    assert_eq!(pace.get("/").text(), "0");
    gate.open();
    for upload in stuck {
        assert_eq!(upload.join().expect("no panic").text(), "1048576");
    }
    assert_eq!(backend.connections(), 1);
}

#[test]
fn idle_session_is_closed_in_its_time() {
    let backend = Http2Backend::named("one");
    let pace = before(&backend.label(), "idle_timeout_ms = 300");
    assert_eq!(pace.get("/").text(), "one");
    wait_until("the end of the session", || backend.ended() == 1);
    assert_eq!(pace.get("/").text(), "one");
    assert_eq!(backend.connections(), 2);
}

#[test]
fn session_with_a_request_is_not_idle() {
    let gate = Gate::new();
    let (backend, _) = holding(&gate, None);
    let pace = before(&backend.label(), "idle_timeout_ms = 100");
    let held = in_background(&pace, Request::get("/"));
    wait_until("the request", || backend.requests().len() == 1);
    let other = Http2Backend::named("other");
    let beside = before(&other.label(), "idle_timeout_ms = 100");
    assert_eq!(beside.get("/").text(), "other");
    // Both sweep once a second.
    wait_until("the end of the idle session", || other.ended() == 1);
    assert_eq!(beside.get("/").text(), "other");
    wait_until("the end of another", || other.ended() == 2);
    assert_eq!(backend.ended(), 0);
    gate.open();
    assert_eq!(held.join().expect("no panic").text(), "done");
}

#[test]
fn drain_closes_idle_sessions_and_completes_requests_on_others() {
    let gate = Gate::new();
    let (busy, _) = holding(&gate, None);
    let idle = Http2Backend::named("idle");
    let pace = Pace::with_config(&config(&[busy.label(), idle.label()], "protocol = \"h2\""));
    let held = in_background(&pace, Request::get("/"));
    wait_until("the request", || busy.requests().len() == 1);
    assert_eq!(pace.get("/").text(), "idle");
    pace.signal(Signal::TERM);
    wait_until("the end of the idle session", || idle.ended() == 1);
    assert_eq!(busy.ended(), 0);
    gate.open();
    assert_eq!(held.join().expect("no panic").text(), "done");
    assert_eq!(pace.wait().code, Some(0));
}

#[test]
fn idle_session_is_closed_when_descriptors_run_out() {
    let backend = Http2Backend::named("one");
    let pace = before(&backend.label(), "");
    assert_eq!(pace.get("/").text(), "one");
    let few = Rlimit {
        current: Some(48),
        maximum: Some(48),
    };
    prlimit(Some(pace.process().pid()), Resource::Nofile, few).expect("the process is ours");
    let mut clients: Vec<_> = (0..60).map(|_| pace.client()).collect();
    for client in &mut clients {
        client.connect().expect("the system accepts it");
    }
    wait_until("the end of the session", || backend.ended() == 1);
    drop(clients);
    wait_until("room for another", || pace.get("/").text() == "one");
}

/// What times out without a sign of life may be the connection.
#[test]
fn session_that_sends_nothing_gets_no_more_requests() {
    let backend = FrameBackend::new(&[], |line, index| {
        while let Some(stream) = line.next_request() {
            if index > 0 {
                line.send(&[Frame::response(stream, flag::END_STREAM, "204", &[])]);
            }
        }
    });
    let pace = before(&backend.label(), "first_byte_timeout_ms = 300");
    // The first time it has sent its settings.
    for _ in 0..2 {
        assert_eq!(pace.get("/").status, 504);
    }
    for _ in 0..3 {
        assert_eq!(pace.get("/").status, 204);
    }
    assert_eq!(backend.connections(), 2);
}

#[test]
fn session_that_answers_a_ping_gets_requests_again() {
    let gate = Gate::new();
    let answered = gate.clone();
    let backend = FrameBackend::new(&[], move |line, _| {
        let mut is_asked = false;
        while let Some(frame) = line.read() {
            match frame.kind {
                kind::PING if frame.flags & flag::ACK == 0 => {
                    line.send(&[Frame::new(kind::PING, flag::ACK, 0, frame.payload)]);
                    is_asked = true;
                    answered.open();
                }
                kind::HEADERS if is_asked => {
                    line.send(&[Frame::response(frame.stream, flag::END_STREAM, "204", &[])]);
                }
                _ => {}
            }
        }
    });
    let pace = before(&backend.label(), "first_byte_timeout_ms = 300");
    for _ in 0..2 {
        assert_eq!(pace.get("/").status, 504);
    }
    gate.wait();
    wait_until("requests on the session", || pace.get("/").status == 204);
    assert!(backend.connections() <= 2);
}

/// Its requests need not wait for their own time.
#[test]
fn session_that_answers_no_ping_ends_with_its_requests() {
    let backend = FrameBackend::new(&[], |line, index| {
        while let Some(stream) = line.next_request() {
            if index > 0 {
                line.send(&[Frame::response(stream, flag::END_STREAM, "204", &[])]);
            }
        }
    });
    let pace = before(&backend.label(), "first_byte_timeout_ms = 600000");
    let waiting = in_background(&pace, Request::post("/", "body"));
    wait_until("the session", || backend.connections() == 1);
    let call = Request::post("/a.Service/Echo", "")
        .header("content-type", "application/grpc")
        .header("grpc-timeout", "300m");
    let late = Http2::connect(pace.address()).send(&call);
    assert_eq!(late.header("grpc-status"), Some("4"));
    assert_eq!(waiting.join().expect("no panic").status, 502);
    assert_eq!(pace.get("/").status, 204);
    assert_eq!(backend.connections(), 2);
}

/// A single slow request is no reason to leave a session.
#[test]
fn session_that_answers_others_is_kept_when_one_times_out() {
    let backend = FrameBackend::new(&[], |line, _| {
        let slow = line.next_request().expect("there is a request");
        while let Some(stream) = line.next_request() {
            assert_ne!(stream, slow);
            line.send(&[Frame::response(stream, flag::END_STREAM, "204", &[])]);
        }
    });
    let pace = before(&backend.label(), "first_byte_timeout_ms = 1000");
    let slow = in_background(&pace, Request::get("/"));
    wait_until("the session", || backend.connections() == 1);
    while !slow.is_finished() {
        assert_eq!(pace.get("/").status, 204);
    }
    assert_eq!(slow.join().expect("no panic").status, 504);
    assert_eq!(pace.get("/").status, 204);
    assert_eq!(backend.connections(), 1);
}
