//! Requests (RFC 9112, section 3).

use super::body::{Framing, codings, length, read_body};
use super::bytes::strict_line;
use super::fields::{Of, read_fields};
use super::target::{check_host, check_target};
use super::{Fault, Fields, Quirk, Read, State, is_token};

/// Everything before the body.
#[derive(Clone, Debug)]
pub(crate) struct RequestHead {
    pub(crate) method: Vec<u8>,
    /// The target as it is on the wire.
    pub(crate) target: Vec<u8>,
    /// The authority of the absolute form.
    pub(crate) authority: Option<Vec<u8>>,
    /// The minor version of HTTP/1.
    pub(crate) minor: u8,
    pub(crate) fields: Fields,
}

impl RequestHead {
    /// A request by this method, for reading its answer.
    pub(crate) fn asking(method: &str) -> RequestHead {
        RequestHead {
            method: method.as_bytes().to_vec(),
            target: b"/".to_vec(),
            authority: None,
            minor: 1,
            fields: Fields::default(),
        }
    }

    /// Whether the connection ends with this exchange (section 9.3).
    pub(crate) fn closes(&self) -> bool {
        let options = self.fields.list("connection");
        let says = |option: &str| options.iter().any(|known| known == option.as_bytes());
        let odd_framing = self.fields.has("transfer-encoding");
        says("close") || (self.minor == 0 && (odd_framing || !says("keep-alive")))
    }

    /// Whether the request asks for another protocol (RFC 9110, section 7.8).
    pub(crate) fn asks_for_upgrade(&self) -> bool {
        self.minor > 0 && self.fields.has("upgrade") && self.fields.lists("connection", "upgrade")
    }

    /// The host of the target (RFC 9110, section 7.2).
    pub(crate) fn host(&self) -> &[u8] {
        let field = self.fields.all("host").next().unwrap_or_default();
        self.authority.as_deref().unwrap_or(field)
    }
}

/// Reads the request that begins with these bytes.
pub(crate) fn read_request(bytes: &[u8]) -> Read<RequestHead> {
    let mut read = Read::nothing();
    let head = match read_head(bytes, &mut read) {
        Ok(Some(head)) => head,
        Ok(None) => return read,
        Err(fault) => return read.ended(State::Broken(fault)),
    };
    let framing = frame(&head, &mut read.quirks);
    read.head = Some(head);
    match framing {
        Ok(framing) => {
            let rest = &bytes[read.taken..];
            read_body(read, rest, framing, false)
        }
        Err(fault) => read.ended(State::Broken(fault)),
    }
}

fn read_head(bytes: &[u8], read: &mut Read<RequestHead>) -> Result<Option<RequestHead>, Fault> {
    let mut rest = bytes;
    let mut empty_lines = 0;
    while let [b'\r', b'\n', after @ ..] = rest {
        rest = after;
        empty_lines += 1;
    }
    if empty_lines > 1 {
        read.note(Quirk::EmptyLines);
    }
    let Some(line) = strict_line(rest)? else {
        return Ok(None);
    };
    let mut parts = line.text.split(|byte| *byte == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Fault::StartLine);
    };
    if !is_token(method) {
        return Err(Fault::Method);
    }
    let minor = minor_version(version)?;
    let form = check_target(method, target, &mut read.quirks)?;
    let after = &rest[line.taken..];
    let Some((fields, taken)) = read_fields(after, Of::Request, &mut read.quirks)? else {
        return Ok(None);
    };
    let head = RequestHead {
        method: method.to_vec(),
        target: target.to_vec(),
        authority: form.authority,
        minor,
        fields,
    };
    check_hosts(&head, &mut read.quirks)?;
    check_options(&head)?;
    if minor > 1 {
        read.note(Quirk::MinorVersion);
    }
    if head
        .fields
        .list("expect")
        .iter()
        .any(|word| word != b"100-continue")
    {
        read.note(Quirk::Expectation);
    }
    read.taken = bytes.len() - after.len() + taken;
    Ok(Some(head))
}

/// The digit after `HTTP/1.`.
pub(super) fn minor_version(version: &[u8]) -> Result<u8, Fault> {
    match version {
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', minor @ b'0'..=b'9'] => Ok(minor - b'0'),
        _ => Err(Fault::Version),
    }
}

fn check_hosts(head: &RequestHead, quirks: &mut Vec<Quirk>) -> Result<(), Fault> {
    let hosts: Vec<&[u8]> = head.fields.all("host").collect();
    let host = match (hosts.as_slice(), head.minor) {
        ([host], _) => host,
        ([], 0) => return Ok(()),
        _ => return Err(Fault::HostCount),
    };
    check_host(host, quirks)?;
    let differs = |authority: &Vec<u8>| !authority.eq_ignore_ascii_case(host);
    if head.authority.as_ref().is_some_and(differs) {
        quirks.push(Quirk::OtherAuthority);
    }
    Ok(())
}

fn check_options(head: &RequestHead) -> Result<(), Fault> {
    match head
        .fields
        .list("connection")
        .iter()
        .all(|option| is_token(option))
    {
        true => Ok(()),
        false => Err(Fault::ConnectionOption),
    }
}

fn frame(head: &RequestHead, quirks: &mut Vec<Quirk>) -> Result<Framing, Fault> {
    let codings = codings(&head.fields, quirks)?;
    let length = length(&head.fields, quirks)?;
    match (codings, length) {
        (Some(_), Some(_)) => Err(Fault::LengthAndCoding),
        (Some(codings), None) if codings == [b"chunked"] => {
            if head.minor == 0 {
                quirks.push(Quirk::OldVersionCoding);
            }
            Ok(Framing::Chunks)
        }
        (Some(_), None) => Err(Fault::Coding),
        (None, Some(length)) => Ok(Framing::Length(length)),
        (None, None) => Ok(Framing::Nothing),
    }
}
