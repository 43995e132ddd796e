//! The configuration as operators meet it: files in, resolved values or messages out.

mod actions;
mod effective;
mod forms;
mod listeners;
mod messages;
mod random;
mod routes;
mod rules;
mod shipped;
mod upkeep;
mod values;

use std::path::Path;

use super::{Config, Error, Overrides, build};

/// The file shown in the README and as `config/proxy.toml`.
const SHORT: &str = r#"
[server]
listen = "0.0.0.0:8080"
workers = 4

[upstreams]
backends = ["http://127.0.0.1:8000", "http://127.0.0.1:8001"]

[rate_limit]
max_requests = 100
window_seconds = 60
key_extractor = "client_ip"

[metrics]
enabled = true
endpoint = "/metrics"
"#;

/// A file with every kind of entry.
const FULL: &str = r#"
[server]
listen = "localhost:8080"
workers = 2
grace_period_seconds = 30
trusted_proxies = ["10.0.0.0/8", "::1"]
proxy_protocol = true

[admin]
listen = "127.0.0.1:9090"

[[plugins]]
name = "limit-api"
wasm = "builtin:rate-limiter"
on_failure = "closed"
limits = { time_ms = 5, memory_mb = 8 }
config = { max_requests = 100, window_seconds = 60, key = "client_ip" }

[[plugins]]
name = "headers"
wasm = "plugins/headers.wasm"
on_failure = "open"
[plugins.config.response.set]
x-env = "test"
x-team = "edge"

[[plugins]]
name = "choose"
wasm = "builtin:round-robin"

[[pools]]
name = "api"
backends = ["10.0.0.1:8000", { address = "http://app:8000", weight = 2 }]
max_retries = 2
connect_timeout_ms = 500

[[routes]]
match = { host = "API.example.com", path_prefix = "/v1" }
pool = "api"
plugins = ["limit-api", "choose", { use = "headers", config = { response = { set = { x-env = "prod" } } } }]

[[routes]]
pool = "api"
plugins = ["choose", { use = "headers", on_failure = "closed" }]
"#;

fn parse_with(text: &str, overrides: &Overrides) -> Result<Config, Error> {
    build(text, Some(Path::new("conf/proxy.toml")), overrides)
}

fn parse(text: &str) -> Result<Config, Error> {
    parse_with(text, &Overrides::default())
}

fn config(text: &str) -> Config {
    parse(text).unwrap_or_else(|error| panic!("{error}"))
}

fn backends(urls: &[&str]) -> Overrides {
    Overrides {
        backends: urls.iter().map(|url| (*url).to_owned()).collect(),
        ..Overrides::default()
    }
}

/// The first line of the only problem of a file.
#[track_caller]
fn only(text: &str) -> String {
    match parse(text) {
        Err(Error::Invalid(problems)) if problems.len() == 1 => problems[0].headline(),
        Err(error) => panic!("more than one problem:\n{error}"),
        Ok(_) => panic!("the file is valid:\n{text}"),
    }
}

/// The only problem of `SHORT` with `old` replaced by `new`.
#[track_caller]
fn short(old: &str, new: &str) -> String {
    assert!(SHORT.contains(old), "no {old}");
    only(&SHORT.replace(old, new))
}

/// The only problem of `FULL` with `old` replaced by `new`.
#[track_caller]
fn full(old: &str, new: &str) -> String {
    assert!(FULL.contains(old), "no {old}");
    only(&FULL.replacen(old, new, 1))
}
