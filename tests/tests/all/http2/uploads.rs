//! Uploads that are answered before their end.

use pace_tests::{Frame, HttpBackend, Request, Scripted, flag, kind};

use super::{Both, NO_ERROR};

/// Pace itself answers, and the client is told that the rest of its body is not needed (RFC 9113, section 8.1).
#[test]
fn early_refusal_ends_the_upload_without_an_error() {
    let backend = HttpBackend::named("one");
    let both = Both::before(&backend.label());
    let mut frames = both.frames();
    let length = [("content-length", "1000000")];
    frames.send(&[Frame::request(1, flag::NONE, "POST", "/a%2fb", &length)]);
    let head = frames.wait_for(kind::HEADERS, 1);
    assert_eq!(head.status(), Some(400));
    while !frames.wait_for(kind::DATA, 1).ends_stream() {}
    assert_eq!(frames.wait_for(kind::RST_STREAM, 1).error(), Some(NO_ERROR));
    // Data on its way is no fault.
    frames.send(&[Frame::data(1, flag::NONE, vec![0; 10_000])]);
    frames.send(&[Frame::get(3, "/")]);
    assert_eq!(frames.wait_for(kind::HEADERS, 3).status(), Some(200));
}

#[test]
fn early_answer_of_the_backend_arrives_and_the_connection_goes_on() {
    let backend = Scripted::new(|line| {
        while let Some(head) = line.head()? {
            if head.starts_with("POST") {
                line.write("HTTP/1.1 429 Too Many Requests\r\nContent-Length: 4\r\n")?;
                line.write("Connection: close\r\n\r\nlate")?;
                return line.end();
            }
            line.write(super::OK)?;
        }
        Ok(())
    });
    let both = Both::before(&backend.label());
    for mut client in both.clients() {
        for _ in 0..20 {
            // The bodies exceed all windows together: the connection's must be given back.
            let body = vec![0; 300_000];
            let response = client.send(&Request::post("/", body));
            assert_eq!((response.status, response.text()), (429, "late"));
        }
        assert_eq!(client.get("/").text(), "ok");
    }
}

/// The windows of a connection outlast many uploads whose rest was not read.
#[test]
fn windows_of_unread_uploads_are_given_back() {
    let backend = HttpBackend::named("one");
    let both = Both::before(&backend.label());
    let mut client = both.plain();
    for _ in 0..50 {
        let response = client.send(&Request::post("/a%2fb", vec![0; 100_000]));
        assert_eq!(response.status, 400);
    }
    assert_eq!(client.send(&Request::post("/", vec![0; 1000])).status, 200);
}
