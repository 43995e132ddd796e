//! Certificates that change while Pace serves.

use std::fs;

use pace_tests::{Authority, Certificate, Client, HttpBackend, Pace, Request, Tls, TlsVersion, wait_until};

use super::{config, listener, setup};

struct Swapping {
    authority: Authority,
    first: Certificate,
    pace: Pace,
    _backend: HttpBackend,
}

fn swapping() -> Swapping {
    let backend = HttpBackend::named("one");
    let authority = Authority::new("servers");
    let first = authority.issue(&["a.test"]);
    let config = config(&listener("127.0.0.1:0", &["a"], ""), &backend.label());
    let pace = setup(&[("a", &first)], &config).start();
    Swapping {
        authority,
        first,
        pace,
        _backend: backend,
    }
}

impl Swapping {
    fn client(&self) -> Client {
        self.pace
            .client()
            .tls(&Tls::new(&self.authority, "a.test").forgetful())
    }

    /// Whether new connections get this certificate.
    fn serves_with(&self, certificate: &Certificate) -> bool {
        let mut client = self.client();
        assert_eq!(client.get("/").text(), "one");
        client.wire().shows(certificate)
    }

    fn swap(&self, certificate: &Certificate) {
        certificate.write(self.pace.directory(), "a");
        wait_until("the new certificate", || self.serves_with(certificate));
    }
}

#[test]
fn new_connections_get_the_new_certificate_and_old_ones_go_on() {
    let swapping = swapping();
    let mut old = swapping.client();
    assert_eq!(old.get("/").text(), "one");
    assert!(old.wire().shows(&swapping.first));
    for _ in 0..3 {
        swapping.swap(&swapping.authority.issue(&["a.test"]));
        assert_eq!(old.get("/").text(), "one");
        assert_eq!(old.connections(), 1, "the old connection goes on");
    }
    swapping.pace.wait_for_log(&["INFO", "a.test"]);
}

#[test]
fn pair_that_cannot_be_used_is_refused_with_its_file_and_the_old_one_serves_on() {
    let swapping = swapping();
    let directory = swapping.pace.directory();
    let authority = &swapping.authority;
    let another = authority.issue(&["a.test"]);
    let expired = authority.issue_expired(&["a.test"]);
    let mismatched = Certificate {
        cert: swapping.first.cert.clone(),
        key: another.key.clone(),
    };
    let nonsense = Certificate {
        cert: "-----BEGIN CERTIFICATE-----\nnonsense\n".to_owned(),
        key: swapping.first.key.clone(),
    };
    let keyless = Certificate {
        cert: swapping.first.cert.clone(),
        key: String::new(),
    };
    for (pair, words) in [
        (&mismatched, &["a.pem", "a.key"][..]),
        (&expired, &["a.pem", "expired"]),
        (&nonsense, &["a.pem"]),
        (&keyless, &["a.key"]),
    ] {
        let before = swapping.pace.log().len();
        pair.write(directory, "a");
        wait_until(&format!("a message with {words:?}"), || {
            let log = swapping.pace.log();
            let said = log[before..].lines();
            said.filter(|line| line.contains("ERROR"))
                .any(|line| words.iter().all(|word| line.contains(word)))
        });
        assert!(swapping.serves_with(&swapping.first), "{words:?}");
    }
    fs::remove_file(directory.join("a.key")).expect("it is there");
    swapping.pace.wait_for_log(&["ERROR", "a.key", "No such file"]);
    assert!(swapping.serves_with(&swapping.first));

    swapping.swap(&another);
}

/// A slip with one certificate must not let all others expire.
#[test]
fn pair_that_cannot_be_used_holds_up_no_other() {
    let backend = HttpBackend::named("one");
    let authority = Authority::new("servers");
    let [first, second, unreached] = ["a.test", "b.test", "c.test"].map(|name| authority.issue(&[name]));
    let mut clients = Authority::new("clients").pem().to_owned();
    let with_authorities = "tls = { client_ca = \"clients.pem\", client_certificates = \"optional\" }";
    let listeners = listener("127.0.0.1:0", &["a", "b"], "")
        + &listener("127.0.0.2:0", &["b"], "")
        + &listener("127.0.0.3:0", &["c"], with_authorities);
    let setup = setup(
        &[("a", &first), ("b", &second), ("c", &unreached)],
        &config(&listeners, &backend.label()),
    );
    let pace = setup.file("clients.pem", &clients).start();
    let shows = |listener: usize, name: &str, certificate: &Certificate| {
        let tls = Tls::new(&authority, name).forgetful();
        let mut client = Client::new(pace.listeners()[listener]).tls(&tls);
        assert_eq!(client.get("/").text(), "one");
        client.wire().shows(certificate)
    };
    let mismatched = Certificate {
        cert: first.cert.clone(),
        key: second.key.clone(),
    };
    mismatched.write(pace.directory(), "a");
    pace.wait_for_log(&["ERROR", "the old ones serve on", "a.pem"]);

    let renewed = authority.issue(&["b.test"]);
    renewed.write(pace.directory(), "b");
    pace.wait_for_log(&[
        "ERROR",
        "some certificates are not taken",
        "a.pem",
        "taken are",
        "b.test",
    ]);
    assert!(shows(0, "b.test", &renewed) && shows(1, "b.test", &renewed));
    assert!(shows(0, "a.test", &first));
    let asked = pace.admin().send(&Request::post("/reload", ""));
    assert_eq!(asked.status, 409, "{asked:?}");
    assert!(asked.text().contains("a.pem"), "{asked:?}");

    // The authorities of clients that cannot be read leave their listener as it is, and no other.
    fs::write(pace.directory().join("clients.pem"), "nonsense").expect("it can be written");
    pace.wait_for_log(&["ERROR", "clients.pem"]);
    let again = authority.issue(&["b.test"]);
    again.write(pace.directory(), "b");
    wait_until("the certificate of the others", || shows(1, "b.test", &again));
    assert!(shows(2, "c.test", &unreached));

    clients.push_str(Authority::new("more clients").pem());
    fs::write(pace.directory().join("clients.pem"), &clients).expect("it can be written");
    let mended = authority.issue(&["a.test"]);
    mended.write(pace.directory(), "a");
    wait_until("the mended one", || shows(0, "a.test", &mended));
    let settled = authority.issue(&["c.test"]);
    settled.write(pace.directory(), "c");
    wait_until("the last one", || shows(2, "c.test", &settled));
    assert_eq!(pace.admin().send(&Request::post("/reload", "")).status, 200);
}

#[test]
fn pair_that_cannot_be_used_at_the_start_is_refused() {
    let authority = Authority::new("servers");
    let good = authority.issue(&["a.test"]);
    let other = authority.issue(&["a.test"]);
    let expired = authority.issue_expired(&["a.test"]);
    let mismatched = Certificate {
        cert: good.cert.clone(),
        key: other.key,
    };
    let nonsense = Certificate {
        cert: "nonsense".to_owned(),
        key: good.key.clone(),
    };
    let config = config(&listener("127.0.0.1:0", &["a"], ""), "127.0.0.1:1");
    for (pair, words) in [
        (Some(&mismatched), &["a.pem", "a.key"][..]),
        (Some(&expired), &["a.pem", "expired"]),
        (Some(&nonsense), &["a.pem"]),
        (None, &["a.pem", "No such file"]),
    ] {
        let certificates: Vec<_> = pair.iter().map(|pair| ("a", *pair)).collect();
        let exit = setup(&certificates, &config).run();
        let message = exit.refusal();
        for word in words {
            assert!(message.contains(word), "{word}: {message}");
        }
    }
}

#[test]
fn session_is_resumed_before_and_after_a_swap_and_a_reload() {
    let swapping = swapping();
    let pace = &swapping.pace;
    for version in [TlsVersion::V12, TlsVersion::V13] {
        let tls = Tls::only(&swapping.authority, "a.test", version);
        let resumes = || {
            let mut client = pace.client().tls(&tls);
            assert_eq!(client.get("/").text(), "one");
            client.wire().is_resumed()
        };
        assert!(!resumes(), "{version:?}: there is nothing to resume");
        assert!(resumes(), "{version:?}");
        swapping.swap(&swapping.authority.issue(&["a.test"]));
        assert!(resumes(), "{version:?}: after a swap of the certificate");

        let file = pace.directory().join("pace.toml");
        let config = fs::read_to_string(&file).expect("it is there");
        fs::write(
            &file,
            config + "\n[[routes]]\nmatch = { path_prefix = \"/x\" }\npool = \"web\"\n",
        )
        .expect("it can be written");
        let answer = pace.admin().send(&Request::post("/reload", ""));
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(resumes(), "{version:?}: after a reload of the configuration");
        let mut without = pace.client().tls(&tls.clone().forgetful());
        assert_eq!(without.get("/").text(), "one");
        assert!(!without.wire().is_resumed());
        fs::write(
            &file,
            fs::read_to_string(&file)
                .expect("it is there")
                .split_once("\n[[routes]]\nmatch")
                .expect("it was added")
                .0,
        )
        .expect("it can be written");
        assert_eq!(pace.admin().send(&Request::post("/reload", "")).status, 200);
    }
    let metrics = pace.metrics();
    assert!(metrics.sum("pace_tls_handshakes_total", &[("resumed", "yes")]) >= 6);
    assert!(metrics.sum("pace_tls_handshakes_total", &[("resumed", "no")]) >= 4);
}

#[test]
fn end_of_each_certificate_is_a_metric() {
    let swapping = swapping();
    let listen = [("name", "a.test")];
    let name = "pace_certificate_expiry_timestamp_seconds";
    assert!(swapping.pace.metrics().sum(name, &listen) > 2_000_000_000);
    let other = swapping.authority.issue(&["b.test", "a.test"]);
    swapping.swap(&other);
    // The certificate serves before its end is a metric.
    wait_until("the metric of the new certificate alone", || {
        let metrics = swapping.pace.metrics();
        metrics.has(name, &[("name", "b.test")]) && !metrics.has(name, &listen)
    });
}
