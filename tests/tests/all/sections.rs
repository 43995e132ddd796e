//! Sections of configurations, from which tests build theirs.

use std::path::Path;

use pace_tests::HttpBackend;

/// An admin listener and workers, for tests that need nothing else of the process.
pub(crate) const SERVER: &str = r#"
[server]
listen = "127.0.0.1:0"
workers = 2

[admin]
listen = "127.0.0.1:0"
"#;

/// One worker, for tests in which everything must happen on one thread.
pub(crate) const ONE_WORKER: &str = r#"
[server]
listen = "127.0.0.1:0"
workers = 1

[admin]
listen = "127.0.0.1:0"
"#;

/// The shortest configuration, as the documentation prints it, but for addresses.
pub(crate) fn short_form(backends: &[&HttpBackend]) -> String {
    let backends = urls(backends);
    format!(
        r#"
[server]
listen = "127.0.0.1:0"
workers = 4

[upstreams]
backends = {backends}

[rate_limit]
max_requests = 100
window_seconds = 60
key_extractor = "client_ip"

[metrics]
enabled = true
endpoint = "/metrics"
"#
    )
}

/// A proxy that does nothing but take turns: the quickest to start.
pub(crate) fn plain(backends: &[&HttpBackend]) -> String {
    format!("{SERVER}\n{}\n{EVERYTHING}", pool("web", backends))
}

/// A route for every request to the pool `web`, without plugins of its own.
pub(crate) const EVERYTHING: &str = "[[routes]]\npool = \"web\"\n";

/// The value of `backends` in a pool.
pub(crate) fn urls(backends: &[&HttpBackend]) -> String {
    format!(
        "{:?}",
        backends.iter().map(|backend| backend.url()).collect::<Vec<_>>()
    )
}

/// A pool with these backends.
pub(crate) fn pool(name: &str, backends: &[&HttpBackend]) -> String {
    let backends = urls(backends);
    format!("[[pools]]\nname = {name:?}\nbackends = {backends}\n")
}

/// A plugin without configuration.
pub(crate) fn plugin(name: &str, wasm: &Path) -> String {
    format!("[[plugins]]\nname = {name:?}\nwasm = {wasm:?}\n")
}

/// A proxy with these plugins, by name and file, on its only route.
pub(crate) fn with_plugins(server: &str, plugins: &[(&str, &Path)], backends: &[&HttpBackend]) -> String {
    let pool = pool("web", backends);
    let (names, entries): (Vec<&str>, Vec<String>) = plugins
        .iter()
        .map(|(name, wasm)| (*name, plugin(name, wasm)))
        .unzip();
    let entries = entries.join("\n");
    format!("{server}\n{entries}\n{pool}\n[[routes]]\npool = \"web\"\nplugins = {names:?}\n")
}
