use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;

/// The longest header that the length field of version 2 allows.
const MAX_HEADER: usize = v2::FIXED + 0xffff;

fn header(consumed: usize, source: &str) -> Parsed {
    Parsed::Header {
        consumed,
        source: Some(source.parse().unwrap()),
    }
}

fn unknown(consumed: usize) -> Parsed {
    Parsed::Header {
        consumed,
        source: None,
    }
}

fn line(text: &str) -> Parsed {
    parse(text.as_bytes())
}

fn v2(version_command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let mut bytes = v2::SIGNATURE.to_vec();
    bytes.extend([version_command, family]);
    bytes.extend((rest.len() as u16).to_be_bytes());
    bytes.extend(rest);
    bytes
}

fn v2_ipv4(tlvs: &[u8]) -> Vec<u8> {
    let addresses = [192, 0, 2, 7, 198, 51, 100, 1, 0xdb, 0xfc, 0x01, 0xbb];
    v2(0x21, 0x11, &[&addresses, tlvs].concat())
}

/// A header of version 2 with a checksum TLV at its end.
fn with_checksum(tlvs: &[u8]) -> Vec<u8> {
    let mut bytes = v2_ipv4(&[tlvs, &[3, 0, 4, 0, 0, 0, 0]].concat());
    let sum = !v2::crc32c(!0, &bytes);
    let end = bytes.len() - 4;
    bytes[end..].copy_from_slice(&sum.to_be_bytes());
    bytes
}

#[test]
fn version_1_header_names_the_source() {
    let text = "PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n";
    assert_eq!(line(text), header(text.len(), "192.0.2.7:56324"));
    assert_eq!(
        line(&format!("{text}GET / HTTP/1.1\r\n")),
        header(text.len(), "192.0.2.7:56324")
    );

    let text = "PROXY TCP6 2001:DB8::7 2001:db8::1 0 65535\r\n";
    assert_eq!(line(text), header(text.len(), "[2001:db8::7]:0"));

    let text = "PROXY TCP6 ::ffff:192.0.2.7 ::ffff:198.51.100.1 1 2\r\n";
    assert_eq!(line(text), header(text.len(), "192.0.2.7:1"));
}

#[test]
fn version_1_unknown_with_any_rest_has_no_source() {
    assert_eq!(line("PROXY UNKNOWN\r\n"), unknown(15));
    assert_eq!(line("PROXY UNKNOWN \r\n\r\n"), unknown(16));
    let longest = format!("PROXY UNKNOWN {}\r\n", "f".repeat(91));
    assert_eq!(longest.len(), 107);
    assert_eq!(line(&longest), unknown(107));
    assert_eq!(parse(b"PROXY UNKNOWN \xff\x00\r\n"), unknown(18));
}

#[test]
fn version_1_line_that_deviates_from_the_grammar_is_invalid() {
    use Invalid::*;
    for (text, invalid) in [
        ("PROXY TCP4 192.0.2.7 198.51.100.1 1 2\n", LineEnd),
        ("PROXY TCP4 192.0.2.7 198.51.100.1 1 2\r.", LineEnd),
        ("PROXY TCP4 192.0.2.7 198.51.100.1 1 2\r\r\n", LineEnd),
        ("PROXY \r\n", Protocol),
        ("PROXY  TCP4 192.0.2.7 198.51.100.1 1 2\r\n", Protocol),
        ("PROXY tcp4 192.0.2.7 198.51.100.1 1 2\r\n", Protocol),
        ("PROXY UDP4 192.0.2.7 198.51.100.1 1 2\r\n", Protocol),
        ("PROXY UNKNOWNS\r\n", Protocol),
        ("PROXY TCP4\r\n", Fields),
        ("PROXY TCP4 192.0.2.7\r\n", Fields),
        ("PROXY TCP4 192.0.2.7 198.51.100.1\r\n", Fields),
        ("PROXY TCP4 192.0.2.7 198.51.100.1 1\r\n", Fields),
        ("PROXY TCP4 192.0.2.7 198.51.100.1 1 2 3\r\n", Fields),
        ("PROXY TCP4 192.0.2.7 198.51.100.1 1 2 \r\n", Fields),
        ("PROXY TCP4  192.0.2.7 198.51.100.1 1 2\r\n", Address),
        ("PROXY TCP4 192.0.2.07 198.51.100.1 1 2\r\n", Address),
        ("PROXY TCP4 192.0.2 198.51.100.1 1 2\r\n", Address),
        ("PROXY TCP4 192.0.2.7 198.51.100.256 1 2\r\n", Address),
        ("PROXY TCP4 2001:db8::7 2001:db8::1 1 2\r\n", Address),
        ("PROXY TCP6 192.0.2.7 198.51.100.1 1 2\r\n", Address),
        ("PROXY TCP6 2001:db8::7 fe80::1%1 1 2\r\n", Address),
        ("PROXY TCP6 [2001:db8::7] 2001:db8::1 1 2\r\n", Address),
        ("PROXY TCP4 192.0.2.7 198.51.100.1  2\r\n", Port),
        ("PROXY TCP4 192.0.2.7 198.51.100.1 01 2\r\n", Port),
        ("PROXY TCP4 192.0.2.7 198.51.100.1 1 00\r\n", Port),
        ("PROXY TCP4 192.0.2.7 198.51.100.1 +1 2\r\n", Port),
        ("PROXY TCP4 192.0.2.7 198.51.100.1 1 65536\r\n", Port),
    ] {
        assert_eq!(line(text), Parsed::Invalid(invalid), "{text:?}");
    }
}

#[test]
fn version_1_line_longer_than_107_bytes_is_invalid() {
    let start = |length: usize| format!("PROXY UNKNOWN {}", "x".repeat(length - 14)).into_bytes();
    assert_eq!(parse(&start(105)), Parsed::Incomplete(2));
    assert_eq!(parse(&start(106)), Parsed::Invalid(Invalid::LineTooLong));
    assert_eq!(
        parse(&[start(105), b"\r".to_vec()].concat()),
        Parsed::Incomplete(1)
    );
    assert_eq!(
        parse(&[start(106), b"\r".to_vec()].concat()),
        Parsed::Invalid(Invalid::LineTooLong)
    );
    assert_eq!(
        parse(&[start(106), b"\r\n".to_vec()].concat()),
        Parsed::Invalid(Invalid::LineTooLong)
    );
    assert_eq!(
        parse(&[start(500), b"\r\n".to_vec()].concat()),
        Parsed::Invalid(Invalid::LineTooLong)
    );
}

#[test]
fn bytes_that_are_no_header_are_refused_at_the_first_difference() {
    for bytes in [
        &b"G"[..],
        b"GET / HTTP/1.1\r\n",
        b"proxy ",
        b"PROXY\r\n",
        b"PROXYS",
        b"\r\n\r\n\r",
        b"\x16\x03\x01",
    ] {
        assert_eq!(parse(bytes), Parsed::NotProxy, "{bytes:?}");
    }
    assert_eq!(parse(b""), Parsed::Incomplete(15));
    assert_eq!(parse(b"P"), Parsed::Incomplete(14));
    assert_eq!(parse(b"\r"), Parsed::Incomplete(15));
}

#[test]
fn version_2_header_names_the_source() {
    // The layout is that of the specification, byte by byte.
    let bytes = b"\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0a\x21\x11\x00\x0c\
        \xc0\x00\x02\x07\xc6\x33\x64\x01\xdb\xfc\x01\xbbGET /";
    assert_eq!(parse(bytes), header(28, "192.0.2.7:56316"));
    assert_eq!(bytes[..28], v2_ipv4(&[]));

    let ipv6: Ipv6Addr = "2001:db8::7".parse().unwrap();
    let rest = [&ipv6.octets()[..], &[0; 16], &[0x1f, 0x90, 0, 80]].concat();
    assert_eq!(parse(&v2(0x21, 0x21, &rest)), header(52, "[2001:db8::7]:8080"));
    assert_eq!(
        parse(&v2(0x21, 0x22, &rest)),
        header(52, "[2001:db8::7]:8080"),
        "QUIC in front"
    );

    let mapped = Ipv4Addr::new(192, 0, 2, 7).to_ipv6_mapped();
    let rest = [&mapped.octets()[..], &[0; 20]].concat();
    assert_eq!(parse(&v2(0x21, 0x21, &rest)), header(52, "192.0.2.7:0"));
}

#[test]
fn version_2_local_or_other_family_has_no_source() {
    assert_eq!(parse(&v2(0x20, 0x00, b"")), unknown(16));
    assert_eq!(
        parse(&v2(0x20, 0x11, b"x")),
        unknown(17),
        "all behind LOCAL is skipped"
    );
    assert_eq!(
        parse(&v2(0x20, 0xff, b"")),
        unknown(16),
        "even with an undefined family"
    );
    assert_eq!(parse(&v2(0x21, 0x00, b"anything")), unknown(24));
    assert_eq!(parse(&v2(0x21, 0x10, b"")), unknown(16));
    assert_eq!(parse(&v2(0x21, 0x31, &[b'/'; 216])), unknown(232));
}

#[test]
fn version_2_fault_is_found_at_the_byte_that_has_it() {
    use Invalid::*;
    for (bytes, invalid) in [
        (&v2(0x11, 0x11, &[0; 12])[..13], Version),
        (&v2(0x31, 0x11, &[0; 12])[..13], Version),
        (&v2(0x22, 0x11, &[0; 12])[..13], Command),
        (&v2(0x21, 0x41, &[0; 12])[..14], Family),
        (&v2(0x21, 0x13, &[0; 12])[..14], Family),
        (&v2(0x21, 0x11, &[0; 11])[..16], TooShort),
        (&v2(0x21, 0x21, &[0; 35])[..16], TooShort),
        (&v2(0x21, 0x31, &[0; 215])[..16], TooShort),
    ] {
        assert_eq!(parse(bytes), Parsed::Invalid(invalid));
        assert!(
            matches!(parse(&bytes[..bytes.len() - 1]), Parsed::Incomplete(_)),
            "{invalid:?}"
        );
    }
}

#[test]
fn version_2_tlvs_must_end_with_the_header() {
    let longest = v2_ipv4(&[&[4, 0xff, 0xf0][..], &[0; 0xfff0]].concat());
    assert_eq!(longest.len(), MAX_HEADER);
    for bytes in [
        v2_ipv4(&[4, 0, 0]),
        v2_ipv4(&[1, 0, 2, b'h', b'2', 0xe0, 0, 1, 9]),
        longest,
    ] {
        assert_eq!(parse(&bytes), header(bytes.len(), "192.0.2.7:56316"));
    }
    for tlvs in [
        &[4][..],
        &[4, 0],
        &[4, 0, 1],
        &[4, 0, 0, 4],
        &[4, 0xff, 0xff, 0],
        &[3, 0, 3, 0, 0, 0],
    ] {
        assert_eq!(parse(&v2_ipv4(tlvs)), Parsed::Invalid(Invalid::Tlv), "{tlvs:?}");
    }
}

#[test]
fn version_2_header_with_wrong_checksum_is_invalid() {
    assert_eq!(
        !v2::crc32c(!0, b"123456789"),
        0xe306_9283,
        "the check value of CRC-32C"
    );

    let good = with_checksum(&[1, 0, 2, b'h', b'2']);
    assert_eq!(parse(&good), header(good.len(), "192.0.2.7:56316"));
    for position in [16, 25, good.len() - 8, good.len() - 1] {
        let mut bad = good.clone();
        bad[position] ^= 1;
        assert_eq!(parse(&bad), Parsed::Invalid(Invalid::Checksum), "byte {position}");
    }
    let twice = with_checksum(&[3, 0, 4, 0, 0, 0, 0]);
    assert_eq!(parse(&twice), Parsed::Invalid(Invalid::Tlv));
}

/// Headers that a balancer may send, each with its source.
fn valid() -> impl Strategy<Value = (Vec<u8>, Option<SocketAddr>)> {
    let addresses = prop_oneof![
        any::<(Ipv4Addr, Ipv4Addr)>().prop_map(|(a, b)| (IpAddr::V4(a), IpAddr::V4(b))),
        any::<(Ipv6Addr, Ipv6Addr)>().prop_map(|(a, b)| (IpAddr::V6(a), IpAddr::V6(b))),
    ];
    let tlvs = proptest::collection::vec((4..=255_u8, proptest::collection::vec(any::<u8>(), 0..40)), 0..5);
    (addresses, any::<(u16, u16)>(), tlvs, 0..5_u8).prop_map(
        |((from, to), (from_port, to_port), tlvs, form)| {
            let source = Some(SocketAddr::new(from.to_canonical(), from_port));
            match form {
                0 => (b"PROXY UNKNOWN and whatever\r\n".to_vec(), None),
                1 | 2 => {
                    let family = if from.is_ipv4() { 4 } else { 6 };
                    (
                        format!("PROXY TCP{family} {from} {to} {from_port} {to_port}\r\n").into_bytes(),
                        source,
                    )
                }
                _ => {
                    let mut rest = Vec::new();
                    for address in [from, to] {
                        match address {
                            IpAddr::V4(address) => rest.extend(address.octets()),
                            IpAddr::V6(address) => rest.extend(address.octets()),
                        }
                    }
                    rest.extend([from_port, to_port].map(u16::to_be_bytes).concat());
                    for (kind, value) in tlvs {
                        rest.push(kind);
                        rest.extend((value.len() as u16).to_be_bytes());
                        rest.extend(value);
                    }
                    let command = if form == 3 { 0x20 } else { 0x21 };
                    let family = if from.is_ipv4() { 0x11 } else { 0x21 };
                    (v2(command, family, &rest), source.filter(|_| form != 3))
                }
            }
        },
    )
}

proptest! {
    #[test]
    fn valid_header_is_parsed_whatever_follows((bytes, source) in valid(), behind in proptest::collection::vec(any::<u8>(), 0..50)) {
        let whole = Parsed::Header { consumed: bytes.len(), source };
        prop_assert_eq!(parse(&bytes), whole);
        prop_assert_eq!(parse(&[bytes, behind].concat()), whole);
    }

    #[test]
    fn part_of_a_header_is_incomplete_and_asks_for_no_more_than_the_rest((bytes, _) in valid()) {
        for end in 0..bytes.len() {
            match parse(&bytes[..end]) {
                Parsed::Incomplete(more) => prop_assert!((1..=bytes.len() - end).contains(&more), "{more} after {end}"),
                other => prop_assert!(false, "{other:?} after {end} bytes"),
            }
        }
    }

    #[test]
    fn any_bytes_are_parsed_within_bounds(
        start in prop_oneof![Just(&b""[..]), Just(&b"PROXY "[..]), Just(&b"PROXY TCP4 "[..]), Just(v2::SIGNATURE), Just(&b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00"[..])],
        rest in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let bytes = [start, &rest].concat();
        match parse(&bytes) {
            Parsed::Header { consumed, .. } => prop_assert!(consumed <= bytes.len()),
            Parsed::Incomplete(more) => prop_assert!(more > 0 && bytes.len() + more <= MAX_HEADER),
            Parsed::NotProxy | Parsed::Invalid(_) => {}
        }
    }

    #[test]
    fn header_with_a_changed_byte_is_parsed_within_bounds((mut bytes, _) in valid(), position: prop::sample::Index, byte: u8) {
        let position = position.index(bytes.len());
        bytes[position] = byte;
        if let Parsed::Header { consumed, .. } = parse(&bytes) {
            prop_assert!(consumed <= bytes.len());
        }
    }
}
