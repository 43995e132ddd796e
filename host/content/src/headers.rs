//! Header fields that speak of a body: what becomes of them when a plugin changes it, and how others are kept from sending
//! what plugins could not be shown.

use std::borrow::Cow;

use crate::decode::Coding;

/// The fields of a head that are no longer true of a changed body, in lower case. `content-length` is not among them:
/// it is set.
pub const LOST: [&str; 6] = [
    "accept-ranges",
    "content-digest",
    "content-encoding",
    "content-md5",
    "digest",
    "repr-digest",
];

/// The fields of a trailer section that are no longer true of a changed body, in lower case.
pub const LOST_TRAILERS: [&str; 4] = ["content-digest", "content-md5", "digest", "repr-digest"];

/// The value of `etag` for a changed body: a strong one says that the bytes are the same, a weak one that they mean the
/// same (RFC 9110, section 8.8.1).
pub fn weak_etag(value: &[u8]) -> Cow<'_, [u8]> {
    if value.starts_with(b"W/") {
        Cow::Borrowed(value)
    } else {
        Cow::Owned([b"W/", value].concat())
    }
}

/// The value that takes the place of all of `accept-encoding`, so that the answer has a coding that can be decoded.
/// `None` if that holds already; without the field, too, since a sender that is not asked sends none.
///
/// Codings that are known stay as they are, with their weights. `*` goes, because it asks for those that are not known,
/// unless its weight is 0 and it refuses them.
pub fn decodable<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> Option<Vec<u8>> {
    let mut kept = Vec::new();
    let mut is_reduced = false;
    for value in values {
        for member in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            if member.is_empty() {
                continue;
            }
            if !is_decodable(member) {
                is_reduced = true;
                continue;
            }
            if !kept.is_empty() {
                kept.extend(b", ");
            }
            kept.extend(member);
        }
    }
    // An empty field asks for the same, and some take it for none.
    is_reduced.then(|| {
        if kept.is_empty() {
            b"identity".to_vec()
        } else {
            kept
        }
    })
}

/// Whether a member of `accept-encoding` asks for nothing that is not known.
fn is_decodable(member: &[u8]) -> bool {
    let mut parts = member.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
    match parts.next().unwrap_or_default() {
        b"*" => parts.next().is_some_and(is_refusal),
        name => name.eq_ignore_ascii_case(b"identity") || Coding::named(name).is_some(),
    }
}

/// Whether a weight is 0, with or without decimals.
fn is_refusal(weight: &[u8]) -> bool {
    matches!(weight, [b'q' | b'Q', b'=', number @ ..]
        if number.starts_with(b"0") && number.iter().all(|byte| matches!(byte, b'0' | b'.')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strong_etag_becomes_weak_and_a_weak_one_stays() {
        assert_eq!(&*weak_etag(b"\"abc\""), b"W/\"abc\"");
        assert_eq!(&*weak_etag(b"W/\"abc\""), b"W/\"abc\"");
    }

    #[test]
    fn names_are_in_lower_case_and_digests_go_from_trailers_too() {
        for name in LOST.iter().chain(&LOST_TRAILERS) {
            assert_eq!(*name, name.to_ascii_lowercase());
        }
        assert!(LOST_TRAILERS.iter().all(|name| LOST.contains(name)));
    }

    fn reduced(values: &[&str]) -> Option<String> {
        let value = decodable(values.iter().map(|value| value.as_bytes()));
        value.map(|value| String::from_utf8(value).expect("it was a text"))
    }

    #[test]
    fn codings_that_can_be_decoded_stay_as_they_were_asked_for() {
        for same in [
            &[][..],
            &[""],
            &["gzip, deflate, br, zstd"],
            &["GZIP;q=1.0, identity;q=0.5, *;q=0"],
            &["x-gzip", "br;q=0"],
            &["*;q=0.000"],
        ] {
            assert_eq!(reduced(same), None, "{same:?}");
        }
    }

    #[test]
    fn codings_that_cannot_be_decoded_are_not_asked_for() {
        for (values, expected) in [
            (&["gzip, compress;q=0.5,br ; q=0.1"][..], "gzip, br ; q=0.1"),
            (&["dcz", "gzip"], "gzip"),
            (&["*"], "identity"),
            (&["gzip, *;q=0.1"], "gzip"),
            (&["*;q=1, compress"], "identity"),
            (&["identity;q=0, compress"], "identity;q=0"),
        ] {
            assert_eq!(reduced(values).as_deref(), Some(expected), "{values:?}");
        }
    }
}
