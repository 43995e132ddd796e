//! The configuration of the proxy under test, and its plugins.

use super::exchange::DEBUG;
use super::place::FILE;
use super::tunnel;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// For how long the proxy keeps a connection that nobody uses. At the end it is waited for.
pub(crate) const IDLE_TIMEOUT: Duration = Duration::from_secs(2);

/// The plugins that are swapped, with their file in `target/plugins`, in the order in which routes use them: the default
/// plugins, and one that is as small as a plugin can be.
pub(crate) const SWAPPED: [(&str, &str); 4] = [
    ("limit", "rate-limiter"),
    ("balance", "round-robin"),
    ("front", "header-injection"),
    ("own", "fixtures/stamp"),
];

/// A plugin whose versions say which they are, so that nobody has to take the proxy's word for it.
pub(crate) struct Stamp {
    pub(crate) plugin: &'static str,
    /// Where it says so in responses.
    pub(crate) header: &'static str,
    /// Where the origin tells what the request had, if the plugin says so in requests too.
    pub(crate) seen: Option<&'static str>,
    /// Whether all responses have it; or else those that are the plugin's own.
    pub(crate) always: bool,
    /// What it has among its constants: a header of the same length and its value, side by side.
    pub(crate) constant: &'static str,
    /// Where in this constant are four characters that each version has its own of.
    pub(crate) word: usize,
}

/// Three of those that are swapped: what they say fits together only if all are of the same time. A balancer writes
/// nothing.
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

/// The plugin whose hash is in the configuration. It sets headers that nobody reads.
pub(crate) const PINNED: (&str, &str) = ("pinned", "header-injection");

/// Requests of one client that pass at [`LIMITED`], in far more time than a run of them takes.
pub(crate) const LIMIT: u32 = 50;

/// Where that limit holds.
pub(crate) const LIMITED: &str = "/limited";

/// Fixtures that harm themselves when they are asked to, each on a route of its own.
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

/// A plugin's directory.
pub(crate) fn plugin_directory(directory: &Path, plugin: &str) -> PathBuf {
    directory.join("plugins").join(plugin)
}

/// The path by which a fixture's route is reached and the fixture asked to misbehave.
pub(crate) fn misbehaving_path(fixture: &str) -> String {
    format!("/{fixture}/misbehave")
}

/// Ports are the system's choice. Limits are the default ones: that a healthy hook keeps them on a machine that
/// compiles and makes the load too is a part of what is to be shown.
pub(crate) fn configuration(origins: [String; 2], echo: SocketAddr, pinned_sha256: &str) -> String {
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
name = "origins"
backends = {origins:?}
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
        // So that they are called again and again, and not left alone for a minute.
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
    route("/", "origins", &healthy);
    route(LIMITED, "origins", &limit);
    route(tunnel::PATH, "echo", &healthy);
    for fixture in MISBEHAVING {
        route(
            &format!("/{fixture}"),
            "origins",
            &format!("plugins = [\"{fixture}\"]"),
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_is_toml_and_names_what_it_uses() {
        let origins = ["http://127.0.0.1:8000", "http://127.0.0.1:8001"].map(String::from);
        let config: toml::Table = configuration(origins, ([127, 0, 0, 1], 1).into(), "00")
            .parse()
            .expect("it is TOML");
        let count = |key: &str| config[key].as_array().map(Vec::len);
        assert_eq!(count("plugins"), Some(SWAPPED.len() + 1 + MISBEHAVING.len()));
        assert_eq!(count("routes"), Some(3 + MISBEHAVING.len()));
    }
}
