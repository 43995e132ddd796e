//! Certificates of different kinds for one name.

use pace_tests::{Authority, Certificate, HttpBackend, KeyKind, Pace, Signatures, Tls, TlsVersion};

use super::{config, entry, listener_of, setup};

/// A Pace whose listener has these entries of certificates `ecdsa`, `rsa` and `other`.
fn pace(backend: &HttpBackend, certificates: &[(&str, &Certificate)], entries: &[&str], more: &str) -> Pace {
    let entries: Vec<_> = entries.iter().map(|name| entry(name, "")).collect();
    let config = config(&listener_of("127.0.0.1:0", &entries, more), &backend.label());
    setup(certificates, &config).start()
}

#[test]
fn certificate_is_chosen_by_the_signatures_that_a_client_knows() {
    let backend = HttpBackend::named("one");
    let authority = Authority::new("servers");
    let names = ["a.test", "*.a.test"];
    let ecdsa = authority.issue(&names);
    let rsa = authority.issue_with(KeyKind::Rsa, &names);
    let other = authority.issue(&["b.test"]);
    let certificates = [("ecdsa", &ecdsa), ("rsa", &rsa), ("other", &other)];
    for entries in [["rsa", "ecdsa", "other"], ["ecdsa", "rsa", "other"]] {
        let pace = pace(&backend, &certificates, &entries, "");
        for version in [TlsVersion::V12, TlsVersion::V13] {
            for name in ["a.test", "www.a.test"] {
                let tls = Tls::only(&authority, name, version).forgetful();
                for (tls, shown) in [
                    (tls.clone(), &ecdsa),
                    (tls.clone().knowing(Signatures::Ecdsa), &ecdsa),
                    (tls.clone().knowing(Signatures::Rsa), &rsa),
                    // They are the default as well.
                    (tls.clone().without_sni(), &ecdsa),
                    (tls.clone().without_sni().knowing(Signatures::Rsa), &rsa),
                ] {
                    let mut client = pace.client().tls(&tls);
                    assert_eq!(client.get("/").text(), "one", "{name} {version:?} {entries:?}");
                    assert!(client.wire().shows(shown), "{name} {version:?} {entries:?}");
                }
            }
            let tls = Tls::only(&authority, "b.test", version).knowing(Signatures::Rsa);
            pace.client()
                .tls(&tls)
                .connect()
                .expect_err("there is none for it");
        }
        pace.wait_for_metric(
            "pace_tls_handshake_failures_total",
            &[("reason", "no_shared_cipher")],
            2,
        );
        let ends = pace
            .metrics()
            .sum("pace_certificate_expiry_timestamp_seconds", &[("name", "a.test")]);
        assert!(ends > 0);
    }
}

#[test]
fn either_certificate_is_replaced_alone() {
    let backend = HttpBackend::named("one");
    let authority = Authority::new("servers");
    let (ecdsa, rsa) = (
        authority.issue(&["a.test"]),
        authority.issue_with(KeyKind::Rsa, &["a.test"]),
    );
    let pace = pace(
        &backend,
        &[("ecdsa", &ecdsa), ("rsa", &rsa)],
        &["ecdsa", "rsa"],
        "",
    );
    let shows = |signatures, certificate: &Certificate| {
        let tls = Tls::new(&authority, "a.test").forgetful().knowing(signatures);
        let mut client = pace.client().tls(&tls);
        client.connect().expect("one fits");
        client.wire().shows(certificate)
    };
    assert!(shows(Signatures::Rsa, &rsa) && shows(Signatures::Ecdsa, &ecdsa));
    let next = authority.issue_with(KeyKind::Rsa, &["a.test"]);
    next.write(pace.directory(), "rsa");
    pace_tests::wait_until("the new certificate", || shows(Signatures::Rsa, &next));
    assert!(shows(Signatures::Ecdsa, &ecdsa));
}

/// A client chooses among them by what it says that it knows, and must not choose what is asked of it.
#[test]
fn certificates_of_one_name_that_ask_for_different_things_are_refused() {
    let authority = Authority::new("servers");
    let (ecdsa, rsa) = (
        authority.issue(&["a.test"]),
        authority.issue_with(KeyKind::Rsa, &["a.test"]),
    );
    let entries = [
        entry("ecdsa", ", client_certificates = \"required\""),
        entry("rsa", ""),
    ];
    let listener = listener_of("127.0.0.1:0", &entries, "tls = { client_ca = \"clients.pem\" }");
    let config = config(&listener, "127.0.0.1:1");
    let setup = setup(&[("ecdsa", &ecdsa), ("rsa", &rsa)], &config);
    let exit = setup.file("clients.pem", Authority::new("clients").pem()).run();
    let message = exit.refusal();
    for part in [
        "127.0.0.1:0",
        "a.test",
        "required and none",
        "client_certificates",
    ] {
        assert!(message.contains(part), "{part}: {message}");
    }
}
