//! The certificate of a client, as plugins see it.

/// The facts about a certificate that was verified in a handshake of TLS, in the words of the contract's `certificate`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The subject as RFC 4514 writes it, the most specific part first: `CN=ann,O=Example`.
    pub subject: String,
    /// The value of the subject's only CN.
    pub common_name: Option<String>,
    /// The subject of the authority that has issued it, in the same form.
    pub issuer: String,
    /// The number that the authority has given it, in hexadecimal digits.
    pub serial_number: String,
    /// The first second at which it is valid, since 1970-01-01T00:00:00Z.
    pub not_before: i64,
    /// The last second at which it is valid.
    pub not_after: i64,
    /// Its names of hosts, in lower case.
    pub dns_names: Vec<String>,
    /// Its URIs.
    pub uris: Vec<String>,
    /// Its addresses of mail.
    pub email_addresses: Vec<String>,
    /// Its IP addresses.
    pub ip_addresses: Vec<String>,
    /// SHA-256 of its DER, in hexadecimal digits.
    pub fingerprint: String,
    /// The certificate itself, in DER.
    pub der: Vec<u8>,
}
