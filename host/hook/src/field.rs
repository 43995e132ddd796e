//! Rules for the header fields that a plugin may set and their values, and for its other changes of a
//! message.

use bytes::Bytes;
use http::StatusCode;
use http::header::{HeaderName, HeaderValue};

/// Fields that belong to a connection or frame a message (RFC 9110, section 7.6.1; RFC 9112, section 6).
/// Setting them can smuggle requests, so only the host does. `proxy-*` is forbidden too.
const FORBIDDEN: [&str; 7] = [
    "connection",
    "content-length",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Why an edit was refused; see `wit/http.wit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EditError {
    /// Not a field name.
    InvalidName,
    /// Not a field value, or not one that this field can have.
    InvalidValue,
    /// A field of the connection.
    Forbidden,
    /// The message would become too large.
    TooLarge,
    /// The message can no longer be changed.
    ReadOnly,
    /// There is nothing to change.
    NotAvailable,
    /// The operator has not granted it.
    NotGranted,
    /// Something else stands in its place.
    Conflict,
}

/// A name that a plugin may set or remove, in the case in which HTTP/1 shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldName {
    name: HeaderName,
    spelled: Bytes,
}

impl FieldName {
    /// Parses a name that a plugin wrote.
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

    /// The name in lower case.
    pub fn name(&self) -> &HeaderName {
        &self.name
    }

    /// The name as the plugin wrote it.
    pub fn spelled(&self) -> &Bytes {
        &self.spelled
    }

    /// Whether the field can be removed: every request to a backend has a host (RFC 9112, section 3.2).
    pub fn is_removable(&self) -> bool {
        self.name != http::header::HOST
    }

    /// Whether a value can be added to those `present` in a message: every server must refuse a request with
    /// two hosts (RFC 9112, section 3.2).
    pub fn is_appendable(&self, present: impl FnOnce() -> bool) -> bool {
        self.name != http::header::HOST || !present()
    }

    /// Whether the field can have this value; only `host` restricts valid values further.
    pub fn accepts(&self, value: &HeaderValue) -> bool {
        self.name != http::header::HOST || is_authority(value.as_bytes())
    }
}

/// Parses the value of a field: no control characters.
pub fn value(value: &[u8]) -> Result<HeaderValue, EditError> {
    HeaderValue::from_bytes(value).map_err(|_| EditError::InvalidValue)
}

/// Whether a value is a host with an optional port, and without user name.
fn is_authority(value: &[u8]) -> bool {
    http::uri::Authority::try_from(value).is_ok_and(|authority| !authority.as_str().contains('@'))
}

/// The longest target in bytes: servers take no longer ones, nor does the library that reads them here.
const LONGEST_TARGET: usize = 64 << 10;

/// Checks the path and query of a request.
pub fn check_target(target: &str) -> Result<(), EditError> {
    if target.len() > LONGEST_TARGET {
        return Err(EditError::TooLarge);
    }
    let allowed = |byte: u8| (0x21..=0x7e).contains(&byte) && byte != b'#';
    if target.starts_with('/') && target.bytes().all(allowed) {
        Ok(())
    } else {
        Err(EditError::InvalidValue)
    }
}

/// The status that replaces another in a response.
pub fn changed_status(from: StatusCode, to: u16) -> Result<StatusCode, EditError> {
    let bodiless = |status: u16| matches!(status, 204 | 304);
    let changes_body = bodiless(to) != bodiless(from.as_u16());
    if !(200..=599).contains(&to) || changes_body {
        return Err(EditError::InvalidValue);
    }
    StatusCode::from_u16(to).map_err(|_| EditError::InvalidValue)
}

/// An [`EditError`] in words for an operator.
pub fn explain(error: EditError) -> &'static str {
    match error {
        EditError::InvalidName => "the name is not a field name",
        EditError::InvalidValue => "the value has characters that the field cannot have",
        EditError::Forbidden => "the field belongs to the connection and is Pace's to set",
        EditError::TooLarge => "the message would grow too large",
        EditError::ReadOnly => "the message cannot be changed any more",
        EditError::NotAvailable => "there is nothing to change",
        EditError::NotGranted => "it has not been granted",
        EditError::Conflict => "something else stands in its place",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(name: &str) -> Result<(), EditError> {
        FieldName::parse(name).map(drop)
    }

    #[test]
    fn parse_framing_and_connection_fields_are_refused_in_any_case() {
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
    fn parse_invalid_name_or_value_is_refused() {
        for name in ["", "a b", "a:b", "ä", "a\r\nb"] {
            assert_eq!(parse(name), Err(EditError::InvalidName), "{name:?}");
        }
        for bad in [&b"a\r\nb: c"[..], b"\0", b"\n", b"\x7f"] {
            assert_eq!(value(bad), Err(EditError::InvalidValue), "{bad:?}");
        }
        assert!(value("grün".as_bytes()).is_ok(), "bytes above 127 are allowed");
    }

    #[test]
    fn parse_keeps_the_case_of_a_name() {
        let name = FieldName::parse("X-Proxy").unwrap();
        assert_eq!(name.name(), "x-proxy");
        assert_eq!(name.spelled(), "X-Proxy");
    }

    #[test]
    fn host_is_neither_removable_nor_repeatable() {
        let host = FieldName::parse("Host").unwrap();
        assert!(!host.is_removable());
        assert!(!host.is_appendable(|| true) && host.is_appendable(|| false));
        let other = FieldName::parse("x-a").unwrap();
        assert!(other.is_removable() && other.is_appendable(|| true));
    }

    #[test]
    fn check_target_accepts_only_encoded_paths() {
        assert_eq!(check_target("/a%20b?c=d"), Ok(()));
        for bad in ["", "a", "*", "/a b", "/a#b", "/a\r\n", "/ä"] {
            assert_eq!(check_target(bad), Err(EditError::InvalidValue), "{bad:?}");
        }
        let long = format!("/{}", "a".repeat(64 << 10));
        assert_eq!(check_target(&long), Err(EditError::TooLarge));
        assert_eq!(check_target(&long[1..]), Err(EditError::InvalidValue));
    }

    #[test]
    fn changed_status_that_needs_another_body_is_refused() {
        assert_eq!(changed_status(StatusCode::OK, 404), Ok(StatusCode::NOT_FOUND));
        for (from, to) in [
            (StatusCode::OK, 204),
            (StatusCode::NOT_MODIFIED, 200),
            (StatusCode::OK, 199),
            (StatusCode::OK, 600),
        ] {
            assert_eq!(
                changed_status(from, to),
                Err(EditError::InvalidValue),
                "{from} {to}"
            );
        }
    }

    #[test]
    fn host_value_other_than_an_authority_is_refused() {
        let host = FieldName::parse("Host").unwrap();
        let accepts = |text: &'static str| host.accepts(&HeaderValue::from_static(text));
        assert!(accepts("example.com:8080"));
        assert!(!accepts("exa mple") && !accepts("a/b") && !accepts("user@a"));
    }
}
