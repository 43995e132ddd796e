//! The files under `config/` match the program. Another test starts each of them with the real binary.

use serde_json::json;

use super::{SHORT, config};

const PROXY: &str = include_str!("../../../../config/proxy.toml");

/// The lines that are neither comments nor empty.
fn settings(text: &str) -> Vec<&str> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect()
}

#[test]
fn commented_file_equals_the_short_one() {
    assert_eq!(config(PROXY), config(SHORT));
    let without_headers: Vec<_> = settings(PROXY)
        .into_iter()
        .filter(|line| *line != "[headers]")
        .collect();
    assert_eq!(without_headers, settings(SHORT));
}

#[test]
fn commented_out_settings_are_the_defaults() {
    let is_setting = |rest: &&str| rest.starts_with(|c: char| c.is_ascii_lowercase() || c == '[');
    let all: String = PROXY
        .lines()
        .map(|line| format!("{}\n", line.strip_prefix('#').filter(is_setting).unwrap_or(line)))
        .collect();
    let (all, short) = (config(&all), config(SHORT));

    assert_eq!(all.server, short.server);
    assert_eq!(all.pools, short.pools);
    assert_eq!(all.metrics, short.metrics);
    assert_eq!(all.admin, config(&format!("{SHORT}\n[admin]")).admin);
    // The plugins themselves know their own defaults.
    let plugin = |index: usize| serde_json::Value::Object(all.plugins[index].config.clone());
    let limiter = json!({
        "max_requests": 100, "window_seconds": 60, "key": "client_ip", "ipv4_prefix": 32, "ipv6_prefix": 64
    });
    assert_eq!(plugin(0), limiter);
    assert_eq!(plugin(2), json!({ "identify": true }));
}

#[test]
fn commented_file_has_every_key() {
    // The message lists all allowed keys, so keys added later are covered.
    for table in ["server", "upstreams", "rate_limit", "headers", "metrics", "admin"] {
        let message = super::only(&format!("[{table}]\nzzz = 1"));
        let (_, allowed) = message.split_once("Allowed: ").expect("a list of keys");
        for key in allowed.split(", ").map(|key| key.trim_matches('`')) {
            let setting = format!("{key} = ");
            let there = PROXY
                .lines()
                .any(|line| line.trim_start_matches('#').starts_with(&setting));
            // These are tables of their own; headers.toml shows them.
            assert!(
                there || ["request", "response"].contains(&key),
                "{key} in [{table}]"
            );
        }
    }
}

#[test]
fn other_shipped_files_are_valid_without_warnings() {
    for text in [
        include_str!("../../../../config/admin.toml"),
        include_str!("../../../../config/behind-nginx.toml"),
        include_str!("../../../../config/fail-open.toml"),
        include_str!("../../../../config/full.toml"),
        include_str!("../../../../config/headers.toml"),
        include_str!("../../../../config/limit-by-header.toml"),
        include_str!("../../../../config/proxy-protocol.toml"),
        PROXY,
    ] {
        assert_eq!(config(text).warnings(), []);
    }
}
