//! Certificates that tests make, by OpenSSL where rcgen cannot.

// Unit tests and the tests over sockets each use a part of this file.
#![allow(dead_code)]

use std::io::Write;
use std::process::{Command, Stdio};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// An authority that issues certificates.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// The authority's own certificate.
    pub(crate) pem: String,
}

/// A certificate with its key.
pub(crate) struct Made {
    /// The leaf, then the authority.
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) chain_pem: String,
    pub(crate) leaf_pem: String,
    pub(crate) key_pem: String,
}

pub(crate) fn authority(name: &str) -> Authority {
    let (key, params) = of_authority(name);
    let pem = params.self_signed(&key).unwrap().pem();
    Authority {
        issuer: Issuer::new(params, key),
        pem,
    }
}

fn of_authority(name: &str) -> (KeyPair, CertificateParams) {
    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    params.use_authority_key_identifier_extension = true;
    (KeyPair::generate().unwrap(), params)
}

impl Authority {
    /// Creates an authority that this one vouches for.
    pub(crate) fn authority(&self, name: &str) -> Authority {
        let (key, params) = of_authority(name);
        let pem = params.signed_by(&key, &self.issuer).unwrap().pem();
        Authority {
            issuer: Issuer::new(params, key),
            pem,
        }
    }

    /// The authority's own certificate.
    pub(crate) fn der(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(self.pem.as_bytes()).unwrap()
    }

    /// Issues a certificate that is valid in every way, except for the changes of `change`.
    pub(crate) fn issue(&self, change: impl FnOnce(&mut CertificateParams)) -> Made {
        self.issue_for(&KeyPair::generate().unwrap(), change)
    }

    pub(crate) fn issue_for(&self, key: &KeyPair, change: impl FnOnce(&mut CertificateParams)) -> Made {
        let mut params = CertificateParams::new([]).unwrap();
        params.use_authority_key_identifier_extension = true;
        change(&mut params);
        let leaf = params.signed_by(key, &self.issuer).unwrap();
        Made {
            chain: vec![leaf.der().clone(), self.der()],
            chain_pem: format!("{}{}", leaf.pem(), self.pem),
            leaf_pem: leaf.pem(),
            key_pem: key.serialize_pem(),
        }
    }

    /// Issues a certificate for `names`.
    pub(crate) fn issue_to(&self, names: &[&str]) -> Made {
        self.issue(|params| params.subject_alt_names = self::names(names))
    }
}

/// Alternative names for names and addresses.
pub(crate) fn names(names: &[&str]) -> Vec<SanType> {
    let of = |name: &&str| match name.parse() {
        Ok(address) => SanType::IpAddress(address),
        Err(_) => SanType::DnsName((*name).try_into().unwrap()),
    };
    names.iter().map(of).collect()
}

/// Runs `openssl` with `input` and returns what it prints.
pub(crate) fn openssl(arguments: &[&str], input: &str) -> String {
    let mut child = Command::new("openssl")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("this test needs openssl: apt-get install openssl");
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(
        output.status.success(),
        "openssl {arguments:?}: {}",
        output.status
    );
    String::from_utf8(output.stdout).unwrap()
}
