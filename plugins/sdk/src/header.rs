//! Header fields, and which of them a plugin may set.
//!
//! Pace checks every header that a plugin sets. A plugin that takes headers from its configuration should
//! check them there, with the same rules, so that the operator learns of a mistake at once and not request by
//! request:
//!
//! ```
//! use pace_plugin::header::{EditError, check_name, check_value};
//!
//! assert_eq!(check_name("x-env"), Ok(()));
//! assert_eq!(check_name("x env"), Err(EditError::InvalidName));
//! assert_eq!(check_name("Content-Length"), Err(EditError::Forbidden));
//! assert_eq!(check_value(b"a\r\nb"), Err(EditError::InvalidValue));
//! ```

use std::fmt;

use crate::bindings::imports::pace::plugin::http;

mod checked;

pub use checked::{HeaderName, HeaderValue};

/// One header field.
///
/// ```
/// use pace_plugin::Header;
///
/// let header = Header { name: "x-env".into(), value: b"prod".to_vec() };
/// assert_eq!(header.value, b"prod");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The name: compared without regard to case, and in lower case where Pace provides it.
    pub name: String,
    /// The value in bytes, as HTTP defines it: mostly ASCII, never guaranteed to be UTF-8.
    pub value: Vec<u8>,
}

/// The reason why an edit was refused. The message is unchanged, and the request goes on.
///
/// ```
/// use pace_plugin::EditError;
///
/// let reason = EditError::Forbidden.to_string();
/// assert_eq!(reason, "the header belongs to the connection and cannot be changed: leave it to Pace");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EditError {
    /// The name is empty or has a character that RFC 9110, section 5.6.2, does not allow.
    InvalidName,
    /// The value has CR, LF, NUL or another control character, or does not have the form of this field,
    /// target or place (`host`, the request target, an offset behind the end).
    InvalidValue,
    /// The field belongs to the connection and is Pace's to set: `connection`, `content-length`,
    /// `keep-alive`, `proxy-*`, `te`, `trailer`, `transfer-encoding`, `upgrade`. Or `host` was to be removed,
    /// which every request has; it can be set.
    Forbidden,
    /// The message would grow beyond the operator's limit for plugins.
    TooLarge,
    /// It cannot be changed in this hook, or not any more.
    ReadOnly,
    /// There is nothing to change here.
    NotAvailable,
    /// The operator has not granted it to this plugin or route.
    NotGranted,
    /// Something else stands in its place already.
    Conflict,
}

impl fmt::Display for EditError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InvalidName => {
                "the name is empty or has a character that is not allowed: use letters, digits and `-`"
            }
            Self::InvalidValue => {
                "the value has a character or a form that is not allowed: leave out control characters such as CR and LF"
            }
            Self::Forbidden => "the header belongs to the connection and cannot be changed: leave it to Pace",
            Self::TooLarge => {
                "the message would become too large: add less, or allow more with `limits.headers` and \
                 `limits.header_kb`"
            }
            Self::ReadOnly => {
                "the message cannot be changed in this hook: change requests in request-filter and \
                 request-body-filter, responses in response-filter and response-body-filter"
            }
            Self::NotAvailable => "there is nothing to change here: look first whether there is",
            Self::NotGranted => {
                "the operator has not granted it: have it named in the configuration of this plugin or route"
            }
            Self::Conflict => "something else stands in its place already: leave it, or take another name",
        })
    }
}

impl std::error::Error for EditError {}

impl From<http::EditError> for EditError {
    fn from(error: http::EditError) -> Self {
        match error {
            http::EditError::InvalidName => Self::InvalidName,
            http::EditError::InvalidValue => Self::InvalidValue,
            http::EditError::Forbidden => Self::Forbidden,
            http::EditError::TooLarge => Self::TooLarge,
            http::EditError::ReadOnly => Self::ReadOnly,
            http::EditError::NotAvailable => Self::NotAvailable,
            http::EditError::NotGranted => Self::NotGranted,
            http::EditError::Conflict => Self::Conflict,
        }
    }
}

/// Whether a plugin may set a header of this name.
///
/// # Errors
///
/// [`EditError::InvalidName`] if it is not a token by RFC 9110, section 5.6.2, and [`EditError::Forbidden`]
/// if it belongs to the connection.
///
/// ```
/// use pace_plugin::header::{EditError, check_name};
///
/// assert_eq!(check_name("X-Env"), Ok(()));
/// assert_eq!(check_name(""), Err(EditError::InvalidName));
/// assert_eq!(check_name("Proxy-Authorization"), Err(EditError::Forbidden));
/// ```
pub fn check_name(name: &str) -> Result<(), EditError> {
    if !is_token(name) {
        return Err(EditError::InvalidName);
    }
    let belongs_to_connection = FORBIDDEN
        .iter()
        .any(|forbidden| name.eq_ignore_ascii_case(forbidden))
        || name
            .get(..FORBIDDEN_PREFIX.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(FORBIDDEN_PREFIX));
    if belongs_to_connection {
        Err(EditError::Forbidden)
    } else {
        Ok(())
    }
}

/// Whether a plugin may give a header this value.
///
/// # Errors
///
/// [`EditError::InvalidValue`] if it has a control character other than the tab (RFC 9110, section 5.5).
///
/// ```
/// use pace_plugin::header::{EditError, check_value};
///
/// assert_eq!(check_value("größer".as_bytes()), Ok(()));
/// assert_eq!(check_value(b"a\0b"), Err(EditError::InvalidValue));
/// ```
pub fn check_value(value: &[u8]) -> Result<(), EditError> {
    let allowed = |&byte: &u8| byte == b'\t' || (byte >= b' ' && byte != 0x7f);
    if value.iter().all(allowed) {
        Ok(())
    } else {
        Err(EditError::InvalidValue)
    }
}

const FORBIDDEN: [&str; 7] = [
    "connection",
    "content-length",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
const FORBIDDEN_PREFIX: &str = "proxy-";

/// Whether the text is a token, as the names of methods and headers are (RFC 9110, section 5.6.2).
///
/// ```
/// use pace_plugin::header::is_token;
///
/// assert!(is_token("content-length"));
/// assert!(!is_token("content length"));
/// ```
pub fn is_token(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusal_says_what_to_do() {
        for (refusal, remedy) in [
            (EditError::InvalidName, "use letters, digits and `-`"),
            (EditError::InvalidValue, "leave out control characters"),
            (EditError::Forbidden, "leave it to Pace"),
            (
                EditError::TooLarge,
                "add less, or allow more with `limits.headers`",
            ),
            (EditError::ReadOnly, "change requests in request-filter"),
            (EditError::NotAvailable, "look first"),
            (EditError::NotGranted, "have it named in the configuration"),
            (EditError::Conflict, "leave it"),
        ] {
            let said = refusal.to_string();
            let (_, after) = said.split_once(": ").expect("what is wrong comes first");
            assert!(after.starts_with(remedy), "{said}");
        }
    }

    #[test]
    fn connection_header_is_forbidden_in_any_case() {
        let names =
            FORBIDDEN
                .into_iter()
                .chain(["proxy-authorization", "proxy-authenticate", "proxy-connection"]);
        for name in names {
            assert_eq!(check_name(name), Err(EditError::Forbidden), "{name}");
            assert_eq!(
                check_name(&name.to_uppercase()),
                Err(EditError::Forbidden),
                "{name}"
            );
        }
        for name in ["connections", "x-connection", "proxy", "t", "host", "tea"] {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
    }

    #[test]
    fn name_with_separator_or_non_ascii_letter_is_invalid() {
        for name in [
            "", " ", "a b", "a:b", "a\r\n", "naïve", "proxyé", "(a)", "a/b", "{", "\"",
        ] {
            assert_eq!(check_name(name), Err(EditError::InvalidName), "{name:?}");
        }
    }

    #[test]
    fn value_with_control_character_is_invalid() {
        for byte in 0..=u8::MAX {
            let legal = byte == b'\t' || (byte >= 0x20 && byte != 0x7f);
            assert_eq!(check_value(&[b'a', byte]).is_ok(), legal, "{byte:#04x}");
        }
        assert_eq!(check_value(b""), Ok(()));
    }
}
