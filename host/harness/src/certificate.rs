//! Certificates of clients, made without an authority.

use pace_hook::ClientCertificate;

/// A certificate with this subject, in the form of RFC 4514, and without names. It is the first one that
/// `CN=authority` has issued, is valid in 2026, and has no DER.
pub fn certificate(subject: &str) -> ClientCertificate {
    ClientCertificate {
        subject: subject.to_owned(),
        common_name: common_name(subject),
        issuer: "CN=authority".to_owned(),
        serial_number: "01".to_owned(),
        not_before: 1_767_225_600,
        not_after: 1_798_761_599,
        dns_names: Vec::new(),
        uris: Vec::new(),
        email_addresses: Vec::new(),
        ip_addresses: Vec::new(),
        fingerprint: "0".repeat(64),
        der: Vec::new(),
    }
}

/// The value of a subject's CN, if the subject has exactly one.
fn common_name(subject: &str) -> Option<String> {
    let mut found = None;
    for part in parts(subject) {
        if let Some(value) = part.strip_prefix("CN=") {
            if found.is_some() {
                return None;
            }
            found = Some(unescaped(value));
        }
    }
    found
}

/// The parts of a subject: what is between the commas and plus signs that have no backslash before them.
fn parts(subject: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut is_escaped) = (0, false);
    for (at, byte) in subject.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b',' | b'+' => {
                parts.push(&subject[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&subject[start..]);
    parts
}

/// A value without its backslashes. Bytes written as two hexadecimal digits stay as they are.
fn unescaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let mut characters = value.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => text.extend(characters.next()),
            other => text.push(other),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_name_is_that_of_the_only_cn() {
        for (subject, expected) in [
            ("CN=ann", Some("ann")),
            ("O=Example,CN=ann+OU=b", Some("ann")),
            ("CN=a\\,b\\+c,O=Example", Some("a,b+c")),
            ("O=x\\,CN=ann", None),
            ("CN=ann,CN=bob", None),
            ("O=Example", None),
            ("", None),
        ] {
            assert_eq!(certificate(subject).common_name.as_deref(), expected, "{subject}");
        }
    }
}
