//! Which authority is asked for which names, checked before anything is sent.

use std::path::PathBuf;

use ::http::Uri;
use rustls::pki_types::DnsName;

use super::files::StateError;
use super::schedule::Schedule;
use crate::client::{Connector, ConnectorError, NoRoots, Roots, Settings as Tls, system_roots};
use crate::pem::Pem;

/// Which authority is asked for which names.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The URL of the authority's directory; `https`.
    pub directory: String,
    /// Where the authority can reach the operator.
    pub email: Option<String>,
    /// The names of the one certificate that is ordered, the first for what has room for only one. No wildcards.
    pub names: Vec<String>,
    /// Where account and certificates are kept; only its owner may get in.
    pub state_dir: PathBuf,
    /// The file of authorities, by its name and bytes, by which the authority's own server is trusted, instead of the system's.
    pub root_ca: Option<(String, Vec<u8>)>,
    /// How the names are proven, in the order in which it is tried. What cannot be answered, since no listener is there for it,
    /// is left out.
    pub challenges: Vec<ChallengeKind>,
    /// How attempts are spaced.
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

/// Why no certificates can be ordered as settings say.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AcmeError {
    /// The URL of the directory is none that can be used.
    #[error("acme directory {url:?}: {why}")]
    Directory {
        /// As it is written.
        url: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// There are no names.
    #[error("acme names: empty, so there is nothing to order")]
    NoNames,
    /// A name cannot be ordered.
    #[error("acme names: {name:?}: {why}")]
    Name {
        /// As it is written.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// There is no way to prove names.
    #[error(
        "acme: names are proven over HTTP or over TLS, and there is no listener for either: add one on port 80 or 443"
    )]
    NoChallenges,
    /// The authorities for the authority's own server cannot be read.
    #[error("acme root_ca: {0}")]
    RootCa(#[from] ConnectorError),
    /// The system has no authorities.
    #[error("acme: {0}")]
    Roots(#[from] NoRoots),
    /// The directory for account and certificates cannot be used.
    #[error("acme state_dir: {0}")]
    State(#[from] StateError),
}

impl Settings {
    /// Checks what is written and makes what connects to the authority.
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
