//! A path as routes see it: one spelling for what origins take for the same resource.

use std::borrow::Cow;

/// The path with unreserved characters decoded, dot segments resolved (RFC 3986, sections 6.2.2.2 and
/// 5.2.4) and repeated slashes merged.
///
/// Without this `/%61dmin`, `//admin` and `/x/../admin` would take the route for `/` and reach an origin that
/// takes all three for `/admin`. An encoded slash stays encoded, because origins differ about it. What is sent
/// to the origin is the path as it came.
pub(super) fn normalised(path: &str) -> Cow<'_, str> {
    if is_plain(path) {
        return Cow::Borrowed(path);
    }
    let decoded = decode_unreserved(path);
    let mut segments: Vec<&str> = Vec::new();
    let mut ends_open = false;
    for segment in decoded.split('/') {
        ends_open = matches!(segment, "" | "." | "..");
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            segment => segments.push(segment),
        }
    }
    let mut normalised = String::with_capacity(decoded.len());
    for segment in &segments {
        normalised.push('/');
        normalised.push_str(segment);
    }
    if ends_open {
        normalised.push('/');
    }
    Cow::Owned(normalised)
}

/// Whether there is nothing to do, as nearly always.
fn is_plain(path: &str) -> bool {
    let bytes = path.as_bytes();
    bytes.first() == Some(&b'/')
        && !bytes.contains(&b'%')
        && bytes
            .windows(2)
            .all(|pair| pair[0] != b'/' || !matches!(pair[1], b'/' | b'.'))
}

/// Percent-encoded letters, digits, `-`, `.`, `_` and `~` as themselves.
fn decode_unreserved(path: &str) -> String {
    let mut decoded = String::with_capacity(path.len());
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('%') {
        decoded.push_str(before);
        let digits = after
            .get(..2)
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => {
                decoded.push(char::from(byte));
                rest = &after[2..];
            }
            _ => {
                decoded.push('%');
                rest = after;
            }
        }
    }
    decoded.push_str(rest);
    decoded
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn spellings_of_one_path_are_one() {
        for spelling in [
            "/admin",
            "//admin",
            "/%61dmin",
            "/x/../admin",
            "/./admin",
            "/x/%2e%2E/admin",
            "/../admin",
        ] {
            assert_eq!(normalised(spelling), "/admin", "{spelling}");
        }
        assert_eq!(normalised("/admin/."), "/admin/");
        assert_eq!(normalised("/a/b/.."), "/a/");
        assert_eq!(normalised("/"), "/");
    }

    #[test]
    fn what_is_reserved_or_no_encoding_stays() {
        for path in [
            "/a%2Fb",
            "/a%",
            "/a%4",
            "/a%zz",
            "/a.b",
            "/.well-known/x",
            "/a%C3%A4",
            "/a%é",
        ] {
            assert_eq!(normalised(path), path);
        }
    }

    proptest! {
        #[test]
        fn normalising_twice_is_normalising_once(path in "/[a-c/.%2eE61é]{0,24}") {
            let once = normalised(&path).into_owned();
            prop_assert!(once.starts_with('/'), "{once}");
            prop_assert!(!once.contains("//") && !once.contains("/../") && !once.contains("/./"), "{once}");
        }

        #[test]
        fn any_text_is_taken(path in ".{0,64}") {
            let _ = normalised(&path);
        }
    }
}
