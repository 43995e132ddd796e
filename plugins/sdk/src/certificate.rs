//! Certificates of clients.

use std::net::IpAddr;

use crate::bindings::imports::pace::plugin::request as host;

/// The contents of a client's certificate, which was verified in the handshake of TLS.
///
/// Compare whole texts: a part of a subject can also be in another one's.
///
/// ```
/// use pace_plugin::ClientCertificate;
///
/// fn is_ann(certificate: &ClientCertificate) -> bool {
///     certificate.issuer == "CN=people,O=Example" && certificate.common_name.as_deref() == Some("ann")
/// }
/// # assert!(!is_ann(&ClientCertificate::default()));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The subject as RFC 4514 writes it, the most specific part first: `CN=ann,O=Example`.
    pub subject: String,
    /// The value of the subject's `CN`, as it is. `None` if the subject has none or several.
    pub common_name: Option<String>,
    /// The subject of the authority that has issued it.
    pub issuer: String,
    /// The number that the issuer has given it, in hexadecimal digits in lower case.
    pub serial_number: String,
    /// The first second at which it is valid, since 1970-01-01T00:00:00Z.
    pub not_before: i64,
    /// The last second at which it is valid.
    pub not_after: i64,
    /// Its names of hosts, in lower case.
    pub dns_names: Vec<String>,
    /// Its URIs, such as `spiffe://example.org/service`.
    pub uris: Vec<String>,
    /// Its addresses of mail.
    pub email_addresses: Vec<String>,
    /// Its IP addresses.
    pub ip_addresses: Vec<IpAddr>,
    /// SHA-256 of the certificate in DER, in 64 hexadecimal digits in lower case.
    pub fingerprint: String,
}

impl From<host::Certificate> for ClientCertificate {
    fn from(certificate: host::Certificate) -> Self {
        let addresses = certificate.ip_addresses.iter();
        Self {
            ip_addresses: addresses.filter_map(|address| address.parse().ok()).collect(),
            subject: certificate.subject,
            common_name: certificate.common_name,
            issuer: certificate.issuer,
            serial_number: certificate.serial_number,
            not_before: certificate.not_before,
            not_after: certificate.not_after,
            dns_names: certificate.dns_names,
            uris: certificate.uris,
            email_addresses: certificate.email_addresses,
            fingerprint: certificate.fingerprint,
        }
    }
}
