//! Percent-encoding (RFC 3986, section 2.1).

/// The bytes of a text, and whether each was encoded. A `%` that begins no encoding stands for itself.
pub fn decode(text: &str) -> impl Iterator<Item = (u8, bool)> {
    let mut rest = text.as_bytes();
    std::iter::from_fn(move || {
        let (&first, after) = rest.split_first()?;
        rest = after;
        if let (b'%', [high, low, after @ ..]) = (first, after)
            && let (Some(high), Some(low)) = (digit(*high), digit(*low))
        {
            rest = after;
            return Some((high << 4 | low, true));
        }
        Some((first, false))
    })
}

/// The value of a hexadecimal digit.
pub fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_are_decoded_and_everything_else_stays() {
        for (text, bytes) in [
            ("10.0.0.1:80", "10.0.0.1:80"),
            ("%5B::1%5d:80", "[::1]:80"),
            ("%C3%A9", "é"),
            ("%25%2525", "%%25"),
            ("100%", "100%"),
            ("%4", "%4"),
            ("%zz%4z%+f", "%zz%4z%+f"),
        ] {
            let decoded: Vec<u8> = decode(text).map(|(byte, _)| byte).collect();
            assert_eq!(decoded, bytes.as_bytes(), "{text}");
        }
        assert_eq!(decode("+%2B").collect::<Vec<_>>(), [(b'+', false), (b'+', true)]);
    }
}
