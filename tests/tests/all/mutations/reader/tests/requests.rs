//! Requests compared with the letter of the RFCs.

use super::super::*;

fn read(text: &str) -> Read<RequestHead> {
    read_request(text.as_bytes())
}

/// A request with these field lines and the bytes that follow them.
fn with(lines: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}")
}

#[test]
fn valid_request_is_read_to_its_end() {
    for (text, method, target, body) in [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "/", ""),
        ("\r\nGET /a?b=c HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "/a?b=c", ""),
        (
            "OPTIONS * HTTP/1.1\r\nhOsT:a.test:8080\r\n\r\n",
            "OPTIONS",
            "*",
            "",
        ),
        (
            "GET http://a/x HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET",
            "http://a/x",
            "",
        ),
        (
            "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n",
            "CONNECT",
            "a:443",
            "",
        ),
        ("GET / HTTP/1.0\r\n\r\n", "GET", "/", ""),
        (
            "M-X! / HTTP/1.1\r\nHost: [::1]:80\r\nX-Empty:\r\nX:\t a \u{e9}\t\r\n\r\n",
            "M-X!",
            "/",
            "",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
            "POST",
            "/",
            "abc",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n3\r\nabc\r\nA;x;y=z;q=\"\\\";\"\r\n0123456789\r\n0\r\nX: 1\r\n\r\n",
            "POST",
            "/",
            "abc0123456789",
        ),
    ] {
        let read = read(&format!("{text}GET /next HTTP/1.1\r\n"));
        assert_eq!((read.state, read.taken), (State::Whole, text.len()), "{text:?}");
        assert!(read.quirks.is_empty(), "{text:?}: {:?}", read.quirks);
        let head = read.head.expect("a whole request has a head");
        assert_eq!(
            (head.method.as_slice(), head.target.as_slice()),
            (method.as_bytes(), target.as_bytes())
        );
        assert_eq!(read.body, body.as_bytes());
    }
}

#[test]
fn truncated_request_is_partial_wherever_it_is_cut() {
    let chunks = "Transfer-Encoding: chunked\r\n\r\n4;a=b\r\nbody\r\n0\r\nX: 1\r\n\r\n";
    for text in [
        with("Content-Length: 4\r\n\r\nbody"),
        with(chunks),
        with("X: 1\r\n\r\n"),
    ] {
        for end in 0..text.len() {
            assert_eq!(read(&text[..end]).state, State::Partial, "{:?}", &text[..end]);
        }
    }
}

#[test]
fn faulty_request_is_broken_with_its_fault() {
    use Fault::*;
    let chunked = |body: &str| with(&format!("Transfer-Encoding: chunked\r\n\r\n{body}"));
    let line = |line: &str| format!("{line}\r\nHost: a\r\n\r\n");
    for (text, fault) in [
        (line("GET /"), StartLine),
        (line("GET  / HTTP/1.1"), StartLine),
        (line("GET / HTTP/1.1 "), StartLine),
        (line("GET /a b HTTP/1.1"), StartLine),
        (line("\nGET / HTTP/1.1"), BareLineFeed),
        (line("G@T / HTTP/1.1"), Method),
        (line(" / HTTP/1.1"), Method),
        (line("GET  HTTP/1.1"), TargetByte),
        (line("GET /\u{e9} HTTP/1.1"), TargetByte),
        (line("GET /a\tb HTTP/1.1"), TargetByte),
        (line("GET /a\0b HTTP/1.1"), ControlByte),
        (line("GET /a\x7fb HTTP/1.1"), ControlByte),
        (line("GET /a\rb HTTP/1.1"), BareCarriageReturn),
        (line("GET * HTTP/1.1"), TargetForm),
        (line("GET a HTTP/1.1"), TargetForm),
        (line("GET ?a HTTP/1.1"), TargetForm),
        (line("GET a:80 HTTP/1.1"), TargetForm),
        (line("GET http:///a HTTP/1.1"), TargetForm),
        (line("GET http://[::1/ HTTP/1.1"), TargetForm),
        (line("CONNECT / HTTP/1.1"), TargetForm),
        (line("GET / http/1.1"), Version),
        (line("GET / HTTP/2.0"), Version),
        (line("GET / HTTP/1.10"), Version),
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), HostCount),
        (with("Host: a\r\n\r\n"), HostCount),
        ("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n".to_owned(), HostValue),
        ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n".to_owned(), HostValue),
        ("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n".to_owned(), HostValue),
        ("GET / HTTP/1.1\r\nHost: a:8x\r\n\r\n".to_owned(), HostValue),
        ("GET / HTTP/1.0\r\nHost: [::1\r\n\r\n".to_owned(), HostValue),
        (with("X: 1\nY: 2\r\n\r\n"), BareLineFeed),
        (with("X: 1\r\n\n"), BareLineFeed),
        (with("X: 1\rY: 2\r\n\r\n"), BareCarriageReturn),
        (with("X: a\0\r\n\r\n"), ControlByte),
        (with("X: a\x1f\r\n\r\n"), ControlByte),
        (with("X\r\n\r\n"), FieldName),
        (with("X : 1\r\n\r\n"), FieldName),
        (with(": 1\r\n\r\n"), FieldName),
        (with("X(): 1\r\n\r\n"), FieldName),
        (with(" X: 1\r\n\r\n"), Fold),
        (with("X: 1\r\n\t2\r\n\r\n"), Fold),
        (with("Connection: \"close\"\r\n\r\n"), ConnectionOption),
        (with("Connection: a b\r\n\r\n"), ConnectionOption),
        (with("Content-Length: \r\n\r\n"), Length),
        (with("Content-Length: +3\r\n\r\n"), Length),
        (with("Content-Length: 0x3\r\n\r\n"), Length),
        (with("Content-Length: 3, 4\r\n\r\n"), Length),
        (with("Content-Length: 3\r\nContent-Length: 4\r\n\r\n"), Length),
        (with("Content-Length: 3,\r\n\r\n"), Length),
        (with("Content-Length: 18446744073709551616\r\n\r\n"), Length),
        (
            with("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"),
            LengthAndCoding,
        ),
        (with("Transfer-Encoding: gzip, chunked\r\n\r\n"), Coding),
        (with("Transfer-Encoding: gzip\r\n\r\n"), Coding),
        (with("Transfer-Encoding: chunked, chunked\r\n\r\n"), Coding),
        (
            with("Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n\r\n"),
            Coding,
        ),
        (with("Transfer-Encoding: chunked;q=1\r\n\r\n"), Coding),
        (with("Transfer-Encoding: \r\n\r\n"), Coding),
        (with("Transfer-Encoding: chun\u{212a}ed\r\n\r\n"), Coding),
        (chunked("\r\n"), ChunkSize),
        (chunked(" 3\r\n"), ChunkSize),
        (chunked("3 \r\n"), ChunkSize),
        (chunked("0x3\r\n"), ChunkSize),
        (chunked("3g\r\n"), ChunkSize),
        (chunked("-3\r\n"), ChunkSize),
        (chunked("10000000000000000\r\n"), ChunkSize),
        (chunked("3;\r\n"), ChunkExtension),
        (chunked("3;a=\r\n"), ChunkExtension),
        (chunked("3;a b\r\n"), ChunkExtension),
        (chunked("3;a=\"b\r\n"), ChunkExtension),
        (chunked("3;a=\"b\\\"\r\n"), ChunkExtension),
        (chunked("3;a=\"b\"c\r\n"), ChunkExtension),
        (chunked("3;a=\u{ff}\r\n"), ChunkExtension),
        (chunked("3;a=\"\x7f\"\r\n"), ControlByte),
        (chunked("3\nabc\n0\n\n"), BareLineFeed),
        (chunked("3;\nabc\r\n0\r\n\r\n"), BareLineFeed),
        (chunked("3\r\nabcd\r\n0\r\n\r\n"), ChunkEnd),
        (chunked("3\r\nabc\n0\r\n\r\n"), ChunkEnd),
        (chunked("0\r\nX\r\n\r\n"), FieldName),
        (chunked("0\r\nGET / HTTP/1.1\r\n\r\n"), FieldName),
        (chunked("0\r\n X: 1\r\n\r\n"), Fold),
        (chunked("0\r\n\n"), BareLineFeed),
    ] {
        assert_eq!(read(&text).state, State::Broken(fault), "{text:?}");
    }
}

#[test]
fn odd_request_is_read_with_its_quirk() {
    use Quirk::*;
    let line = |line: &str| format!("{line}\r\nHost: a\r\n\r\n");
    for (text, body, quirk) in [
        (line("\r\n\r\nGET / HTTP/1.1"), "", EmptyLines),
        (line("GET / HTTP/1.2"), "", MinorVersion),
        (line("GET /{a} HTTP/1.1"), "", TargetCharacters),
        (line("GET /%zz HTTP/1.1"), "", TargetCharacters),
        (line("GET /a#b HTTP/1.1"), "", TargetCharacters),
        (line("GET http://u:p@a/ HTTP/1.1"), "", UserInfo),
        (line("GET http://b/ HTTP/1.1"), "", OtherAuthority),
        ("GET / HTTP/1.1\r\nHost: \r\n\r\n".to_owned(), "", OddHost),
        ("GET / HTTP/1.1\r\nHost: a,b\r\n\r\n".to_owned(), "", OddHost),
        ("GET / HTTP/1.1\r\nHost: a:\r\n\r\n".to_owned(), "", OddHost),
        ("GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n".to_owned(), "", OddHost),
        (with("Content-Length: 3, 3\r\n\r\nabc"), "abc", RepeatedLength),
        (
            with("Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc"),
            "abc",
            RepeatedLength,
        ),
        (with("Content-Length: 03\r\n\r\nabc"), "abc", LeadingZeros),
        (
            with("Transfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n"),
            "",
            EmptyCoding,
        ),
        (
            with("Transfer-Encoding: chunked\r\n\r\n03\r\nabc\r\n0\r\n\r\n"),
            "abc",
            LeadingZeros,
        ),
        (
            with("Transfer-Encoding: chunked\r\n\r\n3 ;a = b\r\nabc\r\n0\r\n\r\n"),
            "abc",
            ChunkSpace,
        ),
        (with("Expect: 200-ok\r\n\r\n"), "", Expectation),
        (
            "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(),
            "",
            OldVersionCoding,
        ),
    ] {
        let read = read(&text);
        assert_eq!(
            (read.state, read.body.as_slice()),
            (State::Whole, body.as_bytes()),
            "{text:?}"
        );
        assert!(read.quirks.contains(&quirk), "{text:?}: {:?}", read.quirks);
    }
}

#[test]
fn version_and_options_of_a_request_end_its_connection() {
    for (version, lines, closes) in [
        ("1.1", "", false),
        ("1.1", "Connection: keep-alive\r\nConnection: x, Close\r\n", true),
        ("1.0", "", true),
        ("1.0", "Connection: Keep-Alive\r\n", false),
        (
            "1.0",
            "Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n",
            true,
        ),
    ] {
        let text = format!("GET / HTTP/{version}\r\nHost: a\r\n{lines}\r\n");
        let head = read(&text).head.expect("the head is whole");
        assert_eq!(head.closes(), closes, "{text:?}");
    }
}

#[test]
fn equivalent_targets_have_one_spelling() {
    for (target, spelling) in [
        ("/", "/"),
        ("*", "*"),
        ("/a/b?c=/../%7e", "/a/b?c=/../%7e"),
        ("/%61dmin/%2fx%2e", "/admin/%2Fx."),
        ("//a///b/", "/a/b/"),
        ("/a/./b/../c/.", "/a/c/"),
        ("/../..", "/"),
        ("/%2e%2E/a", "/a"),
        ("/a#b?c", "/a"),
        ("http://a.test", "/"),
        ("http://a.test?x", "/?x"),
        ("HTTP://a.test/x/../y", "/y"),
    ] {
        assert_eq!(
            normal(target.as_bytes()).escape_ascii().to_string(),
            spelling,
            "{target}"
        );
    }
}
