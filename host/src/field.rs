//! Which header fields a plugin may set, and to what; and what else of a message it may change.

use http::StatusCode;
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

/// A name that a plugin may remove.
pub fn removable_name(name: &str) -> Result<HeaderName, EditError> {
    let name = editable_name(name)?;
    if name == http::header::HOST {
        // Every request to an origin has one (RFC 9112, section 3.2).
        return Err(EditError::Forbidden);
    }
    Ok(name)
}

/// Whether a value may be added to a field that is `present` already.
pub fn may_append(name: &HeaderName, present: bool) -> Result<(), EditError> {
    if *name == http::header::HOST && present {
        // A second Host makes a request that every origin must refuse (RFC 9112, section 3.2).
        return Err(EditError::InvalidValue);
    }
    Ok(())
}

/// Whether this may be the path and query of a request.
pub fn check_target(target: &str) -> Result<(), EditError> {
    let allowed = |byte: u8| (0x21..=0x7e).contains(&byte) && byte != b'#';
    if target.starts_with('/') && target.bytes().all(allowed) {
        Ok(())
    } else {
        Err(EditError::InvalidValue)
    }
}

/// The status to which a response that has another may be changed.
pub fn changed_status(from: StatusCode, to: u16) -> Result<StatusCode, EditError> {
    let bodiless = |status: u16| matches!(status, 204 | 304);
    let changes_body = bodiless(to) != bodiless(from.as_u16());
    if !(200..=599).contains(&to) || changes_body {
        return Err(EditError::InvalidValue);
    }
    StatusCode::from_u16(to).map_err(|_| EditError::InvalidValue)
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
    fn a_request_has_one_host() {
        let host = http::header::HOST;
        assert_eq!(removable_name("Host"), Err(EditError::Forbidden));
        assert_eq!(may_append(&host, true), Err(EditError::InvalidValue));
        assert_eq!(may_append(&host, false), Ok(()));
        assert_eq!(may_append(&HeaderName::from_static("x-a"), true), Ok(()));
    }

    #[test]
    fn a_target_is_a_path_as_it_is_written_in_a_request() {
        assert_eq!(check_target("/a%20b?c=d"), Ok(()));
        for bad in ["", "a", "*", "/a b", "/a#b", "/a\r\n", "/ä"] {
            assert_eq!(check_target(bad), Err(EditError::InvalidValue), "{bad:?}");
        }
    }

    #[test]
    fn a_status_that_needs_another_body_is_refused() {
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
    fn host_must_be_an_authority() {
        let host = http::header::HOST;
        assert!(value(&host, b"example.com:8080").is_ok());
        assert_eq!(value(&host, b"exa mple"), Err(EditError::InvalidValue));
        assert_eq!(value(&host, b"a/b"), Err(EditError::InvalidValue));
        assert_eq!(value(&host, b"user@a"), Err(EditError::InvalidValue));
    }
}
