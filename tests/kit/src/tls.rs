//! TLS for clients.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;

use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, ProtocolVersion, RootCertStore, SignatureScheme,
    StreamOwned, SupportedProtocolVersion,
};

use crate::{Authority, Certificate};

/// The TLS settings of a client. Clones share remembered sessions.
#[derive(Clone)]
pub struct Tls {
    config: Arc<ClientConfig>,
    roots: Arc<RootCertStore>,
    name: ServerName<'static>,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    /// TLS 1.2.
    V12,
    /// TLS 1.3.
    V13,
}

/// A kind of signatures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signatures {
    /// ECDSA, and Ed25519.
    Ecdsa,
    /// RSA.
    Rsa,
}

impl Tls {
    /// TLS of any version to a server of this name, whose certificate comes from an authority. No protocol is
    /// offered.
    pub fn new(authority: &Authority, name: &str) -> Tls {
        Tls::make(authority, name, rustls::ALL_VERSIONS, None)
    }

    /// TLS of one version.
    pub fn only(authority: &Authority, name: &str, version: TlsVersion) -> Tls {
        Tls::make(authority, name, versions(version), None)
    }

    /// TLS of one version with a certificate of the client.
    pub fn identified(authority: &Authority, name: &str, version: TlsVersion, own: &Certificate) -> Tls {
        Tls::make(authority, name, versions(version), Some(own))
    }

    fn make(
        authority: &Authority,
        name: &str,
        versions: &[&'static SupportedProtocolVersion],
        own: Option<&Certificate>,
    ) -> Tls {
        let mut roots = RootCertStore::empty();
        let root = CertificateDer::from_pem_slice(authority.pem().as_bytes()).expect("it is PEM");
        roots.add(root).expect("it is a certificate");
        let roots = Arc::new(roots);
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(versions)
            .expect("the versions are known")
            .with_root_certificates(Arc::clone(&roots));
        let config = match own {
            None => builder.with_no_client_auth(),
            Some(own) => {
                let chain = CertificateDer::pem_slice_iter(own.cert.as_bytes());
                let chain = chain.collect::<Result<_, _>>().expect("it is PEM");
                let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes()).expect("it is PEM");
                builder.with_client_auth_cert(chain, key).expect("they fit")
            }
        };
        Tls {
            config: Arc::new(config),
            roots,
            name: ServerName::try_from(name.to_owned()).expect("it is a name"),
        }
    }

    /// Offers these protocols.
    #[must_use]
    pub fn alpn(mut self, protocols: &[&str]) -> Tls {
        self.change(|config| {
            config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        });
        self
    }

    /// Sends no server name, though the certificate must have it.
    #[must_use]
    pub fn without_sni(mut self) -> Tls {
        self.change(|config| config.enable_sni = false);
        self
    }

    /// Knows how to verify signatures of this kind only.
    #[must_use]
    pub fn knowing(mut self, signatures: Signatures) -> Tls {
        let mut provider = aws_lc_rs::default_provider();
        let known = &mut provider.signature_verification_algorithms;
        // Those with RSA are the last, but for some that no certificate here is made with.
        let rsa = known
            .mapping
            .iter()
            .position(|(scheme, _)| *scheme == SignatureScheme::RSA_PSS_SHA512);
        let rsa = rsa.expect("the provider knows RSA");
        known.mapping = match signatures {
            Signatures::Ecdsa => &known.mapping[..rsa],
            Signatures::Rsa => &known.mapping[rsa..],
        };
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::clone(&self.roots), Arc::new(provider));
        let verifier = verifier.build().expect("there is a root");
        self.change(|config| config.dangerous().set_certificate_verifier(verifier));
        self
    }

    /// Remembers no session.
    #[must_use]
    pub fn forgetful(mut self) -> Tls {
        self.change(|config| config.resumption = Resumption::disabled());
        self
    }

    fn change(&mut self, change: impl FnOnce(&mut ClientConfig)) {
        change(Arc::make_mut(&mut self.config));
    }

    /// Carries out a handshake.
    ///
    /// # Errors
    ///
    /// If either side refuses the other. A server that refuses a client's certificate in TLS 1.3 does so after the
    /// client's handshake: the first read fails.
    pub fn connect(&self, stream: TcpStream) -> io::Result<Wire> {
        let connection = ClientConnection::new(Arc::clone(&self.config), self.name.clone());
        let mut stream = StreamOwned::new(connection.map_err(io::Error::other)?, stream);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(Wire::Tls(Box::new(stream)))
    }

    /// Carries out a handshake that agrees on HTTP/2, on the caller's runtime.
    pub(crate) async fn connect_async(
        &self,
        stream: tokio::net::TcpStream,
    ) -> io::Result<tokio_rustls::client::TlsStream<tokio::net::TcpStream>> {
        let tls = self.clone().alpn(&["h2"]);
        let connector = tokio_rustls::TlsConnector::from(tls.config);
        connector.connect(tls.name, stream).await
    }
}

fn versions(version: TlsVersion) -> &'static [&'static SupportedProtocolVersion] {
    static ALL: [&SupportedProtocolVersion; 2] = [&rustls::version::TLS12, &rustls::version::TLS13];
    match version {
        TlsVersion::V12 => &ALL[..1],
        TlsVersion::V13 => &ALL[1..],
    }
}

/// A client's connection, encrypted or not.
pub enum Wire {
    /// A socket without TLS.
    Plain(TcpStream),
    /// TLS.
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Wire {
    /// The socket below.
    pub fn socket(&self) -> &TcpStream {
        match self {
            Wire::Plain(stream) => stream,
            Wire::Tls(stream) => &stream.sock,
        }
    }

    /// Ends the sending side.
    pub fn finish(&mut self) -> io::Result<()> {
        if let Wire::Tls(stream) = self {
            stream.conn.send_close_notify();
            stream.flush()?;
        }
        self.socket().shutdown(Shutdown::Write)
    }

    /// The protocol that was agreed on.
    pub fn alpn(&self) -> Option<String> {
        let protocol = self.connection()?.alpn_protocol()?;
        Some(String::from_utf8_lossy(protocol).into_owned())
    }

    /// The version of TLS.
    pub fn version(&self) -> Option<TlsVersion> {
        match self.connection()?.protocol_version()? {
            ProtocolVersion::TLSv1_2 => Some(TlsVersion::V12),
            ProtocolVersion::TLSv1_3 => Some(TlsVersion::V13),
            _ => None,
        }
    }

    /// Whether an earlier session was resumed.
    pub fn is_resumed(&self) -> bool {
        let kind = self
            .connection()
            .and_then(|connection| connection.handshake_kind());
        kind == Some(HandshakeKind::Resumed)
    }

    /// Whether the server has shown this certificate.
    pub fn shows(&self, certificate: &Certificate) -> bool {
        let leaf = CertificateDer::from_pem_slice(certificate.cert.as_bytes()).expect("it is PEM");
        self.certificate().as_deref() == Some(&leaf)
    }

    /// The certificate that the server has shown, in DER.
    pub fn certificate(&self) -> Option<Vec<u8>> {
        let shown = self.connection()?.peer_certificates()?;
        Some(shown.first()?.to_vec())
    }

    fn connection(&self) -> Option<&ClientConnection> {
        match self {
            Wire::Plain(_) => None,
            Wire::Tls(stream) => Some(&stream.conn),
        }
    }
}

impl Read for Wire {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Wire::Plain(stream) => stream.read(bytes),
            Wire::Tls(stream) => stream.read(bytes),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Wire::Plain(stream) => stream.write(bytes),
            Wire::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Wire::Plain(stream) => stream.flush(),
            Wire::Tls(stream) => stream.flush(),
        }
    }
}
