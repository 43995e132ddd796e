//! Responses compared with the letter of the RFCs.

use super::super::*;

/// Reads a response to GET, after which the connection ends.
fn read_answer(text: &str) -> Read<ResponseHead> {
    read_response(text.as_bytes(), &RequestHead::asking("GET"), true)
}

#[test]
fn valid_response_is_read_with_its_interim_responses() {
    for (text, status, interim, body) in [
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
            200,
            &[][..],
            "abc",
        ),
        (
            "HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n3;a\r\nabc\r\n0\r\n\r\n",
            200,
            &[],
            "abc",
        ),
        (
            "HTTP/1.0 404 Not \u{e9}\r\n\r\nto the end",
            404,
            &[],
            "to the end",
        ),
        (
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 \r\nX: 1\r\n\r\nHTTP/1.1 204 No\r\n\r\n",
            204,
            &[100, 103],
            "",
        ),
        (
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n",
            304,
            &[],
            "",
        ),
    ] {
        let read = read_answer(text);
        assert_eq!((read.state, read.taken), (State::Whole, text.len()), "{text:?}");
        assert!(read.quirks.is_empty(), "{text:?}: {:?}", read.quirks);
        let head = read.head.expect("a whole response has a head");
        assert_eq!((head.status, head.interim.as_slice()), (status, interim));
        assert_eq!(read.body, body.as_bytes());
    }
}

#[test]
fn response_to_head_has_no_body_whatever_its_fields_say() {
    let asked = RequestHead::asking("HEAD");
    for framing in ["Content-Length: 3", "Transfer-Encoding: chunked", "X: no framing"] {
        let text = format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n");
        let read = read_response(format!("{text}abc").as_bytes(), &asked, false);
        assert_eq!((read.state, read.taken), (State::Whole, text.len()), "{text:?}");
    }
}

#[test]
fn faulty_response_is_broken_with_its_fault() {
    use Fault::*;
    let with = |lines: &str| format!("HTTP/1.1 200 OK\r\n{lines}");
    for (text, fault) in [
        ("HTTP/1.1 20 OK\r\n\r\n".to_owned(), Status),
        ("HTTP/1.1 2000 OK\r\n\r\n".to_owned(), Status),
        ("HTTP/1.1 099 OK\r\n\r\n".to_owned(), Status),
        ("HTTP/1.1  200 OK\r\n\r\n".to_owned(), Status),
        ("HTTP/1.1\t200 OK\r\n\r\n".to_owned(), StartLine),
        ("HTTP/2.0 200 OK\r\n\r\n".to_owned(), Version),
        ("ICY 200 OK\r\n\r\n".to_owned(), Version),
        ("HTTP/1.1 200 O\0K\r\n\r\n".to_owned(), ControlByte),
        (
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n".to_owned(),
            UnaskedUpgrade,
        ),
        (with(" X: 1\r\n\r\n"), Fold),
        (with("X\r\n\r\n"), FieldName),
        (with("X: a\rb\r\n\r\n"), BareCarriageReturn),
        (with("Content-Length: 3x\r\n\r\nabc"), Length),
        (with("Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"), Length),
        (
            with("Content-Length: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            Length,
        ),
        (with("Transfer-Encoding: chunked, gzip\r\n\r\n"), Coding),
        (with("Transfer-Encoding: chunked, chunked\r\n\r\n"), Coding),
        (with("Transfer-Encoding: chunked\r\n\r\n\r\n"), ChunkSize),
        (
            with("Transfer-Encoding: chunked\r\n\r\n3;\nabc\r\n"),
            BareLineFeed,
        ),
    ] {
        assert_eq!(read_answer(&text).state, State::Broken(fault), "{text:?}");
    }
}

#[test]
fn odd_response_is_read_with_its_quirk() {
    use Quirk::*;
    for (text, body, quirk) in [
        ("\r\nHTTP/1.1 200 OK\r\n\r\nabc", "abc", EmptyLines),
        ("HTTP/1.9 200 OK\r\n\r\nabc", "abc", MinorVersion),
        ("HTTP/1.1 200\r\n\r\nabc", "abc", NoReason),
        ("HTTP/1.1 999 OK\r\n\r\nabc", "abc", OddStatus),
        ("HTTP/1.1 200 OK\nX: 1\n\nabc", "abc", LineFeeds),
        ("HTTP/1.1 200 OK\r\nX: 1\r\n 2\r\n\r\nabc", "abc", FoldedLine),
        ("HTTP/1.1 200 OK\r\nX : 1\r\n\r\nabc", "abc", SpaceBeforeColon),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 3, 3\r\n\r\nabc",
            "abc",
            RepeatedLength,
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            "abc",
            LengthBesideCoding,
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc",
            "abc",
            UnknownCoding,
        ),
        (
            "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "",
            OldVersionCoding,
        ),
        (
            "HTTP/1.1 204 No\r\nContent-Length: 3\r\n\r\n",
            "",
            FramingWithoutBody,
        ),
        (
            "HTTP/1.1 200 OK\r\nConnection: \"x\"\r\n\r\nabc",
            "abc",
            OddOption,
        ),
    ] {
        let read = read_answer(text);
        assert_eq!(
            (read.state, read.body.as_slice()),
            (State::Whole, body.as_bytes()),
            "{text:?}"
        );
        assert!(read.quirks.contains(&quirk), "{text:?}: {:?}", read.quirks);
    }
}
