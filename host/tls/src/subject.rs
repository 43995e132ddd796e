//! Distinguished names as text, in the form of RFC 4514.
//!
//! A subject that is compared with a string needs a form in which no two names look alike, so separators within a
//! value are escaped, and a value that is no text is written in hexadecimal.

use std::fmt::Write;

use x509_parser::x509::{AttributeTypeAndValue, X509Name};

/// Short names of RFC 4514 section 3, and those that OpenSSL adds and that occur in subjects.
const SHORT: [(&str, &str); 11] = [
    ("2.5.4.3", "CN"),
    ("2.5.4.5", "serialNumber"),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.9", "STREET"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("0.9.2342.19200300.100.1.1", "UID"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("1.2.840.113549.1.9.1", "emailAddress"),
];

/// `name` as text, its last part first.
pub(crate) fn rfc4514(name: &X509Name<'_>) -> String {
    let mut parts: Vec<_> = name.iter_rdn().collect();
    parts.reverse();
    let mut text = String::new();
    for (nth, part) in parts.into_iter().enumerate() {
        if nth > 0 {
            text.push(',');
        }
        for (nth, attribute) in part.iter().enumerate() {
            if nth > 0 {
                text.push('+');
            }
            write(&mut text, attribute);
        }
    }
    text
}

/// The value of the common name in `name`, if there is exactly one.
pub(crate) fn common_name(name: &X509Name<'_>) -> Option<String> {
    let mut values = name.iter_common_name();
    let (Some(only), None) = (values.next(), values.next()) else {
        return None;
    };
    let text = only.as_str().ok()?;
    (!text.chars().any(char::is_control)).then(|| text.to_owned())
}

fn write(text: &mut String, attribute: &AttributeTypeAndValue<'_>) {
    let oid = attribute.attr_type().to_id_string();
    match SHORT.iter().find(|(dotted, _)| *dotted == oid) {
        Some((_, short)) => {
            text.push_str(short);
            text.push('=');
            match attribute.as_str() {
                Ok(value) => escape(text, value),
                Err(_) => hexadecimal(text, attribute),
            }
        }
        None => {
            text.push_str(&oid);
            text.push('=');
            hexadecimal(text, attribute);
        }
    }
}

/// Appends a value with its escapes (RFC 4514 section 2.4). Control characters are escaped too: the text goes into
/// headers and logs.
fn escape(text: &mut String, value: &str) {
    let last = value.chars().count().saturating_sub(1);
    for (nth, character) in value.chars().enumerate() {
        match character {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => {
                text.push('\\');
                text.push(character);
            }
            '#' if nth == 0 => text.push_str("\\#"),
            ' ' if nth == 0 || nth == last => text.push_str("\\ "),
            _ if character.is_control() => {
                let mut bytes = [0; 4];
                for byte in character.encode_utf8(&mut bytes).bytes() {
                    byte_in(text, '\\', byte);
                }
            }
            _ => text.push(character),
        }
    }
}

/// Appends `#` and the DER of the value.
fn hexadecimal(text: &mut String, attribute: &AttributeTypeAndValue<'_>) {
    let value = attribute.attr_value();
    text.push('#');
    // Values of subjects are strings, whose tags are below 31 and fit into one byte.
    byte_in(text, "", u8::try_from(value.tag().0).unwrap_or(0));
    let length = value.data.len().to_be_bytes();
    if value.data.len() < 0x80 {
        byte_in(text, "", length[length.len() - 1]);
    } else {
        let significant = &length[length.iter().take_while(|byte| **byte == 0).count()..];
        byte_in(text, "", 0x80 | significant.len() as u8);
        significant.iter().for_each(|byte| byte_in(text, "", *byte));
    }
    value.data.iter().for_each(|byte| byte_in(text, "", *byte));
}

fn byte_in(text: &mut String, before: impl std::fmt::Display, byte: u8) {
    // Writing to a string cannot fail.
    let _ = write!(text, "{before}{byte:02x}");
}

#[cfg(test)]
mod tests {
    use crate::certificate::Certificate;
    use crate::testing;
    use rcgen::{DistinguishedName, DnType};

    fn subject_of(parts: &[(DnType, &str)]) -> String {
        let made = testing::authority("ca").issue(|params| {
            params.distinguished_name = DistinguishedName::new();
            for (kind, value) in parts {
                params.distinguished_name.push(kind.clone(), *value);
            }
        });
        Certificate::parse(made.chain[0].clone())
            .unwrap()
            .subject()
            .to_owned()
    }

    #[test]
    fn subject_is_written_most_specific_part_first() {
        let subject = subject_of(&[
            (DnType::CountryName, "SE"),
            (DnType::OrganizationName, "Example"),
            (DnType::CommonName, "api"),
        ]);
        assert_eq!(subject, "CN=api,O=Example,C=SE");
        assert_eq!(subject_of(&[]), "");
    }

    #[test]
    fn value_that_looks_like_another_part_is_escaped() {
        assert_eq!(
            subject_of(&[(DnType::CommonName, "a,O=admin+OU=b")]),
            "CN=a\\,O=admin\\+OU=b"
        );
        assert_eq!(subject_of(&[(DnType::CommonName, " #a\\ ")]), "CN=\\ #a\\\\\\ ");
        assert_eq!(subject_of(&[(DnType::CommonName, "#a\r\nb")]), "CN=\\#a\\0d\\0ab");
    }

    #[test]
    fn common_name_is_told_if_there_is_one_without_control_characters() {
        let of = |values: &[&str]| {
            let made = testing::authority("ca").issue(|params| {
                params.distinguished_name = DistinguishedName::new();
                params
                    .distinguished_name
                    .push(DnType::OrganizationName, "CN=other");
                for value in values {
                    // Of one type a name of the library has only one, so further ones are of the type by its number.
                    let kind = match params.distinguished_name.get(&DnType::CommonName) {
                        None => DnType::CommonName,
                        Some(_) => DnType::CustomDnType(vec![2, 5, 4, 3]),
                    };
                    params.distinguished_name.push(kind, *value);
                }
            });
            let certificate = Certificate::parse(made.chain[0].clone()).unwrap();
            certificate.common_name().map(str::to_owned)
        };
        assert_eq!(of(&["ann \u{e9}, \"a\""]).as_deref(), Some("ann \u{e9}, \"a\""));
        assert_eq!(of(&[]), None);
        assert_eq!(of(&["ann", "bob"]), None);
        assert_eq!(of(&["ann\0bob"]), None);
    }

    #[test]
    fn value_of_unknown_type_is_hexadecimal() {
        let unknown = DnType::CustomDnType(vec![1, 2, 3, 4]);
        assert_eq!(subject_of(&[(unknown.clone(), "ab")]), "1.2.3.4=#0c026162");
        let long = "x".repeat(200);
        assert!(subject_of(&[(unknown, &long)]).starts_with("1.2.3.4=#0c81c87878"));
    }
}
