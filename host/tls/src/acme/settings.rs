//! The authority and the names of its certificate, checked before anything is sent.

use std::path::PathBuf;

use ::http::Uri;
use rustls::pki_types::DnsName;

use super::files::StateError;
use super::schedule::Schedule;
use crate::client::{Connector, ConnectorError, NoRoots, Roots, Settings as Tls, system_roots};
use crate::pem::Pem;

/// The authority, and the names that it is asked for.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The URL of the authority's directory; `https`.
    pub directory: String,
    /// The address at which the authority can reach the operator.
    pub email: Option<String>,
    /// The names of the certificate that is ordered; the first stands where there is room for only one. Wildcards are
    /// not allowed.
    pub names: Vec<String>,
    /// The directory of account and certificates; only its owner may enter.
    pub state_dir: PathBuf,
    /// The file of authorities, by its name and bytes, by which the authority's own server is trusted, instead of the
    /// system's.
    pub root_ca: Option<(String, Vec<u8>)>,
    /// The kinds of challenges, in the order in which they are tried. Kinds that no listener can answer are left out.
    pub challenges: Vec<ChallengeKind>,
    /// The pauses between attempts.
    pub schedule: Schedule,
}

/// A way to prove that a name is served here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChallengeKind {
    /// By a file over plain HTTP on port 80 (RFC 8555 section 8.3).
    Http01,
    /// By a certificate over TLS on port 443 (RFC 8737).
    TlsAlpn01,
}

impl ChallengeKind {
    /// Its registered name: `http-01` or `tls-alpn-01`.
    pub fn name(self) -> &'static str {
        match self {
            ChallengeKind::Http01 => "http-01",
            ChallengeKind::TlsAlpn01 => "tls-alpn-01",
        }
    }
}

/// An error of settings by which no certificate can be ordered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AcmeError {
    /// The URL of the directory cannot be used.
    #[error("acme directory {url:?}: {why}")]
    Directory {
        /// The URL as written.
        url: String,
        /// The fault.
        why: &'static str,
    },
    /// There are no names.
    #[error("acme names: empty, so there is nothing to order")]
    NoNames,
    /// A name cannot be ordered.
    #[error("acme names: {name:?}: {why}")]
    Name {
        /// The name as written.
        name: String,
        /// The fault.
        why: &'static str,
    },
    /// No challenge can be answered.
    #[error(
        "acme: names are proven over HTTP or over TLS, and there is no listener for either: add one on port 80 or 443"
    )]
    NoChallenges,
    /// The authorities for the authority's own server cannot be read.
    #[error("acme root_ca: {0}")]
    RootCa(#[from] ConnectorError),
    /// The system has no trusted authorities.
    #[error("acme: {0}")]
    Roots(#[from] NoRoots),
    /// The directory for account and certificates cannot be used.
    #[error("acme state_dir: {0}")]
    State(#[from] StateError),
}

impl Settings {
    /// Checks the settings and makes the connector to the authority.
    pub(super) fn check(&self) -> Result<Connector, AcmeError> {
        let bad_directory = |why| AcmeError::Directory {
            url: self.directory.clone(),
            why,
        };
        let uri: Uri = self.directory.parse().map_err(|_| bad_directory("not a URL"))?;
        if uri.scheme_str() != Some("https") || uri.host().is_none() {
            return Err(bad_directory("must begin with https:// and have a host"));
        }
        if self.names.is_empty() {
            return Err(AcmeError::NoNames);
        }
        for name in &self.names {
            let bad = |why| AcmeError::Name {
                name: name.clone(),
                why,
            };
            if name.starts_with("*.") {
                return Err(bad(
                    "a wildcard has to be proven over DNS (dns-01), which Pace cannot: list the names",
                ));
            }
            DnsName::try_from(name.as_str()).map_err(|_| bad("not a host name"))?;
        }
        if self.challenges.is_empty() {
            return Err(AcmeError::NoChallenges);
        }
        let roots = match &self.root_ca {
            Some((name, bytes)) => Roots::File(Pem { name, bytes }),
            None => Roots::System(system_roots()?),
        };
        Ok(Connector::new(Tls {
            roots: Some(roots),
            identity: None,
            alpn: &[],
        })?)
    }
}
