//! Certificates that tests make.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, PKCS_RSA_SHA256, RsaKeySize, SanType,
    date_time_ymd,
};

/// An authority that issues certificates.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A certificate with its key.
#[derive(Clone)]
pub struct Certificate {
    /// The certificate as PEM, followed by its authority's.
    pub cert: String,
    /// The key as PEM.
    pub key: String,
}

/// The kind of a certificate's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// ECDSA on P-256.
    Ecdsa,
    /// RSA with 2,048 bits.
    Rsa,
}

impl Authority {
    /// Creates an authority with this common name.
    pub fn new(name: &str) -> Authority {
        let (key, params) = of_authority(name);
        let pem = params.self_signed(&key).expect("it is valid").pem();
        Authority {
            issuer: Issuer::new(params, key),
            pem,
        }
    }

    /// Creates an authority that this one vouches for.
    pub fn subordinate(&self, name: &str) -> Authority {
        let (key, params) = of_authority(name);
        let pem = params.signed_by(&key, &self.issuer).expect("it is valid").pem();
        Authority {
            issuer: Issuer::new(params, key),
            pem,
        }
    }

    /// The authority's own certificate as PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Issues a certificate with an ECDSA key and these names: names of hosts, IP addresses, URIs or addresses of mail.
    /// The first is the common name, too.
    pub fn issue(&self, names: &[&str]) -> Certificate {
        self.issue_with(KeyKind::Ecdsa, names)
    }

    /// Issues a certificate with a key of this kind.
    pub fn issue_with(&self, kind: KeyKind, names: &[&str]) -> Certificate {
        self.sign(kind, names, |_| {})
    }

    /// Issues a certificate that has expired.
    pub fn issue_expired(&self, names: &[&str]) -> Certificate {
        self.sign(KeyKind::Ecdsa, names, |params| {
            params.not_before = date_time_ymd(2001, 1, 1);
            params.not_after = date_time_ymd(2002, 1, 1);
        })
    }

    /// Issues a certificate with this end, whose life began a day ago, or a day before its end.
    pub fn issue_until(&self, names: &[&str], end: SystemTime) -> Certificate {
        const DAY: Duration = Duration::from_secs(86_400);
        self.sign(KeyKind::Ecdsa, names, |params| {
            params.not_before = (SystemTime::now().min(end) - DAY).into();
            params.not_after = end.into();
        })
    }

    fn sign(
        &self,
        kind: KeyKind,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> Certificate {
        let key = match kind {
            KeyKind::Ecdsa => KeyPair::generate(),
            KeyKind::Rsa => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048),
        };
        let key = key.expect("keys can be made");
        let mut params = CertificateParams::new([]).expect("it has no names yet");
        params.subject_alt_names = names.iter().map(|name| alternative(name)).collect();
        if let Some(first) = names.first() {
            params.distinguished_name.push(DnType::CommonName, *first);
        }
        params.use_authority_key_identifier_extension = true;
        change(&mut params);
        let leaf = params.signed_by(&key, &self.issuer).expect("it is valid");
        Certificate {
            cert: leaf.pem() + &self.pem,
            key: key.serialize_pem(),
        }
    }
}

fn of_authority(name: &str) -> (KeyPair, CertificateParams) {
    let mut params = CertificateParams::new([]).expect("it has no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    params.use_authority_key_identifier_extension = true;
    (KeyPair::generate().expect("keys can be made"), params)
}

impl Certificate {
    /// The sections of a text in PEM as RFC 9440 has them in fields: base64 between colons.
    pub fn byte_sequences(pem: &str) -> Vec<String> {
        let sections = pem.split("-----BEGIN CERTIFICATE-----").skip(1);
        let of_section = |section: &str| {
            let base64 = section.split("-----END").next().unwrap_or_default();
            format!(":{}:", base64.split_whitespace().collect::<String>())
        };
        sections.map(of_section).collect()
    }

    /// Writes certificate and key into one file `NAME.pem` of a directory, which is replaced at once.
    pub fn write_whole(&self, directory: &Path, name: &str) {
        let new = directory.join(format!("{name}.new"));
        fs::write(&new, self.cert.clone() + &self.key).expect("a temporary file can be written");
        fs::rename(new, directory.join(format!("{name}.pem"))).expect("it is in the same directory");
    }

    /// Writes certificate and key into a directory as `NAME.pem` and `NAME.key`, in this order.
    pub fn write(&self, directory: &Path, name: &str) {
        for (extension, text) in [("pem", &self.cert), ("key", &self.key)] {
            let path = directory.join(format!("{name}.{extension}"));
            fs::write(path, text).expect("a temporary file can be written");
        }
    }
}

fn alternative(name: &str) -> SanType {
    match name.parse() {
        Ok(address) => SanType::IpAddress(address),
        Err(_) if name.contains("://") => SanType::URI(name.try_into().expect("it is ASCII")),
        Err(_) if name.contains('@') => SanType::Rfc822Name(name.try_into().expect("it is ASCII")),
        Err(_) => SanType::DnsName(name.try_into().expect("it is a name")),
    }
}
