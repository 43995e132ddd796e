//! TLS towards backends: verification, and the messages when it fails.

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use pace_tls::alpn::Alpn;
use pace_tls::client::{ConnectError, Connected, Connector, ConnectorError, Reason, Roots, Settings};
use pace_tls::{ServerName, Version};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

use crate::kit::{deadline, pem};
use crate::testing::{Authority, Made, authority};

const DAY: Duration = Duration::from_secs(86_400);

fn trusting(authority: &Authority) -> Settings<'_> {
    Settings {
        roots: Some(Roots::File(pem("ca.pem", &authority.pem))),
        identity: None,
        alpn: &[],
    }
}

/// The TLS of a backend that presents `made`.
fn backend(made: &Made) -> ServerConfig {
    let builder = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let key = PemObject::from_pem_slice(made.key_pem.as_bytes()).unwrap();
    builder
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(made.chain.clone(), key)
        .unwrap()
}

/// Connects to a backend that sends a greeting, and reads it.
async fn connect(
    connector: &Connector,
    backend: &Arc<ServerConfig>,
    name: &str,
) -> Result<(Connected<DuplexStream>, io::Result<usize>), ConnectError> {
    let (backend_io, io) = duplex(64 * 1024);
    let backend = async {
        // The client's result says whether the handshake failed.
        if let Ok(mut stream) = TlsAcceptor::from(backend.clone()).accept(backend_io).await {
            let _ = stream.write_all(b"hello").await;
            let _ = stream.shutdown().await;
        }
    };
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let client = async {
        let mut connected = connector.connect(io, name, deadline()).await?;
        let read = connected.stream.read_to_end(&mut Vec::new()).await;
        Ok((connected, read))
    };
    tokio::join!(backend, client).1
}

async fn failure(settings: Settings<'_>, backend: ServerConfig, name: &str) -> (Reason, String) {
    let connector = Connector::new(settings).unwrap();
    let failed = connect(&connector, &Arc::new(backend), name).await.unwrap_err();
    (failed.reason, failed.to_string())
}

#[tokio::test]
async fn backend_is_verified_by_name_or_address() {
    let ca = authority("ca");
    let backend = Arc::new(backend(&ca.issue_to(&["api.test", "*.pool.test", "192.0.2.7"])));
    let connector = Connector::new(trusting(&ca)).unwrap();
    for name in ["api.test", "a.pool.test", "192.0.2.7"] {
        let (connected, read) = connect(&connector, &backend, name).await.unwrap();
        assert_eq!(read.unwrap(), 5);
        assert_eq!((connected.alpn, connected.version), (None, Version::Tls13));
    }
}

#[tokio::test]
async fn sessions_are_resumed_by_all_clones() {
    let ca = authority("ca");
    let backend = Arc::new(backend(&ca.issue_to(&["api.test"])));
    let connector = Connector::new(trusting(&ca)).unwrap();
    assert!(!connect(&connector, &backend, "api.test").await.unwrap().0.resumed);
    assert!(
        connect(&connector.clone(), &backend, "api.test")
            .await
            .unwrap()
            .0
            .resumed
    );
    let another = Connector::new(trusting(&ca)).unwrap();
    assert!(!connect(&another, &backend, "api.test").await.unwrap().0.resumed);
}

#[tokio::test]
async fn certificate_outside_of_its_time_is_refused_with_the_date() {
    let ca = authority("ca");
    let issue = |days: std::ops::Range<i32>| {
        ca.issue(|params| {
            let now = SystemTime::now();
            let day = |nth: i32| {
                if nth < 0 {
                    now - DAY * nth.unsigned_abs()
                } else {
                    now + DAY * nth.unsigned_abs()
                }
            };
            params.subject_alt_names = crate::testing::names(&["api.test"]);
            params.not_before = day(days.start).into();
            params.not_after = day(days.end).into();
        })
    };
    let (reason, told) = failure(trusting(&ca), backend(&issue(-2..-1)), "api.test").await;
    assert_eq!(reason, Reason::Expired);
    assert!(
        told.starts_with("the server's certificate expired on ") && told.ends_with(" GMT"),
        "{told}"
    );
    let (reason, told) = failure(trusting(&ca), backend(&issue(1..2)), "api.test").await;
    assert_eq!(reason, Reason::NotYetValid);
    assert!(
        told.starts_with("the server's certificate is not valid before "),
        "{told}"
    );
}

#[tokio::test]
async fn certificate_of_a_strange_authority_is_refused() {
    let made = authority("strangers").issue_to(&["api.test"]);
    let (reason, told) = failure(trusting(&authority("ca")), backend(&made), "api.test").await;
    assert_eq!(reason, Reason::UnknownIssuer);
    assert!(
        told.contains("an authority that is not trusted: see `ca`"),
        "{told}"
    );
}

#[tokio::test]
async fn certificate_for_other_names_is_refused_with_them() {
    let ca = authority("ca");
    let (reason, told) = failure(
        trusting(&ca),
        backend(&ca.issue_to(&["one.test", "192.0.2.7"])),
        "api.test",
    )
    .await;
    assert_eq!(reason, Reason::NameMismatch);
    assert!(
        told.starts_with("the server's certificate is not for api.test but for "),
        "{told}"
    );
    assert!(
        told.contains("one.test") && told.contains("192.0.2.7") && told.ends_with("see `server_name`"),
        "{told}"
    );
    let (reason, told) = failure(trusting(&ca), backend(&ca.issue(|_| ())), "api.test").await;
    assert_eq!(reason, Reason::NameMismatch);
    assert_eq!(
        told,
        "the server's certificate has no names, so not api.test either"
    );
}

#[tokio::test]
async fn authority_that_serves_its_own_certificate_is_refused_with_the_reason() {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(["api.test".to_owned()]).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let own = params.self_signed(&key).unwrap();
    let made = Made {
        chain: vec![own.der().clone()],
        chain_pem: own.pem(),
        leaf_pem: own.pem(),
        key_pem: key.serialize_pem(),
    };
    let pem_of = own.pem();
    let settings = Settings {
        roots: Some(Roots::File(pem("ca.pem", &pem_of))),
        identity: None,
        alpn: &[],
    };
    let (reason, told) = failure(settings, backend(&made), "api.test").await;
    assert_eq!(reason, Reason::InvalidCertificate);
    assert!(told.contains("one of an authority (CA:TRUE)"), "{told}");
}

#[tokio::test]
async fn certificate_for_another_purpose_is_refused() {
    let ca = authority("ca");
    let made = ca.issue(|params| {
        params.subject_alt_names = crate::testing::names(&["api.test"]);
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    });
    let (reason, told) = failure(trusting(&ca), backend(&made), "api.test").await;
    assert_eq!(reason, Reason::InvalidCertificate);
    assert!(
        told.starts_with("the server's certificate is not valid: "),
        "{told}"
    );
}

#[tokio::test]
async fn unverified_backend_may_be_anybody_with_the_key() {
    let made = authority("strangers").issue(|params| params.not_after = (SystemTime::now() - DAY).into());
    let unverified = || Settings {
        roots: None,
        identity: None,
        alpn: &[],
    };
    for versions in [&[&rustls::version::TLS12][..], &[&rustls::version::TLS13]] {
        let serving = |key: &str| {
            let key = PemObject::from_pem_slice(key.as_bytes()).unwrap();
            let key = aws_lc_rs::default_provider()
                .key_provider
                .load_private_key(key)
                .unwrap();
            // The library's check of the key is left out: a backend without the right key tries with its own.
            let certified = rustls::sign::CertifiedKey::new(made.chain.clone(), key);
            ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
                .with_protocol_versions(versions)
                .unwrap()
                .with_no_client_auth()
                .with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(certified)))
        };
        let connector = Connector::new(unverified()).unwrap();
        let (_, read) = connect(&connector, &Arc::new(serving(&made.key_pem)), "api.test")
            .await
            .unwrap();
        assert_eq!(read.unwrap(), 5);
        let stolen = serving(&rcgen::KeyPair::generate().unwrap().serialize_pem());
        let (reason, _) = failure(unverified(), stolen, "api.test").await;
        assert_eq!(reason, Reason::InvalidCertificate);
    }
}

#[tokio::test]
async fn backend_that_demands_a_certificate_gets_it_or_says_so() {
    let (ca, clients) = (authority("ca"), authority("clients"));
    let made = ca.issue_to(&["api.test"]);
    let demanding = |versions: &[&'static rustls::SupportedProtocolVersion]| {
        let mut roots = RootCertStore::empty();
        roots
            .add(PemObject::from_pem_slice(clients.pem.as_bytes()).unwrap())
            .unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
            .build()
            .unwrap();
        let key = PemObject::from_pem_slice(made.key_pem.as_bytes()).unwrap();
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(made.chain.clone(), key);
        Arc::new(config.unwrap())
    };
    let identity = clients.issue_to(&["pace.test"]).pair();
    let stranger = authority("strangers").issue_to(&["pace.test"]).pair();
    let with = |identity| {
        Connector::new(Settings {
            identity,
            ..trusting(&ca)
        })
        .unwrap()
    };
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let backend = demanding(&[version]);
        let (_, read) = connect(&with(Some(&identity)), &backend, "api.test")
            .await
            .unwrap();
        assert_eq!(read.unwrap(), 5);
        for connector in [with(None), with(Some(&stranger))] {
            // In TLS 1.3 the refusal comes after the handshake, in the first read.
            let reason = match connect(&connector, &backend, "api.test").await {
                Ok((_, read)) => Reason::of(&read.unwrap_err()),
                Err(failed) => {
                    assert!(failed.to_string().contains("see `cert` and `key`"), "{failed}");
                    failed.reason
                }
            };
            assert_eq!(reason, Reason::CertificateDemanded);
        }
    }
}

#[tokio::test]
async fn protocol_is_agreed_on_or_refused() {
    let ca = authority("ca");
    let made = ca.issue_to(&["api.test"]);
    let offering = |alpn: &'static [Alpn]| Settings {
        alpn,
        ..trusting(&ca)
    };
    let speaking = |names: &[&str]| {
        let mut config = backend(&made);
        config.alpn_protocols = names.iter().map(|name| name.as_bytes().to_vec()).collect();
        config
    };
    for (spoken, expected) in [
        (&["h2", "http/1.1"][..], Some(Alpn::Http2)),
        (&["http/1.1"], Some(Alpn::Http11)),
        (&[], None),
    ] {
        let connector = Connector::new(offering(&[Alpn::Http2, Alpn::Http11])).unwrap();
        let (connected, _) = connect(&connector, &Arc::new(speaking(spoken)), "api.test")
            .await
            .unwrap();
        assert_eq!(connected.alpn, expected);
    }
    // A backend that knows nothing of ALPN chooses none, and would speak HTTP/1.1.
    for spoken in [&["http/1.1"][..], &[]] {
        let (reason, words) = failure(offering(&[Alpn::Http2]), speaking(spoken), "api.test").await;
        assert_eq!(reason, Reason::NoSharedAlpn);
        assert!(
            words.contains("none of the protocols that it was offered (ALPN)"),
            "{words}"
        );
    }
}

#[tokio::test]
async fn connection_that_is_for_http_1_1_offers_nothing_else() {
    let ca = authority("ca");
    let mut config = backend(&ca.issue_to(&["api.test"]));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let settings = Settings {
        alpn: &[Alpn::Http2, Alpn::Http11],
        ..trusting(&ca)
    };
    let connector = Connector::new(settings).unwrap();
    let (ours, theirs) = duplex(64 * 1024);
    let accepting = TlsAcceptor::from(Arc::new(config)).accept(theirs);
    let name = ServerName::try_from("api.test").unwrap();
    let (connected, accepted) = tokio::join!(connector.connect_http1(ours, name, deadline()), accepting);
    assert_eq!(connected.unwrap().alpn, Some(Alpn::Http11));
    accepted.unwrap();
}

#[tokio::test]
async fn backend_that_does_not_speak_tls_is_named_so() {
    let connector = Connector::new(trusting(&authority("ca"))).unwrap();
    for (says, reason, words) in [
        (
            &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
            Reason::NotTls,
            "does not speak TLS on this port",
        ),
        (
            b"",
            Reason::Closed,
            "the server closed the connection during the handshake",
        ),
        (
            b"\x15\x03\x03\x00\x02\x02\x28",
            Reason::Refused,
            "refused the handshake (alert HandshakeFailure)",
        ),
        (
            b"\x15\x03\x03\x00\x02\x02\x46",
            Reason::NoSharedVersion,
            "refused the handshake (alert ProtocolVersion)",
        ),
        (
            b"\x16\x03\x03\x00\x05\x02\x00\x00\x01\x00",
            Reason::BadRecord,
            "TLS: ",
        ),
    ] {
        let (mut backend, io) = duplex(64 * 1024);
        backend.write_all(says).await.unwrap();
        backend.shutdown().await.unwrap();
        let failed = connector
            .connect(io, "api.test".try_into().unwrap(), deadline())
            .await
            .unwrap_err();
        assert_eq!(failed.reason, reason, "{failed}");
        assert!(failed.to_string().contains(words), "{failed}");
    }
}

#[tokio::test(start_paused = true)]
async fn backend_that_says_nothing_runs_into_the_deadline() {
    let connector = Connector::new(trusting(&authority("ca"))).unwrap();
    let (_backend, io) = duplex(64 * 1024);
    let soon = Instant::now() + Duration::from_secs(5);
    let failed = connector
        .connect(io, "api.test".try_into().unwrap(), soon)
        .await
        .unwrap_err();
    assert_eq!(
        (failed.reason, failed.to_string().as_str()),
        (Reason::Timeout, "the handshake took too long")
    );
}

#[tokio::test]
async fn body_cut_short_is_distinguished_from_a_complete_one() {
    let ca = authority("ca");
    let config = Arc::new(backend(&ca.issue_to(&["api.test"])));
    let connector = Connector::new(trusting(&ca)).unwrap();
    let (backend_io, io) = duplex(64 * 1024);
    let cut_short = async {
        let mut stream = TlsAcceptor::from(config.clone())
            .accept(backend_io)
            .await
            .unwrap();
        stream.write_all(b"hello").await.unwrap();
        stream.flush().await.unwrap();
    };
    let client = async {
        let mut connected = connector
            .connect(io, "api.test".try_into().unwrap(), deadline())
            .await
            .unwrap();
        connected.stream.read_to_end(&mut Vec::new()).await
    };
    let (_, read) = tokio::join!(cut_short, client);
    assert!(pace_tls::ended_without_notice(&read.unwrap_err()));
    let (_, read) = connect(&connector, &config, "api.test").await.unwrap();
    assert_eq!(read.unwrap(), 5);
}

#[test]
fn file_without_authorities_is_refused_by_its_name() {
    let refused = Connector::new(Settings {
        roots: Some(Roots::File(pem("ca.pem", "nothing"))),
        identity: None,
        alpn: &[],
    });
    let Err(error @ ConnectorError::Pem(_)) = refused else {
        panic!("{refused:?}")
    };
    assert!(
        error.to_string().starts_with("ca.pem: has no certificate"),
        "{error}"
    );
}
