//! Responses (RFC 9112, section 4).

use super::body::{Framing, codings, length, read_body};
use super::bytes::line;
use super::fields::{Of, read_fields};
use super::request::minor_version;
use super::{Fault, Fields, Quirk, Read, RequestHead, State, is_token};

/// Everything before the body of the final response, and the interim responses before that.
#[derive(Clone, Debug)]
pub(crate) struct ResponseHead {
    pub(crate) status: u16,
    /// The minor version of HTTP/1.
    pub(crate) minor: u8,
    pub(crate) fields: Fields,
    /// The statuses of the interim responses.
    pub(crate) interim: Vec<u16>,
    /// Codings beside `chunked`.
    pub(crate) codings: Vec<Vec<u8>>,
}

impl ResponseHead {
    /// Whether the connection ends with this response (section 9.3).
    pub(crate) fn closes(&self) -> bool {
        let options = self.fields.list("connection");
        let says = |option: &str| options.iter().any(|known| known == option.as_bytes());
        says("close") || (self.minor == 0 && !says("keep-alive"))
    }
}

/// Reads the response to a request: the interim ones, then the final one. A response that switches protocols
/// counts as final. `ended` means that no bytes follow these.
pub(crate) fn read_response(bytes: &[u8], asked: &RequestHead, ended: bool) -> Read<ResponseHead> {
    let mut read = Read::nothing();
    let mut interim = Vec::new();
    loop {
        let mut head = match read_head(bytes, &mut read) {
            Ok(Some(head)) => head,
            Ok(None) => return read,
            Err(fault) => return read.ended(State::Broken(fault)),
        };
        let framing = frame(&mut head, asked, &mut read.quirks);
        match (framing, head.status) {
            (Err(fault), _) => {
                head.interim = interim;
                read.head = Some(head);
                return read.ended(State::Broken(fault));
            }
            (Ok(_), 100 | 102..=199) => interim.push(head.status),
            (Ok(_), 101) if !asked.asks_for_upgrade() => {
                return read.ended(State::Broken(Fault::UnaskedUpgrade));
            }
            (Ok(framing), status) => {
                let upgrades = head.fields.has("upgrade") && head.fields.lists("connection", "upgrade");
                let named = asked.fields.list("upgrade");
                let is_named =
                    |chosen: &Vec<u8>| named.iter().any(|named| named.eq_ignore_ascii_case(chosen));
                let upgrades = upgrades && head.fields.list("upgrade").iter().all(is_named);
                if status == 101 && !upgrades {
                    read.note(Quirk::OddUpgrade);
                }
                head.interim = interim;
                read.head = Some(head);
                let rest = &bytes[read.taken..];
                return read_body(read, rest, framing, ended);
            }
        }
    }
}

/// Reads a head from the current position of `read`.
fn read_head(bytes: &[u8], read: &mut Read<ResponseHead>) -> Result<Option<ResponseHead>, Fault> {
    let mut rest = &bytes[read.taken..];
    while let [b'\r', b'\n', after @ ..] | [b'\n', after @ ..] = rest {
        rest = after;
        read.note(Quirk::EmptyLines);
    }
    let Some(line) = line(rest) else {
        return Ok(None);
    };
    line.check()?;
    read.quirks.extend(line.quirk());
    let (version, after) = line.text.split_at_checked(8).ok_or(Fault::StartLine)?;
    let minor = minor_version(version)?;
    let (status, reason) = match after {
        [
            b' ',
            a @ b'1'..=b'9',
            b @ b'0'..=b'9',
            c @ b'0'..=b'9',
            reason @ ..,
        ] => {
            let digit = |byte: &u8| u16::from(byte - b'0');
            (digit(a) * 100 + digit(b) * 10 + digit(c), reason)
        }
        [b' ', ..] => return Err(Fault::Status),
        _ => return Err(Fault::StartLine),
    };
    match reason {
        [b' ', ..] => {}
        [] => read.note(Quirk::NoReason),
        _ => return Err(Fault::Status),
    }
    if status > 599 {
        read.note(Quirk::OddStatus);
    }
    if minor > 1 {
        read.note(Quirk::MinorVersion);
    }
    let after = &rest[line.taken..];
    let Some((fields, taken)) = read_fields(after, Of::Response, &mut read.quirks)? else {
        return Ok(None);
    };
    if !fields.list("connection").iter().all(|option| is_token(option)) {
        read.note(Quirk::OddOption);
    }
    read.taken = bytes.len() - after.len() + taken;
    Ok(Some(ResponseHead {
        status,
        minor,
        fields,
        interim: Vec::new(),
        codings: Vec::new(),
    }))
}

/// Determines the framing by RFC 9112, section 6.3.
fn frame(head: &mut ResponseHead, asked: &RequestHead, quirks: &mut Vec<Quirk>) -> Result<Framing, Fault> {
    let fields = &head.fields;
    let framed = fields.has("content-length") || fields.has("transfer-encoding");
    if matches!(head.status, 100..200 | 204) {
        if framed {
            quirks.push(Quirk::FramingWithoutBody);
        }
        return Ok(Framing::Nothing);
    }
    let codings = codings(fields, quirks)?;
    let length = length(fields, quirks)?;
    if codings.is_some() && length.is_some() {
        quirks.push(Quirk::LengthBesideCoding);
    }
    if codings.is_some() && head.minor == 0 {
        quirks.push(Quirk::OldVersionCoding);
    }
    let framing = match (codings, length) {
        (Some(mut codings), _) => {
            let chunked = codings.pop_if(|last| last == b"chunked").is_some();
            if !codings.is_empty() {
                quirks.push(Quirk::UnknownCoding);
            }
            head.codings = codings;
            match chunked {
                true => Framing::Chunks,
                false => Framing::UntilEnd,
            }
        }
        (None, Some(length)) => Framing::Length(length),
        (None, None) => Framing::UntilEnd,
    };
    let bodiless = asked.method == b"HEAD" || head.status == 304;
    Ok(if bodiless { Framing::Nothing } else { framing })
}
