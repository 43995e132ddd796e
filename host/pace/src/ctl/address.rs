//! The addresses at which an admin listener is asked.

use std::fmt;
use std::path::PathBuf;

use pace_config::{AdminAddress, ListenAddress};

/// The address of an admin listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Address {
    /// A port.
    Plain(ListenAddress),
    /// The same, with TLS.
    Encrypted(ListenAddress),
    /// A socket of this machine.
    Unix(PathBuf),
}

impl Address {
    /// Reads an address, with or without a scheme. Without one, `is_encrypted` says whether TLS is spoken.
    pub(super) fn parse(text: &str, is_encrypted: bool) -> Result<Address, String> {
        let (is_encrypted, rest) = match (text.strip_prefix("http://"), text.strip_prefix("https://")) {
            (Some(rest), _) => (false, rest),
            (_, Some(rest)) => (true, rest),
            (None, None) => (is_encrypted, text),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        Ok(match AdminAddress::parse(rest)? {
            AdminAddress::Unix(path) => Address::Unix(path),
            AdminAddress::Tcp(address) if is_encrypted => Address::Encrypted(address),
            AdminAddress::Tcp(address) => Address::Plain(address),
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Plain(address) => address.fmt(out),
            Address::Encrypted(address) => write!(out, "https://{address}"),
            Address::Unix(path) => write!(out, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scheme_says_how_the_listener_is_reached() {
        let parsed =
            |text, is_encrypted| Address::parse(text, is_encrypted).map(|address| address.to_string());
        for (text, is_encrypted, address) in [
            ("127.0.0.1:9090", false, "127.0.0.1:9090"),
            ("127.0.0.1:9090", true, "https://127.0.0.1:9090"),
            ("http://127.0.0.1:9090/", true, "127.0.0.1:9090"),
            ("https://proxy.example:9090", false, "https://proxy.example:9090"),
            (":9090", false, "0.0.0.0:9090"),
            ("unix:/run/pace/admin.sock", true, "unix:/run/pace/admin.sock"),
            ("unix:///run/pace/admin.sock", false, "unix:/run/pace/admin.sock"),
        ] {
            assert_eq!(parsed(text, is_encrypted), Ok(address.to_owned()), "{text}");
        }
        for wrong in ["", "localhost", "ftp://a:1", "unix:run", "https://a:1/b"] {
            assert!(parsed(wrong, false).is_err(), "{wrong}");
        }
    }
}
