//! Certificates of clients.

use pace_tests::{Authority, Certificate, Client, Http2, HttpBackend, Pace, Request, Tls, TlsVersion};

use super::{config, entry, listener, listener_of, setup};

const VERSIONS: [TlsVersion; 2] = [TlsVersion::V12, TlsVersion::V13];

struct Parties {
    servers: Authority,
    clients: Authority,
    backend: HttpBackend,
}

fn parties() -> Parties {
    Parties {
        servers: Authority::new("servers"),
        clients: Authority::new("clients"),
        backend: HttpBackend::named("one"),
    }
}

impl Parties {
    fn pace(&self, entries: &[String], choice: &str) -> Pace {
        let tls = format!("tls = {{ client_ca = \"clients.pem\", client_certificates = {choice:?} }}");
        let config = config(&listener_of("127.0.0.1:0", entries, &tls), &self.backend.label());
        let (a, b) = (self.servers.issue(&["a.test"]), self.servers.issue(&["b.test"]));
        setup(&[("a", &a), ("b", &b)], &config)
            .file("clients.pem", self.clients.pem())
            .start()
    }

    fn client(&self, pace: &Pace, name: &str, version: TlsVersion, own: Option<&Certificate>) -> Client {
        pace.client().tls(&match own {
            None => Tls::only(&self.servers, name, version),
            Some(own) => Tls::identified(&self.servers, name, version, own),
        })
    }
}

fn failures(pace: &Pace, reason: &str, count: u64) {
    let labels = [("reason", reason)];
    pace.wait_for_metric("pace_tls_handshake_failures_total", &labels, count);
}

#[test]
fn required_certificate_is_verified_and_demanded() {
    let parties = parties();
    let pace = parties.pace(&[entry("a", "")], "required");
    let good = parties.clients.issue(&["someone"]);
    let foreign = Authority::new("others").issue(&["someone"]);
    let expired = parties.clients.issue_expired(&["someone"]);
    for version in VERSIONS {
        let get = |own| {
            let mut client = parties.client(&pace, "a.test", version, own);
            client.try_send(&Request::get("/"))
        };
        assert_eq!(get(Some(&good)).expect("it is good").text(), "one");
        get(None).expect_err("one is required");
        get(Some(&foreign)).expect_err("nobody knows the authority");
        get(Some(&expired)).expect_err("it has expired");
    }
    failures(&pace, "client_certificate_missing", 2);
    failures(&pace, "client_certificate_unknown_ca", 2);
    failures(&pace, "client_certificate_expired", 2);
    assert_eq!(parties.backend.requests().len(), 2);
}

#[test]
fn optional_certificate_may_be_missing_and_not_be_wrong() {
    let parties = parties();
    let pace = parties.pace(&[entry("a", "")], "optional");
    let good = parties.clients.issue(&["someone"]);
    let foreign = Authority::new("others").issue(&["someone"]);
    for version in VERSIONS {
        for own in [None, Some(&good)] {
            let mut client = parties.client(&pace, "a.test", version, own);
            assert_eq!(client.get("/").text(), "one");
        }
        let mut client = parties.client(&pace, "a.test", version, Some(&foreign));
        client
            .try_send(&Request::get("/"))
            .expect_err("nobody knows the authority");
    }
}

/// A connection for one name must not evade the demand on clients of another name.
#[test]
fn host_of_another_policy_is_misdirected_and_of_the_same_is_not() {
    let parties = parties();
    let own = parties.clients.issue(&["someone"]);
    let strict = entry("b", ", client_certificates = \"required\"");
    let pace = parties.pace(&[entry("a", ""), strict], "none");

    for version in VERSIONS {
        let mut open = parties.client(&pace, "a.test", version, None);
        let status = |client: &mut Client, host: &str| {
            let response = client.send(&Request::get("/").header("Host", host));
            (response.status, client.connections())
        };
        assert_eq!(status(&mut open, "a.test"), (200, 1));
        assert_eq!(status(&mut open, "b.test"), (421, 1));
        assert_eq!(status(&mut open, "B.TEST:8443"), (421, 1), "in any spelling");
        assert_eq!(status(&mut open, "a.test:1"), (200, 1), "it goes on");
        assert_eq!(status(&mut open, "unknown.test"), (200, 1), "as the default is");

        let mut strict = parties.client(&pace, "b.test", version, Some(&own));
        assert_eq!(status(&mut strict, "b.test"), (200, 1));
        assert_eq!(status(&mut strict, "a.test"), (421, 1));
        let mut missing = parties.client(&pace, "b.test", version, None);
        missing
            .try_send(&Request::get("/"))
            .expect_err("one is required for this name");
    }
    let tls = Tls::new(&parties.servers, "a.test");
    let mut streams = Http2::connect_tls(pace.address(), &tls, "b.test");
    assert_eq!(streams.get("/").status, 421);
}

#[test]
fn host_of_another_certificate_is_served_where_the_policy_is_the_same() {
    let parties = parties();
    let config = config(
        &listener("127.0.0.1:0", &["a", "b"], ""),
        &parties.backend.label(),
    );
    let (a, b) = (
        parties.servers.issue(&["a.test"]),
        parties.servers.issue(&["b.test"]),
    );
    let pace = setup(&[("a", &a), ("b", &b)], &config).start();
    let mut client = parties.client(&pace, "a.test", TlsVersion::V13, None);
    for host in ["a.test", "b.test", "c.test"] {
        let response = client.send(&Request::get("/").header("Host", host));
        assert_eq!(response.status, 200, "{host}");
    }
}

/// A session is not verified again when it is resumed, so it must not be resumed where more is demanded.
#[test]
fn session_without_a_certificate_is_not_resumed_where_one_is_required() {
    let parties = parties();
    let strict = entry("b", ", client_certificates = \"required\"");
    let pace = parties.pace(&[entry("a", ""), strict], "none");
    let own = parties.clients.issue(&["someone"]);
    for version in VERSIONS {
        let tls = Tls::identified(&parties.servers, "b.test", version, &own);
        for resumed in [false, true] {
            let mut client = pace.client().tls(&tls);
            let response = client.send(&Request::get("/").header("Host", "b.test"));
            assert_eq!(response.status, 200);
            assert_eq!(client.wire().is_resumed(), resumed, "{version:?}");
        }
    }
}
