//! Which header fields a plugin may set, and to what.

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

/// A name that a plugin may set or remove.
pub fn editable_name(name: &str) -> Result<HeaderName, EditError> {
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| EditError::InvalidName)?;
    if FORBIDDEN.contains(&name.as_str()) || name.as_str().starts_with("proxy-") {
        return Err(EditError::Forbidden);
    }
    Ok(name)
}

/// A value for such a field: no control characters, and for `host` an authority.
pub fn value(name: &HeaderName, value: &[u8]) -> Result<HeaderValue, EditError> {
    let parsed = HeaderValue::from_bytes(value).map_err(|_| EditError::InvalidValue)?;
    if *name == http::header::HOST {
        let authority = http::uri::Authority::try_from(value).map_err(|_| EditError::InvalidValue)?;
        if authority.as_str().contains('@') {
            return Err(EditError::InvalidValue);
        }
    }
    Ok(parsed)
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
            assert_eq!(editable_name(name), Err(EditError::Forbidden), "{name}");
        }
        assert!(editable_name("x-proxy").is_ok());
    }

    #[test]
    fn what_is_no_name_or_value_is_refused() {
        for name in ["", "a b", "a:b", "ä", "a\r\nb"] {
            assert_eq!(editable_name(name), Err(EditError::InvalidName), "{name:?}");
        }
        let name = HeaderName::from_static("x-a");
        for bad in [&b"a\r\nb: c"[..], b"\0", b"\n", b"\x7f"] {
            assert_eq!(value(&name, bad), Err(EditError::InvalidValue), "{bad:?}");
        }
        assert!(
            value(&name, "grün".as_bytes()).is_ok(),
            "bytes above 127 are allowed"
        );
    }

    #[test]
    fn host_must_be_an_authority() {
        let host = http::header::HOST;
        assert!(value(&host, b"example.com:8080").is_ok());
        assert_eq!(value(&host, b"exa mple"), Err(EditError::InvalidValue));
        assert_eq!(value(&host, b"a/b"), Err(EditError::InvalidValue));
        assert_eq!(value(&host, b"user@a"), Err(EditError::InvalidValue));
    }
}
