//! The certificate, version and protocol that a client gets.

use pace_tls::Version;
use pace_tls::alpn::Alpn;
use pace_tls::server::Site;

use crate::kit::{ByteByByte, Client, frontend, settings, shake, shake_by, site};
use crate::testing::authority;

#[tokio::test]
async fn certificate_is_chosen_by_the_name_asked_for() {
    let ca = authority("ca");
    let (first, second, wild) = (
        ca.issue_to(&["one.test", "127.0.0.1"]),
        ca.issue_to(&["two.test"]),
        ca.issue_to(&["*.wild.test"]),
    );
    let frontend = frontend(settings(vec![site(&first), site(&second), site(&wild)]));
    let client = Client::new(&ca).config();
    // A client that verifies a name accepts only the certificate that has it.
    for (asked, served) in [
        ("one.test", &first),
        ("TWO.test", &second),
        ("a.wild.test", &wild),
        ("127.0.0.1", &first),
    ] {
        let (server, stream) = shake(&frontend, &client, asked).await;
        let facts = server.unwrap();
        let stream = stream.unwrap();
        assert_eq!(
            stream.get_ref().1.peer_certificates().unwrap(),
            served.chain,
            "{asked}"
        );
        let named = (asked != "127.0.0.1").then(|| asked.to_lowercase());
        assert_eq!(facts.server_name.as_deref(), named.as_deref());
    }
    let (server, client) = shake(&frontend, &client, "other.test").await;
    assert!(
        server.is_err() && client.is_err(),
        "the first certificate is not for this name"
    );
}

#[tokio::test]
async fn default_certificate_serves_a_name_that_none_has() {
    let ca = authority("ca");
    let (first, second) = (
        ca.issue_to(&["one.test"]),
        ca.issue_to(&["two.test", "127.0.0.1"]),
    );
    let default = Site {
        default: true,
        ..site(&second)
    };
    let frontend = frontend(settings(vec![site(&first), default]));
    let (server, client) = shake(&frontend, &Client::new(&ca).config(), "127.0.0.1").await;
    assert_eq!(server.unwrap().server_name, None);
    assert_eq!(
        client.unwrap().get_ref().1.peer_certificates().unwrap(),
        second.chain
    );
}

#[tokio::test]
async fn newest_common_version_and_its_cipher_are_among_the_facts() {
    let ca = authority("ca");
    let made = ca.issue_to(&["a.test"]);
    let both = frontend(settings(vec![site(&made)]));
    let mut newest = settings(vec![site(&made)]);
    newest.min_version = Version::Tls13;
    let newest = frontend(newest);
    for (frontend, client, expected, cipher) in [
        (&both, Client::new(&ca), Version::Tls13, "TLS_"),
        (
            &both,
            Client::new(&ca).only(Version::Tls12),
            Version::Tls12,
            "TLS_ECDHE_ECDSA_",
        ),
        (&newest, Client::new(&ca), Version::Tls13, "TLS_"),
        (
            &newest,
            Client::new(&ca).only(Version::Tls13),
            Version::Tls13,
            "TLS_",
        ),
    ] {
        let (server, _) = shake(frontend, &client.config(), "a.test").await;
        let facts = server.unwrap();
        assert_eq!(facts.version, expected);
        assert!(
            facts.cipher.starts_with(cipher) && !facts.cipher.contains("TLS13"),
            "{}",
            facts.cipher
        );
    }
}

#[tokio::test]
async fn protocol_is_the_listeners_first_that_the_client_knows() {
    let ca = authority("ca");
    let frontend = frontend(settings(vec![site(&ca.issue_to(&["a.test"]))]));
    for (offered, expected) in [
        (&["http/1.1", "h2"][..], Some(Alpn::Http2)),
        (&["http/1.1"], Some(Alpn::Http11)),
        (&["spdy/3", "http/1.1"], Some(Alpn::Http11)),
        (&[], None),
    ] {
        let (server, client) = shake(&frontend, &Client::new(&ca).alpn(offered).config(), "a.test").await;
        assert_eq!(server.unwrap().alpn, expected);
        let agreed = client.unwrap().get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
        assert_eq!(agreed.as_deref(), expected.map(|alpn| alpn.name().as_bytes()));
    }
}

#[tokio::test]
async fn handshake_that_arrives_byte_by_byte_is_carried_out() {
    let ca = authority("ca");
    let frontend = frontend(settings(vec![site(&ca.issue_to(&["a.test"]))]));
    for version in Version::ALL {
        let client = Client::new(&ca).only(version).config();
        let (server, client) = shake_by(ByteByByte, &frontend, &client, "a.test").await;
        server.unwrap();
        client.unwrap();
    }
}
