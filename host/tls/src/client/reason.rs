//! The reasons why TLS with backends fails.

use std::io;

use rustls::{AlertDescription, CertificateError, Error, PeerIncompatible};

/// A reason why there is no TLS with a backend. Metrics and logs call it by [`Reason::name`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The deadline passed.
    Timeout,
    /// The backend closed the connection, or it broke.
    Closed,
    /// The backend answers in something that is not TLS.
    NotTls,
    /// The backend speaks no version of TLS that Pace does.
    NoSharedVersion,
    /// No cipher suite, key exchange or kind of signature is common to both.
    NoSharedCipher,
    /// The backend speaks none of the pool's protocols.
    NoSharedAlpn,
    /// The backend's certificate has expired.
    Expired,
    /// The backend's certificate is not valid yet.
    NotYetValid,
    /// The backend's certificate comes from an authority that is not trusted.
    UnknownIssuer,
    /// The backend's certificate is for other names.
    NameMismatch,
    /// The backend's certificate, or its signature, is wrong in another way.
    InvalidCertificate,
    /// The backend demands a certificate of Pace, or another one than it got.
    CertificateDemanded,
    /// The backend ended the handshake with another alert.
    Refused,
    /// The backend broke the protocol: a bad or oversized record, or a message out of place.
    BadRecord,
    /// Any other reason, such as a fault of this side.
    Other,
}

impl Reason {
    /// All reasons.
    pub const ALL: [Reason; 15] = [
        Reason::Timeout,
        Reason::Closed,
        Reason::NotTls,
        Reason::NoSharedVersion,
        Reason::NoSharedCipher,
        Reason::NoSharedAlpn,
        Reason::Expired,
        Reason::NotYetValid,
        Reason::UnknownIssuer,
        Reason::NameMismatch,
        Reason::InvalidCertificate,
        Reason::CertificateDemanded,
        Reason::Refused,
        Reason::BadRecord,
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
            Reason::Expired => "expired",
            Reason::NotYetValid => "not_yet_valid",
            Reason::UnknownIssuer => "unknown_issuer",
            Reason::NameMismatch => "name_mismatch",
            Reason::InvalidCertificate => "invalid_certificate",
            Reason::CertificateDemanded => "certificate_demanded",
            Reason::Refused => "refused",
            Reason::BadRecord => "bad_record",
            Reason::Other => "other",
        }
    }

    /// The reason for an error of connecting, or of reading and writing afterwards.
    pub fn of(error: &io::Error) -> Reason {
        match crate::library_error(error) {
            Some(error) => Reason::of_library(error),
            None if error.kind() == io::ErrorKind::TimedOut => Reason::Timeout,
            None => Reason::Closed,
        }
    }

    fn of_library(error: &Error) -> Reason {
        match error {
            Error::InvalidCertificate(error) => Reason::of_certificate(error),
            Error::AlertReceived(alert) => Reason::of_alert(*alert),
            Error::PeerIncompatible(error) => match error {
                PeerIncompatible::ServerDoesNotSupportTls12Or13
                | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
                | PeerIncompatible::Tls12NotOfferedOrEnabled => Reason::NoSharedVersion,
                _ => Reason::NoSharedCipher,
            },
            Error::InvalidMessage(error) if crate::is_not_a_record(error) => Reason::NotTls,
            Error::NoApplicationProtocol => Reason::NoSharedAlpn,
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
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Reason::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                Reason::NotYetValid
            }
            CertificateError::UnknownIssuer => Reason::UnknownIssuer,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                Reason::NameMismatch
            }
            _ => Reason::InvalidCertificate,
        }
    }

    /// Alerts about certificates concern the one of Pace, which the backend has judged.
    fn of_alert(alert: AlertDescription) -> Reason {
        match alert {
            AlertDescription::CertificateRequired
            | AlertDescription::NoCertificate
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA => Reason::CertificateDemanded,
            AlertDescription::ProtocolVersion => Reason::NoSharedVersion,
            AlertDescription::InsufficientSecurity => Reason::NoSharedCipher,
            AlertDescription::NoApplicationProtocol => Reason::NoSharedAlpn,
            _ => Reason::Refused,
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
