//! Values that can be checked alone: numbers with a range, names, hosts, paths, ...
//!
//! The only constructor of each type is the check, so a wrong value is found while the file is decoded, at
//! its own line.

pub(crate) mod pool;
pub(crate) mod route;
pub(crate) mod telemetry;
pub(crate) mod tls;

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use pace_wire::{path, request};
use serde::Deserialize;
use serde::de::{Deserializer, Error, Unexpected, Visitor};

use super::address::{Host, split_port};
use super::builtins::BUILTINS;
use super::problem::suggestion;
use super::types;

/// An integer from `MIN` to `MAX`.
#[derive(Debug, Clone, Copy)]
pub struct Int<const MIN: u32, const MAX: u32>(u32);

impl<const MIN: u32, const MAX: u32> Int<MIN, MAX> {
    /// The number, which is in the range.
    pub fn value(self) -> u32 {
        self.0
    }

    /// The number, as milliseconds.
    pub fn millis(self) -> Duration {
        Duration::from_millis(self.0.into())
    }

    /// The number, as milliseconds; `None` if it is 0, which stands for no limit.
    pub fn millis_unless_zero(self) -> Option<Duration> {
        Some(self.millis()).filter(|time| !time.is_zero())
    }
}

impl<'de, const MIN: u32, const MAX: u32> Deserialize<'de> for Int<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Range<const MIN: u32, const MAX: u32>;

        impl<const MIN: u32, const MAX: u32> Visitor<'_> for Range<MIN, MAX> {
            type Value = u32;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "an integer from {MIN} to {MAX}")
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<u32, E> {
                match u32::try_from(value) {
                    Ok(value) if (MIN..=MAX).contains(&value) => Ok(value),
                    _ => Err(E::invalid_value(Unexpected::Signed(value), &self)),
                }
            }
        }

        deserializer.deserialize_i64(Range::<MIN, MAX>).map(Int)
    }
}

/// The name of a plugin, pool or route.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Name(String);

impl Name {
    /// A name that the program gives.
    pub(super) fn fixed(name: &'static str) -> Self {
        Name(name.to_owned())
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Name {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let allowed = |c: char| matches!(c, 'a'..='z' | '0'..='9' | '.' | '_' | '-');
        if (1..=48).contains(&name.len()) && name.chars().all(allowed) {
            Ok(Name(name))
        } else {
            Err(format!(
                "{name:?} is not a name: 1 to 48 characters out of a-z, 0-9, `.`, `_` and `-`"
            ))
        }
    }
}

/// A host, in lower case and without port.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct MatchHost(pub String);

impl TryFrom<String> for MatchHost {
    type Error = String;

    fn try_from(host: String) -> Result<Self, String> {
        if host.contains('*') {
            return Err(format!("{host:?} has a wildcard, and must be one name"));
        }
        match Host::parse(&host) {
            Ok(host) => Ok(MatchHost(host.to_string().to_ascii_lowercase())),
            Err(reason) => match split_port(&host) {
                Ok((name, Some(_))) if Host::parse(name).is_ok() => Err(format!(
                    "{host:?} has a port; a route matches the host whatever the port"
                )),
                _ => Err(reason),
            },
        }
    }
}

/// The beginning of a URL's path, in any spelling.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct UrlPath(pub String);

impl TryFrom<String> for UrlPath {
    type Error = String;

    fn try_from(path: String) -> Result<Self, String> {
        if path.starts_with('^') {
            Err(format!(
                "{path:?} must start with `/`; regular expressions are for `path_regex`"
            ))
        } else if !path.starts_with('/') {
            Err(format!("{path:?} must start with `/`"))
        } else if path.contains(['?', '#']) {
            Err(format!("{path:?} must be a path alone, without `?` and `#`"))
        } else if path.chars().any(|c| c.is_control() || c.is_whitespace()) {
            Err(format!("{path:?} must be written as in a URL, without spaces"))
        } else {
            Ok(UrlPath(path))
        }
    }
}

/// A network of trusted proxies, or one address.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
pub struct Network {
    /// The network.
    pub network: IpNet,
    pub(crate) written: IpNet,
}

impl Network {
    /// Whether bits behind the prefix are set, which are no part of a network.
    pub(crate) fn has_host_bits(&self) -> bool {
        self.network != self.written
    }
}

impl TryFrom<String> for Network {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let network = text
            .parse::<IpNet>()
            .or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        match network {
            Ok(written) => Ok(Network {
                network: written.trunc(),
                written,
            }),
            Err(_) => Err(format!(
                "{text:?} is neither a network such as \"10.0.0.0/8\" nor an IP address such as \"::1\""
            )),
        }
    }
}

/// `key_extractor`: which requests are counted together.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct KeyExtractor(pub String);

impl TryFrom<String> for KeyExtractor {
    type Error = String;

    fn try_from(key: String) -> Result<Self, String> {
        let header = key.strip_prefix("header:");
        if key == "client_ip" || header.is_some_and(is_token) {
            Ok(KeyExtractor(key))
        } else {
            Err(format!(
                "{key:?} must be \"client_ip\" or \"header:NAME\" with the name of a request header"
            ))
        }
    }
}

/// Whether a text is a `token` (RFC 9110, section 5.6.2).
fn is_token(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// `on_failure`.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct OnFailure(pub types::OnFailure);

impl TryFrom<String> for OnFailure {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "closed" => Ok(OnFailure(types::OnFailure::Closed)),
            "open" => Ok(OnFailure(types::OnFailure::Open)),
            _ => Err(format!("{text:?} must be \"closed\" or \"open\"")),
        }
    }
}

/// `encoded_slashes`.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct EncodedSlashes(pub path::EncodedSlashes);

impl TryFrom<String> for EncodedSlashes {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "refuse" => Ok(EncodedSlashes(path::EncodedSlashes::Refuse)),
            "keep" => Ok(EncodedSlashes(path::EncodedSlashes::Keep)),
            "decode" => Ok(EncodedSlashes(path::EncodedSlashes::Decode)),
            _ => Err(format!("{text:?} must be \"refuse\", \"keep\" or \"decode\"")),
        }
    }
}

/// `underscores`.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Underscores(pub request::Underscores);

impl TryFrom<String> for Underscores {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "drop" => Ok(Underscores(request::Underscores::Drop)),
            "pass" => Ok(Underscores(request::Underscores::Pass)),
            "refuse" => Ok(Underscores(request::Underscores::Refuse)),
            _ => Err(format!("{text:?} must be \"drop\", \"pass\" or \"refuse\"")),
        }
    }
}

/// An entry of `on`: an outcome after which another attempt is made.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct RetryOn(pub types::RetryOn);

impl TryFrom<String> for RetryOn {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let status = || {
            let status = text.parse::<u16>().ok()?;
            (text.len() == 3 && (400..=599).contains(&status)).then_some(types::RetryOn::Status(status))
        };
        match text.as_str() {
            "connect" => Ok(RetryOn(types::RetryOn::Connect)),
            "closed" => Ok(RetryOn(types::RetryOn::Closed)),
            "timeout" => Ok(RetryOn(types::RetryOn::Timeout)),
            _ => status().map(RetryOn).ok_or_else(|| {
                format!("{text:?} must be \"connect\", \"closed\", \"timeout\" or a status from \"400\" to \"599\"")
            }),
        }
    }
}

/// `isolation`.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
pub struct Isolation(pub types::Isolation);

impl TryFrom<String> for Isolation {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "worker" => Ok(Isolation(types::Isolation::Worker)),
            "request" => Ok(Isolation(types::Isolation::Request)),
            _ => Err(format!("{text:?} must be \"worker\" or \"request\"")),
        }
    }
}

/// The permissions of a socket, in octal digits.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Mode(pub u32);

impl TryFrom<String> for Mode {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let is_octal =
            (3..=4).contains(&text.len()) && text.bytes().all(|digit| (b'0'..=b'7').contains(&digit));
        match u32::from_str_radix(&text, 8) {
            Ok(mode @ 0..=0o777) if is_octal => Ok(Mode(mode)),
            _ => Err(format!(
                "{text:?} must be permissions in octal digits, such as \"0600\" or \"0660\""
            )),
        }
    }
}

/// `sha256`: the expected hash of a plugin's file.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Sha256(pub types::Sha256);

impl TryFrom<String> for Sha256 {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        types::Sha256::parse(&text)
            .map(Sha256)
            .ok_or_else(|| format!("{text:?} must be 64 hexadecimal digits, as `sha256sum` prints them"))
    }
}

/// The name of a header, in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderName(String);

impl HeaderName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The name of a request header; empty for none.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct OptionalHeaderName(pub Option<HeaderName>);

impl TryFrom<String> for OptionalHeaderName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        match name.as_str() {
            "" => Ok(OptionalHeaderName(None)),
            name if is_token(name) => Ok(OptionalHeaderName(Some(HeaderName(name.to_ascii_lowercase())))),
            _ => Err(format!("{name:?} is not the name of a header")),
        }
    }
}

/// `via`: Pace's name in that field; empty for none.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Via(pub String);

impl TryFrom<String> for Via {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        match name.is_empty() || is_token(&name) {
            true => Ok(Via(name)),
            false => Err(format!("{name:?} must be a word without spaces, or \"\"")),
        }
    }
}

/// `wasm`: a plugin of the binary, or a file.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub(super) enum Wasm {
    Builtin(String),
    File(String),
}

impl TryFrom<String> for Wasm {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.strip_prefix("builtin:") {
            Some(name) if BUILTINS.contains(&name) => Ok(Wasm::Builtin(name.to_owned())),
            Some(name) => Err(format!(
                "there is no builtin plugin `{name}`{}",
                suggestion(name, &BUILTINS)
            )),
            None if text.is_empty() => Err("must be \"builtin:NAME\" or the path of a file".to_owned()),
            None => Ok(Wasm::File(text)),
        }
    }
}
