//! The facts that a handshake has settled.

use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use rustls::pki_types::CertificateDer;
use rustls::{CipherSuite, HandshakeKind, RootCertStore, ServerConnection};

use super::chain;
use crate::alpn::Alpn;
use crate::certificate::Certificate;
use crate::provider::Version;

/// The facts about a client's connection, known once its handshake is done.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The name that the client asked for, in lower case. Clients send none for an IP address.
    pub server_name: Option<Box<str>>,
    /// The version of TLS.
    pub version: Version,
    /// The cipher suite by its registered name, such as `TLS_AES_128_GCM_SHA256`.
    pub cipher: &'static str,
    /// The protocol that both sides agreed on; without one the client speaks HTTP/1.1.
    pub alpn: Option<Alpn>,
    /// Whether an earlier session was resumed, so that there was no signature.
    pub resumed: bool,
    /// The client's verified certificate; of a resumed session the one that was verified when it began.
    pub client_certificate: Option<Arc<Certificate>>,
    /// The certificates between the client's and an authority of the listener, the nearest first. Empty unless the
    /// [settings](super::Settings::client_chains) ask for them.
    pub client_chain: Vec<CertificateDer<'static>>,
}

impl Facts {
    /// Reads the facts of a connection whose handshake is done. `roots` are the authorities of clients, if the chain of
    /// a client is wanted.
    pub(super) fn of(
        connection: &ServerConnection,
        roots: Option<&RootCertStore>,
        now: SystemTime,
    ) -> io::Result<Facts> {
        let resumed = connection.handshake_kind() == Some(HandshakeKind::Resumed);
        let presented = connection.peer_certificates().unwrap_or_default();
        let client_certificate = match presented.first() {
            Some(der) => Some(client_certificate(der.clone().into_owned(), resumed, now)?),
            None => None,
        };
        Ok(Facts {
            server_name: connection.server_name().map(Into::into),
            version: Version::of(
                connection
                    .protocol_version()
                    .unwrap_or(rustls::ProtocolVersion::TLSv1_3),
            ),
            cipher: connection
                .negotiated_cipher_suite()
                .map_or("", |suite| registered_name(suite.suite())),
            alpn: Alpn::of(connection.alpn_protocol()),
            resumed,
            client_certificate,
            client_chain: roots.map_or_else(Vec::new, |roots| chain::validating(presented, roots, now)),
        })
    }
}

/// The client's certificate, if it has not expired: a session can be resumed for hours after that, and the library
/// does not look again.
fn client_certificate(
    der: CertificateDer<'static>,
    resumed: bool,
    now: SystemTime,
) -> io::Result<Arc<Certificate>> {
    let refused = |error: rustls::CertificateError| {
        io::Error::new(io::ErrorKind::InvalidData, rustls::Error::from(error))
    };
    let certificate = Certificate::parse(der).map_err(|_| refused(rustls::CertificateError::BadEncoding))?;
    if resumed && now > certificate.not_after() {
        return Err(refused(rustls::CertificateError::Expired));
    }
    Ok(Arc::new(certificate))
}

/// The name at IANA. The library's names differ for TLS 1.3.
fn registered_name(suite: CipherSuite) -> &'static str {
    match suite {
        CipherSuite::TLS13_AES_128_GCM_SHA256 => "TLS_AES_128_GCM_SHA256",
        CipherSuite::TLS13_AES_256_GCM_SHA384 => "TLS_AES_256_GCM_SHA384",
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => "TLS_CHACHA20_POLY1305_SHA256",
        other => other.as_str().unwrap_or(""),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::reason::Reason;
    use super::*;
    use crate::testing;

    #[test]
    fn session_is_not_resumed_with_a_certificate_that_has_expired_since() {
        let made = testing::authority("ca").issue_to(&["me.test"]);
        let der = || made.chain[0].clone();
        let not_after = Certificate::parse(der()).unwrap().not_after();
        let of = |resumed, now| client_certificate(der(), resumed, now).map_err(|error| Reason::of(&error));
        assert!(of(true, not_after).is_ok());
        assert_eq!(
            of(true, not_after + Duration::from_secs(1)).unwrap_err(),
            Reason::ClientCertificateExpired
        );
        // The library's clock has verified a full handshake a moment ago.
        assert!(of(false, not_after + Duration::from_secs(1)).is_ok());
    }
}
