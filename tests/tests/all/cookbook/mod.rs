//! The plugins of the cookbook: each keeps its promises to a real client.

mod access;
mod budget;
mod failover;
mod groups;
mod headers;
mod messages;
mod models;
mod page;
mod providers;
mod tokens;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use pace_tests::{Headers, HttpBackend, Pace, Setup, recipe, root};

use crate::sections::{SERVER, pool};

/// The crates in `plugins/cookbook`.
pub(crate) fn crates() -> BTreeSet<String> {
    let directory = fs::read_dir(root().join("plugins/cookbook")).expect("the directory is there");
    let names = directory.map(|entry| entry.expect("it can be listed").file_name());
    names.map(|name| name.to_string_lossy().into_owned()).collect()
}

/// A configuration with this plugin on the only route. `config` is TOML: the lines of the plugin's table.
fn configuration(name: &str, config: &str, backends: &[&HttpBackend]) -> String {
    let wasm = recipe(name);
    entry(&wasm, name, config, SERVER, backends)
}

/// None of these tests is about time, which may pass without any work on a machine that others share.
fn entry(wasm: &Path, name: &str, config: &str, server: &str, backends: &[&HttpBackend]) -> String {
    format!(
        "{server}\n[[plugins]]\nname = {name:?}\nwasm = {wasm:?}\nlimits = {{ time_ms = 1000 }}\n\
         [plugins.config]\n{config}\n\n{}\n\
         [[routes]]\npool = \"web\"\nplugins = [{name:?}]\n",
        pool("web", backends)
    )
}

/// Starts Pace with this plugin on its only route.
fn start(name: &str, config: &str, backends: &[&HttpBackend]) -> Pace {
    Pace::with_config(&configuration(name, config, backends))
}

/// Starts Pace with this plugin on its only route, and trusts every peer as a proxy.
fn start_behind_proxy(name: &str, config: &str, backends: &[&HttpBackend]) -> Pace {
    let server = SERVER.replace("workers = 2", "workers = 2\ntrusted_proxies = [\"127.0.0.1\"]");
    Pace::with_config(&entry(&recipe(name), name, config, &server, backends))
}

/// The message that an operator gets for a wrong configuration.
fn refusal(name: &str, config: &str) -> String {
    let config = configuration(name, config, &[&HttpBackend::down()]);
    Setup::new()
        .args(["check"])
        .config(&config)
        .run()
        .refusal()
        .to_owned()
}

/// The headers of the last request that a backend received.
fn last_seen(backend: &HttpBackend) -> Headers {
    backend.requests().pop().expect("there was a request").headers
}
