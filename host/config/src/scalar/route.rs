//! Values in the `match` of a route.

use std::fmt;

use pace_wire::authority::is_authority;
use pace_wire::known::Known;
use pace_wire::request::MAX_METHOD;
use serde::Deserialize;
use serde::de::{Deserializer, Error, Unexpected, Visitor};

use super::{HeaderName, Int, MatchHost, is_token};
use crate::address::Host;
use crate::path_regex;
use crate::redirect_url::RedirectUrl;
use crate::types::route::{self, HostMatch};

/// `match.host`: a host, or the names below one.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct HostPattern(pub HostMatch);

impl TryFrom<String> for HostPattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let domain = match text.strip_prefix("*.") {
            Some(domain) if !domain.contains('*') => domain,
            None if !text.contains('*') => {
                return Ok(HostPattern(HostMatch::Exact(MatchHost::try_from(text)?.0)));
            }
            _ if text == "*" => return Err("\"*\": leave `host` out to match every host".to_owned()),
            _ => {
                return Err(format!(
                    "{text:?}: a wildcard is `*.` at the beginning, which stands for one label or more"
                ));
            }
        };
        match Host::parse(domain) {
            Ok(Host::Name(name)) => Ok(HostPattern(HostMatch::Below(name.to_ascii_lowercase()))),
            Ok(Host::Ip(_)) => Err(format!("{text:?}: an address has nothing below it")),
            Err(reason) => Err(reason),
        }
    }
}

/// `match.path_regex`.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct PathRegex(pub path_regex::PathRegex);

impl TryFrom<String> for PathRegex {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        path_regex::PathRegex::parse(&text).map(PathRegex)
    }
}

/// An entry of `match.methods`.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Method(pub String);

impl TryFrom<String> for Method {
    type Error = String;

    fn try_from(method: String) -> Result<Self, String> {
        if !is_token(&method) || method.len() > MAX_METHOD {
            return Err(format!("{method:?} is not a method"));
        }
        if method.bytes().any(|byte| byte.is_ascii_lowercase()) {
            return Err(format!(
                "{method:?} must be in upper case, as methods are: {:?}",
                method.to_ascii_uppercase()
            ));
        }
        match method.as_str() {
            "CONNECT" | "TRACE" => Err(format!("{method:?} is refused with 501 before any route")),
            _ => Ok(Method(method)),
        }
    }
}

/// A key of `match.headers`.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct MatchField(pub HeaderName);

impl TryFrom<String> for MatchField {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        match Known::of(name.as_bytes()) {
            Known::Host => Err("write `host` beside `headers`, without its port".to_owned()),
            known if known.is_hop_by_hop() => Err(format!(
                "{name:?} is about one connection, and no route can depend on it"
            )),
            _ if is_token(&name) => Ok(MatchField(HeaderName(name.to_ascii_lowercase()))),
            _ => Err(format!("{name:?} is not the name of a header")),
        }
    }
}

/// A value in `match.headers`.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct FieldValue(pub String);

impl TryFrom<String> for FieldValue {
    type Error = String;

    fn try_from(value: String) -> Result<Self, String> {
        let is_trimmed = value.trim_ascii().len() == value.len();
        match is_trimmed && !value.contains(char::is_control) {
            true => Ok(FieldValue(value)),
            false => Err(format!(
                "{value:?} is the value of no header: it has control characters, or white space around it"
            )),
        }
    }
}

/// A key of `match.query`.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct QueryKey(pub String);

impl TryFrom<String> for QueryKey {
    type Error = String;

    fn try_from(key: String) -> Result<Self, String> {
        match key.is_empty() {
            true => Err("a key of the query cannot be empty".to_owned()),
            false => Ok(QueryKey(key)),
        }
    }
}

/// `split_by`.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct SplitBy(pub route::SplitBy);

impl TryFrom<String> for SplitBy {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        route::SplitBy::parse(&text).map(SplitBy)
    }
}

impl route::SplitBy {
    /// Parses `client`, `cookie:NAME` or `header:NAME`. The error says what is wrong.
    pub fn parse(text: &str) -> Result<route::SplitBy, String> {
        match text.split_once(':') {
            None if text == "client" => Ok(route::SplitBy::Client),
            // The name of a cookie is a token, as that of a header is (RFC 6265, section 4.1.1).
            Some(("cookie", name)) if is_token(name) => Ok(route::SplitBy::Cookie(name.to_owned())),
            Some(("header", name)) if is_token(name) => {
                Ok(route::SplitBy::Header(HeaderName(name.to_ascii_lowercase())))
            }
            _ => Err(format!(
                "{text:?} must be \"client\", or \"cookie:NAME\" or \"header:NAME\" with the name of one of the request"
            )),
        }
    }
}

/// `rewrite.host`: a host with an optional port.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Authority(pub String);

impl TryFrom<String> for Authority {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match is_authority(text.as_bytes()) {
            true => Ok(Authority(text)),
            false => Err(format!("{text:?} is not a host with an optional port")),
        }
    }
}

/// `redirect.to`.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct RedirectTo(pub RedirectUrl);

impl TryFrom<String> for RedirectTo {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        RedirectUrl::parse(&text).map(RedirectTo)
    }
}

/// `redirect.status`.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "Int<301, 308>")]
pub(crate) struct RedirectStatus(pub u16);

impl TryFrom<Int<301, 308>> for RedirectStatus {
    type Error = String;

    fn try_from(status: Int<301, 308>) -> Result<Self, String> {
        match status.value() {
            status @ (301..=303 | 307 | 308) => Ok(RedirectStatus(status as u16)),
            status => Err(format!(
                "{status} sends nobody elsewhere: 301, 302, 303, 307 and 308 do"
            )),
        }
    }
}

/// A share in percent, which may have three digits behind the point: in thousandths of a percent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Percent(pub u32);

impl<'de> Deserialize<'de> for Percent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;

        impl Visitor<'_> for Number {
            type Value = u32;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number from 0.001 to 100")
            }

            fn visit_i64<E: Error>(self, percent: i64) -> Result<u32, E> {
                match percent {
                    1..=100 => Ok(percent as u32 * 1000),
                    _ => Err(E::invalid_value(Unexpected::Signed(percent), &self)),
                }
            }

            fn visit_f64<E: Error>(self, percent: f64) -> Result<u32, E> {
                match (percent * 1000.0).round() {
                    thousandths @ 1.0..=100_000.0 => Ok(thousandths as u32),
                    _ => Err(E::invalid_value(Unexpected::Float(percent), &self)),
                }
            }
        }

        deserializer.deserialize_any(Number).map(Percent)
    }
}
