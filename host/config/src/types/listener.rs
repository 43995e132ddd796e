//! Where clients connect, and what is spoken there.

use std::path::PathBuf;

use crate::address::ListenAddress;

/// One entry of `[[listeners]]`, or `[server] listen`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Listener {
    /// Where clients connect. No two listeners have the same.
    pub listen: ListenAddress,
    /// Requests are answered with where to go instead: the same with `https`.
    pub redirect_to_https: bool,
    /// Connections are encrypted.
    pub tls: Option<Tls>,
    /// Indices into [`Config::routes`](crate::Config::routes), in their order; all of them if there are none.
    pub routes: Option<Vec<usize>>,
}

/// How connections of a listener are encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tls {
    /// From files. There may be none where a certificate is ordered.
    pub certificates: Vec<Certificate>,
    /// The oldest version that is spoken.
    pub min_version: TlsVersion,
    /// What clients can choose, the preferred first. Not empty.
    pub alpn: Vec<Alpn>,
    /// The file with the authorities whose certificates clients show.
    pub client_ca: Option<PathBuf>,
    /// Whether clients have to show one.
    pub client_certificates: ClientCertificates,
}

/// A certificate in a file, and its key in another.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Certificate {
    /// The chain, as PEM.
    pub cert: PathBuf,
    /// The key, as PEM.
    pub key: PathBuf,
    /// Clients get it that name no host, or one that no certificate has.
    pub default: bool,
    /// Whether clients that name a host of this certificate have to show one; as for the listener if nothing is said.
    pub client_certificates: Option<ClientCertificates>,
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// RFC 5246
    Tls12,
    /// RFC 8446
    Tls13,
}

/// A protocol above TLS (RFC 7301).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alpn {
    /// `h2`
    Http2,
    /// `http/1.1`
    Http11,
}

/// Whether clients show a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClientCertificates {
    /// They are not asked for one.
    #[default]
    None,
    /// One that is shown must be valid.
    Optional,
    /// They must show one.
    Required,
}

/// `[acme]`: a certificate that is ordered from an authority, for every listener with TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Acme {
    /// The URL of the authority's directory (RFC 8555, section 7.1.1), with `https`.
    pub directory: String,
    /// Whom the authority writes to.
    pub email: Option<String>,
    /// The names of the certificate, in lower case. At least one.
    pub names: Vec<String>,
    /// Where account and certificates are kept.
    pub state_dir: PathBuf,
    /// Who vouches for the authority's own server, if not the system's roots.
    pub root_ca: Option<PathBuf>,
}
