//! The names of codings.

/// A content coding that can be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// RFC 1952.
    Gzip,
    /// RFC 1950; also RFC 1951 alone, which some senders take the name for.
    Deflate,
    /// RFC 7932.
    Brotli,
    /// RFC 8878, with windows of at most 8 MiB (RFC 9659).
    Zstd,
}

/// The codings of a body, in the order in which its sender has applied them. At most [`Codings::MOST`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Codings(Vec<Coding>);

/// A body has a coding that is not known, or more of them than [`Codings::MOST`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownCoding;

impl Coding {
    /// The coding with this name, in any case.
    pub fn named(name: &[u8]) -> Option<Coding> {
        let names: [(&str, Coding); 5] = [
            ("gzip", Coding::Gzip),
            ("x-gzip", Coding::Gzip),
            ("deflate", Coding::Deflate),
            ("br", Coding::Brotli),
            ("zstd", Coding::Zstd),
        ];
        let named = names
            .iter()
            .find(|(known, _)| name.eq_ignore_ascii_case(known.as_bytes()));
        named.map(|(_, coding)| *coding)
    }
}

impl Codings {
    /// The most codings of a body. Two come up in the wild, by mistake.
    pub const MOST: usize = 3;

    /// Reads the values of `content-encoding`, in their order.
    pub fn parse<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> Result<Codings, UnknownCoding> {
        let mut codings = Vec::new();
        for value in values {
            for name in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                if name.is_empty() || name.eq_ignore_ascii_case(b"identity") {
                    continue;
                }
                if codings.len() == Codings::MOST {
                    return Err(UnknownCoding);
                }
                codings.push(Coding::named(name).ok_or(UnknownCoding)?);
            }
        }
        Ok(Codings(codings))
    }

    /// Whether the body is as it is.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The codings, in the order in which they were applied.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Coding> + '_ {
        self.0.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(values: &[&str]) -> Result<Codings, UnknownCoding> {
        Codings::parse(values.iter().map(|value| value.as_bytes()))
    }

    #[test]
    fn codings_are_read_in_any_case_and_from_several_fields() {
        let known = Codings(vec![Coding::Gzip, Coding::Brotli, Coding::Zstd]);
        assert_eq!(parse(&["X-GZIP , identity,, br", "zstd"]), Ok(known));
        assert_eq!(parse(&["deflate"]), Ok(Codings(vec![Coding::Deflate])));
        for none in [&[][..], &[""], &["identity"], &[" , "]] {
            assert_eq!(parse(none), Ok(Codings::default()));
        }
    }

    #[test]
    fn coding_that_is_not_known_or_the_fourth_is_refused() {
        for unknown in [
            &["compress"][..],
            &["gzip, aes128gcm"],
            &["gzip;q=1"],
            &["gzip,gzip", "gzip,gzip"],
        ] {
            assert_eq!(parse(unknown), Err(UnknownCoding));
        }
    }
}
