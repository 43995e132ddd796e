//! The search for byte strings in content.

use memchr::memmem;

/// The place of the first occurrence of the pattern at `offset` or behind it. An empty pattern occurs everywhere, the end
/// of the content included.
pub fn find(bytes: &[u8], pattern: &[u8], offset: usize) -> Option<usize> {
    let rest = bytes.get(offset..)?;
    Some(offset + memmem::find(rest, pattern)?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn empty_pattern_occurs_up_to_the_end_and_not_behind_it() {
        assert_eq!(find(b"ab", b"", 0), Some(0));
        assert_eq!(find(b"ab", b"", 2), Some(2));
        assert_eq!(find(b"ab", b"", 3), None);
        assert_eq!(find(b"", b"", 0), Some(0));
    }

    proptest! {
        #[test]
        fn place_is_the_first_at_which_the_pattern_stands(
            bytes in "[ab]{0,40}", pattern in "[ab]{0,4}", offset in 0_usize..45,
        ) {
            let (bytes, pattern) = (bytes.as_bytes(), pattern.as_bytes());
            let expected = (offset..=bytes.len()).find(|at| bytes[*at..].starts_with(pattern));
            prop_assert_eq!(find(bytes, pattern, offset), expected);
        }
    }
}
