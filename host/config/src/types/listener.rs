//! Listeners: their addresses, and the TLS spoken there.

use std::path::PathBuf;

use crate::address::ListenAddress;

/// One entry of `[[listeners]]`, or `[server] listen`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Listener {
    /// The address where clients connect. No two listeners have the same.
    pub listen: ListenAddress,
    /// Whether requests are answered with a redirect to the same URL with `https`.
    pub redirect_to_https: bool,
    /// The TLS of connections, if they are encrypted.
    pub tls: Option<Tls>,
    /// Indices into [`Config::routes`](crate::Config::routes), in their order; `None` stands for all routes.
    pub routes: Option<Vec<usize>>,
}

impl Listener {
    /// Whether clients of the listener can take a route, by its index into [`Config::routes`](crate::Config::routes).
    pub fn serves(&self, route: usize) -> bool {
        let named = self.routes.as_ref();
        !self.redirect_to_https && named.is_none_or(|named| named.binary_search(&route).is_ok())
    }
}

/// The TLS of a listener.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tls {
    /// The certificates in files. The list may be empty where a certificate is ordered.
    pub certificates: Vec<Certificate>,
    /// The oldest version that is spoken.
    pub min_version: TlsVersion,
    /// The protocols that clients can choose, the preferred first. Not empty.
    pub alpn: Vec<Alpn>,
    /// The file with the authorities that issue clients' certificates.
    pub client_ca: Option<PathBuf>,
    /// Whether clients present certificates.
    pub client_certificates: ClientCertificates,
    /// How much of a client's certificate is forwarded to backends.
    pub forward_client_certificates: ForwardedCertificates,
}

/// A certificate in a file, and its key in another.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Certificate {
    /// The chain, as PEM.
    pub cert: PathBuf,
    /// The key, as PEM.
    pub key: PathBuf,
    /// Whether clients get the certificate that name no host, or a host without certificate.
    pub default: bool,
    /// Whether clients that name a host of this certificate present one of their own; `None` stands for the
    /// listener's choice.
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

/// Whether clients present a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClientCertificates {
    /// Clients are not asked for a certificate.
    #[default]
    None,
    /// Clients may present a certificate, which must be valid.
    Optional,
    /// Clients must present a valid certificate.
    Required,
}

/// How much of a client's certificate is forwarded to backends (RFC 9440).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum ForwardedCertificates {
    /// Nothing.
    #[default]
    None,
    /// The certificate, in `Client-Cert`.
    Certificate,
    /// The certificates by which it was verified as well, in `Client-Cert-Chain`.
    Chain,
}

/// `[acme]`: a certificate that is ordered from an authority, for every listener with TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Acme {
    /// The URL of the authority's directory (RFC 8555, section 7.1.1), with `https`.
    pub directory: String,
    /// The address to which the authority writes.
    pub email: Option<String>,
    /// The names of the certificate, in lower case. At least one.
    pub names: Vec<String>,
    /// The directory in which account and certificates are kept.
    pub state_dir: PathBuf,
    /// The file with the authorities that issued the certificate of the authority's own server, if not the system's
    /// roots.
    pub root_ca: Option<PathBuf>,
}
