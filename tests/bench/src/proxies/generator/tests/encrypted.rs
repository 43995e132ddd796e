//! Loads with TLS, against a server of rustls and `h2`.

use super::super::*;
use crate::proxies::http::body;
use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::{Request, Response};
use pace_kit::{Authority, KeyKind};
use parking_lot::Mutex;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{HandshakeKind, ServerConfig};
use std::sync::Arc;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;

/// A server that answers each request of HTTP/2 with the number of bytes in its body, and reads connections of HTTP/1.1 to
/// their end.
struct Server {
    _runtime: Runtime,
    address: SocketAddr,
    certificate: CertificateDer<'static>,
    handshakes: Arc<Mutex<Vec<HandshakeKind>>>,
}

fn server(kind: KeyKind) -> Server {
    let issued = Authority::new("load").issue_with(kind, &[NAME]);
    let certificate = CertificateDer::from_pem_slice(issued.cert.as_bytes()).expect("it is PEM");
    let key = PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).expect("it is PEM");
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(rustls::ALL_VERSIONS)
        .expect("all versions are there")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .expect("they fit");
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a thread can be made");
    let listener = runtime
        .block_on(TcpListener::bind("127.0.0.1:0"))
        .expect("some port is free");
    let address = listener.local_addr().expect("it is bound");
    let handshakes = Arc::default();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let seen = Arc::clone(&handshakes);
    runtime.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(acceptor.clone(), stream, Arc::clone(&seen)));
        }
    });
    Server {
        _runtime: runtime,
        address,
        certificate,
        handshakes,
    }
}

async fn serve(acceptor: TlsAcceptor, stream: TcpStream, handshakes: Arc<Mutex<Vec<HandshakeKind>>>) {
    let Ok(mut stream) = acceptor.accept(stream).await else {
        return;
    };
    let tls = stream.get_ref().1;
    let kind = tls.handshake_kind().expect("the handshake is done");
    handshakes.lock().push(kind);
    if tls.alpn_protocol() != Some(b"h2") {
        let _ = stream.read_to_end(&mut Vec::new()).await;
        return;
    }
    let mut connection = h2::server::handshake(stream)
        .await
        .expect("the client speaks HTTP/2");
    while let Some(Ok((request, respond))) = connection.accept().await {
        tokio::spawn(answer(request, respond));
    }
}

async fn answer(request: Request<RecvStream>, mut respond: SendResponse<Bytes>) {
    let header = |name: &str| {
        request
            .headers()
            .get(name)
            .map(|value| value.to_str().unwrap_or("?").to_owned())
    };
    assert_eq!(request.uri(), "https://bench.example/benchmark?of=pace");
    assert_eq!(header("user-agent").as_deref(), Some("pace-bench"));
    assert_eq!(header("accept").as_deref(), Some("*/*"));
    let (method, length) = (request.method().clone(), header("content-length"));
    let mut upload = request.into_body();
    let mut received = Vec::new();
    while let Some(Ok(data)) = upload.data().await {
        upload
            .flow_control()
            .release_capacity(data.len())
            .expect("it came");
        received.extend_from_slice(&data);
    }
    assert_eq!(received, body(received.len()), "the body is whole and in order");
    assert_eq!(method == "POST", !received.is_empty());
    assert_eq!(length, (!received.is_empty()).then(|| received.len().to_string()));
    let text = received.len().to_string();
    let head = Response::builder().header("content-length", text.len());
    let head = head.body(()).expect("it is a response");
    let mut answer = respond.send_response(head, false).expect("the client is there");
    answer.send_data(text.into(), true).expect("the client is there");
}

impl Server {
    fn drive(&self, shape: Shape, resumes: bool, until: Until) -> Result<Load> {
        let shape = Shape {
            tls: Some(Tls {
                certificate: self.certificate.clone(),
                resumes,
            }),
            ..shape
        };
        let mut driver = Driver::connect(self.address, 3, &shape, None)?;
        driver.drive(Until::Sent(1))?;
        driver.drive(until).and_then(Load::succeeded)
    }

    /// The numbers of full and of resumed handshakes so far.
    fn handshakes(&self) -> (usize, usize) {
        let handshakes = self.handshakes.lock();
        let full = handshakes
            .iter()
            .filter(|kind| **kind == HandshakeKind::Full)
            .count();
        (full, handshakes.len() - full)
    }
}

fn shape(traffic: Traffic, body: usize) -> Shape {
    Shape {
        traffic,
        body,
        ..Shape::SMALL
    }
}

#[test]
fn handshakes_are_full_with_either_key() {
    for kind in [KeyKind::Ecdsa, KeyKind::Rsa] {
        let server = server(kind);
        let load = server.drive(shape(Traffic::Handshakes, 0), false, Until::Sent(20));
        assert_eq!(load.expect("the server is there").latencies.len(), 20);
        assert_eq!(server.handshakes(), (23, 0));
    }
}

#[test]
fn handshakes_behind_the_first_are_resumed() {
    let server = server(KeyKind::Ecdsa);
    let load = server.drive(shape(Traffic::Handshakes, 0), true, Until::Sent(20));
    assert_eq!(load.expect("the server is there").latencies.len(), 20);
    assert_eq!(server.handshakes(), (3, 20));
}

#[test]
fn other_certificate_is_an_error() {
    let mut server = server(KeyKind::Ecdsa);
    let other = Authority::new("other").issue(&[NAME]);
    server.certificate = CertificateDer::from_pem_slice(other.cert.as_bytes()).expect("it is PEM");
    let error = server.drive(shape(Traffic::Handshakes, 0), false, Until::Sent(1));
    let error = format!("{:#}", error.map(drop).unwrap_err());
    assert!(error.contains("another certificate"), "{error}");
}

#[test]
fn every_stream_is_answered() {
    let server = server(KeyKind::Ecdsa);
    let streams = Traffic::Streams {
        connections: 2,
        streams: 10,
    };
    let load = server.drive(shape(streams, 0), false, Until::Sent(500));
    let load = load.expect("the server answers");
    assert_eq!(load.statuses, BTreeMap::from([(200, 500)]));
    assert_eq!(server.handshakes(), (2, 0));
}

/// The bodies are larger than the windows of streams and connections.
#[test]
fn uploads_are_sent_whole() {
    let server = server(KeyKind::Ecdsa);
    let streams = Traffic::Streams {
        connections: 1,
        streams: 4,
    };
    for length in [1, 64 << 10, 1 << 20] {
        let load = server.drive(shape(streams, length), false, Until::Sent(12));
        let load = load.expect("the server answers");
        assert_eq!(load.statuses, BTreeMap::from([(200, 12)]), "{length}");
    }
}
