//! Defaults, warnings, and forms of values.

use std::time::Duration;

use super::super::{Metrics, Warning};
use super::{FULL, SHORT, config};

fn server(lines: &str) -> super::super::Server {
    config(&format!("[server]\n{lines}\n[upstreams]\nbackends = [\"app\"]")).server
}

#[test]
fn configuration_of_backends_alone_has_defaults() {
    let config = config("[upstreams]\nbackends = [\"app\"]");
    assert_eq!(config.listeners[0].listen.to_string(), "127.0.0.1:8080");
    assert!((1..=1024).contains(&config.server.workers));
    assert_eq!(config.server.grace_period, Duration::from_secs(10));
    assert!(config.server.trusted_proxies.is_empty() && !config.server.proxy_protocol);
    assert!(config.admin.is_none() && config.metrics.is_none());
    let [pool] = config.pools.as_slice() else {
        panic!("one pool")
    };
    assert_eq!(pool.settings.retry.attempts, 2);
    assert_eq!(pool.settings.connect_timeout, Duration::from_secs(3));
    assert_eq!(pool.settings.response_timeout, Duration::from_secs(60));
    assert_eq!(pool.settings.idle_timeout, Duration::from_secs(60));
    assert_eq!(pool.settings.idle_connections, 128);
    assert_eq!(pool.backends[0].label, "app:80");
    assert_eq!(config.plugins[0].limits.time, Duration::from_millis(10));
    assert_eq!(config.plugins[0].limits.memory, 16 * 1024 * 1024);
    assert_eq!(config.plugins[0].config["max_requests"], 100);
}

#[test]
fn metrics_are_on_if_the_table_exists() {
    let metrics = |lines: &str| config(&format!("[upstreams]\nbackends = [\"app\"]\n{lines}")).metrics;
    assert_eq!(
        metrics("[metrics]"),
        Some(Metrics {
            endpoint: "/metrics".into()
        })
    );
    assert_eq!(
        metrics("[metrics]\nendpoint = '/m'"),
        Some(Metrics {
            endpoint: "/m".into()
        })
    );
    assert_eq!(metrics("[metrics]\nenabled = false"), None);
}

#[test]
fn admin_without_listen_listens_on_loopback() {
    let config = config(&format!("{SHORT}\n[admin]"));
    assert_eq!(
        config.admin.map(|admin| admin.listen.to_string()),
        Some("127.0.0.1:9090".into())
    );
}

#[test]
fn trusted_proxies_may_be_addresses_and_are_truncated() {
    let server = server("trusted_proxies = ['10.1.2.3/8', '192.0.2.1', '::1', 'fd00::/8']");
    let networks: Vec<_> = server.trusted_proxies.iter().map(ToString::to_string).collect();
    assert_eq!(networks, ["10.0.0.0/8", "192.0.2.1/32", "::1/128", "fd00::/8"]);
}

/// Each is allowed, and hardly what is meant.
#[test]
fn settings_without_the_effect_that_they_seem_to_have_are_warnings() {
    let all = |text: &str| {
        let warnings = config(text).warnings().into_iter();
        warnings
            .map(|warning| warning.to_string())
            .collect::<Vec<_>>()
            .join("\n")
    };
    let plugin = |keys: &str| {
        format!(
            "[[plugins]]\nname = 'a'\nwasm = 'builtin:round-robin'\n{keys}\n[[pools]]\nname = 'p'\nbackends = ['a']\n\
             [[routes]]\npool = 'p'\nplugins = ['a']\n"
        )
    };
    let route = |path: &str| format!("{}[[routes]]\nmatch = {{ {path} }}\npool = 'p'\n", plugin(""));
    for (text, part) in [
        (
            format!("{SHORT}\n").replace("workers = 4", "trusted_proxies = ['10.1.2.3/8']"),
            "10.1.2.3/8 in `trusted_proxies` is taken for 10.0.0.0/8",
        ),
        (
            SHORT.replace("\"/metrics\"", "\"/\""),
            "whoever asks for / gets the metrics",
        ),
        (
            plugin("limits = { memory_mb = 8, recycle_memory_mb = 16 }"),
            "`recycle_memory_mb` of the plugin `a` is not below",
        ),
        (
            plugin("breaker = { cooldown_ms = 5000, max_cooldown_ms = 1000 }"),
            "`cooldown_ms` of the plugin `a` is above its `max_cooldown_ms`",
        ),
        (
            route("path_prefix = '/api/*'"),
            "the path \"/api/*\" on line 12 is no pattern",
        ),
        (
            route("path = '/users/{id}'"),
            "the path \"/users/{id}\" on line 12 is no pattern",
        ),
        (
            route("path_prefix = '/v[0-9]'"),
            "the path \"/v[0-9]\" on line 12 is no pattern",
        ),
    ] {
        let said = all(&text);
        assert!(said.contains(part), "{part:?} in {said:?}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
    assert_eq!(all(&plugin("breaker = { cooldown_ms = 90000 }")), "");
    assert_eq!(all(&route("path_prefix = '/Products(1)/$metadata'")), "");
}

#[test]
fn odd_settings_are_warnings() {
    assert_eq!(config(SHORT).warnings(), []);
    assert_eq!(config(FULL).warnings(), []);
    let odd = r#"
        [server]
        trusted_proxies = ["::/0"]
        [admin]
        listen = "0.0.0.0:9090"
        [[plugins]]
        name = "spare"
        wasm = "builtin:round-robin"
        [[pools]]
        name = "drained"
        backends = [{ address = "app", weight = 0 }]
        [[pools]]
        name = "spare"
        backends = ["app"]
        [[routes]]
        pool = "drained"
    "#;
    let [admin, trust, plugin, pool, drained] = &config(odd).warnings()[..] else {
        panic!("{:?}", config(odd).warnings())
    };
    assert!(matches!(admin, Warning::AdminReachable(_)) && matches!(trust, Warning::TrustsEverybody(_)));
    assert_eq!(plugin, &Warning::UnusedPlugin("spare".into()));
    assert_eq!(pool, &Warning::UnusedPool("spare".into()));
    assert_eq!(drained, &Warning::DrainedPool("drained".into()));
    assert!(admin.to_string().starts_with("[admin] listens on 0.0.0.0:9090"));
}
