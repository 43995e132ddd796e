//! Failed handshakes, each with its reason.

use std::time::Duration;

use pace_tls::Version;
use pace_tls::server::{Frontend, Handshake, HandshakeError, Reason, accept};
use rustls::crypto::aws_lc_rs::cipher_suite;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::Instant;

use crate::kit::{Client, deadline, frontend, settings, shake, site};
use crate::testing::{Authority, authority};

fn serving(ca: &Authority) -> Frontend {
    frontend(settings(vec![site(&ca.issue_to(&["a.test"]))]))
}

/// Sends `bytes`, ends that side, and returns the error and the answer.
async fn send(frontend: &Frontend, bytes: &[u8]) -> (HandshakeError<DuplexStream>, Vec<u8>) {
    let (server_io, mut io) = duplex(64 * 1024);
    let client = async move {
        io.write_all(bytes).await.unwrap();
        io.shutdown().await.unwrap();
        let mut answer = Vec::new();
        io.read_to_end(&mut answer).await.unwrap();
        answer
    };
    let server = async {
        match accept(server_io, frontend, deadline()).await {
            Err(mut failed) => {
                if let Some(io) = &mut failed.plaintext {
                    io.write_all(b"this port speaks TLS").await.unwrap();
                    io.shutdown().await.unwrap();
                }
                failed
            }
            Ok(_) => panic!("that was no handshake"),
        }
    };
    tokio::join!(server, client)
}

#[tokio::test]
async fn client_without_a_common_version_is_refused() {
    let ca = authority("ca");
    let mut newest = settings(vec![site(&ca.issue_to(&["a.test"]))]);
    newest.min_version = Version::Tls13;
    let client = Client::new(&ca).only(Version::Tls12).config();
    let (server, stream) = shake(&frontend(newest), &client, "a.test").await;
    assert_eq!(server.unwrap_err(), Reason::NoSharedVersion);
    let told = stream.unwrap_err().to_string();
    assert!(told.contains("ProtocolVersion"), "{told}");
}

#[tokio::test]
async fn client_of_tls_1_1_is_refused_for_its_version() {
    // TLS_RSA_WITH_AES_128_CBC_SHA, no compression, no extensions.
    let mut hello = vec![22, 3, 1, 0, 45, 1, 0, 0, 41, 3, 2];
    hello.extend([7; 32]);
    hello.extend([0, 0, 2, 0, 0x2f, 1, 0]);
    let (failed, answer) = send(&serving(&authority("ca")), &hello).await;
    assert_eq!(failed.reason, Reason::NoSharedVersion, "{}", failed.error);
    assert_eq!(answer[..3], [21, 3, 3], "an alert: {answer:?}");
}

#[tokio::test]
async fn client_without_a_common_cipher_is_refused() {
    let ca = authority("ca");
    // The certificate's key is ECDSA.
    let client = Client::new(&ca)
        .suites(&[cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256])
        .only(Version::Tls12)
        .config();
    let (server, stream) = shake(&serving(&ca), &client, "a.test").await;
    assert_eq!(server.unwrap_err(), Reason::NoSharedCipher);
    let told = stream.unwrap_err().to_string();
    assert!(told.contains("HandshakeFailure"), "{told}");
}

#[tokio::test]
async fn client_without_a_common_protocol_is_refused() {
    let ca = authority("ca");
    let client = Client::new(&ca).alpn(&["spdy/3"]).config();
    let (server, stream) = shake(&serving(&ca), &client, "a.test").await;
    assert_eq!(server.unwrap_err(), Reason::NoSharedAlpn);
    let told = stream.unwrap_err().to_string();
    assert!(told.contains("NoApplicationProtocol"), "{told}");
    // An authority gets nothing either while there is no challenge.
    let client = Client::new(&ca).alpn(&["acme-tls/1"]).config();
    let (server, _) = shake(&serving(&ca), &client, "a.test").await;
    assert_eq!(server.unwrap_err(), Reason::NoSharedAlpn);
}

#[tokio::test]
async fn client_that_does_not_trust_the_certificate_says_so() {
    let client = Client::new(&authority("another")).config();
    let (server, stream) = shake(&serving(&authority("ca")), &client, "a.test").await;
    assert_eq!(server.unwrap_err(), Reason::Alert);
    stream.unwrap_err();
}

#[tokio::test]
async fn listener_without_certificate_refuses_every_client() {
    let ca = authority("ca");
    let (server, stream) = shake(
        &frontend(settings(Vec::new())),
        &Client::new(&ca).config(),
        "a.test",
    )
    .await;
    assert_eq!(server.unwrap_err(), Reason::NoCertificate);
    let told = stream.unwrap_err().to_string();
    assert!(told.contains("received fatal alert"), "{told}");
}

#[tokio::test]
async fn client_that_speaks_http_can_be_told() {
    let frontend = serving(&authority("ca"));
    for request in [
        "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "G",
    ] {
        let (failed, answer) = send(&frontend, request.as_bytes()).await;
        assert_eq!(failed.reason, Reason::NotTls);
        assert_eq!(answer, b"this port speaks TLS", "and no alert before");
    }
}

#[tokio::test]
async fn bytes_that_are_no_record_are_not_tls() {
    let frontend = serving(&authority("ca"));
    for bytes in [
        &b"\x00\x00\x00\x00\x00\x00\x00\x00"[..],
        b"\x80\x2e\x01\x00\x02\x00\x15",
        b"\x16\x09\x09\x00\x01\x00",
    ] {
        let (failed, _) = send(&frontend, bytes).await;
        assert_eq!(failed.reason, Reason::NotTls, "{bytes:?}: {}", failed.error);
        assert!(failed.plaintext.is_none());
    }
}

#[tokio::test]
async fn broken_handshake_message_is_a_bad_record_and_answered_by_an_alert() {
    let frontend = serving(&authority("ca"));
    // A record with a ClientHello of four bytes.
    let (failed, answer) = send(&frontend, b"\x16\x03\x01\x00\x08\x01\x00\x00\x04\x03\x03\x00\x00").await;
    assert_eq!(failed.reason, Reason::BadRecord, "{}", failed.error);
    assert_eq!(answer[..3], [21, 3, 3], "an alert: {answer:?}");
}

#[tokio::test]
async fn client_that_leaves_has_closed() {
    let frontend = serving(&authority("ca"));
    for bytes in [&b""[..], b"\x16\x03\x01\x02\x00\x01\x00"] {
        let (failed, answer) = send(&frontend, bytes).await;
        assert_eq!(failed.reason, Reason::Closed, "{bytes:?}");
        assert_eq!(answer, b"");
    }
}

#[tokio::test(start_paused = true)]
async fn client_that_is_slow_runs_into_the_deadline() {
    let frontend = serving(&authority("ca"));
    // The client stalls before the ClientHello, and after it: with time paused, only the deadline ever passes.
    let hello = hello();
    for bytes in [&b""[..], b"\x16\x03\x01", &hello] {
        let (server_io, mut io) = duplex(64 * 1024);
        io.write_all(bytes).await.unwrap();
        let failed = accept(server_io, &frontend, Instant::now() + Duration::from_secs(10)).await;
        assert_eq!(failed.unwrap_err().reason, Reason::Timeout);
        // The connection is closed: the sent bytes can be read to their end.
        io.read_to_end(&mut Vec::new()).await.unwrap();
    }
}

/// The first flight of a client.
fn hello() -> Vec<u8> {
    let config = Client::new(&authority("ca")).config();
    let mut connection = rustls::ClientConnection::new(config, "a.test".try_into().unwrap()).unwrap();
    let mut bytes = Vec::new();
    connection.write_tls(&mut bytes).unwrap();
    bytes
}

#[tokio::test]
async fn end_without_notice_is_distinguished_from_an_end_with_notice() {
    let ca = authority("ca");
    let frontend = serving(&ca);
    for notice in [true, false] {
        let (server_io, io) = duplex(64 * 1024);
        let client = tokio_rustls::TlsConnector::from(Client::new(&ca).config());
        let (server, client) = tokio::join!(
            accept(server_io, &frontend, deadline()),
            client.connect("a.test".try_into().unwrap(), io)
        );
        let Ok(Handshake::Client { mut stream, .. }) = server else {
            panic!("no handshake")
        };
        let mut client = client.unwrap();
        client.write_all(b"hello").await.unwrap();
        client.flush().await.unwrap();
        if notice {
            client.shutdown().await.unwrap();
        }
        drop(client);
        let mut said = Vec::new();
        let end = stream.read_to_end(&mut said).await;
        assert_eq!(said, b"hello");
        match end {
            Ok(_) => assert!(notice),
            Err(error) => assert!(!notice && pace_tls::ended_without_notice(&error)),
        }
    }
}
