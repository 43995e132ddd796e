//! The choice of a client's certificate, version and protocol.

use pace_tests::{Authority, HttpBackend, KeyKind, Tls, TlsVersion};

use super::{config, entry, listener, listener_of, one, setup};

#[test]
fn certificate_is_chosen_by_exact_name_then_wildcard_then_default() {
    let backend = HttpBackend::named("one");
    let authority = Authority::new("servers");
    let exact = authority.issue(&["www.a.test"]);
    let wildcard = authority.issue_with(KeyKind::Rsa, &["*.a.test", "b.test"]);
    let default = authority.issue(&["fallback.test", "unknown.test", "deep.www.a.test"]);
    let entries = [
        entry("exact", ""),
        entry("wildcard", ""),
        entry("default", ", default = true"),
    ];
    let config = config(&listener_of("127.0.0.1:0", &entries, ""), &backend.label());
    let certificates = [("exact", &exact), ("wildcard", &wildcard), ("default", &default)];
    let pace = setup(&certificates, &config).start();
    for (name, certificate) in [
        ("www.a.test", &exact),
        ("WWW.A.test", &exact),
        ("other.a.test", &wildcard),
        ("b.test", &wildcard),
        ("unknown.test", &default),
        ("deep.www.a.test", &default),
    ] {
        for version in [TlsVersion::V12, TlsVersion::V13] {
            let mut client = pace.client().tls(&Tls::only(&authority, name, version));
            assert_eq!(client.get("/").text(), "one", "{name}");
            assert!(client.wire().shows(certificate), "{name} with {version:?}");
            assert_eq!(client.wire().version(), Some(version));
        }
    }
    let mut client = pace
        .client()
        .tls(&Tls::new(&authority, "fallback.test").without_sni());
    assert_eq!(client.get("/").text(), "one");
    assert!(client.wire().shows(&default), "the client named no host");
}

#[test]
fn first_certificate_is_the_default_if_none_is_said_to_be() {
    let backend = HttpBackend::named("one");
    let authority = Authority::new("servers");
    let (first, second) = (authority.issue(&["a.test"]), authority.issue(&["b.test"]));
    let config = config(
        &listener("127.0.0.1:0", &["first", "second"], ""),
        &backend.label(),
    );
    let pace = setup(&[("first", &first), ("second", &second)], &config).start();
    let mut client = pace.client().tls(&Tls::new(&authority, "a.test").without_sni());
    assert_eq!(client.get("/").text(), "one");
    assert!(client.wire().shows(&first));
}

#[test]
fn version_below_the_minimum_is_refused_and_counted() {
    let backend = HttpBackend::named("one");
    let authority = Authority::new("servers");
    let pace = one(&authority, &backend.label(), "tls = { min_version = \"1.3\" }");
    let mut old = pace
        .client()
        .tls(&Tls::only(&authority, "a.test", TlsVersion::V12));
    let error = old.connect().expect_err("it is too old");
    assert!(error.to_string().contains("ProtocolVersion"), "{error}");
    let mut new = pace
        .client()
        .tls(&Tls::only(&authority, "a.test", TlsVersion::V13));
    assert_eq!(new.get("/").text(), "one");
    let reason = [("reason", "no_shared_version")];
    pace.wait_for_metric("pace_tls_handshake_failures_total", &reason, 1);
    pace.wait_for_metric("pace_tls_handshakes_total", &[], 1);
}

#[test]
fn protocol_is_the_first_of_the_listener_that_the_client_names() {
    let backend = HttpBackend::named("one");
    let authority = Authority::new("servers");
    let tls = Tls::new(&authority, "a.test");
    let both = one(&authority, &backend.label(), "");
    let only = one(&authority, &backend.label(), "tls = { alpn = [\"http/1.1\"] }");
    for (pace, offered, agreed) in [
        (&both, &["http/1.1", "h2"][..], Some("h2")),
        (&both, &["http/1.1"], Some("http/1.1")),
        (&both, &["spdy/3", "http/1.1"], Some("http/1.1")),
        (&both, &[], None),
        (&only, &["h2", "http/1.1"], Some("http/1.1")),
    ] {
        let mut client = pace.client().tls(&tls.clone().alpn(offered));
        client.connect().expect("they have one in common");
        assert_eq!(client.wire().alpn().as_deref(), agreed, "{offered:?}");
        if agreed != Some("h2") {
            assert_eq!(client.get("/").text(), "one", "{offered:?}");
        }
    }
    let mut client = only.client().tls(&tls.alpn(&["h2"]));
    let error = client.connect().expect_err("they have none in common");
    assert!(error.to_string().contains("NoApplicationProtocol"), "{error}");
    let reason = [("reason", "no_shared_alpn")];
    only.wait_for_metric("pace_tls_handshake_failures_total", &reason, 1);
}
