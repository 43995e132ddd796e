//! Gives each path one spelling.
//!
//! `/%61dmin`, `//admin` and `/x/../admin` are `/admin` for most servers. A guard of `/admin` must see all of
//! them as that, and the backend must get the path that was decided about. So a path is normalised once,
//! before routing and before any plugin sees it, and is sent on in that spelling:
//!
//! - Percent-encoded unreserved characters are decoded, the digits of other encodings are upper case (RFC 3986, section
//!   6.2.2).
//! - Repeated slashes are merged, `.` and `..` segments are removed (section 5.2.4).
//! - `%2F`, `%5C` and `\` are refused, kept or decoded as the operator chooses: servers differ about them.
//! - A `%` that begins no encoding, `%00`, and a segment of nothing but dots and a parameter (`..;x`, `.;`,
//!   `;x`) are refused. Other parameters stay, and are left out [where some servers ignore them](without_parameters).

use std::fmt;

use crate::percent;
use crate::refusal::Refusal;

/// How encoded slashes, and backslashes in either form, are treated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EncodedSlashes {
    /// The request is refused.
    #[default]
    Refuse,
    /// Encoded slashes stay encoded, as characters of a segment; a plain backslash is encoded.
    Keep,
    /// Encoded slashes and backslashes become slashes.
    Decode,
}

/// Appends the path in its one spelling. `path` begins with `/`.
///
/// # Errors
///
/// [`Refusal::Target`] and [`Refusal::EncodedSlash`]; the content of `into` is then unspecified.
pub fn normalise(path: &[u8], slashes: EncodedSlashes, into: &mut String) -> Result<(), Refusal> {
    if let Some(plain) = plain(path) {
        into.push_str(plain);
        return Ok(());
    }
    let start = into.len();
    decode(path, slashes, into)?;
    let decoded = into.split_off(start);
    // The length of the output before each kept segment.
    let mut before = Vec::new();
    let mut ends_open = false;
    for segment in decoded.split('/') {
        ends_open = matches!(segment, "" | "." | "..");
        match segment {
            "" | "." => {}
            ".." => into.truncate(before.pop().unwrap_or(start)),
            segment if is_dots_and_parameter(segment) => return Err(Refusal::Target),
            segment => {
                before.push(into.len());
                into.push('/');
                into.push_str(segment);
            }
        }
    }
    if ends_open {
        into.push('/');
    }
    Ok(())
}

/// Whether a normalised path is at or below a normalised prefix. `/v1` covers `/v1` and `/v1/a`, but not `/v10`.
pub fn below(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || prefix.ends_with('/') || rest.starts_with('/'))
}

/// A path without the parameters of its segments: `/v1/a` for `/v1;x=1/a`. `None` if it has none.
///
/// Some servers drop parameters, so what holds for the path without them must hold for the path.
pub fn without_parameters(path: &str) -> Option<String> {
    memchr::memchr(b';', path.as_bytes())?;
    let mut without = String::with_capacity(path.len());
    for segment in path.split('/').skip(1) {
        without.push('/');
        without.push_str(name_of(segment));
    }
    Some(without)
}

/// The rest of a normalised path behind a prefix that it is at or below: `/a` of `/v1/a` behind `/v1`, and nothing of `/v1`.
/// Parameters of segments within the prefix are ignored. The prefix is normalised and does not end with a slash.
pub fn behind<'a>(path: &'a str, prefix: &str) -> Option<&'a str> {
    let plain = path.strip_prefix(prefix);
    if let Some(rest) = plain.filter(|rest| rest.is_empty() || rest.starts_with('/')) {
        return Some(rest);
    }
    let mut rest = path;
    for expected in prefix.split('/').skip(1) {
        let segment = rest.strip_prefix('/')?;
        let end = segment.find('/').unwrap_or(segment.len());
        if name_of(&segment[..end]) != expected {
            return None;
        }
        rest = &segment[end..];
    }
    Some(rest)
}

/// A segment without its parameters.
fn name_of(segment: &str) -> &str {
    segment.split(';').next().unwrap_or_default()
}

/// Normalises a prefix that an operator wrote.
///
/// # Errors
///
/// The text is not a path, has a query or a fragment, or has something that no path may have.
pub fn normalise_prefix(prefix: &str, slashes: EncodedSlashes) -> Result<String, PrefixError> {
    if !prefix.starts_with('/') {
        return Err(PrefixError("it starts with `/`"));
    }
    if prefix.contains(['?', '#']) {
        return Err(PrefixError("it has no query and no fragment"));
    }
    let mut encoded = String::with_capacity(prefix.len());
    for byte in prefix.bytes() {
        match byte {
            // People write `/café`; a request has `/caf%C3%A9`.
            0x80.. => push_encoded(byte, &mut encoded),
            0..=0x20 | 0x7f => return Err(PrefixError("it has a space or a control character")),
            _ => encoded.push(char::from(byte)),
        }
    }
    let mut normalised = String::with_capacity(encoded.len());
    match normalise(encoded.as_bytes(), slashes, &mut normalised) {
        Ok(()) => Ok(normalised),
        Err(Refusal::EncodedSlash) => Err(PrefixError(
            "encoded slashes and backslashes are refused (`[server] encoded_slashes`), so no request has it",
        )),
        Err(_) => Err(PrefixError("no request can have it as its path")),
    }
}

/// Why a text is not a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrefixError(&'static str);

impl fmt::Display for PrefixError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.0)
    }
}

impl std::error::Error for PrefixError {}

/// The path itself if it certainly is in its one spelling already, as nearly all are.
pub(crate) fn plain(path: &[u8]) -> Option<&str> {
    let mut before = b'.';
    for &byte in path {
        let fits = match byte {
            b'%' | b'\\' | b';' => false,
            b'/' | b'.' => before != b'/',
            0x21..=0x7e => byte != b'#' && byte != b'?',
            _ => false,
        };
        if !fits {
            return None;
        }
        before = byte;
    }
    // Every byte is visible ASCII.
    std::str::from_utf8(path).ok()
}

/// Decodes encodings that need not be, and checks all characters. Segments stay as they are.
fn decode(path: &[u8], slashes: EncodedSlashes, into: &mut String) -> Result<(), Refusal> {
    let mut rest = path;
    while let [byte, after @ ..] = rest {
        rest = after;
        let (byte, was_encoded) = match byte {
            b'%' => {
                let ([high, low], after) = after.split_first_chunk().ok_or(Refusal::Target)?;
                rest = after;
                let digit = |byte: &u8| percent::digit(*byte).ok_or(Refusal::Target);
                (digit(high)? << 4 | digit(low)?, true)
            }
            byte => (*byte, false),
        };
        match (byte, was_encoded) {
            (b'/', true) | (b'\\', _) => match slashes {
                EncodedSlashes::Refuse => return Err(Refusal::EncodedSlash),
                EncodedSlashes::Keep => push_encoded(byte, into),
                EncodedSlashes::Decode => into.push('/'),
            },
            (0, _) => return Err(Refusal::Target),
            (b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~', _) => {
                into.push(char::from(byte))
            }
            (_, true) => push_encoded(byte, into),
            (b'#' | b'?' | 0..=0x20 | 0x7f.., false) => return Err(Refusal::Target),
            (0x21..=0x7e, false) => into.push(char::from(byte)),
        }
    }
    Ok(())
}

fn push_encoded(byte: u8, into: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    into.push('%');
    into.push(char::from(DIGITS[usize::from(byte >> 4)]));
    into.push(char::from(DIGITS[usize::from(byte & 15)]));
}

/// Whether a segment is like `;x`, `.;` or `..;x`: servers that drop parameters would remove it, or the one
/// before it.
fn is_dots_and_parameter(segment: &str) -> bool {
    segment
        .split_once(';')
        .is_some_and(|(name, _)| matches!(name, "" | "." | ".."))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn normalised(path: &str, slashes: EncodedSlashes) -> Result<String, Refusal> {
        let mut into = String::from("kept");
        normalise(path.as_bytes(), slashes, &mut into)?;
        Ok(into
            .strip_prefix("kept")
            .expect("what was there stays")
            .to_owned())
    }

    fn usual(path: &str) -> Result<String, Refusal> {
        normalised(path, EncodedSlashes::Refuse)
    }

    #[test]
    fn normalise_spellings_of_one_path_become_one() {
        for spelling in [
            "/admin",
            "//admin",
            "///admin",
            "/%61dmin",
            "/x/../admin",
            "/./admin",
            "/x/%2e%2E/admin",
            "/../admin",
            "/x/y/../../admin",
        ] {
            assert_eq!(usual(spelling).as_deref(), Ok("/admin"), "{spelling}");
        }
        for (path, expected) in [
            ("/", "/"),
            ("//", "/"),
            ("/.", "/"),
            ("/..", "/"),
            ("/admin/.", "/admin/"),
            ("/a/b/..", "/a/"),
            ("/a//b/", "/a/b/"),
            ("/caf%c3%a9", "/caf%C3%A9"),
            ("/%7euser", "/~user"),
            ("/a%3bb", "/a%3Bb"),
            ("/.well-known/x", "/.well-known/x"),
            ("/...", "/..."),
            ("/a;b=c/d", "/a;b=c/d"),
            ("/{a}|b^\"<c>`", "/{a}|b^\"<c>`"),
        ] {
            assert_eq!(usual(path).as_deref(), Ok(expected), "{path}");
        }
    }

    #[test]
    fn normalise_ambiguous_path_is_refused() {
        for path in [
            "/a%", "/a%4", "/a%zz", "/%00", "/a b", "/a\tb", "/a\x7f", "/é", "/..;/a", "/.;x", "/;x/a",
            "/a#b",
        ] {
            assert_eq!(usual(path), Err(Refusal::Target), "{path:?}");
        }
        for path in [
            "/admin%2fx",
            "/admin%2Fx",
            "/x/..%2fadmin",
            "/%2fadmin",
            "/a\\b",
            "/a%5cb",
            "/a%5Cb",
        ] {
            assert_eq!(usual(path), Err(Refusal::EncodedSlash), "{path:?}");
        }
    }

    #[test]
    fn normalise_encoded_slashes_follow_the_policy() {
        for (path, kept, decoded) in [
            ("/admin%2fx", "/admin%2Fx", "/admin/x"),
            ("/x/..%2fadmin", "/x/..%2Fadmin", "/admin"),
            ("/%2Fadmin", "/%2Fadmin", "/admin"),
            ("/a\\b", "/a%5Cb", "/a/b"),
            ("/x%5c..%5Cb", "/x%5C..%5Cb", "/b"),
        ] {
            assert_eq!(normalised(path, EncodedSlashes::Keep).as_deref(), Ok(kept));
            assert_eq!(normalised(path, EncodedSlashes::Decode).as_deref(), Ok(decoded));
        }
    }

    #[test]
    fn below_prefix_ends_at_a_segment() {
        for path in ["/v1", "/v1/", "/v1/a"] {
            assert!(below(path, "/v1"), "{path}");
            assert!(below(path, "/"), "{path}");
        }
        for path in ["/", "/v10", "/v", "/a/v1", "/v1;x"] {
            assert!(!below(path, "/v1"), "{path}");
        }
        assert!(below("/v1/a", "/v1/") && !below("/v1", "/v1/"));
    }

    #[test]
    fn without_parameters_keeps_the_names_of_segments() {
        for (path, expected) in [
            ("/v1;x", "/v1"),
            ("/v1;x/", "/v1/"),
            ("/v1;a=b;c/d", "/v1/d"),
            ("/x;1/y;2/z", "/x/y/z"),
        ] {
            assert_eq!(without_parameters(path).as_deref(), Some(expected), "{path}");
        }
        assert_eq!(without_parameters("/v1/a"), None);
    }

    #[test]
    fn behind_prefix_is_the_rest_from_the_next_slash() {
        for (path, prefix, rest) in [
            ("/v1/a", "/v1", Some("/a")),
            ("/v1/", "/v1", Some("/")),
            ("/v1", "/v1", Some("")),
            ("/a", "", Some("/a")),
            ("/v10", "/v1", None),
            ("/v1;x=1/a;y", "/v1", Some("/a;y")),
            ("/v1;x", "/v1", Some("")),
            ("/a;1/b;2/c", "/a/b", Some("/c")),
            ("/a;b/c", "/a;b", Some("/c")),
            ("/a", "/a/b", None),
            ("/", "/a", None),
        ] {
            assert_eq!(behind(path, prefix), rest, "{path} behind {prefix}");
        }
    }

    #[test]
    fn normalise_prefix_spells_prefixes_as_paths() {
        let prefix = |text: &str| normalise_prefix(text, EncodedSlashes::Refuse);
        for (written, normalised) in [
            ("/%61dmin", "/admin"),
            ("/%7Euser", "/~user"),
            ("/caf%c3%a9", "/caf%C3%A9"),
            ("/café", "/caf%C3%A9"),
            ("/a//b", "/a/b"),
            ("/a/./b", "/a/b"),
            ("/x/../a", "/a"),
            ("/v1/", "/v1/"),
        ] {
            assert_eq!(prefix(written).as_deref(), Ok(normalised), "{written}");
        }
        for bad in ["", "v1", "/a?b", "/a#b", "/a b", "/a%", "/a%2fb", "/a\\b"] {
            assert!(prefix(bad).is_err(), "{bad}");
        }
        assert_eq!(
            normalise_prefix("/a%2fb", EncodedSlashes::Keep).as_deref(),
            Ok("/a%2Fb")
        );
    }

    fn policy() -> impl Strategy<Value = EncodedSlashes> {
        prop_oneof![
            Just(EncodedSlashes::Refuse),
            Just(EncodedSlashes::Keep),
            Just(EncodedSlashes::Decode)
        ]
    }

    proptest! {
        #[test]
        fn normalise_twice_equals_once(path in "/[a-c/.%25\\\\;2eEfFcC61?]{0,24}", slashes in policy()) {
            if let Ok(once) = normalised(&path, slashes) {
                prop_assert!(once.starts_with('/'), "{once}");
                prop_assert!(!once.contains("//") && !once.contains('\\'), "{once}");
                prop_assert!(!once.split('/').any(|segment| matches!(segment, "." | "..")), "{once}");
                prop_assert_eq!(normalised(&once, slashes), Ok(once.clone()));
            }
        }

        #[test]
        fn normalise_any_bytes_yield_visible_ascii_or_a_refusal(path in proptest::collection::vec(any::<u8>(), 0..48), slashes in policy()) {
            let mut into = String::new();
            if normalise(&[&b"/"[..], &path].concat(), slashes, &mut into).is_ok() {
                prop_assert!(into.bytes().all(|byte| (0x21..=0x7e).contains(&byte)));
            }
        }
    }
}
