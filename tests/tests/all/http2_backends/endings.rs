//! Messages that end before their time, on either side.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use pace_tests::{Frame, FrameBackend, Http2, Http2Backend, Reason, Request, flag, kind, wait_until};

use super::{CANCEL, NO_ERROR, before};

/// The backend must not take the beginning of a request for the whole.
#[test]
fn upload_that_its_client_cuts_resets_the_stream() {
    let cut = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&cut);
    let backend = Http2Backend::new(move |call| {
        let cut = loop {
            match call.read() {
                Ok(Some(piece)) => assert_eq!(&piece[..], b"half"),
                Ok(None) => panic!("the request looked complete"),
                Err(error) => break error,
            }
        };
        assert_eq!(cut.reason(), Some(Reason::CANCEL));
        count.fetch_add(1, Ordering::SeqCst);
        Ok(())
    });
    let pace = before(&backend.label(), "");
    for head in [
        "Content-Length: 10\r\n\r\nhalf",
        "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ] {
        let before = cut.load(Ordering::SeqCst);
        let seen = backend.requests().len();
        let mut client = pace.client();
        client.write(format!("POST / HTTP/1.1\r\nHost: a\r\n{head}"));
        wait_until("the request", || backend.requests().len() == seen + 1);
        client.close();
        wait_until("the reset", || cut.load(Ordering::SeqCst) == before + 1);
    }
    let mut client = Http2::connect(pace.address());
    let mut open = client
        .open(&Request::new("POST", "/"), false)
        .expect("it is sent");
    open.write(b"half", false).expect("there is room");
    wait_until("the request", || backend.requests().len() == 3);
    open.reset();
    wait_until("the reset", || cut.load(Ordering::SeqCst) == 3);
    super::until_calm(&pace);
    assert_eq!(backend.connections(), 1, "the session goes on");
}

#[test]
fn client_that_leaves_cancels_its_request() {
    let cancelled = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&cancelled);
    let backend = Http2Backend::new(move |call| {
        if call.target() == "/flowing" {
            call.respond(200, &[], false)?;
            call.write(b"some", false)?;
        }
        assert_eq!(call.wait_for_reset()?, Reason::CANCEL);
        count.fetch_add(1, Ordering::SeqCst);
        Ok(())
    });
    let pace = before(&backend.label(), "");
    let mut client = Http2::connect(pace.address());
    let mut waiting = client.open(&Request::get("/waiting"), true).expect("it is sent");
    wait_until("the request", || backend.requests().len() == 1);
    waiting.reset();
    let mut flowing = client.open(&Request::get("/flowing"), true).expect("it is sent");
    let mut response = flowing.flowing().expect("the response begins");
    let piece = response.read().expect("it flows");
    assert_eq!(piece.as_deref(), Some(&b"some"[..]));
    flowing.reset();
    wait_until("both resets", || cancelled.load(Ordering::SeqCst) == 2);
    assert_eq!(backend.connections(), 1);
}

/// RFC 9113, section 8.1: a backend may answer before it has read the request, and refuse the rest without an error.
#[test]
fn early_answer_is_passed_whole_and_ends_the_upload() {
    let backend = FrameBackend::new(&[], |line, _| {
        while let Some(stream) = line.next_request() {
            line.send(&[
                Frame::response(stream, flag::NONE, "413", &[("content-length", "4")]),
                Frame::data(stream, flag::END_STREAM, "much"),
                Frame::reset(stream, NO_ERROR),
            ]);
        }
    });
    let pace = before(&backend.label(), "");
    for _ in 0..3 {
        let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\n";
        let response = pace
            .client()
            .upload(head, &[b'x'; 100_000])
            .expect("it is answered");
        assert_eq!((response.status, response.text()), (413, "much"));
        let mut client = Http2::connect(pace.address());
        let mut open = client
            .open(&Request::new("POST", "/"), false)
            .expect("it is sent");
        // The stream may have been ended by then.
        let _ = open.write(&[b'x'; 100_000], false);
        let response = open.response().expect("it is answered");
        assert_eq!((response.status, response.text()), (413, "much"));
    }
    assert_eq!(backend.connections(), 1);
}

/// The backend goes on reading while it answers, as the echo of a stream does.
#[test]
fn both_directions_flow_at_once() {
    let backend = Http2Backend::new(|call| {
        call.respond(200, &[], false)?;
        while let Some(piece) = call.read()? {
            call.write(&piece, false)?;
        }
        call.finish(&[("x-end", "yes")])
    });
    let pace = before(&backend.label(), "");
    let mut client = Http2::connect(pace.address());
    let mut open = client
        .open(&Request::new("POST", "/"), false)
        .expect("it is sent");
    open.write(b"one", false).expect("there is room");
    let mut echoed = open.flowing().expect("it is answered");
    assert_eq!(
        echoed.read().expect("it comes back").as_deref(),
        Some(&b"one"[..])
    );
    open.write(b"two", false).expect("there is room");
    assert_eq!(
        echoed.read().expect("it comes back").as_deref(),
        Some(&b"two"[..])
    );
    open.finish().expect("it is open");
    assert_eq!(echoed.read().expect("it ends"), None);
    assert_eq!(echoed.trailers().expect("it has some").all("x-end"), ["yes"]);
}

#[test]
fn response_that_is_reset_breaks_off() {
    let backend = FrameBackend::new(&[], |line, _| {
        while let Some(stream) = line.next_request() {
            line.send(&[
                Frame::response(stream, flag::NONE, "200", &[]),
                Frame::data(stream, flag::NONE, "some"),
                Frame::reset(stream, 2),
            ]);
        }
    });
    let pace = before(&backend.label(), "");
    let mut client = pace.client();
    client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let answer = String::from_utf8(client.read_to_end()).expect("it is text");
    assert!(!answer.ends_with("0\r\n\r\n"), "{answer}");
    let reset = Http2::connect(pace.address()).try_send(&Request::get("/"));
    assert!(reset.is_err_and(|error| error.is_reset()));
    pace.wait_for_log(&["broke off", "stream error received"]);
}

/// A response without content is complete with its head, whatever the backend says behind it.
#[test]
fn rest_of_a_response_to_head_is_refused() {
    let backend = FrameBackend::new(&[], |line, _| {
        let stream = line.next_request().expect("there is a request");
        line.send(&[Frame::response(
            stream,
            flag::NONE,
            "200",
            &[("content-length", "3")],
        )]);
        assert_eq!(line.wait_for(kind::RST_STREAM, stream).error(), Some(CANCEL));
        line.send(&[Frame::data(stream, flag::END_STREAM, "abc")]);
        while let Some(stream) = line.next_request() {
            line.send(&[Frame::response(stream, flag::END_STREAM, "204", &[])]);
        }
    });
    let pace = before(&backend.label(), "");
    let head = pace.client().send(&Request::new("HEAD", "/"));
    assert_eq!((head.status, head.header("content-length")), (200, Some("3")));
    assert_eq!(pace.get("/").status, 204);
    assert_eq!(backend.connections(), 1);
}
