//! The fields `Client-Cert` and `Client-Cert-Chain`: the certificate of a client, told to the backend (RFC 9440).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::CertificateDer;

/// The field with the client's certificate. A client's own field is never passed on, whether Pace sets one or not.
pub const NAME: &str = "Client-Cert";

/// The field with the certificates by which that one was verified.
pub const CHAIN_NAME: &str = "Client-Cert-Chain";

/// The value of [`NAME`]: the DER of `certificate` as a byte sequence of RFC 8941, base64 between colons.
pub fn value(certificate: &[u8]) -> String {
    let mut value = String::with_capacity(certificate.len().div_ceil(3) * 4 + 2);
    append(&mut value, certificate);
    value
}

/// The value of [`CHAIN_NAME`]: a list of byte sequences, in the order of `chain`. The chain is not empty, because a list
/// without members has no field (RFC 8941 section 3.1).
pub fn chain_value(chain: &[CertificateDer<'_>]) -> String {
    let mut value = String::new();
    for certificate in chain {
        if !value.is_empty() {
            value.push_str(", ");
        }
        append(&mut value, certificate);
    }
    value
}

fn append(value: &mut String, certificate: &[u8]) {
    value.push(':');
    STANDARD.encode_string(certificate, value);
    value.push(':');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_is_padded_base64_between_colons() {
        assert_eq!(value(b""), "::");
        assert_eq!(value(b"\x30\xff\xfe\x00"), ":MP/+AA==:");
        // RFC 8941 section 3.3.5.
        assert_eq!(
            value(b"pretend this is binary content."),
            ":cHJldGVuZCB0aGlzIGlzIGJpbmFyeSBjb250ZW50Lg==:"
        );
    }

    #[test]
    fn chain_is_a_list_in_its_order() {
        let chain = [&b"\x30\xff\xfe\x00"[..], b"\x30"].map(CertificateDer::from);
        assert_eq!(chain_value(&chain), ":MP/+AA==:, :MA==:");
        assert_eq!(chain_value(&chain[1..]), ":MA==:");
    }
}
