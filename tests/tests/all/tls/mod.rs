//! TLS with clients: certificates by name, their clients' certificates, and what changes while Pace serves.

mod certificates;
mod clients;
mod connections;
mod handshakes;
mod listeners;
mod names;
mod ordering;
mod pairs;
mod redirects;
mod swaps;
mod told;
mod websockets;

use pace_tests::{Authority, Certificate, Client, Pace, Setup, Tls};

/// A process without a listener of its own.
const PROCESS: &str = "[server]\nworkers = 1\n\n[admin]\nlisten = \"127.0.0.1:0\"\n";

/// A listener with certificates, by the names of their files, and further keys.
fn listener(listen: &str, certificates: &[&str], more: &str) -> String {
    let entries: Vec<_> = certificates.iter().map(|name| entry(name, "")).collect();
    listener_of(listen, &entries, more)
}

/// A listener with these entries of `certificates`.
fn listener_of(listen: &str, entries: &[String], more: &str) -> String {
    let entries = entries.join(", ");
    format!("[[listeners]]\nlisten = \"{listen}\"\ncertificates = [{entries}]\n{more}\n\n")
}

/// An entry of `certificates`.
fn entry(name: &str, more: &str) -> String {
    format!("{{ cert = \"{name}.pem\", key = \"{name}.key\"{more} }}")
}

/// A pool `web` of one backend.
fn pool(backend: &str) -> String {
    format!("[[pools]]\nname = \"web\"\nbackends = [\"{backend}\"]\n\n")
}

/// A configuration with these listeners, and a route for everything.
fn config(listeners: &str, backend: &str) -> String {
    let route = crate::sections::EVERYTHING;
    format!("{PROCESS}\n{listeners}{}{route}", pool(backend))
}

/// Prepares Pace with certificates in files.
fn setup(certificates: &[(&str, &Certificate)], config: &str) -> Setup {
    let setup = Setup::new().config(config);
    for (name, certificate) in certificates {
        certificate.write(setup.directory(), name);
    }
    setup
}

/// A Pace with one encrypted listener for `a.test`, before a backend.
fn one(authority: &Authority, backend: &str, more: &str) -> Pace {
    let certificate = authority.issue(&["a.test"]);
    let config = config(&listener("127.0.0.1:0", &["a"], more), backend);
    setup(&[("a", &certificate)], &config).start()
}

/// A client of `a.test`.
fn client(pace: &Pace, authority: &Authority) -> Client {
    pace.client().tls(&Tls::new(authority, "a.test"))
}
