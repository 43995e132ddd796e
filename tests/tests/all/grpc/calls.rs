//! Calls that their backend answers.

use pace_tests::{Http2, Http2Backend, Reason};

use super::{before, call, make, message};

#[test]
fn unary_call_passes_with_its_outcome_in_trailers() {
    let backend = Http2Backend::new(|call| {
        assert_eq!(call.head.request.headers.all("te"), ["trailers"]);
        assert_eq!(
            call.head.request.headers.all("content-type"),
            ["application/grpc+proto"]
        );
        let body = call.body()?;
        call.respond(200, &[("content-type", "application/grpc+proto")], false)?;
        call.write(&body, false)?;
        call.finish(&[
            ("grpc-status", "0"),
            ("grpc-message", ""),
            ("x-detail-bin", "AAE"),
        ])
    });
    let pace = before(&backend.label(), "");
    let answer = make(&pace, &call("/a.Service/Echo", &message("hello")));
    assert_eq!((answer.status, answer.body), (200, message("hello")));
    assert_eq!(answer.trailers.all("grpc-status"), ["0"]);
    assert_eq!(answer.trailers.all("x-detail-bin"), ["AAE"]);
    assert_eq!(answer.headers.get("content-length"), None);
}

/// A backend that has nothing to say but the outcome ends with its head.
#[test]
fn outcome_of_a_backend_without_messages_passes_as_it_is() {
    let backend = Http2Backend::new(|call| {
        call.body()?;
        let fields = [
            ("content-type", "application/grpc"),
            ("grpc-status", "5"),
            ("grpc-message", "no such"),
        ];
        call.respond(200, &fields, true)
    });
    let pace = before(&backend.label(), "");
    let answer = make(&pace, &call("/a.Service/Echo", &message("hello")));
    assert_eq!(super::outcome(&answer), ("5", "no such"));
}

#[test]
fn streams_of_messages_pass_both_ways_at_once() {
    let backend = Http2Backend::new(|call| {
        call.respond(200, &[("content-type", "application/grpc")], false)?;
        let mut count = 0;
        while let Some(piece) = call.read()? {
            count += usize::from(!piece.is_empty());
            call.write(&piece, false)?;
        }
        call.finish(&[("grpc-status", "0"), ("x-count", &count.to_string())])
    });
    let pace = before(&backend.label(), "");
    let mut client = Http2::connect(pace.address());
    let mut open = client
        .open(&call("/a.Service/Chat", b""), false)
        .expect("it is sent");
    // The head comes before the first message, as the backend sends it.
    let mut answer = open.flowing().expect("it is answered");
    assert_eq!(answer.head.status, 200);
    for text in ["one", "two", "three"] {
        open.write(&message(text), false).expect("there is room");
        assert_eq!(
            answer.read().expect("it comes back").as_deref(),
            Some(&message(text)[..])
        );
    }
    open.finish().expect("it is open");
    assert_eq!(answer.read().expect("it ends"), None);
    let trailers = answer.trailers().expect("it has some");
    assert_eq!(
        (trailers.all("grpc-status"), trailers.all("x-count")),
        (vec!["0"], vec!["3"])
    );
}

#[test]
fn call_that_its_client_cancels_is_cancelled_at_its_backend() {
    let (cancelled, told) = std::sync::mpsc::channel();
    let backend = Http2Backend::new(move |call| {
        call.respond(200, &[("content-type", "application/grpc")], false)?;
        let reason = call.wait_for_reset()?;
        cancelled.send(reason).expect("the test waits");
        Ok(())
    });
    let pace = before(&backend.label(), "");
    let mut client = Http2::connect(pace.address());
    let mut open = client
        .open(&call("/a.Service/Chat", b""), false)
        .expect("it is sent");
    open.flowing().expect("it is answered");
    open.reset();
    assert_eq!(told.recv_timeout(pace_tests::DEADLINE), Ok(Reason::CANCEL));
}

/// A call is a POST, and may still be sent again if the backend says that it has not looked at it.
#[test]
fn call_that_is_refused_unseen_is_made_again() {
    let refused = std::sync::atomic::AtomicBool::new(false);
    let backend = Http2Backend::new(move |call| {
        if !refused.swap(true, std::sync::atomic::Ordering::SeqCst) {
            call.reset(Reason::REFUSED_STREAM);
            return Ok(());
        }
        let body = call.body()?;
        call.respond(200, &[("content-type", "application/grpc")], false)?;
        call.write(&body, false)?;
        call.finish(&[("grpc-status", "0")])
    });
    let pace = before(&backend.label(), "");
    let answer = make(&pace, &call("/a.Service/Echo", &message("hello")));
    assert_eq!(
        (answer.trailers.all("grpc-status"), answer.body),
        (vec!["0"], message("hello"))
    );
}
