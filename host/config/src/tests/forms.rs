//! The short form, the full form and the command line.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::super::pool::Endpoint;
use super::super::route::{HostMatch, PathMatch};
use super::super::{BUILTINS, Config, Host, OnFailure, Overrides, Source, build};
use super::{FULL, SHORT, backends, config, parse_with};

/// The full form of `SHORT`.
const LONG: &str = r#"
[server]
listen = "0.0.0.0:8080"
workers = 4

[metrics]

[[plugins]]
name = "rate-limiter"
wasm = "builtin:rate-limiter"
config = { max_requests = 100, window_seconds = 60, key = "client_ip" }

[[plugins]]
name = "round-robin"
wasm = "builtin:round-robin"

[[plugins]]
name = "header-injection"
wasm = "builtin:header-injection"

[[pools]]
name = "default"
backends = ["127.0.0.1:8000", "127.0.0.1:8001"]

[[routes]]
name = "default"
match = { path_prefix = "/" }
pool = "default"
plugins = ["rate-limiter", "round-robin", "header-injection"]
"#;

#[test]
fn short_form_equals_its_long_form() {
    assert_eq!(config(SHORT), config(LONG));
}

#[test]
fn short_form_every_key_reaches_the_long_form() {
    let short = r#"
        [upstreams]
        backends = ["127.0.0.1:8000"]
        max_retries = 3
        connect_timeout_ms = 1
        response_timeout_ms = 2
        idle_timeout_ms = 3
        idle_connections = 4
        [rate_limit]
        max_requests = 5
        window_seconds = 6
        key_extractor = "header:x-key"
        ipv4_prefix = 24
        ipv6_prefix = 56
        [headers]
        identify = false
        request = { remove = ["cookie"] }
        response = { set = { x-env = "prod" } }
    "#;
    let long = r#"
        [[plugins]]
        name = "rate-limiter"
        wasm = "builtin:rate-limiter"
        [plugins.config]
        max_requests = 5
        window_seconds = 6
        key = "header:x-key"
        ipv4_prefix = 24
        ipv6_prefix = 56

        [[plugins]]
        name = "round-robin"
        wasm = "builtin:round-robin"

        [[plugins]]
        name = "header-injection"
        wasm = "builtin:header-injection"
        [plugins.config]
        identify = false
        request = { remove = ["cookie"] }
        response = { set = { x-env = "prod" } }

        [[pools]]
        name = "default"
        backends = ["127.0.0.1:8000"]
        max_retries = 3
        connect_timeout_ms = 1
        response_timeout_ms = 2
        idle_timeout_ms = 3
        idle_connections = 4

        [[routes]]
        name = "default"
        pool = "default"
        plugins = ["rate-limiter", "round-robin", "header-injection"]
    "#;
    assert_eq!(config(short), config(long));
}

#[test]
fn short_form_disabled_limiter_is_left_out() {
    let config = config("[upstreams]\nbackends = ['app']\n[rate_limit]\nenabled = false");
    let names: Vec<_> = config.plugins.iter().map(|plugin| plugin.name.as_str()).collect();
    assert_eq!(names, ["round-robin", "header-injection"]);
    assert_eq!(config.routes[0].plugins.len(), 2);
    assert_eq!(config.warnings(), []);
}

#[test]
fn command_line_alone_is_a_complete_proxy() {
    let overrides = Overrides {
        listen: Some(":80".into()),
        ..backends(&["http://app:8000"])
    };
    let from_nothing = build("", None, &overrides).expect("a complete configuration");
    assert_eq!(from_nothing.listeners[0].listen.to_string(), "0.0.0.0:80");
    // A name is looked up on connecting.
    let backend = &from_nothing.pools[0].backends[0];
    let host = Host::Name("app".to_owned());
    assert_eq!(backend.endpoint, Endpoint::Tcp { host, port: 8000 });
    let sources = from_nothing.plugins.iter().map(|plugin| plugin.source.clone());
    let expected = ["rate-limiter", "round-robin", "header-injection"];
    assert!(sources.eq(expected.map(|name| Source::Builtin(name.to_owned()))));
    assert!(expected.iter().all(|name| BUILTINS.contains(name)));
    assert_eq!(from_nothing.metrics, None);
}

#[test]
fn command_line_wins_over_the_file() {
    let overrides = Overrides {
        listen: Some("[::1]:0".into()),
        ..backends(&["127.0.0.1:1"])
    };
    let config = parse_with(SHORT, &overrides).expect("valid");
    assert_eq!(config.listeners[0].listen.to_string(), "[::1]:0");
    assert_eq!(config.pools[0].backends.len(), 1);
    assert_eq!(config.pools[0].backends[0].label, "127.0.0.1:1");
    assert_eq!(config.server.workers, 4);
}

#[test]
fn command_line_replaced_addresses_are_not_looked_up() {
    let text = "[server]\nlisten = \"gone:1\"\n[upstreams]\nbackends = [\"gone:2\"]";
    let overrides = Overrides {
        listen: Some(":1".into()),
        ..backends(&["app"])
    };
    parse_with(text, &overrides).expect("valid");
}

#[test]
fn full_form_resolves_names_and_merges_plugin_configuration() {
    let config = config(FULL);
    let [limit, headers, choose] = config.plugins.as_slice() else {
        panic!("three plugins")
    };
    assert_eq!(limit.source, Source::Builtin("rate-limiter".into()));
    assert_eq!(limit.limits.time.as_millis(), 5);
    assert_eq!(limit.limits.memory, 8 << 20);
    assert_eq!(
        headers.source,
        Source::File(Path::new("conf/plugins/headers.wasm").into())
    );
    assert_eq!(choose.config.len(), 0);

    let [api] = config.pools.as_slice() else {
        panic!("one pool")
    };
    assert_eq!(api.backends[1].label, "app:8000");
    assert_eq!(
        api.backends
            .iter()
            .map(|backend| backend.weight)
            .collect::<Vec<_>>(),
        [1, 2]
    );
    assert_eq!(api.settings.retry.attempts, 3);
    assert_eq!(api.settings.connect_timeout.as_millis(), 500);
    assert_eq!(api.settings.response_timeout.as_secs(), 60);

    let [v1, rest] = config.routes.as_slice() else {
        panic!("two routes")
    };
    assert_eq!(v1.name, "api.example.com/v1");
    assert_eq!(v1.matching.host, HostMatch::Exact("api.example.com".into()));
    assert_eq!(rest.name, "*/");
    assert_eq!(rest.matching.host, HostMatch::Any);
    assert_eq!(rest.matching.path, PathMatch::Prefix("/".into()));
    assert_eq!(
        v1.plugins.iter().map(|entry| entry.plugin).collect::<Vec<_>>(),
        [0, 2, 1]
    );

    let merged = json!({ "response": { "set": { "x-env": "prod", "x-team": "edge" } } });
    assert_eq!(Value::Object(v1.plugins[2].config.clone()), merged);
    assert!(v1.plugins[2].own_config && !rest.plugins[1].own_config);
    assert_eq!(rest.plugins[1].config, headers.config);
    assert_eq!(v1.plugins[2].on_failure, OnFailure::Open);
    assert_eq!(rest.plugins[1].on_failure, OnFailure::Closed);
}

#[test]
fn route_shows_a_plugin_smaller_bodies_and_no_larger_ones() {
    let of = |limits: &str| {
        let own = format!("{{ use = \"headers\", limits = {{ {limits} }}, config");
        FULL.replace("{ use = \"headers\", config", &own)
    };
    let smaller = config(&of("read_body_kb = 64, read_body_ms = 100"));
    let used = smaller
        .routes
        .iter()
        .flat_map(|route| &route.plugins)
        .find(|used| used.body.whole == 64 << 10);
    let used = used.expect("one route says so");
    assert_eq!(
        (used.body.time, used.body.unit),
        (Duration::from_millis(100), 256 << 10)
    );
    let larger = of("read_body_kb = 8193");
    let larger = Config::parse(&larger, Path::new("pace.toml"), &Overrides::default());
    let larger = larger.expect_err("it is more than the plugin's").to_string();
    assert!(
        larger.contains("a route can allow less than the plugin's own `limits`"),
        "{larger}"
    );
}

#[test]
fn plugin_file_path_starts_from_the_configuration() {
    let source = |wasm: &str| {
        config(&FULL.replace("plugins/headers.wasm", wasm)).plugins[1]
            .source
            .clone()
    };
    assert_eq!(source("../x.wasm"), Source::File("conf/../x.wasm".into()));
    assert_eq!(source("/opt/x.wasm"), Source::File("/opt/x.wasm".into()));
}
