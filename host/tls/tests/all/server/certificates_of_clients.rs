//! Certificates of clients: demanded, optional, wrong.

use std::time::{Duration, SystemTime};

use pace_tls::Version;
use pace_tls::server::{ClientCertificates, Frontend, Reason, Settings, Site};

use crate::kit::{Client, frontend, pem, settings, shake, site};
use crate::testing::{Authority, Made, authority};

fn asking(made: &Made, case: ClientCertificates, client_ca: &Authority) -> Frontend {
    frontend(Settings {
        client_certificates: case,
        client_ca: Some(pem("clients.pem", &client_ca.pem)),
        ..settings(vec![site(made)])
    })
}

#[tokio::test]
async fn verified_certificate_is_among_the_facts() {
    let (ca, clients) = (authority("ca"), authority("clients"));
    let made = ca.issue_to(&["a.test"]);
    for case in [ClientCertificates::Optional, ClientCertificates::Required] {
        for version in Version::ALL {
            let identity = clients.issue(|params| {
                params.subject_alt_names = vec![rcgen::SanType::URI("spiffe://test/me".try_into().unwrap())];
                params.distinguished_name = rcgen::DistinguishedName::new();
                params.distinguished_name.push(rcgen::DnType::CommonName, "me");
            });
            let der = identity.chain[0].clone();
            let client = Client::new(&ca).only(version).identity(identity).config();
            let (server, stream) = shake(&asking(&made, case, &clients), &client, "a.test").await;
            stream.unwrap();
            let certificate = server.unwrap().client_certificate.unwrap();
            assert_eq!(certificate.subject(), "CN=me");
            assert_eq!(certificate.names()[0].to_string(), "URI:spiffe://test/me");
            assert_eq!(certificate.der(), &der);
        }
    }
}

#[tokio::test]
async fn client_without_certificate_is_let_in_only_if_it_is_optional() {
    let (ca, clients) = (authority("ca"), authority("clients"));
    let made = ca.issue_to(&["a.test"]);
    for version in Version::ALL {
        let client = Client::new(&ca).only(version).config();
        let (server, stream) = shake(
            &asking(&made, ClientCertificates::Optional, &clients),
            &client,
            "a.test",
        )
        .await;
        assert!(server.unwrap().client_certificate.is_none());
        stream.unwrap();
        let (server, stream) = shake(
            &asking(&made, ClientCertificates::Required, &clients),
            &client,
            "a.test",
        )
        .await;
        assert_eq!(server.unwrap_err(), Reason::ClientCertificateMissing);
        let told = stream.unwrap_err().to_string();
        assert!(told.contains("CertificateRequired"), "the alert arrives: {told}");
    }
}

#[tokio::test]
async fn wrong_certificate_is_refused_with_its_reason_even_if_optional() {
    let (ca, clients) = (authority("ca"), authority("clients"));
    let made = ca.issue_to(&["a.test"]);
    let now = SystemTime::now();
    let day = Duration::from_secs(86_400);
    let wrong = || {
        [
            (
                authority("strangers").issue(|_| ()),
                Reason::ClientCertificateUnknownCa,
            ),
            (
                clients.issue(|params| params.not_after = (now - day).into()),
                Reason::ClientCertificateExpired,
            ),
            (
                clients.issue(|params| params.not_before = (now + day).into()),
                Reason::ClientCertificateExpired,
            ),
            (
                clients.issue(|params| {
                    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth]
                }),
                Reason::ClientCertificateInvalid,
            ),
        ]
    };
    for case in [ClientCertificates::Optional, ClientCertificates::Required] {
        for version in Version::ALL {
            for (identity, reason) in wrong() {
                let client = Client::new(&ca).only(version).identity(identity).config();
                let (server, stream) = shake(&asking(&made, case, &clients), &client, "a.test").await;
                assert_eq!(server.unwrap_err(), reason);
                let told = stream.unwrap_err().to_string();
                assert!(told.contains("received fatal alert"), "{told}");
            }
        }
    }
}

#[tokio::test]
async fn site_can_ask_otherwise_than_its_listener() {
    let (ca, clients) = (authority("ca"), authority("clients"));
    let (open, closed) = (ca.issue_to(&["open.test"]), ca.issue_to(&["closed.test"]));
    let frontend = frontend(Settings {
        client_ca: Some(pem("clients.pem", &clients.pem)),
        ..settings(vec![
            site(&open),
            Site {
                client_certificates: Some(ClientCertificates::Required),
                ..site(&closed)
            },
        ])
    });
    let client = Client::new(&ca).config();
    let (server, _) = shake(&frontend, &client, "open.test").await;
    server.unwrap();
    let (server, _) = shake(&frontend, &client, "closed.test").await;
    assert_eq!(server.unwrap_err(), Reason::ClientCertificateMissing);

    assert!(frontend.serves_together(Some("open.test"), "open.test"));
    assert!(frontend.serves_together(Some("closed.test"), "CLOSED.test"));
    assert!(
        frontend.serves_together(None, "other.test"),
        "both are the default"
    );
    assert!(!frontend.serves_together(Some("open.test"), "closed.test"));
    assert!(!frontend.serves_together(None, "closed.test"));
    assert!(!frontend.serves_together(Some("closed.test"), "open.test"));
}
