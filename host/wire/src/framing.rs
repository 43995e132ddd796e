//! Decides where a body ends.

use http::Version;

use crate::broken::Broken;
use crate::fields::{Fields, MAX_TEXT};
use crate::known::Known;
use crate::refusal::Refusal;

/// How the body of a message is framed (RFC 9112, section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// No body.
    None,
    /// A number of bytes, at least one.
    Length(u64),
    /// In chunks.
    Chunked,
    /// A body that ends with the connection, which only a response can have.
    UntilClose,
}

/// A reason why a framing is ambiguous.
enum Fault {
    ContentLength,
    LengthAndCoding,
    TransferCoding,
    TransferEncoding,
}

/// The framing that the fields declare.
enum Declared {
    Nothing,
    Length(u64),
    Chunked,
}

impl Framing {
    /// The framing of a request, from its fields as they were received. A repeated Content-Length becomes one
    /// line.
    pub fn of_request(fields: &mut Fields, version: Version) -> Result<Framing, Refusal> {
        match declared(fields, version)? {
            Declared::Nothing | Declared::Length(0) => Ok(Framing::None),
            Declared::Length(length) => Ok(Framing::Length(length)),
            Declared::Chunked => Ok(Framing::Chunked),
        }
    }

    /// The framing of a final response. `to_head` is true if it answers HEAD. Fields that its status does not
    /// allow are removed, and a repeated Content-Length becomes one line.
    pub fn of_response(
        fields: &mut Fields,
        version: Version,
        status: u16,
        to_head: bool,
    ) -> Result<Framing, Broken> {
        if status == 204 {
            // RFC 9110, section 8.6, and RFC 9112, section 6.1: a sender MUST NOT. There is no body to frame.
            remove_framing(fields);
            return Ok(Framing::None);
        }
        let declared = declared(fields, version)?;
        if to_head || status == 304 {
            return Ok(Framing::None);
        }
        match declared {
            Declared::Length(0) => Ok(Framing::None),
            Declared::Length(length) => Ok(Framing::Length(length)),
            Declared::Chunked => Ok(Framing::Chunked),
            Declared::Nothing => Ok(Framing::UntilClose),
        }
    }
}

/// Removes the fields that frame a message, which some messages must not have.
pub fn remove_framing(fields: &mut Fields) {
    if fields.has(Known::ContentLength) || fields.has(Known::TransferEncoding) {
        fields.retain(|field| !matches!(field.known, Known::ContentLength | Known::TransferEncoding));
    }
}

fn declared(fields: &mut Fields, version: Version) -> Result<Declared, Fault> {
    let is_chunked = match coding(fields)? {
        Some(()) if version == Version::HTTP_10 => return Err(Fault::TransferEncoding),
        coding => coding.is_some(),
    };
    let length = length(fields)?;
    match (is_chunked, length) {
        (true, Some(_)) => Err(Fault::LengthAndCoding),
        (true, None) => Ok(Declared::Chunked),
        (false, None) => Ok(Declared::Nothing),
        (false, Some((length, is_one_line))) => {
            if !is_one_line {
                let fits = fields.set("Content-Length", length.to_string().as_bytes());
                debug_assert!(
                    fits.is_ok(),
                    "a head that was read is shorter than {MAX_TEXT} bytes"
                );
            }
            Ok(Declared::Length(length))
        }
    }
}

/// Whether there is a Transfer-Encoding, and then exactly one `chunked`.
fn coding(fields: &Fields) -> Result<Option<()>, Fault> {
    // A line has at least one element.
    let mut codings = fields.elements(Known::TransferEncoding).peekable();
    if codings.peek().is_none() {
        return Ok(None);
    }
    let (mut chunked, mut unknown) = (0, false);
    let mut is_last = false;
    for coding in codings.by_ref() {
        is_last = coding.eq_ignore_ascii_case(b"chunked");
        match coding {
            [] => return Err(Fault::TransferEncoding),
            _ if is_last => chunked += 1,
            _ => unknown = true,
        }
    }
    match (chunked, unknown, is_last) {
        (1, false, true) => Ok(Some(())),
        // With chunked twice or before another coding, the end of the body is unknown.
        (2.., _, _) | (1, _, false) => Err(Fault::TransferEncoding),
        _ => Err(Fault::TransferCoding),
    }
}

/// The length, and whether it is written once and in its canonical form.
fn length(fields: &Fields) -> Result<Option<(u64, bool)>, Fault> {
    let mut length = None;
    let mut is_one_line = true;
    for line in fields.all(Known::ContentLength) {
        for value in line.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            let number = number(value).ok_or(Fault::ContentLength)?;
            match length {
                None => length = Some(number),
                Some(first) if first == number => is_one_line = false,
                Some(_) => return Err(Fault::ContentLength),
            }
            is_one_line &= value.len() == 1 || value[0] != b'0';
        }
    }
    Ok(length.map(|length| (length, is_one_line)))
}

/// `1*DIGIT` that fits 64 bits. A sign is not allowed (RFC 9110, section 8.6).
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, digit| match digit {
        b'0'..=b'9' => number.checked_mul(10)?.checked_add(u64::from(digit - b'0')),
        _ => None,
    })
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Refusal {
        match fault {
            Fault::ContentLength => Refusal::ContentLength,
            Fault::LengthAndCoding => Refusal::LengthAndCoding,
            Fault::TransferCoding => Refusal::TransferCoding,
            Fault::TransferEncoding => Refusal::TransferEncoding,
        }
    }
}

impl From<Fault> for Broken {
    fn from(fault: Fault) -> Broken {
        match fault {
            Fault::ContentLength => Broken::ContentLength,
            Fault::LengthAndCoding => Broken::LengthAndCoding,
            Fault::TransferCoding | Fault::TransferEncoding => Broken::TransferEncoding,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(lines: &[(&str, &str)]) -> Fields {
        let mut fields = Fields::new();
        for (name, value) in lines {
            fields.append(name, value.as_bytes()).expect("there is room");
        }
        fields
    }

    fn of_request(lines: &[(&str, &str)]) -> Result<Framing, Refusal> {
        Framing::of_request(&mut fields(lines), Version::HTTP_11)
    }

    const LENGTH: &str = "Content-Length";
    const CODING: &str = "Transfer-Encoding";

    #[test]
    fn equal_content_lengths_become_one_line() {
        assert_eq!(of_request(&[]), Ok(Framing::None));
        assert_eq!(of_request(&[(LENGTH, "0")]), Ok(Framing::None));
        assert_eq!(
            of_request(&[(LENGTH, "18446744073709551615")]),
            Ok(Framing::Length(u64::MAX))
        );
        for lines in [
            &[(LENGTH, "7")][..],
            &[(LENGTH, "7, 7")],
            &[(LENGTH, "7"), (LENGTH, "7")],
            &[(LENGTH, "007")],
        ] {
            let mut fields = fields(lines);
            assert_eq!(
                Framing::of_request(&mut fields, Version::HTTP_11),
                Ok(Framing::Length(7))
            );
            assert_eq!(fields.all(Known::ContentLength).collect::<Vec<_>>(), [b"7"]);
        }
    }

    #[test]
    fn malformed_or_differing_content_length_is_refused() {
        for value in [
            "",
            "+7",
            "-7",
            "7a",
            "0x7",
            "7 7",
            "7,",
            ",7",
            "7,8",
            "7.0",
            "18446744073709551616",
            "٧",
        ] {
            assert_eq!(
                of_request(&[(LENGTH, value)]),
                Err(Refusal::ContentLength),
                "{value:?}"
            );
        }
        assert_eq!(
            of_request(&[(LENGTH, "7"), (LENGTH, "8")]),
            Err(Refusal::ContentLength)
        );
    }

    #[test]
    fn transfer_encoding_other_than_one_chunked_is_refused() {
        assert_eq!(of_request(&[(CODING, "chunked")]), Ok(Framing::Chunked));
        assert_eq!(of_request(&[(CODING, " Chunked\t")]), Ok(Framing::Chunked));
        for value in [
            "gzip",
            "identity",
            "gzip, chunked",
            "chunked;q=1",
            "xchunked",
            "\"chunked\"",
            "chunked x",
        ] {
            assert_eq!(
                of_request(&[(CODING, value)]),
                Err(Refusal::TransferCoding),
                "{value:?}"
            );
        }
        for value in [
            "chunked, chunked",
            "chunked, gzip",
            "",
            ",chunked",
            "chunked,",
            "gzip, chunked, chunked",
        ] {
            assert_eq!(
                of_request(&[(CODING, value)]),
                Err(Refusal::TransferEncoding),
                "{value:?}"
            );
        }
        assert_eq!(
            of_request(&[(CODING, "chunked"), (CODING, "chunked")]),
            Err(Refusal::TransferEncoding)
        );
        assert_eq!(
            of_request(&[(CODING, "chunked"), (LENGTH, "1")]),
            Err(Refusal::LengthAndCoding)
        );
        assert_eq!(
            Framing::of_request(&mut fields(&[(CODING, "chunked")]), Version::HTTP_10),
            Err(Refusal::TransferEncoding)
        );
    }

    #[test]
    fn response_framing_depends_on_status_and_method() {
        let of = |lines: &[(&str, &str)], status, to_head| {
            Framing::of_response(&mut fields(lines), Version::HTTP_11, status, to_head)
        };
        assert_eq!(of(&[], 200, false), Ok(Framing::UntilClose));
        assert_eq!(of(&[(LENGTH, "5")], 200, false), Ok(Framing::Length(5)));
        assert_eq!(of(&[(LENGTH, "0")], 200, false), Ok(Framing::None));
        assert_eq!(of(&[(LENGTH, "5")], 200, true), Ok(Framing::None));
        assert_eq!(of(&[(CODING, "chunked")], 304, false), Ok(Framing::None));
        assert_eq!(of(&[(LENGTH, "5, 6")], 200, false), Err(Broken::ContentLength));
        assert_eq!(of(&[(CODING, "gzip")], 200, false), Err(Broken::TransferEncoding));
        assert_eq!(
            of(&[(CODING, "gzip, chunked")], 200, true),
            Err(Broken::TransferEncoding)
        );
    }

    #[test]
    fn response_204_loses_its_framing_fields() {
        let mut fields = fields(&[(LENGTH, "5"), ("x-a", "1"), (CODING, "chunked")]);
        let framing = Framing::of_response(&mut fields, Version::HTTP_11, 204, false);
        assert_eq!((framing, fields.len()), (Ok(Framing::None), 1));
    }
}
