//! The forms of a request's target (RFC 9112, section 3.2), hosts, and one spelling for each path.

use std::net::Ipv6Addr;

use super::bytes::decimal;
use super::{Fault, Quirk};

/// The parts of a target beside the path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Target {
    /// The authority of the absolute form, without a user name.
    pub(super) authority: Option<Vec<u8>>,
}

/// Finds out which of the four forms a target has.
pub(super) fn check_target(method: &[u8], target: &[u8], quirks: &mut Vec<Quirk>) -> Result<Target, Fault> {
    if target.is_empty() || !target.iter().all(u8::is_ascii_graphic) {
        return Err(Fault::TargetByte);
    }
    if method == b"CONNECT" {
        let with_port = target
            .iter()
            .rposition(|byte| *byte == b':')
            .is_some_and(|at| at + 1 < target.len());
        check_host(target, quirks).map_err(|_| Fault::TargetForm)?;
        return match with_port {
            true => Ok(Target::default()),
            false => Err(Fault::TargetForm),
        };
    }
    if target == b"*" {
        return match method {
            b"OPTIONS" => Ok(Target::default()),
            _ => Err(Fault::TargetForm),
        };
    }
    let (authority, rest) = split(target).ok_or(Fault::TargetForm)?;
    if !is_path_and_query(rest) {
        quirks.push(Quirk::TargetCharacters);
    }
    let Some(authority) = authority else {
        return Ok(Target::default());
    };
    let host = match authority.iter().rposition(|byte| *byte == b'@') {
        Some(at) => {
            quirks.push(Quirk::UserInfo);
            &authority[at + 1..]
        }
        None => authority,
    };
    check_host(host, quirks).map_err(|_| Fault::TargetForm)?;
    match host {
        [] | [b':', ..] => Err(Fault::TargetForm),
        host => Ok(Target {
            authority: Some(host.to_vec()),
        }),
    }
}

/// Splits a target in origin form or absolute form into the authority and the rest. Schemes other than HTTP's
/// are for other proxies.
fn split(target: &[u8]) -> Option<(Option<&[u8]>, &[u8])> {
    if target.starts_with(b"/") {
        return Some((None, target));
    }
    let scheme = ["http://", "https://"].into_iter().find(|scheme| {
        let start = target.get(..scheme.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(scheme.as_bytes()))
    })?;
    let rest = &target[scheme.len()..];
    let end = rest.iter().position(|byte| b"/?#".contains(byte));
    let (authority, rest) = rest.split_at(end.unwrap_or(rest.len()));
    Some((Some(authority), rest))
}

/// Whether the bytes are `pchar`, `/` and `?` of RFC 3986, with well-formed escapes.
fn is_path_and_query(rest: &[u8]) -> bool {
    let known = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?%".contains(byte);
    let mut escapes = rest.split(|byte| *byte == b'%').skip(1);
    rest.iter().all(known)
        && escapes.all(|after| matches!(after, [a, b, ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit()))
}

/// Checks a host with or without a port (RFC 9110, section 7.2). It may be empty.
pub(super) fn check_host(host: &[u8], quirks: &mut Vec<Quirk>) -> Result<(), Fault> {
    let (name, port) = match host {
        [b'[', ..] => {
            let end = host
                .iter()
                .position(|byte| *byte == b']')
                .ok_or(Fault::HostValue)?;
            let address = str::from_utf8(&host[1..end]).map_err(|_| Fault::HostValue)?;
            address.parse::<Ipv6Addr>().map_err(|_| Fault::HostValue)?;
            (&b"ipv6"[..], &host[end + 1..])
        }
        _ => host.split_at(host.iter().position(|byte| *byte == b':').unwrap_or(host.len())),
    };
    match port {
        [] => {}
        [b':', digits @ ..] if digits.iter().all(u8::is_ascii_digit) => {
            if decimal(digits).is_none_or(|port| port == 0 || port > 65535) {
                quirks.push(Quirk::OddHost);
            }
        }
        _ => return Err(Fault::HostValue),
    }
    if !name
        .iter()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=%".contains(byte))
    {
        return Err(Fault::HostValue);
    }
    let usual = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._".contains(byte);
    let no_label = name.starts_with(b".") || name.windows(2).any(|two| two == b"..");
    if name.is_empty() || no_label || !name.iter().all(usual) {
        quirks.push(Quirk::OddHost);
    }
    Ok(())
}

/// The path and query of a target in a spelling that is the same for all targets with one meaning: escapes of
/// unreserved characters undone, the others in upper case, no dot segments, no empty segments, no fragment
/// (RFC 3986, section 6.2.2).
pub(crate) fn normal(target: &[u8]) -> Vec<u8> {
    let Some((_, rest)) = split(target) else {
        return target.to_vec();
    };
    let rest = rest.split(|byte| *byte == b'#').next().unwrap_or_default();
    let (path, query) = rest.split_at(rest.iter().position(|byte| *byte == b'?').unwrap_or(rest.len()));
    let path = without_dots(&unescaped(path));
    [&path, query].concat()
}

/// The path of a target as it is written; the whole target if it has none.
pub(crate) fn path(target: &[u8]) -> &[u8] {
    let (_, rest) = split(target).unwrap_or((None, target));
    let end = rest.iter().position(|byte| b"?#".contains(byte));
    &rest[..end.unwrap_or(rest.len())]
}

fn unescaped(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = path;
    while let [first, after @ ..] = rest {
        rest = after;
        match (first, after) {
            (b'%', [a, b, after @ ..]) if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => {
                rest = after;
                let digit = |c: &u8| (*c as char).to_digit(16).map_or(0, |digit| digit as u8);
                match digit(a) * 16 + digit(b) {
                    byte if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => out.push(byte),
                    byte => out.extend_from_slice(format!("%{byte:02X}").as_bytes()),
                }
            }
            _ => out.push(*first),
        }
    }
    out
}

fn without_dots(path: &[u8]) -> Vec<u8> {
    let mut segments: Vec<&[u8]> = Vec::new();
    let mut open = true;
    for segment in path.split(|byte| *byte == b'/') {
        open = matches!(segment, b"" | b"." | b"..");
        match segment {
            b"" | b"." => {}
            b".." => drop(segments.pop()),
            segment => segments.push(segment),
        }
    }
    let mut out = vec![b'/'];
    out.extend_from_slice(&segments.join(&b'/'));
    if open && !segments.is_empty() {
        out.push(b'/');
    }
    out
}
