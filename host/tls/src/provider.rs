//! The cryptography of all TLS in Pace: aws-lc.

use std::sync::{Arc, LazyLock};

use rustls::SupportedProtocolVersion;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::version::{TLS12, TLS13};

/// The provider, which is passed explicitly everywhere, so nothing depends on a default of the process that must be
/// installed first.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> =
        LazyLock::new(|| Arc::new(aws_lc_rs::default_provider()));
    PROVIDER.clone()
}

/// A version of TLS that Pace speaks. The library has no older ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// TLS 1.2, RFC 5246.
    Tls12,
    /// TLS 1.3, RFC 8446.
    Tls13,
}

impl Version {
    /// All of them, oldest first.
    pub const ALL: [Version; 2] = [Version::Tls12, Version::Tls13];

    /// The version that a configuration calls `name`: `1.2` or `1.3`.
    pub fn from_name(name: &str) -> Option<Version> {
        Version::ALL.into_iter().find(|version| version.name() == name)
    }

    /// `1.2` or `1.3`.
    pub fn name(self) -> &'static str {
        match self {
            Version::Tls12 => "1.2",
            Version::Tls13 => "1.3",
        }
    }

    pub(crate) fn of(version: rustls::ProtocolVersion) -> Version {
        match version {
            rustls::ProtocolVersion::TLSv1_2 => Version::Tls12,
            // No other version is negotiated, as `and_later` allows no other.
            _ => Version::Tls13,
        }
    }

    pub(crate) fn and_later(self) -> &'static [&'static SupportedProtocolVersion] {
        static BOTH: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];
        match self {
            Version::Tls12 => &BOTH,
            Version::Tls13 => &BOTH[..1],
        }
    }
}
