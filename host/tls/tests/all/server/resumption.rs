//! Resumption of sessions, and its refusal.

use std::sync::Arc;

use pace_tls::Version;
use pace_tls::server::{ClientCertificates, Frontend, Settings, Site, Tickets};
use rustls::ClientConfig;

use crate::kit::{Client, pem, settings, shake, site};
use crate::testing::{Authority, Made, authority};

fn asking<'a>(made: &Made, case: ClientCertificates, client_ca: &'a Authority) -> Settings<'a> {
    Settings {
        client_certificates: case,
        client_ca: Some(pem("clients.pem", &client_ca.pem)),
        ..settings(vec![site(made)])
    }
}

async fn resumed(frontend: &Frontend, client: &Arc<ClientConfig>) -> bool {
    let (server, stream) = shake(frontend, client, "a.test").await;
    let facts = server.unwrap();
    let seen = stream.unwrap().get_ref().1.handshake_kind() == Some(rustls::HandshakeKind::Resumed);
    assert_eq!(facts.resumed, seen);
    seen
}

#[tokio::test]
async fn session_resumes_across_a_frontend_made_anew() {
    let ca = authority("ca");
    let tickets = Tickets::new();
    for version in Version::ALL {
        let client = Client::new(&ca).only(version).config();
        let of = |made: &Made| Frontend::new(settings(vec![site(made)]), &tickets, None).unwrap();
        let made = ca.issue_to(&["a.test"]);
        assert!(!resumed(&of(&made), &client).await);
        assert!(resumed(&of(&made), &client).await);
        // The name may even have another certificate: the one that the session began with counts.
        assert!(resumed(&of(&ca.issue_to(&["a.test"])), &client).await);
    }
}

#[tokio::test]
async fn client_is_given_two_tickets() {
    let ca = authority("ca");
    let tickets = Tickets::new();
    let made = ca.issue_to(&["a.test"]);
    let frontend = Frontend::new(settings(vec![site(&made)]), &tickets, None).unwrap();
    let client = Client::new(&ca).only(Version::Tls13).config();
    assert!(!resumed(&frontend, &client).await);
    // Each ticket is used once and brings two more, so without the keys there are exactly two to try in vain.
    let (server, stream) = shake(&frontend, &client, "a.test").await;
    assert!(server.unwrap().resumed);
    assert_eq!(stream.unwrap().get_ref().1.tls13_tickets_received(), 2);
}

#[tokio::test]
async fn session_does_not_resume_with_other_tickets() {
    let ca = authority("ca");
    let made = ca.issue_to(&["a.test"]);
    let client = Client::new(&ca).config();
    for _ in 0..2 {
        let frontend = Frontend::new(settings(vec![site(&made)]), &Tickets::new(), None).unwrap();
        assert!(!resumed(&frontend, &client).await);
    }
}

#[tokio::test]
async fn session_without_certificate_does_not_resume_where_one_is_asked_for() {
    let (ca, clients) = (authority("ca"), authority("clients"));
    let tickets = Tickets::new();
    let made = ca.issue_to(&["a.test"]);
    for version in Version::ALL {
        let plain = Frontend::new(settings(vec![site(&made)]), &tickets, None).unwrap();
        let of = |case| Frontend::new(asking(&made, case, &clients), &tickets, None).unwrap();
        let (optional, required) = (of(ClientCertificates::Optional), of(ClientCertificates::Required));

        // A client without a certificate has tickets from where none is asked for, which are worth nothing elsewhere.
        let client = Client::new(&ca).only(version).config();
        assert!(!resumed(&plain, &client).await);
        let (server, _) = shake(&required, &client, "a.test").await;
        assert_eq!(
            server.unwrap_err(),
            pace_tls::server::Reason::ClientCertificateMissing
        );
        assert!(!resumed(&optional, &client).await);
        assert!(resumed(&optional, &client).await);
        let (server, _) = shake(&required, &client, "a.test").await;
        assert_eq!(
            server.unwrap_err(),
            pace_tls::server::Reason::ClientCertificateMissing
        );
    }
}

#[tokio::test]
async fn session_resumes_with_its_certificate_under_the_same_authorities_only() {
    let (ca, clients, others) = (authority("ca"), authority("clients"), authority("others"));
    let tickets = Tickets::new();
    let made = ca.issue_to(&["a.test"]);
    let of = |authorities| {
        Frontend::new(
            asking(&made, ClientCertificates::Required, authorities),
            &tickets,
            None,
        )
        .unwrap()
    };
    for version in Version::ALL {
        let client = Client::new(&ca)
            .only(version)
            .identity(clients.issue_to(&["me.test"]))
            .config();
        assert!(!resumed(&of(&clients), &client).await);
        let (server, _) = shake(&of(&clients), &client, "a.test").await;
        let facts = server.unwrap();
        assert!(facts.resumed);
        let certificate = facts.client_certificate.unwrap();
        assert_eq!(certificate.dns_names().collect::<Vec<_>>(), ["me.test"]);
        // The authorities were replaced, so the certificate is judged anew.
        let (server, _) = shake(&of(&others), &client, "a.test").await;
        assert_eq!(
            server.unwrap_err(),
            pace_tls::server::Reason::ClientCertificateUnknownCa
        );
    }
}

#[tokio::test]
async fn session_resumes_under_its_own_name_only() {
    let ca = authority("ca");
    let made = ca.issue_to(&["a.test", "b.test"]);
    let default = Site {
        default: true,
        ..site(&made)
    };
    let frontend = Frontend::new(settings(vec![default]), &Tickets::new(), None).unwrap();
    let client = Client::new(&ca).config();
    assert!(!resumed(&frontend, &client).await);
    let (server, _) = shake(&frontend, &client, "b.test").await;
    assert!(!server.unwrap().resumed);
}
