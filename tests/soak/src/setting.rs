//! The configuration of the proxy under test, and its plugins.

use super::exchange::DEBUG;
use super::place::FILE;
use super::tunnel;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long the proxy keeps an idle connection. The end of a run waits for this time.
pub(crate) const IDLE_TIMEOUT: Duration = Duration::from_secs(2);

/// The plugins that are swapped, with their file in `target/plugins`, in the order in which routes use them:
/// the default plugins, and one that is as small as a plugin can be.
/// plugins, and one that is as small as a plugin can be.
pub(crate) const SWAPPED: [(&str, &str); 4] = [
    ("limit", "rate-limiter"),
    ("balance", "round-robin"),
    ("front", "header-injection"),
    ("own", "fixtures/stamp"),
];

/// A plugin that writes its version into messages, so that the proxy's statement can be checked.
pub(crate) struct Stamp {
    pub(crate) plugin: &'static str,
    /// The response header that has the stamp.
    pub(crate) header: &'static str,
    /// The response header in which the backend returns the request's stamp, if the plugin stamps requests
    /// too.
    pub(crate) seen: Option<&'static str>,
    /// Whether all responses have the stamp, or only the plugin's own.
    pub(crate) always: bool,
    /// A constant in the plugin: a header of the same length and its value, side by side.
    pub(crate) constant: &'static str,
    /// The offset in this constant of the four characters that differ from version to version.
    pub(crate) word: usize,
}

/// Stamps of three of the swapped plugins, which fit together only if all are of the same set. A balancer
/// writes nothing.
pub(crate) const STAMPS: [Stamp; 3] = [
    Stamp {
        plugin: "limit",
        header: "content-type",
        seen: None,
        always: false,
        constant: "Content-Typetext/plain",
        word: "Content-Typetext/".len(),
    },
    Stamp {
        plugin: "front",
        header: "x-front",
        seen: Some("x-soak-front"),
        always: true,
        constant: "X-Proxypace",
        word: "X-Proxy".len(),
    },
    Stamp {
        plugin: "own",
        header: "x-stamp",
        seen: Some("x-soak-stamp"),
        always: true,
        constant: "x-stampmark",
        word: "x-stamp".len(),
    },
];

/// The plugin whose hash is in the configuration. It sets headers that are not checked.
pub(crate) const PINNED: (&str, &str) = ("pinned", "header-injection");

/// How many requests of one client pass at [`LIMITED`], in a window far longer than a client's requests take.
pub(crate) const LIMIT: u32 = 50;

/// The path on which the limit holds.
pub(crate) const LIMITED: &str = "/limited";

/// Fixtures that misbehave when asked to, each on a route of its own.
pub(crate) const MISBEHAVING: [&str; 12] = [
    "bad-index",
    "counter-hoard",
    "deep-recursion",
    "endless-loop",
    "header-hoard",
    "illegal-header",
    "illegal-reply-header",
    "large-reply",
    "memory-bomb",
    "response-trap",
    "select-trap",
    "trap",
];

/// The directory of a plugin.
pub(crate) fn plugin_directory(directory: &Path, plugin: &str) -> PathBuf {
    directory.join("plugins").join(plugin)
}

/// The path that reaches a fixture's route and has the fixture misbehave.
pub(crate) fn misbehaving_path(fixture: &str) -> String {
    format!("/{fixture}/misbehave")
}

/// The proxy's configuration. Ports are the system's choice. Limits are the default ones: the run also shows
/// that a healthy hook keeps them on a machine that compiles and makes the load too.
pub(crate) fn configuration(backends: [String; 2], echo: SocketAddr, pinned_sha256: &str) -> String {
    let mut text = format!(
        r#"
[server]
listen = "127.0.0.1:0"
workers = 2
trusted_proxies = ["127.0.0.1/32"]

[admin]
listen = "127.0.0.1:0"
debug_header = "{DEBUG}"

[[pools]]
name = "backends"
backends = {backends:?}
idle_timeout_ms = {}

[[pools]]
name = "echo"
backends = ["{echo}"]
"#,
        IDLE_TIMEOUT.as_millis()
    );
    let mut plugin = |name: &str, keys: &str| {
        text += &format!("\n[[plugins]]\nname = \"{name}\"\n{keys}\n");
    };
    for (name, package) in SWAPPED {
        let config = match package {
            "rate-limiter" => "config = { max_requests = 4000000000, window_seconds = 1 }",
            _ => "",
        };
        plugin(name, &format!("wasm = \"plugins/{name}/{FILE}\"\n{config}"));
    }
    let (pinned, _) = PINNED;
    plugin(
        pinned,
        &format!(
            "wasm = \"plugins/{pinned}/{FILE}\"\nsha256 = \"{pinned_sha256}\"\n\
             config = {{ identify = false, request = {{ set = {{ x-pinned = \"yes\" }} }} }}"
        ),
    );
    for fixture in MISBEHAVING {
        // The short cooldown has misbehaving plugins called again and again, instead of once a minute.
        let breaker = "breaker = { cooldown_ms = 100, max_cooldown_ms = 500 }\nrollback = { calls = 0 }";
        plugin(
            fixture,
            &format!("wasm = \"plugins/{fixture}/{FILE}\"\n{breaker}"),
        );
    }

    let names: Vec<&str> = SWAPPED.iter().map(|(name, _)| *name).chain([pinned]).collect();
    let healthy = format!("plugins = {names:?}");
    let (limiter, others) = (names[0], &names[1..]);
    let limit = format!(
        "plugins = [{{ use = \"{limiter}\", config = {{ max_requests = {LIMIT}, window_seconds = 3600 }} }}, {}]",
        others
            .iter()
            .map(|name| format!("\"{name}\""))
            .collect::<Vec<_>>()
            .join(", ")
    );
    let mut route = |prefix: &str, pool: &str, plugins: &str| {
        text += &format!(
            "\n[[routes]]\nmatch = {{ path_prefix = \"{prefix}\" }}\npool = \"{pool}\"\n{plugins}\n"
        );
    };
    route("/", "backends", &healthy);
    route(LIMITED, "backends", &limit);
    route(tunnel::PATH, "echo", &healthy);
    for fixture in MISBEHAVING {
        route(
            &format!("/{fixture}"),
            "backends",
            &format!("plugins = [\"{fixture}\"]"),
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configuration_is_toml_with_every_plugin_and_route() {
        let backends = ["http://127.0.0.1:8000", "http://127.0.0.1:8001"].map(String::from);
        let config: toml::Table = configuration(backends, ([127, 0, 0, 1], 1).into(), "00")
            .parse()
            .expect("it is TOML");
        let count = |key: &str| config[key].as_array().map(Vec::len);
        assert_eq!(count("plugins"), Some(SWAPPED.len() + 1 + MISBEHAVING.len()));
        assert_eq!(count("routes"), Some(3 + MISBEHAVING.len()));
    }
}
