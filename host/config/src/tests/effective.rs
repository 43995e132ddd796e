//! The configuration as it is shown: complete, readable by Pace itself, and without secrets.

use std::fs;
use std::path::{Path, PathBuf};

use super::{FULL, SHORT, config};
use crate::telemetry::Secret;
use crate::{Config, Overrides};

/// A file with what the shipped ones do not have.
const MORE: &str = r#"
[server]
trusted_proxies = ["10.0.0.0/8", "::1"]
encoded_slashes = "decode"
underscores = "pass"
via = ""
request_id = "X-Request-Id"
tcp_keepalive_seconds = 0
keepalive_requests = 0
max_connections = 5
cache_dir = "cache"

[[listeners]]
listen = "0.0.0.0:8443"
certificates = [
    { cert = "one.pem", key = "one.key", default = true },
    { cert = "two.pem", key = "two.key", client_certificates = "none" },
]
tls = { min_version = "1.3", alpn = ["http/1.1"], client_ca = "ca.pem", client_certificates = "optional", forward_client_certificates = "chain" }
routes = ["split", "any"]

[[listeners]]
listen = "[::]:8080"
redirect_to_https = true

[admin]
listen = "unix:/run/pace/admin.sock"
mode = "0660"

[access_log]
format = "text"
statuses = ["404", "500-599"]
always = []

[[plugins]]
name = "limit"
wasm = "limit.wasm"
sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
isolation = "request"
limits = { memory_mb = 1, recycle_uses = 7 }
breaker = { failures = 0 }
config = { percent = 0.5, list = [1, "two", { three = 3 }], none = {} }

[[pools]]
name = "a"
backends = ["https://[::1]:8443", { address = "App", weight = 0, backup = true }, "unix:/run/app.sock"]
tls = { ca = "ca.pem", server_name = "app.example", cert = "own.pem", key = "own.key" }
retry = { attempts = 3, on = ["connect", "503"], budget_percent = 0, per_try_ms = 10, backoff_ms = 5 }
total_timeout_ms = 5000
resolve_every_seconds = 0
health_check = { kind = "http", path = "/up?deep=1", expect = "200-299,401" }
ejection = {}
slow_start_ms = 1000
max_in_flight = 9
stickiness = { ttl_seconds = 0 }

[[pools]]
name = "b"
backends = ["app:81"]
protocol = "h2"
health_check = { kind = "grpc" }

[[routes]]
name = "split"
match = { host = "*.Example.com", path = "/x%2Fy", methods = ["GET", "POST"], headers = { x-env = "prod" }, query = { v = "1" } }
pools = [{ pool = "a", weight = 9 }, { pool = "b" }]
split_by = "cookie:id"
timeouts = { total_ms = 0, first_byte_ms = 100 }
rewrite = { strip_prefix = "/x", add_prefix = "/y", host = "other.example:81" }
body_limit_kb = 10
plugins = ["limit"]

[[routes]]
name = "any"
match = { path_regex = "^/[0-9]+$" }
pool = "b"
mirror = { pool = "a", percent = 0.125, max_in_flight = 3 }
plugins = [{ use = "limit", on_failure = "open", config = { percent = 2 } }]

[[routes]]
match = { path_prefix = "/old" }
redirect = { to = "https://example.com{path}", status = 308 }

[[routes]]
match = { path_prefix = "/gone" }
respond = { status = 410, body = """
two
lines""" }
"#;

/// The configuration that is read from what is shown of another. The remark about what was not written is gone.
fn read_back(shown: &str) -> Config {
    Config::parse(shown, Path::new("shown.toml"), &Overrides::default())
        .unwrap_or_else(|error| panic!("{error}\n{shown}"))
}

fn as_written_out(config: Config) -> Config {
    Config {
        has_default_rate_limit: false,
        ..config
    }
}

/// The shipped files and those of this module, each with a name.
fn every_file() -> Vec<(String, String)> {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../config");
    let entries = fs::read_dir(directory).expect("the directory is there");
    let paths = entries.map(|entry| entry.expect("it can be read").path());
    let shipped = paths.filter(|path| path.extension().is_some_and(|extension| extension == "toml"));
    let mut files: Vec<(String, String)> = shipped
        .map(|path| {
            let text = fs::read_to_string(&path).expect("it is text");
            (path.display().to_string(), text)
        })
        .collect();
    for (name, text) in [("SHORT", SHORT), ("FULL", FULL), ("MORE", MORE)] {
        files.push((name.to_owned(), text.to_owned()));
    }
    files
}

#[test]
fn shown_configuration_is_read_back_as_the_same() {
    let files = every_file();
    assert!(files.len() > 20, "{}", files.len());
    for (name, text) in files {
        let config = config(&text);
        let shown = config.effective().to_toml();
        assert_eq!(read_back(&shown), as_written_out(config), "{name}:\n{shown}");
    }
}

#[test]
fn short_form_is_shown_in_full_with_its_defaults() {
    let shown = config(SHORT).effective();
    let json = serde_json::to_value(&shown).expect("it is JSON");
    assert_eq!(json["listeners"][0]["listen"], "0.0.0.0:8080");
    assert_eq!(json["server"]["grace_period_seconds"], 10);
    assert_eq!(json["plugins"][0]["name"], "rate-limiter");
    assert_eq!(json["plugins"][0]["config"]["max_requests"], 100);
    assert_eq!(json["pools"][0]["retry"]["attempts"], 2);
    assert_eq!(json["routes"][0]["match"]["path_prefix"], "/");
    let text = shown.to_toml();
    assert!(text.starts_with("[server]\nworkers = 4\n"), "{text}");
}

#[test]
fn secret_is_shown_by_its_place_alone() {
    let path = std::env::temp_dir().join(format!("pace-effective-{}", std::process::id()));
    fs::write(&path, "swordfish").expect("there is room");
    let text = format!(
        "[admin]\ntoken = {{ file = {path:?} }}\n[upstreams]\nbackends = ['a:1']\n[tracing]\ncollector = \
         'http://otel.example/v1?token=swordfish'\nheaders = {{ authorization = {{ file = {path:?} }} }}\n[headers]\n\
         request = {{ set = {{ authorization = 'Basic swordfish' }} }}\n"
    );
    let config = config(&text);
    let _ = fs::remove_file(&path);
    let shown = config.effective().to_toml();
    let json = serde_json::to_string(&config.effective()).expect("it is JSON");
    for shown in [&shown, &json] {
        assert!(shown.contains(&*path.display().to_string()), "{shown}");
        assert!(!shown.contains("swordfish"), "{shown}");
    }
    let token = config.admin.and_then(|admin| admin.token);
    assert_eq!(token.as_ref().map(Secret::expose), Some("swordfish"));
}

#[test]
fn admin_keys_that_do_not_fit_are_refused() {
    let admin = |keys: &str| super::only(&format!("{SHORT}\n[admin]\n{keys}\n"));
    for (keys, said) in [
        ("mode = '0600'", "permissions are those of a socket"),
        (
            "listen = 'unix:/run/a'\nmode = '0999'",
            "must be permissions in octal digits",
        ),
        (
            "listen = 'unix:/run/a'\nmode = '+77'",
            "must be permissions in octal digits",
        ),
        ("listen = 'unix:a'", "from the root on"),
        ("cert = 'a.pem'", "a certificate and its key belong together"),
        (
            "listen = 'unix:/run/a'\ncert = 'a.pem'\nkey = 'a.key'",
            "nothing is encrypted on a Unix socket",
        ),
    ] {
        let problem = admin(keys);
        assert!(problem.contains(said), "{keys}: {problem}");
    }
}
