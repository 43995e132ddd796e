//! The reasons why handshakes with clients fail.

use std::io;

use rustls::{CertificateError, Error, PeerIncompatible};

/// A reason why a handshake failed. Metrics and logs call it by [`Reason::name`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The deadline passed.
    Timeout,
    /// The client closed the connection, or it broke.
    Closed,
    /// The client spoke HTTP, or something else that is not TLS.
    NotTls,
    /// The client speaks no version of TLS that the listener does.
    NoSharedVersion,
    /// No cipher suite, key exchange or kind of signature is common to both; an RSA-only client meets an ECDSA certificate.
    NoSharedCipher,
    /// The client speaks none of the listener's protocols.
    NoSharedAlpn,
    /// The listener has no certificate yet: the authority has not issued any.
    NoCertificate,
    /// The listener demands a certificate, and the client has sent none.
    ClientCertificateMissing,
    /// The client's certificate, or its signature, is wrong in another way than the next two.
    ClientCertificateInvalid,
    /// The client's certificate has expired, or is not valid yet.
    ClientCertificateExpired,
    /// The client's certificate comes from an authority that the listener does not trust.
    ClientCertificateUnknownCa,
    /// The client broke the protocol: a bad or oversized record, or a message out of place.
    BadRecord,
    /// The client ended the handshake with an alert, most often because it does not trust the certificate.
    Alert,
    /// Any other reason, such as a fault of this side.
    Other,
}

impl Reason {
    /// All reasons.
    pub const ALL: [Reason; 14] = [
        Reason::Timeout,
        Reason::Closed,
        Reason::NotTls,
        Reason::NoSharedVersion,
        Reason::NoSharedCipher,
        Reason::NoSharedAlpn,
        Reason::NoCertificate,
        Reason::ClientCertificateMissing,
        Reason::ClientCertificateInvalid,
        Reason::ClientCertificateExpired,
        Reason::ClientCertificateUnknownCa,
        Reason::BadRecord,
        Reason::Alert,
        Reason::Other,
    ];

    /// The reason in the words of metrics.
    pub fn name(self) -> &'static str {
        match self {
            Reason::Timeout => "timeout",
            Reason::Closed => "closed",
            Reason::NotTls => "not_tls",
            Reason::NoSharedVersion => "no_shared_version",
            Reason::NoSharedCipher => "no_shared_cipher",
            Reason::NoSharedAlpn => "no_shared_alpn",
            Reason::NoCertificate => "no_certificate",
            Reason::ClientCertificateMissing => "client_certificate_missing",
            Reason::ClientCertificateInvalid => "client_certificate_invalid",
            Reason::ClientCertificateExpired => "client_certificate_expired",
            Reason::ClientCertificateUnknownCa => "client_certificate_unknown_ca",
            Reason::BadRecord => "bad_record",
            Reason::Alert => "alert",
            Reason::Other => "other",
        }
    }

    /// The reason for an error of the library, which wraps its own errors in those of input and output.
    pub(super) fn of(error: &io::Error) -> Reason {
        match crate::library_error(error) {
            Some(error) => Reason::of_library(error),
            None if error.kind() == io::ErrorKind::TimedOut => Reason::Timeout,
            None => Reason::Closed,
        }
    }

    fn of_library(error: &Error) -> Reason {
        match error {
            Error::NoCertificatesPresented => Reason::ClientCertificateMissing,
            Error::InvalidCertificate(error) => Reason::of_certificate(error),
            Error::PeerIncompatible(error) => Reason::of_incompatible(error),
            Error::NoApplicationProtocol => Reason::NoSharedAlpn,
            Error::AlertReceived(_) => Reason::Alert,
            Error::InappropriateMessage { .. }
            | Error::InappropriateHandshakeMessage { .. }
            | Error::InvalidMessage(_)
            | Error::DecryptError
            | Error::PeerMisbehaved(_)
            | Error::PeerSentOversizedRecord => Reason::BadRecord,
            _ => Reason::Other,
        }
    }

    fn of_certificate(error: &CertificateError) -> Reason {
        match error {
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => Reason::ClientCertificateExpired,
            CertificateError::UnknownIssuer => Reason::ClientCertificateUnknownCa,
            _ => Reason::ClientCertificateInvalid,
        }
    }

    fn of_incompatible(error: &PeerIncompatible) -> Reason {
        match error {
            // The extension came with TLS 1.2, and the library misses it before it looks at the version.
            PeerIncompatible::SignatureAlgorithmsExtensionRequired
            | PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled
            | PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::SupportedVersionsExtensionRequired => Reason::NoSharedVersion,
            PeerIncompatible::NoCertificateRequestSignatureSchemesInCommon => {
                Reason::ClientCertificateInvalid
            }
            _ => Reason::NoSharedCipher,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn reasons_have_names_of_their_own() {
        let names: HashSet<_> = Reason::ALL.into_iter().map(Reason::name).collect();
        assert_eq!(names.len(), Reason::ALL.len());
    }
}
