//! The authorities that are trusted for backends.

use std::sync::Arc;

use rustls::RootCertStore;

use super::connector::ConnectorError;
use crate::pem::Pem;

/// A source of trusted authorities.
#[derive(Clone, Debug)]
pub enum Roots<'a> {
    /// The system's authorities, as read by [`system_roots`].
    System(Arc<RootCertStore>),
    /// The authorities in a file, and no others.
    File(Pem<'a>),
    /// The first certificate in a file, which is the server's own, and no other.
    Pinned(Pem<'a>),
}

/// An error of a system without trusted authorities.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no root certificates found on this system: install ca-certificates, or name a file with `ca`{0}")]
pub struct NoRoots(String);

/// Reads the authorities of the system, at OpenSSL's places or those that `SSL_CERT_FILE` and `SSL_CERT_DIR` name.
/// This takes milliseconds, so it is done once and shared. Certificates that belong to no authority are passed over.
///
/// # Errors
///
/// An error if there are none.
pub fn system_roots() -> Result<Arc<RootCertStore>, NoRoots> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let why = found
            .errors
            .first()
            .map(|error| format!(" ({error})"))
            .unwrap_or_default();
        return Err(NoRoots(why));
    }
    Ok(Arc::new(roots))
}

/// Reads the authorities in a file.
pub(super) fn read(file: Pem<'_>) -> Result<RootCertStore, ConnectorError> {
    let mut roots = RootCertStore::empty();
    for certificate in file.certificates()? {
        roots.add(certificate).map_err(|error| ConnectorError::Ca {
            file: file.name.to_owned(),
            why: error.to_string(),
        })?;
    }
    Ok(roots)
}
