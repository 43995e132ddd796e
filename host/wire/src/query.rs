//! Pairs in a query, as forms write them (`application/x-www-form-urlencoded`): `a=b&c=d%20e`.

/// Whether a query has a pair of this key and this value, both compared as bytes after decoding.
///
/// A key without `=` has an empty value. `+` is a space. A `%` that begins no encoding stands for itself.
pub fn has(query: &str, key: &str, value: &str) -> bool {
    query.split('&').any(|pair| {
        let (found, said) = pair.split_once('=').unwrap_or((pair, ""));
        decoded(found).eq(key.bytes()) && decoded(said).eq(value.bytes())
    })
}

/// The bytes of a text that is percent-encoded.
fn decoded(text: &str) -> impl Iterator<Item = u8> {
    let mut rest = text.as_bytes();
    std::iter::from_fn(move || {
        let (&first, after) = rest.split_first()?;
        rest = after;
        match (first, after) {
            (b'+', _) => Some(b' '),
            (b'%', [high, low, after @ ..]) => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => {
                    rest = after;
                    Some(high << 4 | low)
                }
                _ => Some(b'%'),
            },
            (byte, _) => Some(byte),
        }
    })
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
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
