//! Hosts with optional ports, as in `Host` and the absolute form.

use std::net::Ipv6Addr;

/// The longest host in bytes (RFC 1035, section 2.3.4, with room for brackets).
const MAX_HOST: usize = 255;

/// Whether a value is `uri-host [ ":" port ]` (RFC 9110, section 7.2): a name, an IPv4 address or an IPv6
/// address in brackets, and a port of at most 65535.
///
/// Names consist of the characters that names in use have: letters, digits, `-`, `.`, `_` and `~`. RFC 3986
/// allows more, such as the comma, which would make two hosts look like one.
pub fn is_authority(value: &[u8]) -> bool {
    let Some((host, port)) = split(value) else {
        return false;
    };
    port.is_none_or(is_port) && is_host(host)
}

/// The host without its port, and without the final dot of a fully qualified name.
pub fn host(authority: &str) -> &str {
    let host = split(authority.as_bytes()).map_or(authority.len(), |(host, _)| host.len());
    let host = &authority[..host];
    host.strip_suffix('.').unwrap_or(host)
}

/// Splits host and port; `None` if brackets do not enclose the whole host.
fn split(value: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    if value.first() == Some(&b'[') {
        let end = value.iter().position(|byte| *byte == b']')? + 1;
        let (host, rest) = value.split_at(end);
        return match rest {
            [] => Some((host, None)),
            [b':', port @ ..] => Some((host, Some(port))),
            _ => None,
        };
    }
    match value.iter().position(|byte| *byte == b':') {
        Some(colon) => Some((&value[..colon], Some(&value[colon + 1..]))),
        None => Some((value, None)),
    }
}

fn is_host(host: &[u8]) -> bool {
    if let [b'[', address @ .., b']'] = host {
        return std::str::from_utf8(address).is_ok_and(|address| address.parse::<Ipv6Addr>().is_ok());
    }
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    !host.is_empty()
        && host.len() <= MAX_HOST
        && host.iter().all(is_name)
        && host[0] != b'.'
        && !host.windows(2).any(|pair| pair == b"..")
}

/// A port may be empty (RFC 3986, section 3.2.3).
fn is_port(port: &[u8]) -> bool {
    port.len() <= 5
        && port.iter().all(u8::is_ascii_digit)
        && port
            .iter()
            .fold(0, |number, digit| number * 10 + u32::from(digit - b'0'))
            <= 65535
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_authority_host_with_or_without_port_passes() {
        for value in [
            "a",
            "example.com",
            "a.",
            "a_b-c~d",
            "127.0.0.1:80",
            "a:",
            "a:65535",
            "[::1]",
            "[2001:db8::7]:8080",
        ] {
            assert!(is_authority(value.as_bytes()), "{value}");
        }
    }

    #[test]
    fn is_authority_malformed_host_or_port_fails() {
        for value in [
            "",
            ":80",
            "a/b",
            "a, b",
            "a,b",
            "a b",
            "a:80x",
            "a:65536",
            "a:000080",
            "a:+1",
            "a?x",
            "a#x",
            "a\\b",
            "[::1",
            "::1",
            "[::1]x",
            "[::1]:",
            "[]",
            "[a]",
            "user@a",
            "a..b",
            ".a",
            "a%41",
            "a\tb",
            "a:80:81",
            "[::1%25eth0]",
        ] {
            let expected = value == "[::1]:";
            assert_eq!(is_authority(value.as_bytes()), expected, "{value}");
        }
        assert!(!is_authority(b"a\xff") && !is_authority(&[b'a'; 256]));
    }

    #[test]
    fn host_drops_port_and_final_dot() {
        for (authority, expected) in [
            ("a:80", "a"),
            ("[::1]:80", "[::1]"),
            ("[::1]", "[::1]"),
            ("a.", "a"),
            ("a.:80", "a"),
            ("a", "a"),
        ] {
            assert_eq!(host(authority), expected);
        }
    }
}
