//! The parts of tests of both sides: frontends, clients, and both ends of one handshake.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime};

use pace_tls::alpn::Alpn;
use pace_tls::pair::Pair;
use pace_tls::pem::Pem;
use pace_tls::server::{
    ClientCertificates, Facts, Frontend, Handshake, Reason, Settings, Site, Tickets, accept,
};
use pace_tls::{ServerName, Version};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex};
use tokio::time::Instant;
use tokio_rustls::client::TlsStream;

use crate::testing::{Authority, Made};

/// The deadline of a handshake: long enough for a busy machine; only a failed test waits for it.
pub(crate) fn deadline() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

pub(crate) fn pem<'a>(name: &'a str, text: &'a str) -> Pem<'a> {
    Pem {
        name,
        bytes: text.as_bytes(),
    }
}

impl Made {
    pub(crate) fn pair(&self) -> Arc<Pair> {
        let pair = Pair::parse(
            pem("a.pem", &self.chain_pem),
            pem("a.key", &self.key_pem),
            SystemTime::now(),
        );
        Arc::new(pair.unwrap())
    }
}

pub(crate) fn site(made: &Made) -> Site {
    Site {
        pair: made.pair(),
        default: false,
        client_certificates: None,
    }
}

pub(crate) fn settings(sites: Vec<Site>) -> Settings<'static> {
    Settings {
        min_version: Version::Tls12,
        alpn: &[Alpn::Http2, Alpn::Http11],
        client_certificates: ClientCertificates::None,
        client_ca: None,
        client_chains: false,
        sites,
    }
}

pub(crate) fn frontend(settings: Settings<'_>) -> Frontend {
    Frontend::new(settings, &Tickets::new(), None).unwrap()
}

/// A client that trusts one authority.
pub(crate) struct Client {
    provider: CryptoProvider,
    versions: &'static [&'static SupportedProtocolVersion],
    authority: String,
    identity: Option<(Made, String)>,
    alpn: Vec<Vec<u8>>,
}

impl Client {
    pub(crate) fn new(authority: &Authority) -> Client {
        Client {
            provider: aws_lc_rs::default_provider(),
            versions: rustls::ALL_VERSIONS,
            authority: authority.pem.clone(),
            identity: None,
            alpn: Vec::new(),
        }
    }

    pub(crate) fn only(mut self, version: Version) -> Client {
        static VERSIONS: [&SupportedProtocolVersion; 2] = [&rustls::version::TLS12, &rustls::version::TLS13];
        self.versions = match version {
            Version::Tls12 => &VERSIONS[..1],
            Version::Tls13 => &VERSIONS[1..],
        };
        self
    }

    pub(crate) fn identity(mut self, made: Made) -> Client {
        let key = made.key_pem.clone();
        self.identity = Some((made, key));
        self
    }

    pub(crate) fn alpn(mut self, names: &[&str]) -> Client {
        self.alpn = names.iter().map(|name| name.as_bytes().to_vec()).collect();
        self
    }

    pub(crate) fn suites(mut self, suites: &[rustls::SupportedCipherSuite]) -> Client {
        self.provider.cipher_suites = suites.to_vec();
        self
    }

    /// The library's configuration, which remembers sessions.
    pub(crate) fn config(self) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots
            .add(PemObject::from_pem_slice(self.authority.as_bytes()).unwrap())
            .unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(self.provider))
            .with_protocol_versions(self.versions)
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match self.identity {
            Some((made, key)) => {
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
                builder.with_client_auth_cert(made.chain, key).unwrap()
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = self.alpn;
        Arc::new(config)
    }
}

pub(crate) type Server = Result<Facts, Reason>;

/// Carries out both sides of a handshake. The server sends a greeting and ends; the client reads to the end, and so
/// has seen tickets and alerts.
pub(crate) async fn shake(
    frontend: &Frontend,
    client: &Arc<ClientConfig>,
    name: &str,
) -> (Server, io::Result<TlsStream<DuplexStream>>) {
    shake_by(|io| io, frontend, client, name).await
}

/// Carries out a handshake as [`shake`] does, with the server's end of the pipe wrapped.
pub(crate) async fn shake_by<IO: AsyncRead + AsyncWrite + Unpin>(
    within: impl FnOnce(DuplexStream) -> IO,
    frontend: &Frontend,
    client: &Arc<ClientConfig>,
    name: &str,
) -> (Server, io::Result<TlsStream<DuplexStream>>) {
    let (server_io, client_io) = duplex(64 * 1024);
    let server_io = within(server_io);
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let server = async {
        match accept(server_io, frontend, deadline()).await {
            Ok(Handshake::Client { mut stream, facts }) => {
                // The client may have gone by then.
                let _ = stream.write_all(b"hello").await;
                let _ = stream.shutdown().await;
                Ok(facts)
            }
            Ok(Handshake::Challenge) => panic!("there is no challenge"),
            Err(failed) => Err(failed.reason),
        }
    };
    let client = async {
        let mut stream = tokio_rustls::TlsConnector::from(client.clone())
            .connect(name, client_io)
            .await?;
        let mut said = Vec::new();
        stream.read_to_end(&mut said).await?;
        assert_eq!(said, b"hello");
        Ok(stream)
    };
    tokio::join!(server, client)
}

/// A stream that passes one byte at a time.
pub(crate) struct ByteByByte(pub(crate) DuplexStream);

impl AsyncRead for ByteByByte {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut byte = [0];
        let mut one = ReadBuf::new(&mut byte);
        ready!(Pin::new(&mut self.0).poll_read(cx, &mut one))?;
        buffer.put_slice(one.filled());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ByteByByte {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, &bytes[..bytes.len().min(1)])
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
