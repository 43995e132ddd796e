//! TLS connections to the backends of a pool.

use std::io::{self, Read, Write};
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, HandshakeKind, StreamOwned};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout_at};
use tokio_rustls::client::TlsStream;
use tokio_rustls::{Connect, TlsConnector};

use super::failure::ConnectError;
use super::pinned::Pinned;
use super::roots::{Roots, read};
use super::unverified::Unverified;
use crate::alpn::Alpn;
use crate::pair::Pair;
use crate::pem::PemError;
use crate::provider::{Version, provider};

/// The settings of a pool's TLS.
#[derive(Debug)]
pub struct Settings<'a> {
    /// The authorities that may issue the backends' certificates. `None` accepts any certificate for any name:
    /// anybody who can answer in a backend's place can read and change everything.
    pub roots: Option<Roots<'a>>,
    /// The certificate that Pace presents if it is asked for one.
    pub identity: Option<&'a Pair>,
    /// The offered protocols, best first. A backend that chooses none is taken to speak HTTP/1.1, and is refused if protocols
    /// are offered and HTTP/1.1 is not among them.
    pub alpn: &'a [Alpn],
}

/// A reason why a pool cannot speak TLS as configured.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectorError {
    /// The file of authorities cannot be read as such.
    #[error(transparent)]
    Pem(#[from] PemError),
    /// A certificate in the file belongs to no authority.
    #[error("{file}: not usable as an authority: {why}")]
    Ca {
        /// The file.
        file: String,
        /// The fault.
        why: String,
    },
    /// The library refuses the settings.
    #[error("TLS: {0}")]
    Library(String),
}

/// Connects to the backends of a pool with TLS. Clones share the sessions that are resumed.
#[derive(Clone, Debug)]
pub struct Connector {
    config: Arc<ClientConfig>,
    /// Whether a backend may choose no protocol, and so speak HTTP/1.1.
    may_choose_none: bool,
}

/// A connection to a backend.
#[derive(Debug)]
pub struct Connected<IO> {
    /// The decrypted stream. Each write is a record, so write head and body together.
    pub stream: TlsStream<IO>,
    /// The protocol that both sides agreed on; without one the backend speaks HTTP/1.1.
    pub alpn: Option<Alpn>,
    /// The version of TLS.
    pub version: Version,
    /// Whether an earlier session was resumed.
    pub resumed: bool,
}

/// The most sessions that are kept for resumption, by the backend's name.
const SESSIONS: usize = 256;

impl Connector {
    /// Reads the authorities and makes the configuration.
    ///
    /// # Errors
    ///
    /// An error if the file of authorities is not one.
    pub fn new(settings: Settings<'_>) -> Result<Connector, ConnectorError> {
        let library = |error: rustls::Error| ConnectorError::Library(error.to_string());
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(Version::Tls12.and_later())
            .map_err(library)?;
        let builder = match settings.roots {
            Some(Roots::System(roots)) => builder.with_root_certificates(roots),
            Some(Roots::File(file)) => builder.with_root_certificates(read(file)?),
            Some(Roots::Pinned(file)) => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Pinned::read(file)?)),
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
        // An attacker could replay recorded early data, and a request must not be sent twice.
        config.enable_early_data = false;
        Ok(Connector {
            config: Arc::new(config),
            may_choose_none: settings.alpn.is_empty() || settings.alpn.contains(&Alpn::Http11),
        })
    }

    /// Whether the other connector is a clone of this one.
    pub fn is(&self, other: &Connector) -> bool {
        Arc::ptr_eq(&self.config, &other.config)
    }

    /// Carries out the handshake over `io` with the backend called `name`, which must be done by `deadline`. The name
    /// is sent (unless it is an IP address) and must be in the backend's certificate.
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
        let connector = TlsConnector::from(self.config.clone());
        let connected = finish(connector.connect(name, io), deadline).await?;
        match connected.alpn {
            None if !self.may_choose_none => Err(ConnectError::no_protocol_chosen()),
            _ => Ok(connected),
        }
    }

    /// Carries out the same handshake, in which nothing but HTTP/1.1 is offered.
    ///
    /// # Errors
    ///
    /// See [`Reason`](super::Reason).
    pub async fn connect_http1<IO>(
        &self,
        io: IO,
        name: ServerName<'static>,
        deadline: Instant,
    ) -> Result<Connected<IO>, ConnectError>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        let connector = TlsConnector::from(self.config.clone());
        let offered = connector.with_alpn(Alpn::wire(&[Alpn::Http11]));
        finish(offered.connect(name, io), deadline).await
    }

    /// Carries out the handshake over a socket that blocks, whose own timeouts hold.
    ///
    /// # Errors
    ///
    /// See [`Reason`](super::Reason).
    pub fn connect_blocking<S: Read + Write>(
        &self,
        mut socket: S,
        name: ServerName<'static>,
    ) -> Result<impl Read + Write + use<S>, ConnectError> {
        let session = ClientConnection::new(Arc::clone(&self.config), name);
        let mut session = session.map_err(|error| ConnectError::of(io::Error::other(error)))?;
        session.complete_io(&mut socket).map_err(ConnectError::of)?;
        Ok(StreamOwned::new(session, socket))
    }
}

/// Waits for the end of a handshake.
async fn finish<IO>(handshake: Connect<IO>, deadline: Instant) -> Result<Connected<IO>, ConnectError>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
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
