//! Headers that a client declares to be its connection's own.

use http::header::{CONNECTION, HeaderName, HeaderValue};
use pingora::http::RequestHeader;

/// What `Connection` usually says, and Pingora deals with.
const USUAL: [&[u8]; 4] = [b"keep-alive", b"close", b"upgrade", b"te"];

/// Names that no client may have removed (as Pingora has it).
const PROTECTED: [&str; 4] = ["host", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"];

/// A nomination that is refused.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Protected;

/// Removes the headers that the request's `Connection` names (RFC 9110, section 7.6.1), and their names
/// from it.
///
/// Pingora does so too, but when the request is sent on: after the plugins. A client could name a header
/// that a plugin is going to set, and the origin would never see it.
pub(super) fn remove(head: &mut RequestHeader) -> Result<(), Protected> {
    if !tokens(head).any(|token| !is_usual(token)) {
        return Ok(());
    }
    let mut nominated = Vec::new();
    let mut kept = Vec::new();
    for token in tokens(head) {
        if is_usual(token) {
            kept.push(token);
        } else if let Ok(name) = HeaderName::from_bytes(token) {
            if PROTECTED.contains(&name.as_str()) {
                return Err(Protected);
            }
            nominated.push(name);
        }
    }
    let kept =
        HeaderValue::from_bytes(&kept.join(&b", "[..])).expect("parts of a field value make a field value");
    for name in nominated {
        head.remove_header(&name);
    }
    if kept.is_empty() {
        head.remove_header(&CONNECTION);
    } else {
        head.insert_header(CONNECTION, kept)
            .expect("the header was there before, so there is room for it");
    }
    Ok(())
}

fn tokens(head: &RequestHeader) -> impl Iterator<Item = &[u8]> {
    let values = head.headers.get_all(CONNECTION).into_iter();
    values
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|token| !token.is_empty())
}

fn is_usual(token: &[u8]) -> bool {
    USUAL.iter().any(|usual| token.eq_ignore_ascii_case(usual))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(connection: &[&'static str]) -> RequestHeader {
        let mut head = RequestHeader::build("GET", b"/", None).expect("a valid request");
        for value in connection {
            head.append_header("Connection", *value).expect("a valid header");
        }
        for name in ["X-Proxy", "X-User", "Host"] {
            head.insert_header(name, "sent").expect("a valid header");
        }
        head
    }

    #[test]
    fn what_is_nominated_is_gone_and_what_is_usual_stays() {
        let mut head = head(&["keep-alive, X-Proxy", "x-user"]);
        assert_eq!(remove(&mut head), Ok(()));
        assert!(!head.headers.contains_key("x-proxy") && !head.headers.contains_key("x-user"));
        assert_eq!(
            head.headers.get_all(CONNECTION).iter().collect::<Vec<_>>(),
            ["keep-alive"]
        );
    }

    #[test]
    fn nothing_is_touched_without_a_nomination() {
        let mut head = head(&["Keep-Alive"]);
        assert_eq!(remove(&mut head), Ok(()));
        assert_eq!(head.headers[CONNECTION], "Keep-Alive");
        assert!(head.headers.contains_key("x-proxy"));
    }

    #[test]
    fn some_names_cannot_be_nominated() {
        assert_eq!(remove(&mut head(&["close, Host"])), Err(Protected));
    }

    #[test]
    fn a_connection_of_nominations_alone_is_gone() {
        let mut head = head(&["x-proxy"]);
        assert_eq!(remove(&mut head), Ok(()));
        assert!(!head.headers.contains_key(CONNECTION));
    }
}
