//! Pairs in a query, as forms write them (`application/x-www-form-urlencoded`): `a=b&c=d%20e`.

use crate::percent;

/// Whether a query has a pair of this key and this value, both compared as bytes after decoding.
///
/// A key without `=` has an empty value. `+` is a space. A `%` that begins no encoding stands for itself.
pub fn has(query: &str, key: &str, value: &str) -> bool {
    query.split('&').any(|pair| {
        let (found, said) = pair.split_once('=').unwrap_or((pair, ""));
        decoded(found).eq(key.bytes()) && decoded(said).eq(value.bytes())
    })
}

fn decoded(text: &str) -> impl Iterator<Item = u8> {
    percent::decode(text).map(|byte| match byte {
        (b'+', false) => b' ',
        (byte, _) => byte,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pair_is_found_in_any_place_and_spelling() {
        for query in [
            "a=b c",
            "a=b+c",
            "a=b%20c",
            "%61=b%20%63",
            "x=1&a=b+c",
            "a=1&a=b+c",
            "a=b+c&a=2",
            "&&a=b+c&",
        ] {
            assert!(has(query, "a", "b c"), "{query}");
        }
        for query in [
            "", "a", "a=b", "a=b+c+", "A=b+c", "aa=b+c", "a=B+c", "x=a=b+c", "a=b%2Bc",
        ] {
            assert!(!has(query, "a", "b c"), "{query}");
        }
    }

    #[test]
    fn key_without_a_value_and_broken_encodings_are_taken_as_they_are() {
        assert!(has("a", "a", "") && has("a=", "a", "") && !has("a=0", "a", ""));
        assert!(has("a=b=c", "a", "b=c"));
        for (written, value) in [
            ("%", "%"),
            ("%4", "%4"),
            ("%zz", "%zz"),
            ("%4z", "%4z"),
            ("%25", "%"),
        ] {
            assert!(has(&format!("a={written}"), "a", value), "{written}");
        }
        assert!(has("a=%C3%A9", "a", "é"));
    }
}
