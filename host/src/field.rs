//! Which header fields a plugin may set, and to what.

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};

use crate::hook::EditError;

/// Fields that belong to a connection or frame a message (RFC 9110, section 7.6.1; RFC 9112, section 6).
/// Whoever sets them can smuggle requests, so only the host does. `proxy-*` goes with them.
const FORBIDDEN: [&str; 7] = [
    "connection",
    "content-length",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// A name that a plugin may set or remove, in the case in which HTTP/1 will show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldName {
    name: HeaderName,
    spelled: Bytes,
}

impl FieldName {
    /// Takes what a plugin wrote.
    pub fn parse(spelled: &str) -> Result<FieldName, EditError> {
        let name = HeaderName::from_bytes(spelled.as_bytes()).map_err(|_| EditError::InvalidName)?;
        if FORBIDDEN.contains(&name.as_str()) || name.as_str().starts_with("proxy-") {
            return Err(EditError::Forbidden);
        }
        Ok(FieldName {
            name,
            spelled: Bytes::copy_from_slice(spelled.as_bytes()),
        })
    }

    /// The name without its case.
    pub fn name(&self) -> &HeaderName {
        &self.name
    }

    /// As the plugin wrote it.
    pub fn spelled(&self) -> &Bytes {
        &self.spelled
    }

    /// Whether the field can have this value; only `host` asks for more than every value is.
    pub fn accepts(&self, value: &HeaderValue) -> bool {
        self.name != http::header::HOST || is_authority(value.as_bytes())
    }
}

/// The value of a field: no control characters.
pub fn value(value: &[u8]) -> Result<HeaderValue, EditError> {
    HeaderValue::from_bytes(value).map_err(|_| EditError::InvalidValue)
}

/// A host with an optional port, and nobody's name before it.
fn is_authority(value: &[u8]) -> bool {
    http::uri::Authority::try_from(value).is_ok_and(|authority| !authority.as_str().contains('@'))
}

/// What an [`EditError`] says to an operator.
pub fn explain(error: EditError) -> &'static str {
    match error {
        EditError::InvalidName => "the name is not a field name",
        EditError::InvalidValue => "the value has characters that the field cannot have",
        EditError::Forbidden => "the field belongs to the connection and is Pace's to set",
        EditError::TooLarge => "the message would grow too large",
        EditError::ReadOnly => "the message cannot be changed any more",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(name: &str) -> Result<(), EditError> {
        FieldName::parse(name).map(drop)
    }

    #[test]
    fn framing_and_connection_fields_are_refused_in_any_case() {
        for name in [
            "Connection",
            "CONTENT-LENGTH",
            "transfer-encoding",
            "Te",
            "proxy-authorization",
            "Upgrade",
        ] {
            assert_eq!(parse(name), Err(EditError::Forbidden), "{name}");
        }
        assert_eq!(parse("x-proxy"), Ok(()));
    }

    #[test]
    fn what_is_no_name_or_value_is_refused() {
        for name in ["", "a b", "a:b", "ä", "a\r\nb"] {
            assert_eq!(parse(name), Err(EditError::InvalidName), "{name:?}");
        }
        for bad in [&b"a\r\nb: c"[..], b"\0", b"\n", b"\x7f"] {
            assert_eq!(value(bad), Err(EditError::InvalidValue), "{bad:?}");
        }
        assert!(value("grün".as_bytes()).is_ok(), "bytes above 127 are allowed");
    }

    #[test]
    fn a_name_keeps_its_case_beside_itself() {
        let name = FieldName::parse("X-Proxy").unwrap();
        assert_eq!(name.name(), "x-proxy");
        assert_eq!(name.spelled(), "X-Proxy");
    }

    #[test]
    fn host_must_be_an_authority() {
        let host = FieldName::parse("Host").unwrap();
        let accepts = |text: &'static str| host.accepts(&HeaderValue::from_static(text));
        assert!(accepts("example.com:8080"));
        assert!(!accepts("exa mple") && !accepts("a/b") && !accepts("user@a"));
    }
}
