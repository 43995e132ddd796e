//! How a pool's backends are spoken to.

use std::io;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, HandshakeKind};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::failure::ConnectError;
use super::roots::Roots;
use super::unverified::Unverified;
use crate::alpn::Alpn;
use crate::pair::Pair;
use crate::pem::PemError;
use crate::provider::{Version, provider};

/// How a pool's backends are to be spoken to.
#[derive(Debug)]
pub struct Settings<'a> {
    /// The authorities by one of which the backends' certificates have to be issued. `None` takes any certificate for any name:
    /// whoever can answer in a backend's place can read and change everything.
    pub roots: Option<Roots<'a>>,
    /// The certificate that Pace shows if it is asked for one.
    pub identity: Option<&'a Pair>,
    /// The protocols that are offered, best first. Without any, backends are taken to speak HTTP/1.1.
    pub alpn: &'a [Alpn],
}

/// Why a pool's backends cannot be spoken to as settings say.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectorError {
    /// The file of authorities cannot be read as such.
    #[error(transparent)]
    Pem(#[from] PemError),
    /// A certificate in it is none of an authority.
    #[error("{file}: not usable as an authority: {why}")]
    Ca {
        /// The file.
        file: String,
        /// What is wrong with it.
        why: String,
    },
    /// The library refuses what it is told.
    #[error("TLS: {0}")]
    Library(String),
}

/// Speaks TLS to the backends of a pool. Clones share the sessions that are resumed.
#[derive(Clone, Debug)]
pub struct Connector {
    config: Arc<ClientConfig>,
}

/// A connection to a backend.
#[derive(Debug)]
pub struct Connected<IO> {
    /// What it sends and is sent, decrypted. Each write is a record, so write head and body together.
    pub stream: TlsStream<IO>,
    /// The protocol that was agreed on; without one the backend speaks HTTP/1.1.
    pub alpn: Option<Alpn>,
    /// The version of TLS.
    pub version: Version,
    /// An earlier session was resumed.
    pub resumed: bool,
}

/// Sessions that are kept for resumption, by name of the backend.
const SESSIONS: usize = 256;

impl Connector {
    /// Reads the authorities and makes the configuration.
    ///
    /// # Errors
    ///
    /// The file of authorities is not one.
    pub fn new(settings: Settings<'_>) -> Result<Connector, ConnectorError> {
        let library = |error: rustls::Error| ConnectorError::Library(error.to_string());
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(Version::Tls12.and_later())
            .map_err(library)?;
        let builder = match settings.roots {
            Some(roots) => builder.with_root_certificates(roots.read()?),
            None => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Unverified(provider()))),
        };
        let mut config = match settings.identity {
            Some(pair) => builder.with_client_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(
                pair.certified_key(),
            ))),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = Alpn::wire(settings.alpn);
        config.resumption = Resumption::in_memory_sessions(SESSIONS);
        // A request must not be sent twice because an attacker has recorded it.
        config.enable_early_data = false;
        Ok(Connector {
            config: Arc::new(config),
        })
    }

    /// Whether the other one is a clone of this one.
    pub fn is(&self, other: &Connector) -> bool {
        Arc::ptr_eq(&self.config, &other.config)
    }

    /// Carries out the handshake over `io` with the backend called `name`, which has to be done by `deadline`. The name is sent
    /// (unless it is an IP address) and has to be in the backend's certificate.
    ///
    /// # Errors
    ///
    /// See [`Reason`](super::Reason).
    pub async fn connect<IO>(
        &self,
        io: IO,
        name: ServerName<'static>,
        deadline: Instant,
    ) -> Result<Connected<IO>, ConnectError>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        let handshake = TlsConnector::from(self.config.clone()).connect(name, io);
        let stream = timeout_at(deadline, handshake)
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            .map_err(ConnectError::of)?;
        let (_, connection) = stream.get_ref();
        Ok(Connected {
            alpn: Alpn::of(connection.alpn_protocol()),
            version: Version::of(
                connection
                    .protocol_version()
                    .unwrap_or(rustls::ProtocolVersion::TLSv1_3),
            ),
            resumed: connection.handshake_kind() == Some(HandshakeKind::Resumed),
            stream,
        })
    }
}
