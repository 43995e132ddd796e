//! TLS of a backend.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use crate::{Authority, Certificate};

/// How a backend speaks TLS.
#[derive(Clone)]
pub struct BackendTls {
    config: Arc<ServerConfig>,
}

impl BackendTls {
    /// TLS with this certificate, and these protocols to choose from.
    pub fn new(own: &Certificate, protocols: &[&str]) -> BackendTls {
        BackendTls::make(own, protocols, None)
    }

    /// The same for clients only that have a certificate of this authority.
    pub fn demanding(own: &Certificate, protocols: &[&str], of: &Authority) -> BackendTls {
        BackendTls::make(own, protocols, Some(of))
    }

    fn make(own: &Certificate, protocols: &[&str], of: Option<&Authority>) -> BackendTls {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .expect("the versions are known");
        let builder = match of {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                let root = CertificateDer::from_pem_slice(authority.pem().as_bytes()).expect("it is PEM");
                roots.add(root).expect("it is a certificate");
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
                builder.with_client_cert_verifier(verifier.expect("it has a root"))
            }
        };
        let chain = CertificateDer::pem_slice_iter(own.cert.as_bytes());
        let chain = chain.collect::<Result<_, _>>().expect("it is PEM");
        let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes()).expect("it is PEM");
        let mut config = builder.with_single_cert(chain, key).expect("they fit");
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        BackendTls {
            config: Arc::new(config),
        }
    }

    pub(crate) fn acceptor(&self) -> tokio_rustls::TlsAcceptor {
        Arc::clone(&self.config).into()
    }

    /// Carries out a handshake.
    pub(crate) fn accept(&self, stream: TcpStream) -> io::Result<BackendWire> {
        let connection = ServerConnection::new(Arc::clone(&self.config)).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(connection, stream);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(BackendWire::Tls(Box::new(stream)))
    }
}

/// A backend's connection, encrypted or not.
pub(crate) enum BackendWire {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ServerConnection, TcpStream>>),
}

impl BackendWire {
    /// Ends the connection.
    pub(crate) fn close(&mut self) -> io::Result<()> {
        match self {
            BackendWire::Plain(stream) => stream.shutdown(Shutdown::Both),
            BackendWire::Tls(stream) => {
                stream.conn.send_close_notify();
                stream.flush()?;
                stream.sock.shutdown(Shutdown::Both)
            }
        }
    }
}

impl Read for BackendWire {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            BackendWire::Plain(stream) => stream.read(bytes),
            BackendWire::Tls(stream) => stream.read(bytes),
        }
    }
}

impl Write for BackendWire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            BackendWire::Plain(stream) => stream.write(bytes),
            BackendWire::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            BackendWire::Plain(stream) => stream.flush(),
            BackendWire::Tls(stream) => stream.flush(),
        }
    }
}
