//! Version 1: one line of text (section 2.1).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{Invalid, Parsed, canonical};

pub(super) const SIGNATURE: &[u8] = b"PROXY ";

/// The length of `PROXY UNKNOWN` and CRLF.
pub(super) const SHORTEST: usize = 15;

/// The most bytes of a line, CRLF included.
const LONGEST: usize = 107;

/// Parses a header of version 1. `bytes` must start like the signature.
pub(super) fn parse(bytes: &[u8]) -> Parsed {
    let line = &bytes[..bytes.len().min(LONGEST)];
    let Some(end) = line.iter().position(|byte| matches!(byte, b'\r' | b'\n')) else {
        return unfinished(bytes.len(), 2);
    };
    match line[end..] {
        [b'\r', b'\n', ..] => {}
        [b'\r'] => return unfinished(bytes.len(), 1),
        _ => return Parsed::Invalid(Invalid::LineEnd),
    }
    match source(&line[..end]) {
        Ok(source) => Parsed::Header {
            consumed: end + 2,
            source: source.map(canonical),
        },
        Err(invalid) => Parsed::Invalid(invalid),
    }
}

/// The verdict on a line that needs at least `end` more bytes to its end.
fn unfinished(received: usize, end: usize) -> Parsed {
    if received + end > LONGEST {
        return Parsed::Invalid(Invalid::LineTooLong);
    }
    Parsed::Incomplete(end.max(SHORTEST.saturating_sub(received)))
}

/// The source in a line without its CRLF. Fields are separated by exactly one space.
fn source(line: &[u8]) -> Result<Option<SocketAddr>, Invalid> {
    // The line may end before its signature does.
    let fields = line.strip_prefix(SIGNATURE).ok_or(Invalid::Protocol)?;
    let mut fields = fields.split(|&byte| byte == b' ');
    let parse_address = match fields.next() {
        Some(b"TCP4") => ipv4,
        Some(b"TCP6") => ipv6,
        // The rest of such a line must be ignored.
        Some(b"UNKNOWN") => return Ok(None),
        _ => return Err(Invalid::Protocol),
    };
    let mut field = || fields.next().ok_or(Invalid::Fields);
    let source = parse_address(field()?)?;
    let _destination = parse_address(field()?)?;
    let source_port = port(field()?)?;
    let _destination_port = port(field()?)?;
    match fields.next() {
        None => Ok(Some(SocketAddr::new(source, source_port))),
        Some(_) => Err(Invalid::Fields),
    }
}

fn ipv4(field: &[u8]) -> Result<IpAddr, Invalid> {
    text(field)
        .and_then(|text| text.parse::<Ipv4Addr>().ok())
        .map(IpAddr::V4)
        .ok_or(Invalid::Address)
}

/// Parses an IPv6 address, also in the dotted form (`::ffff:192.0.2.7`): senders that print addresses with `inet_ntop`
/// write it, though the specification does not mention it.
fn ipv6(field: &[u8]) -> Result<IpAddr, Invalid> {
    text(field)
        .and_then(|text| text.parse::<Ipv6Addr>().ok())
        .map(IpAddr::V6)
        .ok_or(Invalid::Address)
}

fn port(field: &[u8]) -> Result<u16, Invalid> {
    match field {
        b"0" | [b'1'..=b'9', ..] => text(field)
            .and_then(|text| text.parse().ok())
            .ok_or(Invalid::Port),
        _ => Err(Invalid::Port),
    }
}

fn text(field: &[u8]) -> Option<&str> {
    std::str::from_utf8(field).ok()
}
