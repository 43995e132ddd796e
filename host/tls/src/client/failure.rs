//! A failed handshake with a backend in the words of an operator.

use std::fmt;
use std::io;
use std::time::{Duration, UNIX_EPOCH};

use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError, Error};

use super::reason::Reason;
use crate::certificate::words;

/// A failed handshake with a server. Its text says what is wrong; the caller knows which server it was.
#[derive(Debug)]
pub struct ConnectError {
    /// The reason.
    pub reason: Reason,
    /// The library's error.
    pub error: io::Error,
}

impl ConnectError {
    pub(super) fn of(error: io::Error) -> ConnectError {
        ConnectError {
            reason: Reason::of(&error),
            error,
        }
    }

    /// The server has chosen none of the protocols that it was offered, and would speak HTTP/1.1.
    pub(super) fn no_protocol_chosen() -> ConnectError {
        ConnectError {
            reason: Reason::NoSharedAlpn,
            error: io::Error::other("no protocol was chosen"),
        }
    }
}

impl std::error::Error for ConnectError {}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match crate::library_error(&self.error) {
            Some(Error::InvalidCertificate(error)) => certificate(f, error),
            _ if self.reason == Reason::NoSharedAlpn => f.write_str(
                "the server has chosen none of the protocols that it was offered (ALPN): see `protocol`",
            ),
            Some(Error::AlertReceived(alert)) => match self.reason {
                Reason::CertificateDemanded => demanded(f, *alert),
                _ => write!(f, "the server refused the handshake (alert {alert:?})"),
            },
            Some(_) if self.reason == Reason::NotTls => {
                f.write_str("the server does not speak TLS on this port")
            }
            Some(error) => write!(f, "TLS: {error}"),
            None if self.reason == Reason::Timeout => f.write_str("the handshake took too long"),
            None if self.error.kind() == io::ErrorKind::UnexpectedEof => {
                f.write_str("the server closed the connection during the handshake")
            }
            None => write!(f, "the connection broke during the handshake: {}", self.error),
        }
    }
}

/// An error of a connection whose handshake is over, as far as this side knows: in TLS 1.3 the server judges the certificate
/// that it is shown afterwards.
#[derive(Debug)]
struct ConnectionError(io::Error);

/// Puts an error of reading or writing into the words of an operator. Its kind stays.
pub fn explained(error: io::Error) -> io::Error {
    match crate::ended_without_notice(&error) || crate::library_error(&error).is_some() {
        true => io::Error::new(error.kind(), ConnectionError(error)),
        false => error,
    }
}

impl std::error::Error for ConnectionError {}

impl fmt::Display for ConnectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match crate::library_error(&self.0) {
            Some(Error::AlertReceived(alert)) => match Reason::of(&self.0) {
                Reason::CertificateDemanded => demanded(f, *alert),
                _ => write!(f, "the server ended the connection (alert {alert:?})"),
            },
            Some(error) => write!(f, "TLS: {error}"),
            None => f.write_str("the server ended the connection without TLS's own notice (close_notify)"),
        }
    }
}

fn demanded(f: &mut fmt::Formatter<'_>, alert: AlertDescription) -> fmt::Result {
    write!(
        f,
        "the server does not accept the certificate it was shown, or demands one (alert {alert:?}): see `cert` and `key`"
    )
}

fn certificate(f: &mut fmt::Formatter<'_>, error: &CertificateError) -> fmt::Result {
    match error {
        CertificateError::ExpiredContext { not_after, .. } => {
            write!(f, "the server's certificate expired on {}", date(*not_after))
        }
        CertificateError::NotValidYetContext { not_before, .. } => {
            write!(f, "the server's certificate is not valid before {}", date(*not_before))
        }
        CertificateError::UnknownIssuer => f.write_str(
            "the server's certificate comes from an authority that is not trusted: see `ca`, or the server does not send the certificates between",
        ),
        CertificateError::NotValidForNameContext { expected, presented } if presented.is_empty() => {
            write!(f, "the server's certificate has no names, so not {} either", expected.to_str())
        }
        CertificateError::NotValidForNameContext { expected, presented } => write!(
            f,
            "the server's certificate is not for {} but for {}: see `server_name`",
            expected.to_str(),
            names(presented)
        ),
        CertificateError::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => f.write_str(
            "the server's certificate is one of an authority (CA:TRUE), which cannot be a server's: issue one with it",
        ),
        CertificateError::ApplicationVerificationFailure => {
            f.write_str("the server's certificate is not the one that it is known by")
        }
        other => write!(f, "the server's certificate is not valid: {other}"),
    }
}

/// Names as people write them; the library puts the kind of each around it.
fn names(presented: &[String]) -> String {
    let bare = |name: &String| {
        let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
        inner.unwrap_or(name).trim_matches('"').to_owned()
    };
    presented.iter().map(bare).collect::<Vec<_>>().join(", ")
}

fn date(time: UnixTime) -> String {
    words(UNIX_EPOCH + Duration::from_secs(time.as_secs()))
}
