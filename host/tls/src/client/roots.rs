//! The authorities whose word is taken for backends.

use std::sync::Arc;

use rustls::RootCertStore;

use super::connector::ConnectorError;
use crate::pem::Pem;

/// Where authorities come from.
#[derive(Clone, Debug)]
pub enum Roots<'a> {
    /// Those of the system, as [`system_roots`] has read them.
    System(Arc<RootCertStore>),
    /// Those in a file, and no others.
    File(Pem<'a>),
}

/// The system has no authorities.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no root certificates found on this system: install ca-certificates, or name a file with `ca`{0}")]
pub struct NoRoots(String);

/// Reads the authorities of the system: where OpenSSL has them, or what `SSL_CERT_FILE` and `SSL_CERT_DIR` name. It takes
/// milliseconds, so it is done once and shared. Certificates among them that are no authorities are passed over.
///
/// # Errors
///
/// There are none.
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

impl Roots<'_> {
    pub(super) fn read(self) -> Result<Arc<RootCertStore>, ConnectorError> {
        let file = match self {
            Roots::System(roots) => return Ok(roots),
            Roots::File(file) => file,
        };
        let mut roots = RootCertStore::empty();
        for certificate in file.certificates()? {
            roots.add(certificate).map_err(|error| ConnectorError::Ca {
                file: file.name.to_owned(),
                why: error.to_string(),
            })?;
        }
        Ok(Arc::new(roots))
    }
}
