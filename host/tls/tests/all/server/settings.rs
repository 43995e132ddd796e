//! Settings that contradict each other are refused, with what to do.

use pace_tls::server::{ClientCertificates, Frontend, Settings, Site, Tickets};

use crate::kit::{pem, settings, site};
use crate::testing::{Made, authority};

fn refusal(settings: Settings<'_>) -> String {
    Frontend::new(settings, &Tickets::new(), None)
        .unwrap_err()
        .to_string()
}

fn made() -> Made {
    authority("ca").issue_to(&["a.test"])
}

#[test]
fn certificates_that_nobody_can_issue_are_refused() {
    for sites in [vec![], vec![site(&made())]] {
        let refused = refusal(Settings {
            client_certificates: ClientCertificates::Required,
            ..settings(sites)
        });
        assert_eq!(
            refused,
            "client_certificates = \"required\" needs client_ca, the authorities that issue them"
        );
    }
    let refused = refusal(settings(vec![Site {
        client_certificates: Some(ClientCertificates::Optional),
        ..site(&made())
    }]));
    assert!(
        refused.starts_with("client_certificates = \"optional\" needs client_ca"),
        "{refused}"
    );
}

#[test]
fn authorities_without_effect_are_refused() {
    let ca = authority("clients");
    let refused = refusal(Settings {
        client_ca: Some(pem("clients.pem", &ca.pem)),
        ..settings(vec![site(&made())])
    });
    assert!(refused.starts_with("client_ca has no effect"), "{refused}");
}

#[test]
fn file_without_authorities_is_refused_by_its_name() {
    let refused = refusal(Settings {
        client_certificates: ClientCertificates::Optional,
        client_ca: Some(pem("clients.pem", "")),
        ..settings(vec![site(&made())])
    });
    assert!(
        refused.starts_with("clients.pem: has no certificate"),
        "{refused}"
    );
}

#[test]
fn second_default_is_refused() {
    let default = || Site {
        default: true,
        ..site(&made())
    };
    let refused = refusal(settings(vec![default(), default()]));
    assert_eq!(
        refused,
        "2 certificates of one listener have `default = true`; one can"
    );
}
