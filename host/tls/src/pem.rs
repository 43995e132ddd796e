//! Files in PEM, and their faults in words.

use std::path::Path;

use pace_base::file;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject};

/// A file in PEM: its bytes, and the name by which messages call it.
#[derive(Clone, Copy, Debug)]
pub struct Pem<'a> {
    /// The name as the operator wrote it.
    pub name: &'a str,
    /// The whole content.
    pub bytes: &'a [u8],
}

/// A file in PEM that has been read, with the name by which messages call it.
#[derive(Clone, PartialEq, Eq)]
pub struct PemFile {
    /// The name as the operator wrote it.
    pub name: String,
    /// The whole content.
    pub bytes: Vec<u8>,
}

/// The most bytes of a file of certificates or of a key.
const MAX_FILE: u64 = 4 << 20;

impl PemFile {
    /// Reads a file of at most 4 MiB.
    ///
    /// # Errors
    ///
    /// The sentence that says why it cannot be read, with its name.
    pub fn read(path: &Path) -> Result<PemFile, String> {
        let name = path.display().to_string();
        match file::read(path, MAX_FILE) {
            Ok(bytes) => Ok(PemFile { name, bytes }),
            Err(error) => Err(format!("cannot read {name}: {error}")),
        }
    }

    /// Its content.
    pub fn pem(&self) -> Pem<'_> {
        Pem {
            name: &self.name,
            bytes: &self.bytes,
        }
    }
}

/// An error of reading certificates from a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PemError {
    /// A section is damaged.
    #[error("{file}: not PEM: {why}")]
    Broken {
        /// The file.
        file: String,
        /// The fault.
        why: String,
    },
    /// No section is a certificate.
    #[error("{file}: has no certificate (no `-----BEGIN CERTIFICATE-----`)")]
    NoCertificate {
        /// The file.
        file: String,
    },
}

impl Pem<'_> {
    /// The certificates of the file, in its order; at least one. Sections of other kinds are passed over.
    pub(crate) fn certificates(self) -> Result<Vec<CertificateDer<'static>>, PemError> {
        let found: Vec<_> = CertificateDer::pem_slice_iter(self.bytes)
            .collect::<Result<_, _>>()
            .map_err(|error| self.broken(&error))?;
        if found.is_empty() {
            return Err(PemError::NoCertificate {
                file: self.name.to_owned(),
            });
        }
        Ok(found)
    }

    pub(crate) fn broken(self, error: &pem::Error) -> PemError {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().escape_debug().to_string();
        PemError::Broken {
            file: self.name.to_owned(),
            why: match error {
                pem::Error::MissingSectionEnd { end_marker } => {
                    format!("the line `-----END {}-----` is missing", text(end_marker))
                }
                pem::Error::IllegalSectionStart { line } => format!("the line `{}` is wrong", text(line)),
                pem::Error::Base64Decode(why) => format!("a section is not base64 ({why})"),
                other => other.to_string(),
            },
        }
    }
}
