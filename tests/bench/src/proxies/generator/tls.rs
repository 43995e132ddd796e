//! TLS of the load: one version, one cipher suite and one key exchange, so that all proxies do the same work.
//!
//! The load does less than a browser: it compares the certificate with the expected one, and verifies no signature. With
//! verification it would take longer for a handshake than most proxies, and its core would set the pace.

use anyhow::{Context, Result, ensure};
use mio::net::TcpStream;
use parking_lot::Mutex;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientSessionStore, Resumption, Tls12ClientSessionValue, Tls13ClientSessionValue};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, HandshakeKind, NamedGroup, SignatureScheme,
};
use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;

/// The server name of all proxies, which is in their certificates.
pub(crate) const NAME: &str = "bench.example";

/// The TLS of a load.
#[derive(Clone)]
pub(crate) struct Tls {
    /// The certificate that the proxy must present.
    pub(crate) certificate: CertificateDer<'static>,
    /// Whether a connection that replaces another resumes its session.
    pub(crate) resumes: bool,
}

/// The TLS settings of a load's connections, and its session tickets.
pub(super) struct Client {
    config: Arc<ClientConfig>,
    /// The protocol that the proxy must choose.
    protocol: &'static str,
    /// The kind that further handshakes must have.
    kind: HandshakeKind,
}

impl Client {
    /// Creates a client that offers a single protocol of ALPN. Its first handshakes are full ones.
    pub(super) fn new(tls: &Tls, protocol: &'static str) -> Result<Client> {
        let mut provider = aws_lc_rs::default_provider();
        provider.cipher_suites = vec![aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256];
        provider.kx_groups = vec![aws_lc_rs::kx_group::X25519];
        let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Expected(tls.certificate.clone())))
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        config.resumption = match tls.resumes {
            true => Resumption::store(Arc::new(Tickets::default())),
            false => Resumption::disabled(),
        };
        Ok(Client {
            config: Arc::new(config),
            protocol,
            kind: HandshakeKind::Full,
        })
    }

    /// Expects that further handshakes resume a session, if the load resumes any.
    pub(super) fn expect_tickets(&mut self, tls: &Tls) {
        if tls.resumes {
            self.kind = HandshakeKind::Resumed;
        }
    }

    /// Begins a session.
    pub(super) fn session(&self) -> Result<Session> {
        let name = ServerName::try_from(NAME).expect("it is a host name");
        let mut connection = ClientConnection::new(Arc::clone(&self.config), name)?;
        connection.set_buffer_limit(None);
        Ok(Session {
            connection,
            protocol: self.protocol,
            kind: self.kind,
            is_established: false,
        })
    }
}

/// The TLS of a connection.
pub(super) struct Session {
    connection: ClientConnection,
    protocol: &'static str,
    kind: HandshakeKind,
    is_established: bool,
}

impl Session {
    /// Encrypts bytes, or keeps them until the handshake is done.
    pub(super) fn encrypt(&mut self, bytes: &[u8]) -> Result<()> {
        self.connection.writer().write_all(bytes)?;
        Ok(())
    }

    /// Sends as much as the socket takes.
    pub(super) fn flush(&mut self, stream: &mut TcpStream) -> io::Result<()> {
        while self.connection.wants_write() {
            match self.connection.write_tls(stream) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                outcome => outcome?,
            };
        }
        Ok(())
    }

    pub(super) fn is_flushed(&self) -> bool {
        !self.connection.wants_write()
    }

    /// Reads decrypted bytes, and carries on the handshake. 0 bytes are an end in order.
    pub(super) fn read(&mut self, stream: &mut TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.connection.reader().read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                outcome => return outcome,
            }
            self.connection.read_tls(stream)?;
            let processed = self.connection.process_new_packets();
            self.flush(stream)?;
            processed.map_err(io::Error::other)?;
        }
    }

    /// Whether the handshake is done.
    ///
    /// # Errors
    ///
    /// An error if the handshake is of another kind than expected, or has agreed on another protocol.
    pub(super) fn is_established(&mut self) -> Result<bool> {
        if !self.is_established && !self.connection.is_handshaking() {
            let kind = self
                .connection
                .handshake_kind()
                .context("a handshake has a kind")?;
            ensure!(
                kind == self.kind,
                "a handshake was {kind:?} and should be {:?}",
                self.kind
            );
            let protocol = self.connection.alpn_protocol().unwrap_or_default();
            ensure!(
                protocol == self.protocol.as_bytes(),
                "the proxy speaks {:?} in place of {}",
                String::from_utf8_lossy(protocol),
                self.protocol
            );
            self.is_established = true;
        }
        Ok(self.is_established)
    }

    /// Tells the other side that nothing more follows.
    pub(super) fn end(&mut self) {
        self.connection.send_close_notify();
    }
}

/// A verifier that compares a certificate, and verifies nothing else.
#[derive(Debug)]
struct Expected(CertificateDer<'static>);

impl ServerCertVerifier for Expected {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match *end_entity == self.0 {
            true => Ok(ServerCertVerified::assertion()),
            false => Err(Error::General("the proxy has another certificate".to_owned())),
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![
            SignatureScheme::ECDSA_NISTP256_SHA256,
            SignatureScheme::RSA_PSS_SHA256,
        ]
    }
}

/// The tickets of all sessions, each of which is used once. All are for one server.
#[derive(Default)]
struct Tickets(Mutex<Vec<Tls13ClientSessionValue>>);

/// The most tickets that are kept: more than there are connections.
const MAX_TICKETS: usize = 4096;

impl ClientSessionStore for Tickets {
    fn set_kx_hint(&self, _server_name: ServerName<'static>, _group: NamedGroup) {}

    fn kx_hint(&self, _server_name: &ServerName<'_>) -> Option<NamedGroup> {
        None
    }

    fn set_tls12_session(&self, _server_name: ServerName<'static>, _value: Tls12ClientSessionValue) {}

    fn tls12_session(&self, _server_name: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        None
    }

    fn remove_tls12_session(&self, _server_name: &ServerName<'static>) {}

    fn insert_tls13_ticket(&self, _server_name: ServerName<'static>, value: Tls13ClientSessionValue) {
        let mut tickets = self.0.lock();
        if tickets.len() < MAX_TICKETS {
            tickets.push(value);
        }
    }

    fn take_tls13_ticket(&self, _server_name: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.0.lock().pop()
    }
}

impl std::fmt::Debug for Tickets {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Tickets").finish_non_exhaustive()
    }
}
