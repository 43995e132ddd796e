//! The files under `config/` match the program. Another test starts each of them with the real binary.

use serde_json::json;

use super::{SHORT, config};

const PROXY: &str = include_str!("../../../../config/proxy.toml");
const TLS: &str = include_str!("../../../../config/tls.toml");
const CLIENT_CERTIFICATES: &str = include_str!("../../../../config/client-certificates.toml");
const TELEMETRY: &str = include_str!("../../../../config/telemetry.toml");
const ACME: &str = include_str!("../../../../config/acme.toml");

/// Keys that do something as soon as they are there, and so are in files of their own.
const SHOWN_ELSEWHERE: [&str; 12] = [
    "mode",
    "cert",
    "key",
    "token",
    "request",
    "response",
    "health_check",
    "ejection",
    "max_in_flight",
    "max_queued",
    "queue_ms",
    "stickiness",
];

/// The files of routes.
const ROUTES: [&str; 5] = [
    include_str!("../../../../config/routes.toml"),
    include_str!("../../../../config/rewrite.toml"),
    include_str!("../../../../config/split.toml"),
    include_str!("../../../../config/mirror.toml"),
    include_str!("../../../../config/redirect.toml"),
];

/// The files of pools.
const POOLS: [&str; 6] = [
    include_str!("../../../../config/health-checks.toml"),
    include_str!("../../../../config/ejection.toml"),
    include_str!("../../../../config/max-in-flight.toml"),
    include_str!("../../../../config/sticky.toml"),
    include_str!("../../../../config/backup.toml"),
    include_str!("../../../../config/names.toml"),
];

/// The lines that are neither comments nor empty.
fn settings(text: &str) -> Vec<&str> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect()
}

/// The text with the settings in it that are commented out.
fn with_all_settings(text: &str) -> String {
    let is_setting = |rest: &&str| rest.starts_with(|c: char| c.is_ascii_lowercase() || c == '[');
    text.lines()
        .map(|line| format!("{}\n", line.strip_prefix('#').filter(is_setting).unwrap_or(line)))
        .collect()
}

/// The keys that the program knows in a table. The message lists all of them, so keys added later are covered.
fn known(table: &str) -> Vec<String> {
    let error = super::parse(table)
        .expect_err("no table has this key")
        .to_string();
    let line = error.lines().find(|line| line.contains("unknown key `zzz`"));
    let (_, allowed) = line
        .and_then(|line| line.split_once("Allowed: "))
        .unwrap_or_else(|| panic!("no list of keys in: {error}"));
    let keys = allowed.split(", ").map(|key| key.trim_matches('`').to_owned());
    keys.collect()
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
    let (all, short) = (config(&with_all_settings(PROXY)), config(SHORT));

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
    for table in ["server", "upstreams", "rate_limit", "headers", "metrics", "admin"] {
        for key in known(&format!("[{table}]\nzzz = 1")) {
            let setting = format!("{key} = ");
            let there = PROXY
                .lines()
                .any(|line| line.trim_start_matches('#').starts_with(&setting));
            assert!(
                there || SHOWN_ELSEWHERE.contains(&key.as_str()),
                "{key} in [{table}]"
            );
        }
    }
}

#[test]
fn files_of_tls_have_every_key_of_listeners_and_defaults_where_they_say_so() {
    let files = [TLS, CLIENT_CERTIFICATES, ACME].concat();
    let of_listeners = [
        "[[listeners]]\nzzz = 1",
        "[[listeners]]\nlisten = ':1'\ncertificates = [{ zzz = 1 }]",
        "[[listeners]]\nlisten = ':1'\ntls = { zzz = 1 }",
        "[acme]\nzzz = 1",
    ];
    for table in of_listeners {
        for key in known(table) {
            // The table `tls` is written with a line of its own.
            let there = files.contains(&format!("{key} = ")) || files.contains(&format!("[listeners.{key}]"));
            assert!(there, "{key} in {table}");
        }
    }
    assert_eq!(config(&with_all_settings(TLS)), config(TLS));
    let acme = config(ACME).acme.expect("it has the table");
    assert_eq!(acme.root_ca, None);
    assert_eq!(acme.names, ["example.com", "www.example.com"]);
}

#[test]
fn files_of_routes_have_every_key_of_routes() {
    let files = ROUTES.concat();
    let tables = [
        "zzz = 1",
        "match = { zzz = 1 }",
        "redirect = { zzz = 1 }",
        "respond = { zzz = 1 }",
        "rewrite = { zzz = 1 }",
        "timeouts = { zzz = 1 }",
        "pools = [{ zzz = 1 }]",
        "mirror = { zzz = 1 }",
    ];
    for table in tables {
        for key in known(&format!("[[routes]]\n{table}")) {
            assert!(files.contains(&format!("{key} = ")), "{key} in {table}");
        }
    }
}

#[test]
fn files_of_pools_have_every_key_that_is_in_no_other() {
    let files = POOLS.concat();
    for table in [
        "[[pools]]\nname = 'a'\nbackends = ['a']\nhealth_check = { zzz = 1 }",
        "[[pools]]\nname = 'a'\nbackends = ['a']\nejection = { zzz = 1 }",
        "[[pools]]\nname = 'a'\nbackends = ['a']\nstickiness = { zzz = 1 }",
    ] {
        for key in known(table) {
            assert!(files.contains(&format!("{key} = ")), "{key} in {table}");
        }
    }
    for key in SHOWN_ELSEWHERE.iter().skip(6) {
        let is_there = files.contains(&format!("{key} = ")) || files.contains(&format!("[upstreams.{key}]"));
        assert!(is_there, "{key}");
    }
}

#[test]
fn file_of_telemetry_has_every_key_and_defaults_where_it_says_so() {
    for table in ["access_log", "tracing"] {
        for key in known(&format!("[{table}]\nzzz = 1")) {
            assert!(TELEMETRY.contains(&format!("{key} = ")), "{key} in [{table}]");
        }
    }
    assert_eq!(config(&with_all_settings(TELEMETRY)), config(TELEMETRY));
}

#[test]
fn other_shipped_files_are_valid_without_warnings() {
    for text in [
        ACME,
        CLIENT_CERTIFICATES,
        TLS,
        include_str!("../../../../config/admin.toml"),
        include_str!("../../../../config/behind-nginx.toml"),
        include_str!("../../../../config/consistent-hash.toml"),
        include_str!("../../../../config/fail-open.toml"),
        include_str!("../../../../config/full.toml"),
        include_str!("../../../../config/grpc.toml"),
        include_str!("../../../../config/headers.toml"),
        include_str!("../../../../config/least-request.toml"),
        include_str!("../../../../config/limit-by-header.toml"),
        include_str!("../../../../config/peak-ewma.toml"),
        include_str!("../../../../config/proxy-protocol.toml"),
        include_str!("../../../../config/retry.toml"),
        TELEMETRY,
        PROXY,
    ]
    .into_iter()
    .chain(ROUTES)
    .chain(POOLS)
    {
        assert_eq!(config(text).warnings(), []);
    }
}
