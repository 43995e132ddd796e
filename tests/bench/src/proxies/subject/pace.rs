//! Pace's configuration.

use super::{Chain, Setting, TlsFiles};
use pace_kit::fixture;
use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;

/// A configuration in the full form, so that chains differ in nothing but their plugins. The limiter counts
/// every request and must not deny one.
pub(super) fn config(chain: Chain, setting: &Setting, listen: SocketAddr, directory: &Path) -> String {
    let isolation = match chain {
        Chain::Afresh => "request",
        _ => "worker",
    };
    // A window longer than any measurement keeps every client that has sent a request.
    let window = if setting.clients_are_named { 604_800 } else { 60 };
    let limiter = format!(
        "wasm = \"builtin:rate-limiter\"\nisolation = \"{isolation}\"\nlimits = {{ window_keys = 4000000 }}\n\
         config = {{ max_requests = 4000000000, window_seconds = {window} }}"
    );
    let builtin = |name| format!("wasm = \"builtin:{name}\"\nisolation = \"{isolation}\"");
    let fixture = |name| format!("wasm = {:?}", fixture(name));
    let defaults = || {
        vec![
            ("limit".to_owned(), limiter.clone()),
            ("balance".to_owned(), builtin("round-robin")),
            ("headers".to_owned(), builtin("header-injection")),
        ]
    };
    let plugins = match chain {
        Chain::Empty => Vec::new(),
        Chain::NoOps(count) => (1..=count)
            .map(|number| (format!("no-op-{number}"), fixture("no-op")))
            .collect(),
        Chain::Balancer(name) => vec![("balance".to_owned(), builtin(name))],
        Chain::Defaults | Chain::Afresh => defaults(),
        Chain::Reader => {
            let mut plugins = defaults();
            plugins.push(("reader".to_owned(), fixture("header-reader")));
            plugins
        }
        Chain::Bodies(does) => {
            let config = format!("\nconfig = {{ does = {does:?} }}");
            vec![("bodies".to_owned(), fixture("body-reader") + &config)]
        }
        Chain::Events(of) => {
            let config = format!("\nconfig = {{ interest = {:?} }}", of.as_slice());
            vec![("events".to_owned(), fixture("event-reader") + &config)]
        }
    };

    // The load counts on its connections, as it does with the others.
    let mut text = format!(
        "[server]\nworkers = {}\nkeepalive_requests = 0\n",
        setting.workers
    );
    if setting.tls.is_none() {
        text += &format!("listen = \"{listen}\"\n");
    }
    if setting.clients_are_named {
        text += "trusted_proxies = [\"127.0.0.1\"]\n";
    }
    if setting.cache {
        text += &format!("cache_dir = {:?}\n", directory.join("cache"));
    }
    text += "\n[metrics]\n";
    if let Some(TlsFiles { cert, key, .. }) = &setting.tls {
        text += &format!(
            "\n[[listeners]]\nlisten = \"{listen}\"\ncertificates = [{{ cert = {cert:?}, key = {key:?} }}]\n\
             tls = {{ min_version = \"1.3\" }}\n"
        );
    }
    for (name, entry) in &plugins {
        write!(text, "\n[[plugins]]\nname = \"{name}\"\n{entry}\n").expect("writing to memory cannot fail");
    }
    let names: Vec<&str> = plugins.iter().map(|(name, _)| name.as_str()).collect();
    let backends: Vec<String> = setting.backends.iter().map(SocketAddr::to_string).collect();
    text + &format!(
        "\n[[pools]]\nname = \"backends\"\nbackends = {backends:?}\nidle_connections = {}\n\n\
             [[routes]]\npool = \"backends\"\nplugins = {names:?}\n",
        setting.connections_kept()
    )
}
