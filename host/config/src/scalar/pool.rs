//! Values that are about the backends of a pool.

use serde::Deserialize;

use super::is_token;
use crate::problem::suggestion;
use crate::types::pool;

/// `kind`: what a health check asks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) enum CheckKind {
    #[default]
    Http,
    Tcp,
    Grpc,
}

impl TryFrom<String> for CheckKind {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "http" => Ok(CheckKind::Http),
            "tcp" => Ok(CheckKind::Tcp),
            "grpc" => Ok(CheckKind::Grpc),
            _ => Err(format!(
                "{text:?} is none of \"http\", \"tcp\", \"grpc\"{}",
                suggestion(&text, &["http", "tcp", "grpc"])
            )),
        }
    }
}

/// The path that a health check asks for, and the query.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct CheckPath(pub String);

impl TryFrom<String> for CheckPath {
    type Error = String;

    fn try_from(path: String) -> Result<Self, String> {
        let is_visible = |byte: u8| byte.is_ascii_graphic() && byte != b'#';
        if !path.starts_with('/') {
            Err(format!("{path:?} must start with `/`"))
        } else if !path.bytes().all(is_visible) {
            Err(format!(
                "{path:?} must be written as in a URL, without spaces and `#`"
            ))
        } else {
            Ok(CheckPath(path))
        }
    }
}

/// `expect`: statuses and ranges of them, between commas.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Statuses(pub pool::Statuses);

impl TryFrom<String> for Statuses {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let ranges: Option<Vec<_>> = text.split(',').map(range).collect();
        ranges
            .map(|ranges| Statuses(pool::Statuses(ranges)))
            .ok_or_else(|| {
                format!(
                    "{text:?} must be statuses from 200 to 599 or ranges of them, such as \"200-299\" or \"200-299,401\""
                )
            })
    }
}

/// A status, or a range with both its ends.
fn range(text: &str) -> Option<(u16, u16)> {
    let status = |text: &str| {
        let is_number = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
        let status = text.parse().ok().filter(|_| is_number)?;
        (200..=599).contains(&status).then_some(status)
    };
    let text = text.trim();
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (status(first)?, status(last)?);
    (first <= last).then_some((first, last))
}

/// The name of a cookie (RFC 6265, section 4.1.1).
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct CookieName(pub String);

impl TryFrom<String> for CookieName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        match is_token(&name) {
            true => Ok(CookieName(name)),
            false => Err(format!(
                "{name:?} is not the name of a cookie: a word without spaces"
            )),
        }
    }
}
