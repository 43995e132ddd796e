//! A certificate chain and the private key to it, from two files in PEM.

use std::sync::Arc;
use std::time::SystemTime;

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use crate::certificate::{Certificate, words};
use crate::pem::{Pem, PemError};
use crate::provider::provider;

/// A chain and its fitting key, at a time at which the certificate is valid.
#[derive(Debug)]
pub struct Pair {
    key: Arc<CertifiedKey>,
    certificate: Certificate,
}

/// A reason why two files are no pair. Each message names the file, says what is wrong, and what to do if that is not
/// plain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PairError {
    /// The file of the certificate cannot be read as such.
    #[error(transparent)]
    Pem(#[from] PemError),
    /// A section of the chain is no certificate.
    #[error("{file}: certificate {nth} of {of}: {why}")]
    Certificate {
        /// The file of the certificate.
        file: String,
        /// The position, from 1 on.
        nth: usize,
        /// The number of certificates.
        of: usize,
        /// The fault.
        why: String,
    },
    /// The file of the key has none.
    #[error("{file}: has no private key (no `-----BEGIN PRIVATE KEY-----`)")]
    NoKey {
        /// The file of the key.
        file: String,
    },
    /// The key is protected by a passphrase.
    #[error(
        "{file}: the private key is encrypted; write it without a passphrase: openssl pkey -in {file} -out NEW"
    )]
    EncryptedKey {
        /// The file of the key.
        file: String,
    },
    /// The key is of a kind or length that cannot be used.
    #[error(
        "{file}: the private key cannot be used: RSA with 2048 to 8192 bits, ECDSA P-256, P-384, P-521 and Ed25519 can ({why})"
    )]
    UnusableKey {
        /// The file of the key.
        file: String,
        /// The library's reason.
        why: String,
    },
    /// The key belongs to another certificate of the chain.
    #[error("{certificate}: the key in {key} fits certificate {nth} of the file, which must be the first")]
    WrongOrder {
        /// The file of the certificate.
        certificate: String,
        /// The file of the key.
        key: String,
        /// The position of the key's certificate, from 1 on.
        nth: usize,
    },
    /// The key belongs to another certificate.
    #[error("{certificate}: the key in {key} does not fit this certificate")]
    Mismatch {
        /// The file of the certificate.
        certificate: String,
        /// The file of the key.
        key: String,
    },
    /// The certificate is not valid yet.
    #[error("{file}: the certificate is not valid before {not_before}")]
    NotYetValid {
        /// The file of the certificate.
        file: String,
        /// The time from which on it is valid.
        not_before: String,
    },
    /// The certificate has expired.
    #[error("{file}: the certificate expired on {not_after}")]
    Expired {
        /// The file of the certificate.
        file: String,
        /// The time until which it was valid.
        not_after: String,
    },
}

impl Pair {
    /// Reads and checks a chain, leaf first, and its key. Both may be in one file. The leaf must be valid at `now`;
    /// the other certificates are left to clients, who may know another way to a root.
    ///
    /// # Errors
    ///
    /// The first fault that keeps the pair from being served, see [`PairError`].
    pub fn parse(certificate: Pem<'_>, key: Pem<'_>, now: SystemTime) -> Result<Pair, PairError> {
        let chain = certificate.certificates()?;
        let leaf = leaf(certificate, &chain)?;
        let key = certified(certificate, chain, key)?;
        let file = || certificate.name.to_owned();
        if now < leaf.not_before() {
            return Err(PairError::NotYetValid {
                file: file(),
                not_before: words(leaf.not_before()),
            });
        }
        if now > leaf.not_after() {
            return Err(PairError::Expired {
                file: file(),
                not_after: words(leaf.not_after()),
            });
        }
        Ok(Pair {
            key: Arc::new(key),
            certificate: leaf,
        })
    }

    /// The leaf of the chain.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// The chain and its key in the library's form.
    pub(crate) fn certified_key(&self) -> Arc<CertifiedKey> {
        self.key.clone()
    }
}

/// Parses the leaf, and checks that the others can be parsed: a client that cannot read one of them refuses all.
fn leaf(file: Pem<'_>, chain: &[CertificateDer<'static>]) -> Result<Certificate, PairError> {
    let mut parsed = chain.iter().enumerate().map(|(nth, der)| {
        Certificate::parse(der.clone()).map_err(|error| PairError::Certificate {
            file: file.name.to_owned(),
            nth: nth + 1,
            of: chain.len(),
            why: error.to_string(),
        })
    });
    let leaf = parsed.next().expect("a file of certificates has at least one")?;
    parsed.try_for_each(|other| other.map(drop))?;
    Ok(leaf)
}

fn certified(
    certificate: Pem<'_>,
    chain: Vec<CertificateDer<'static>>,
    key: Pem<'_>,
) -> Result<CertifiedKey, PairError> {
    let key_file = || key.name.to_owned();
    let der = match PrivateKeyDer::from_pem_slice(key.bytes) {
        Ok(der) => der,
        // Both forms of an encrypted key have that word in a line of their own, and base64 never has it before a
        // colon or a space.
        Err(_)
            if [&b"BEGIN ENCRYPTED "[..], b"4,ENCRYPTED"]
                .iter()
                .any(|mark| contains(key.bytes, mark)) =>
        {
            return Err(PairError::EncryptedKey { file: key_file() });
        }
        Err(pem::Error::NoItemsFound) => return Err(PairError::NoKey { file: key_file() }),
        Err(error) => return Err(key.broken(&error).into()),
    };
    let signing = provider()
        .key_provider
        .load_private_key(der)
        .map_err(|error| PairError::UnusableKey {
            file: key_file(),
            why: error.to_string(),
        })?;
    let fits = |nth: usize| CertifiedKey::new(vec![chain[nth].clone()], signing.clone()).keys_match();
    match fits(0) {
        Ok(()) => Ok(CertifiedKey::new(chain, signing)),
        Err(rustls::Error::InvalidCertificate(error)) => Err(PairError::Certificate {
            file: certificate.name.to_owned(),
            nth: 1,
            of: chain.len(),
            why: error.to_string(),
        }),
        Err(_) => Err(match (1..chain.len()).find(|nth| fits(*nth).is_ok()) {
            Some(nth) => PairError::WrongOrder {
                certificate: certificate.name.to_owned(),
                key: key_file(),
                nth: nth + 1,
            },
            None => PairError::Mismatch {
                certificate: certificate.name.to_owned(),
                key: key_file(),
            },
        }),
    }
}

fn contains(bytes: &[u8], mark: &[u8]) -> bool {
    bytes.windows(mark.len()).any(|window| window == mark)
}

#[cfg(test)]
mod tests;
