//! Certificates of clients: whether clients are asked for them, and which authorities may issue them.

use std::sync::Arc;

use rustls::RootCertStore;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use sha2::{Digest, Sha256};

use super::frontend::FrontendError;
use crate::pem::Pem;
use crate::provider::provider;

/// Whether clients are asked for a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientCertificates {
    /// Clients are not asked.
    #[default]
    None,
    /// Clients are asked, and may have none. A wrong certificate ends the handshake all the same.
    Optional,
    /// Clients are asked, and without a certificate there is no connection.
    Required,
}

impl ClientCertificates {
    /// All cases.
    pub const ALL: [ClientCertificates; 3] = [
        ClientCertificates::None,
        ClientCertificates::Optional,
        ClientCertificates::Required,
    ];

    /// The case in a configuration: `none`, `optional` or `required`.
    pub fn name(self) -> &'static str {
        match self {
            ClientCertificates::None => "none",
            ClientCertificates::Optional => "optional",
            ClientCertificates::Required => "required",
        }
    }

    /// The case of that name.
    pub fn from_name(name: &str) -> Option<ClientCertificates> {
        ClientCertificates::ALL
            .into_iter()
            .find(|case| case.name() == name)
    }
}

/// A digest of everything that decides which clients get a connection. Two names with the same policy let in the same
/// clients, so a session that began under one of them may go on under the other; with different policies it must not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Policy([u8; 32]);

/// The authorities of clients' certificates, read once for all names of a listener.
pub(super) struct ClientAuthorities {
    roots: Arc<RootCertStore>,
    digest: [u8; 32],
}

impl ClientAuthorities {
    pub(super) fn read(file: Pem<'_>) -> Result<ClientAuthorities, FrontendError> {
        let mut certificates = file.certificates()?;
        // The order of authorities in a file is no part of the policy.
        certificates.sort_by(|a, b| a.as_ref().cmp(b.as_ref()));
        certificates.dedup();
        let mut roots = RootCertStore::empty();
        let mut digest = Sha256::new();
        for certificate in certificates {
            digest.update(Sha256::digest(&certificate));
            roots.add(certificate).map_err(|error| FrontendError::ClientCa {
                file: file.name.to_owned(),
                why: error.to_string(),
            })?;
        }
        Ok(ClientAuthorities {
            roots: Arc::new(roots),
            digest: digest.finalize().into(),
        })
    }

    pub(super) fn roots(&self) -> &Arc<RootCertStore> {
        &self.roots
    }

    fn verifier(&self, optional: bool) -> Result<Arc<dyn ClientCertVerifier>, FrontendError> {
        let mut builder = WebPkiClientVerifier::builder_with_provider(self.roots.clone(), provider());
        if optional {
            builder = builder.allow_unauthenticated();
        }
        builder
            .build()
            .map_err(|error| FrontendError::Library(error.to_string()))
    }
}

/// The verifier of clients under one name, and the policy that it stands for.
pub(super) fn demand(
    case: ClientCertificates,
    authorities: Option<&ClientAuthorities>,
) -> Result<(Arc<dyn ClientCertVerifier>, Policy), FrontendError> {
    let verifier = match (case, authorities) {
        (ClientCertificates::None, _) => {
            return Ok((WebPkiClientVerifier::no_client_auth(), Policy([0; 32])));
        }
        (_, None) => return Err(FrontendError::NoClientCa(case)),
        (ClientCertificates::Optional, Some(authorities)) => authorities.verifier(true)?,
        (ClientCertificates::Required, Some(authorities)) => authorities.verifier(false)?,
    };
    let mut digest = Sha256::new_with_prefix(case.name());
    digest.update(
        authorities
            .map(|authorities| authorities.digest)
            .unwrap_or_default(),
    );
    Ok((verifier, Policy(digest.finalize().into())))
}
