//! The certificate that a client has shown in its handshake.

use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use pace_hook::ClientCertificate;
use pace_tls::CertificateDer;
use pace_tls::certificate::{AlternativeName, Certificate};
use pace_tls::client_cert_header as header;
use pace_tls::server::Facts;

/// A verified certificate in the forms that plugins and backends get. It is made once for each connection.
#[derive(Debug)]
pub struct ShownCertificate {
    facts: ClientCertificate,
    chain: Vec<CertificateDer<'static>>,
    field: OnceLock<String>,
    chain_field: OnceLock<String>,
}

impl ShownCertificate {
    /// The certificate of a connection, if its client has shown one.
    pub fn of(facts: &Facts) -> Option<Arc<ShownCertificate>> {
        let certificate = facts.client_certificate.as_ref()?;
        Some(Arc::new(ShownCertificate {
            facts: told(certificate),
            chain: facts.client_chain.clone(),
            field: OnceLock::new(),
            chain_field: OnceLock::new(),
        }))
    }

    /// The facts for plugins.
    pub fn facts(&self) -> &ClientCertificate {
        &self.facts
    }

    /// The value of `Client-Cert`.
    pub fn field(&self) -> &str {
        self.field.get_or_init(|| header::value(&self.facts.der))
    }

    /// The value of `Client-Cert-Chain`; `None` if a trusted authority has issued the certificate itself, or if the
    /// listener did not forward chains when the connection was made.
    pub fn chain_field(&self) -> Option<&str> {
        let value = || header::chain_value(&self.chain);
        (!self.chain.is_empty()).then(|| self.chain_field.get_or_init(value).as_str())
    }
}

fn told(certificate: &Certificate) -> ClientCertificate {
    let mut told = ClientCertificate {
        subject: certificate.subject().to_owned(),
        common_name: certificate.common_name().map(str::to_owned),
        issuer: certificate.issuer().to_owned(),
        serial_number: certificate.serial_number().to_owned(),
        not_before: seconds(certificate.not_before()),
        not_after: seconds(certificate.not_after()),
        dns_names: Vec::new(),
        uris: Vec::new(),
        email_addresses: Vec::new(),
        ip_addresses: Vec::new(),
        fingerprint: certificate.fingerprint(),
        der: certificate.der().to_vec(),
    };
    for name in certificate.names() {
        match name {
            AlternativeName::Dns(name) => told.dns_names.push(name.clone()),
            AlternativeName::Uri(uri) => told.uris.push(uri.clone()),
            AlternativeName::Email(address) => told.email_addresses.push(address.clone()),
            AlternativeName::Ip(address) => told.ip_addresses.push(address.to_string()),
        }
    }
    told
}

/// A time in seconds since 1970, negative before that.
fn seconds(time: SystemTime) -> i64 {
    let whole = |seconds: u64| i64::try_from(seconds).unwrap_or(i64::MAX);
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => whole(since.as_secs()),
        Err(before) => -whole(before.duration().as_secs()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use pace_tls::pair::Pair;
    use pace_tls::pem::Pem;
    use rcgen::{CertificateParams, KeyPair, SanType};

    use super::*;

    #[test]
    fn names_are_told_by_their_kinds_and_times_in_seconds() {
        let key = KeyPair::generate().expect("keys can be made");
        let mut params = CertificateParams::new([]).expect("it has no names yet");
        params.subject_alt_names = vec![
            SanType::URI("spiffe://example/b".try_into().expect("it is ASCII")),
            SanType::DnsName("B.example".try_into().expect("it is ASCII")),
            SanType::Rfc822Name("b@example".try_into().expect("it is ASCII")),
            SanType::IpAddress([192, 0, 2, 1].into()),
            SanType::DnsName("a.example".try_into().expect("it is ASCII")),
        ];
        params.not_before = (UNIX_EPOCH + Duration::from_secs(1_000)).into();
        params.not_after = (UNIX_EPOCH + Duration::from_secs(4_000_000_000)).into();
        let pem = params.self_signed(&key).expect("it is valid").pem();
        let pair = Pair::parse(
            Pem {
                name: "a.pem",
                bytes: pem.as_bytes(),
            },
            Pem {
                name: "a.key",
                bytes: key.serialize_pem().as_bytes(),
            },
            SystemTime::now(),
        )
        .expect("they fit");
        let told = told(pair.certificate());
        assert_eq!(told.uris, ["spiffe://example/b"]);
        assert_eq!(told.dns_names, ["b.example", "a.example"]);
        assert_eq!(told.email_addresses, ["b@example"]);
        assert_eq!(told.ip_addresses, ["192.0.2.1"]);
        assert_eq!((told.not_before, told.not_after), (1_000, 4_000_000_000));
        assert_eq!(told.fingerprint.len(), 64);
        assert_eq!(seconds(UNIX_EPOCH - Duration::from_secs(1)), -1);
    }
}
