//! The `Client-Cert` field: the certificate of a client, told to the backend (RFC 9440).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::CertificateDer;

/// The field's name, in lower case. A client's own field is never passed on, whether Pace sets one or not.
pub const NAME: &str = "client-cert";

/// The field's value for `certificate`: its DER as a byte sequence of RFC 8941, base64 between colons.
pub fn value(certificate: &CertificateDer<'_>) -> String {
    let mut value = String::with_capacity(certificate.len().div_ceil(3) * 4 + 2);
    value.push(':');
    STANDARD.encode_string(certificate, &mut value);
    value.push(':');
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_is_padded_base64_between_colons() {
        assert_eq!(value(&CertificateDer::from(&b""[..])), "::");
        assert_eq!(
            value(&CertificateDer::from(&b"\x30\xff\xfe\x00"[..])),
            ":MP/+AA==:"
        );
        // RFC 8941 section 3.3.5.
        assert_eq!(
            value(&CertificateDer::from(&b"pretend this is binary content."[..])),
            ":cHJldGVuZCB0aGlzIGlzIGJpbmFyeSBjb250ZW50Lg==:"
        );
    }
}
