use proptest::prelude::*;

use super::*;
use crate::request::Underscores;

/// Decodes a body in pieces of `piece` bytes: the data, the bytes taken, and whether the body ended.
fn decode(body: &[u8], piece: usize) -> Result<(Vec<u8>, usize, bool), Fault> {
    let mut decoder = Decoder::new(Underscores::Pass);
    let (mut data, mut taken) = (Vec::new(), 0);
    for bytes in body.chunks(piece) {
        let mut bytes = bytes.to_vec();
        let decoded = decoder.decode(&mut bytes)?;
        data.extend_from_slice(&bytes[decoded.data]);
        taken += decoded.taken;
    }
    Ok((data, taken, decoder.is_done()))
}

fn whole(body: &str) -> Result<(Vec<u8>, usize, bool), Fault> {
    let found = decode(body.as_bytes(), body.len().max(1));
    for piece in [1, 2, 3, 5] {
        assert_eq!(
            decode(body.as_bytes(), piece),
            found,
            "{body:?} in pieces of {piece}"
        );
    }
    found
}

#[test]
fn decode_chunks_are_joined_and_later_bytes_left() {
    for (body, data) in [
        ("0\r\n\r\n", ""),
        ("5\r\nhello\r\n0\r\n\r\n", "hello"),
        ("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", "hello world"),
        ("A\r\n0123456789\r\n00\r\n\r\n", "0123456789"),
        ("00000000000000000000005\r\nhello\r\n0\r\n\r\n", "hello"),
        ("5;a\r\nhello\r\n0;b=c\r\n\r\n", "hello"),
        // Space before a semicolon is bad and must be read (RFC 9110, section 5.6.3).
        ("5 \t;a ; b\r\nhello\r\n0 ;c\r\n\r\n", "hello"),
        (
            "5;a=\"b;\\\" c\"; d = e\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n",
            "hello",
        ),
    ] {
        assert_eq!(whole(body), Ok((data.into(), body.len(), true)), "{body:?}");
        let more = format!("{body}GET / HTTP/1.1\r\n\r\n");
        assert_eq!(whole(&more), Ok((data.into(), body.len(), true)), "{more:?}");
    }
}

#[test]
fn decode_size_with_other_than_hex_digits_fails() {
    for line in [
        "",
        " ",
        ";a",
        "5 ",
        "5\t",
        " 5",
        "+5",
        "-5",
        "0x5",
        "5h",
        "5_",
        "G",
        "10000000000000000",
        "fffffffffffffffff",
        "5\u{b}",
        "5\0",
        "٥",
    ] {
        let body = format!("{line}\r\nhello\r\n0\r\n\r\n");
        assert_eq!(whole(&body), Err(Fault::Chunk), "{body:?}");
    }
    assert!(whole("ffffffffffffffff\r\nhello").is_ok());
}

#[test]
fn decode_malformed_or_long_extension_fails() {
    for line in [
        "5;",
        "5;;",
        "5; ",
        "5;a=",
        "5;=a",
        "5;a b",
        "5;a ",
        "5;a=b c",
        "5;a=\"b",
        "5;a=\"b\"c",
        "5;a=\"\u{1}\"",
        "5;bad[=x",
        "5;\0ext",
        "5;a\u{7f}",
        "5;a,b",
        "5;é",
    ] {
        let body = format!("{line}\r\nhello\r\n0\r\n\r\n");
        assert_eq!(whole(&body), Err(Fault::Chunk), "{body:?}");
    }
    let long = format!("5;{}\r\nhello\r\n0\r\n\r\n", "a".repeat(MAX_LINE));
    assert_eq!(whole(&long), Err(Fault::Chunk));
    let zeros = format!("{}5\r\nhello\r\n0\r\n\r\n", "0".repeat(MAX_LINE));
    assert_eq!(whole(&zeros), Err(Fault::Chunk));
}

#[test]
fn decode_line_end_other_than_crlf_fails() {
    for body in [
        "5\nhello\r\n0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhello\r0\r\n\r\n",
        "5\r\nhelloX\r\n0\r\n\r\n",
        "5\rhello\r\n0\r\n\r\n",
        "5;\nxx\r\nhello\r\n0\r\n\r\n",
        "5;a\nb\r\nhello\r\n0\r\n\r\n",
        "5;a\rb\r\nhello\r\n0\r\n\r\n",
        "5;a=\"\n\"\r\nhello\r\n0\r\n\r\n",
        "0\n\r\n",
    ] {
        assert_eq!(whole(body), Err(Fault::Chunk), "{body:?}");
    }
    for body in ["0\r\n\n", "0\r\nX: 1\n\r\n", "0\r\nX: 1\r\n\n"] {
        assert_eq!(whole(body), Err(Fault::Trailer), "{body:?}");
    }
}

#[test]
fn decode_trailers_are_fields_and_forbidden_ones_are_dropped() {
    for section in [
        "GET /x HTTP/1.1\r\n",
        "\0\r\n",
        ": a\r\n",
        "a b: c\r\n",
        "a : b\r\n",
        "a: \0\r\n",
        " a: b\r\n",
    ] {
        assert_eq!(
            whole(&format!("0\r\n{section}\r\n")),
            Err(Fault::Trailer),
            "{section:?}"
        );
    }
    let long = format!("0\r\nX: {}\r\n\r\n", "a".repeat(16 << 10));
    assert_eq!(whole(&long), Err(Fault::Trailer));
    let mut decoder = Decoder::new(Underscores::Pass);
    let mut body = *b"0\r\nX-Sum: 1\r\nContent-Length: 5\r\nHost: b\r\nSet-Cookie: a\r\nETag: x\r\n\r\n";
    decoder.decode(&mut body).expect("a valid body");
    let names: Vec<_> = decoder
        .trailers()
        .expect("some are left")
        .iter()
        .map(|field| field.name)
        .collect();
    assert_eq!(names, ["X-Sum", "ETag"]);
}

proptest! {
    #[test]
    fn decode_any_encoded_chunks_in_any_pieces_returns_them(
        chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..40), 0..6),
        piece in 1_usize..50,
    ) {
        let mut body = Vec::new();
        for chunk in &chunks {
            body.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            body.extend_from_slice(chunk);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(b"0\r\n\r\n");
        let (data, taken, done) = decode(&body, piece).expect("it is valid");
        prop_assert_eq!(data, chunks.concat());
        prop_assert_eq!((taken, done), (body.len(), true));
    }

    #[test]
    fn decode_any_bytes_give_the_same_result_in_any_pieces(
        body in "[0-9a-f;=\" \r\n]{0,40}", piece in 1_usize..10,
    ) {
        prop_assert_eq!(decode(body.as_bytes(), piece), decode(body.as_bytes(), body.len().max(1)));
    }
}
