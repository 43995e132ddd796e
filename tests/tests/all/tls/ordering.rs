//! `[acme]`: certificates from an authority, ordered and renewed while everything else is served.

use std::time::{Duration, SystemTime};

use pace_tests::{Client, HttpBackend, Pace, Pebble, Setup, ask_within, wait_until};

use super::{PROCESS, pool};
use crate::issuing::curl;

/// Seconds for which a certificate is valid where none is to be renewed: years.
const LONG: u64 = 157_766_400;

/// The same where one is: it is renewed after 16 of them at the earliest.
const SHORT: u64 = 24;

/// Listeners where the authority looks: a plain one that redirects, and an encrypted one.
fn config(pebble: &Pebble, backend: &HttpBackend, has_plain: bool) -> String {
    let plain = format!(
        "[[listeners]]\nlisten = \"{}\"\nredirect_to_https = true\n\n",
        pebble.http()
    );
    format!(
        "{PROCESS}\n{}[[listeners]]\nlisten = \"{}\"\ntls = {{}}\n\n{}{}{}",
        if has_plain { &plain } else { "" },
        pebble.tls(),
        pebble.config(&["one.test", "two.test"]),
        pool(&backend.label()),
        crate::sections::EVERYTHING,
    )
}

/// The answer over TLS to a client that takes any certificate; empty until there is one.
fn answer(pebble: &Pebble, host: &str) -> String {
    curl(host, pebble.tls(), "/", &["--insecure"])
}

/// The end of the certificate that is served, in seconds since 1970.
fn end(pace: &Pace) -> u64 {
    let labels = [("name", "one.test")];
    pace.metrics()
        .sum("pace_certificate_expiry_timestamp_seconds", &labels)
}

#[test]
fn certificate_is_ordered_over_either_way_and_nothing_waits_for_it() {
    let backend = HttpBackend::named("one");
    for has_plain in [true, false] {
        let Some(pebble) = Pebble::start(LONG) else { return };
        let setup = Setup::new()
            .config(&config(&pebble, &backend, has_plain))
            .file("root.pem", pebble.root());
        let pace = setup.start();
        if has_plain {
            let response = Client::new(pebble.http()).get("/x");
            assert_eq!(response.status, 308, "everything else is redirected");
        }
        wait_until("a certificate", || answer(&pebble, "one.test") == "one");
        assert_eq!(answer(&pebble, "two.test"), "one");
        pace.wait_for_log(&["INFO", "the authority has issued the certificate of one.test"]);
        pace.wait_for_metric("pace_acme_failures", &[], 0);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        assert!(end(&pace) > now.expect("it is later").as_secs() + LONG / 2);
        let exit = pace.stop();
        assert_eq!(exit.code, Some(0), "{}", exit.stderr);
        assert!(!exit.stderr.contains("ERROR"), "{}", exit.stderr);
    }
}

#[test]
fn certificate_outlives_a_restart_and_is_renewed_without_a_lost_request() {
    let backend = HttpBackend::named("one");
    let Some(pebble) = Pebble::start(SHORT) else {
        return;
    };
    let setup = Setup::new()
        .config(&config(&pebble, &backend, true))
        .file("root.pem", pebble.root());
    let directory = setup.directory().to_owned();
    let pace = setup.start();
    wait_until("a certificate", || answer(&pebble, "one.test") == "one");
    let kept = std::fs::read(certificate(&directory)).expect("it is kept");

    // A process orders no more than one in a minute, but for what it finds at its start.
    let next = Setup::new()
        .config(&config(&pebble, &backend, true))
        .file("root.pem", pebble.root());
    let state = next.directory().join("state");
    std::fs::rename(directory.join("state"), &state).expect("it is there");
    assert_eq!(pace.stop().code, Some(0));
    let pace = next.start();
    assert_eq!(answer(&pebble, "one.test"), "one", "it is served at once");
    let first = end(&pace);
    assert_eq!(
        std::fs::read(certificate(pace.directory())).expect("it is kept"),
        kept
    );

    let renewed = ask_within(Duration::from_secs(2 * SHORT), || {
        assert_eq!(
            answer(&pebble, "two.test"),
            "one",
            "requests are served meanwhile"
        );
        (end(&pace) > first).then_some(())
    });
    renewed.expect("it is renewed before its end");
    assert_eq!(answer(&pebble, "one.test"), "one");
    assert_ne!(
        std::fs::read(certificate(pace.directory())).expect("it is kept"),
        kept
    );
}

/// The file of the certificate below a directory with a configuration.
fn certificate(directory: &std::path::Path) -> std::path::PathBuf {
    let below = std::fs::read_dir(directory.join("state")).expect("it is made");
    let of_authority = below.map(|entry| entry.expect("it can be listed").path()).next();
    of_authority.expect("there is one").join("certificate.pem")
}
