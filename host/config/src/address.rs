//! Addresses of backends and of listeners: parsed and checked, not yet looked up.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use serde::Deserialize;

use super::types::pool::Endpoint;

/// The address of a backend: `http://host:port`, `https://host:port`, `host:port`, `host` or `unix:/path`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct BackendAddress {
    /// Host as written, colon, port; or `unix:` and the path.
    pub label: String,
    pub endpoint: Endpoint,
    /// With `https://` in front.
    pub is_encrypted: bool,
}

/// The scheme of a backend's address that is a path on this machine.
const UNIX: &str = "unix:";

/// The most bytes of such a path: Linux has room for 108, one of which is the zero at the end.
const MAX_UNIX_PATH: usize = 107;

impl BackendAddress {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        match text.strip_prefix(UNIX) {
            Some(path) => BackendAddress::unix(path),
            None => BackendAddress::tcp(text),
        }
    }

    fn unix(path: &str) -> Result<Self, String> {
        let path = socket_path(path)?;
        Ok(BackendAddress {
            label: format!("{UNIX}{path}"),
            endpoint: Endpoint::Unix(path.into()),
            is_encrypted: false,
        })
    }

    fn tcp(text: &str) -> Result<Self, String> {
        let (is_encrypted, authority) = strip_scheme(text)?;
        // An empty path and `/` are the same (RFC 9110, section 4.2.3).
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        if authority.contains('@') {
            return Err(format!(
                "{text:?} has a user name; set an `authorization` header instead"
            ));
        }
        if authority.contains(['/', '?', '#']) {
            return Err(format!(
                "{text:?} has a path; give host and port alone, the path is the request's"
            ));
        }
        let (written, port) = split_port(authority)?;
        let port = port.unwrap_or(if is_encrypted { 443 } else { 80 });
        if port == 0 {
            return Err(format!("{text:?} has port 0; allowed are 1 to 65535"));
        }
        Ok(BackendAddress {
            label: format!("{written}:{port}"),
            endpoint: Endpoint::Tcp {
                host: Host::parse(written)?,
                port,
            },
            is_encrypted,
        })
    }

    /// A text that is the same for every spelling of one server.
    pub(super) fn identity(&self) -> String {
        match &self.endpoint {
            Endpoint::Tcp { host, port } => format!("{host}:{port}").to_ascii_lowercase(),
            Endpoint::Unix(_) => self.label.clone(),
        }
    }
}

impl TryFrom<String> for BackendAddress {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        BackendAddress::parse(&text)
    }
}

/// Checks the path of a socket, as it is written behind `unix:`.
fn socket_path(path: &str) -> Result<&str, String> {
    // This is how a URL spells it.
    let path = match path.strip_prefix("//") {
        Some(rest) if rest.starts_with('/') => rest,
        _ => path,
    };
    // The path is a label of metrics and a value of headers.
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\' | b',');
    if !path.starts_with('/') || path.ends_with('/') {
        return Err(format!(
            "\"{UNIX}{path}\" is not the path of a socket; write it from the root on, as \"unix:/run/app.sock\""
        ));
    }
    if !path.bytes().all(is_plain) {
        return Err(format!(
            "\"{UNIX}{path}\": the path of a socket must be ASCII without spaces, quotes, commas and backslashes"
        ));
    }
    if path.len() > MAX_UNIX_PATH {
        return Err(format!(
            "\"{UNIX}{path}\": the path of a socket has at most {MAX_UNIX_PATH} bytes, this one has {}",
            path.len()
        ));
    }
    Ok(path)
}

/// The address of a listener: `host:port`, or `:port` for every IPv4 address of the machine.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct ListenAddress {
    /// An address of this machine, or a name that it has.
    pub host: Host,
    /// The port; 0 is another free one each time.
    pub port: u16,
}

impl ListenAddress {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.starts_with(UNIX) {
            return Err(format!(
                "{text:?}: clients connect to a port; Unix sockets are for backends and for [admin]"
            ));
        }
        if text.contains("://") {
            return Err(format!(
                "{text:?} has a scheme; write the address and port alone, as \"0.0.0.0:8080\""
            ));
        }
        match split_port(text)? {
            ("", Some(port)) => Ok(ListenAddress {
                host: Host::Ip(Ipv4Addr::UNSPECIFIED.into()),
                port,
            }),
            (host, Some(port)) => Ok(ListenAddress {
                host: Host::parse(host)?,
                port,
            }),
            (_, None) => Err(format!(
                "{text:?} has no port; write it as \"0.0.0.0:8080\" or \"[::]:8080\""
            )),
        }
    }
}

impl ListenAddress {
    /// Whether whoever listens here has the other address, too: the same one, or all of the machine. A socket for all addresses
    /// of IPv6 is one for those of IPv4.
    pub(super) fn covers(&self, other: &ListenAddress) -> bool {
        let everywhere = match &self.host {
            Host::Ip(IpAddr::V4(ip)) => {
                ip.is_unspecified() && !matches!(&other.host, Host::Ip(IpAddr::V6(_)))
            }
            Host::Ip(IpAddr::V6(ip)) => ip.is_unspecified(),
            Host::Name(_) => false,
        };
        // Port 0 is another free port each time.
        self.port != 0 && self.port == other.port && (everywhere || self.host == other.host)
    }
}

impl From<SocketAddr> for ListenAddress {
    fn from(address: SocketAddr) -> ListenAddress {
        ListenAddress {
            host: Host::Ip(address.ip()),
            port: address.port(),
        }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl TryFrom<String> for ListenAddress {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        ListenAddress::parse(&text)
    }
}

/// The address of the admin listener: a port, or `unix:` and the path of a socket on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub enum AdminAddress {
    /// A port.
    Tcp(ListenAddress),
    /// A Unix socket: an absolute path of at most 107 bytes.
    Unix(PathBuf),
}

impl AdminAddress {
    /// Parses an address.
    ///
    /// # Errors
    ///
    /// The sentence that says what is wrong with it.
    pub fn parse(text: &str) -> Result<AdminAddress, String> {
        match text.strip_prefix(UNIX) {
            Some(path) => Ok(AdminAddress::Unix(socket_path(path)?.into())),
            None => ListenAddress::parse(text).map(AdminAddress::Tcp),
        }
    }

    /// Whether it is a socket of this machine.
    pub fn is_local(&self) -> bool {
        matches!(self, AdminAddress::Unix(_))
    }
}

impl From<ListenAddress> for AdminAddress {
    fn from(address: ListenAddress) -> AdminAddress {
        AdminAddress::Tcp(address)
    }
}

impl fmt::Display for AdminAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AdminAddress::Tcp(address) => address.fmt(f),
            AdminAddress::Unix(path) => write!(f, "{UNIX}{}", path.display()),
        }
    }
}

impl TryFrom<String> for AdminAddress {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        AdminAddress::parse(&text)
    }
}

/// A host: an IP address, or a name that must be looked up.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// An address.
    Ip(IpAddr),
    /// A name, as written.
    Name(String),
}

impl Host {
    /// Whether the host is this machine itself. A name under `localhost` never belongs to another (RFC 6761,
    /// section 6.3).
    pub(super) fn is_loopback(&self) -> bool {
        match self {
            Host::Ip(ip) => ip.is_loopback(),
            Host::Name(name) => name
                .to_ascii_lowercase()
                .trim_end_matches('.')
                .rsplit('.')
                .next()
                .is_some_and(|last| last == "localhost"),
        }
    }

    /// Parses a host; IPv6 addresses are in brackets, as in URLs.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if let Some(inner) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            return match inner.parse::<Ipv6Addr>() {
                Ok(ip) => Ok(Host::Ip(ip.into())),
                Err(_) => Err(format!("{text:?} is not an IPv6 address in brackets")),
            };
        }
        if let Ok(ip) = text.parse::<Ipv4Addr>() {
            return Ok(Host::Ip(ip.into()));
        }
        if text.parse::<Ipv6Addr>().is_ok() {
            return Err(format!(
                "{text:?} is an IPv6 address; write it in brackets: \"[{text}]\""
            ));
        }
        if is_host_name(text) {
            return Ok(Host::Name(text.to_owned()));
        }
        Err(format!(
            "{text:?} is neither an IP address nor a host name (a-z, 0-9, `-`, `_` and `.`)"
        ))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Ip(IpAddr::V4(ip)) => ip.fmt(f),
            Host::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
            Host::Name(name) => name.fmt(f),
        }
    }
}

/// Whether a text is a host name of RFC 1123, or one with `_`, which container networks use.
///
/// A last label of digits alone is a mistyped IP address: resolvers read `127.1` as 127.0.0.1.
fn is_host_name(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 253
        && text.split('.').all(is_label)
        && !text
            .rsplit('.')
            .next()
            .is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()))
}

/// Whether the scheme is `https`, and the rest.
fn strip_scheme(text: &str) -> Result<(bool, &str), String> {
    let Some((scheme, rest)) = text.split_once("://") else {
        return Ok((false, text));
    };
    match scheme.to_ascii_lowercase().as_str() {
        "http" => Ok((false, rest)),
        "https" => Ok((true, rest)),
        _ => Err(format!(
            "{text:?}: the scheme must be `http://`, `https://`, or left out"
        )),
    }
}

/// Splits host and port; the host keeps its brackets.
pub(super) fn split_port(text: &str) -> Result<(&str, Option<u16>), String> {
    let colon = match text.rfind(']') {
        Some(bracket) => text[bracket..].find(':').map(|at| bracket + at),
        // This is no address with a port; `Host` says what is wrong.
        None if text.starts_with('[') || text.parse::<Ipv6Addr>().is_ok() => None,
        None => text.find(':'),
    };
    let Some(colon) = colon else {
        return Ok((text, None));
    };
    let (host, port) = (&text[..colon], &text[colon + 1..]);
    // `parse` alone would take "+80".
    match port.parse() {
        Ok(number) if port.bytes().all(|b| b.is_ascii_digit()) => Ok((host, Some(number))),
        _ => Err(format!("{text:?}: the port must be a number up to 65535")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn label(text: &str) -> String {
        BackendAddress::parse(text).expect("a valid address").label
    }

    #[test]
    fn backend_address_may_be_url_authority_or_host() {
        assert_eq!(label("http://127.0.0.1:8000"), "127.0.0.1:8000");
        assert_eq!(label("HTTP://App.internal:8000/"), "App.internal:8000");
        assert_eq!(label("app_1"), "app_1:80");
        assert_eq!(label("[::1]:8000"), "[::1]:8000");
        assert_eq!(label("http://[::1]"), "[::1]:80");
    }

    #[test]
    fn backend_address_may_be_a_unix_socket() {
        assert_eq!(label("unix:/run/app.sock"), "unix:/run/app.sock");
        assert_eq!(label("unix:///run/app.sock"), "unix:/run/app.sock");
        let parsed = BackendAddress::parse("unix:/run/app.sock").expect("a valid address");
        assert_eq!(parsed.endpoint, Endpoint::Unix("/run/app.sock".into()));
        assert!(!parsed.is_encrypted);
        assert!(BackendAddress::parse(&format!("unix:/{}", "x".repeat(106))).is_ok());
        assert!(BackendAddress::parse(&format!("unix:/{}", "x".repeat(107))).is_err());
    }

    #[test]
    fn backend_address_refusal_says_what_is_wrong() {
        for (text, reason) in [
            ("unix:app.sock", "from the root on"),
            ("unix:", "from the root on"),
            ("unix:/run/", "from the root on"),
            ("unix:/run/my app", "without spaces"),
            ("unix:/run/é", "must be ASCII"),
            ("ftp://a", "the scheme must be `http://`"),
            ("http://me:secret@a", "user name"),
            ("http://a/v1", "has a path"),
            ("http://a?x", "has a path"),
            ("a:", "port must be a number"),
            ("a:65536", "port must be a number"),
            ("a:+80", "port must be a number"),
            ("a:0", "port 0"),
            ("::1", "in brackets: \"[::1]\""),
            ("[::1", "neither an IP address nor a host name"),
            ("[::g]:80", "not an IPv6 address"),
            ("300.0.0.1", "neither an IP address nor a host name"),
            ("127.1:80", "neither an IP address nor a host name"),
            ("", "neither an IP address nor a host name"),
            ("a b", "neither an IP address nor a host name"),
        ] {
            let error = BackendAddress::parse(text).expect_err(text);
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn listen_address_needs_a_port_and_may_omit_the_host() {
        let parsed = |text| ListenAddress::parse(text).map(|a| (a.host.to_string(), a.port));
        assert_eq!(parsed(":8080"), Ok(("0.0.0.0".into(), 8080)));
        assert_eq!(parsed("[::]:8080"), Ok(("[::]".into(), 8080)));
        assert_eq!(parsed("localhost:0"), Ok(("localhost".into(), 0)));
        assert!(parsed("0.0.0.0").is_err_and(|e| e.contains("no port")));
        assert!(parsed("http://0.0.0.0:80").is_err_and(|e| e.contains("scheme")));
        assert!(parsed("unix:/run/a").is_err_and(|e| e.contains("connect to a port")));
    }

    #[test]
    fn identity_is_equal_for_spellings_of_one_backend() {
        let identity = |text| BackendAddress::parse(text).expect("a valid address").identity();
        assert_eq!(identity("http://App:80"), identity("app"));
        assert_eq!(identity("[0:0::1]:80"), identity("[::1]"));
        assert_ne!(identity("app:81"), identity("app"));
    }

    proptest! {
        #[test]
        fn parse_any_text_does_not_panic(text in ".*") {
            let _ = BackendAddress::parse(&text);
            let _ = ListenAddress::parse(&text);
        }

        #[test]
        fn label_parses_to_the_same_address(
            text in "(http://)?([a-z][a-z0-9_.]{0,20}|[0-9.]{7,12}|\\[[0-9a-f:]{2,12}\\])(:[0-9]{1,5})?/?"
        ) {
            if let Ok(address) = BackendAddress::parse(&text) {
                prop_assert_eq!(BackendAddress::parse(&address.label), Ok(address));
            }
        }

        #[test]
        fn backend_address_takes_any_socket_address(ip: IpAddr, port in 1u16..) {
            let address = std::net::SocketAddr::new(ip, port);
            let parsed = BackendAddress::parse(&address.to_string()).expect("a valid address");
            prop_assert_eq!(parsed.label, address.to_string());
            prop_assert_eq!(parsed.endpoint, Endpoint::Tcp { host: Host::Ip(ip), port });
        }
    }
}
